"""A server with both of its listeners in this process, and devices that connect to it.

`async with house(folder, settings) as house:` then `house.device()` is a browser without
a page, with its own cookie jar.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from aiohttp import ClientSession, CookieJar, TCPConnector

from whycam.stream.inference.engine import Engine
from whycam.stream.server.app import SESSIONS, make_app, running
from whycam.stream.server.auth import COOKIE
from whycam.stream.server.lan import Lan
from whycam.stream.server.listener import MAX_CONNECTIONS
from whycam.stream.server.shelf.films import Films
from whycam.stream.sessions.model_choice import ModelShelf
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings


@dataclass(frozen=True)
class House:
    """A running server."""

    local: str
    """http on loopback, for the host."""
    remote: str
    """https with whycam's own certificate, for devices; on loopback too, where tests may listen."""
    lan: Lan
    sessions: Sessions
    trust: ssl.SSLContext

    @property
    def token(self) -> str:
        return self.lan.credentials.tokens["phone"]

    def device(self) -> ClientSession:
        """A client with its own cookie jar that trusts only whycam's authority."""
        return ClientSession(connector=TCPConnector(ssl=self.trust), cookie_jar=CookieJar(unsafe=True))

    def key_of(self, http: ClientSession) -> str:
        """The key that marks the recordings of a device that joined."""
        (cookie,) = [each.value for each in http.cookie_jar if each.key == COOKIE]
        return self.lan.credentials.key_of(self.lan.credentials.read_cookie(cookie)[1])

    @asynccontextmanager
    async def joined(self, role: str = "phone") -> AsyncIterator[ClientSession]:
        """A device that joined."""
        async with self.device() as http:
            token = self.lan.credentials.tokens["viewer" if role == "viewer" else "phone"]
            response = await http.post(f"{self.remote}/join", json={"token": token})
            assert response.status == 200, await response.text()
            yield http


@asynccontextmanager
async def house(
    folder: Path,
    engine: Engine,
    settings: Settings | None = None,
    shelf: ModelShelf | None = None,
    uploads: Films | None = None,
) -> AsyncIterator[House]:
    """Both listeners, on free ports of loopback; closes the engine as well."""
    lan = Lan.prepared(["127.0.0.1"], 0, folder / "config")
    assert lan.certificate is not None
    sessions = Sessions(engine, settings or Settings(), shelf)
    app = make_app(sessions, lan, uploads)
    try:
        async with running(app) as listeners:
            local = await listeners.listen("127.0.0.1", 0, max_per_address=MAX_CONNECTIONS)
            remote = await listeners.listen("127.0.0.1", 0, lan.certificate.context())
            trust = ssl.create_default_context(cafile=str(folder / "config" / "authority.crt"))
            yield House(
                f"http://127.0.0.1:{local}",
                f"https://127.0.0.1:{remote}",
                replace(lan, port=remote),
                app[SESSIONS],
                trust,
            )
        assert len(sessions) == 0
    finally:
        engine.close()
