"""A server in a thread of this process, for a browser: `with serving_here(engine, settings) as here:`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp.test_utils import TestServer

from whycam.stream.inference.engine import Engine
from whycam.stream.server.app import SESSIONS, make_app
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings


@dataclass(frozen=True)
class Here:
    """A running server."""

    url: str
    sessions: Sessions
    loop: asyncio.AbstractEventLoop


@contextmanager
def serving_here(engine: Engine, settings: Settings) -> Iterator[Here]:
    """Closes the engine as well."""
    found, over = list[Here](), list[asyncio.Event]()
    ready = threading.Event()

    async def serve() -> None:
        app = make_app(Sessions(engine, settings))
        async with TestServer(app) as server:
            found.append(Here(f"http://localhost:{server.port}", app[SESSIONS], asyncio.get_running_loop()))
            over.append(asyncio.Event())
            ready.set()
            await over[0].wait()

    thread = threading.Thread(target=asyncio.run, args=[serve()], name="server")
    thread.start()
    try:
        assert ready.wait(20)
        yield found[0]
    finally:
        found[0].loop.call_soon_threadsafe(over[0].set)
        thread.join()
        engine.close()
