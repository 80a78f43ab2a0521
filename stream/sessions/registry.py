"""All sessions of a server and all who watch them: whose each is, how many there may be, and which ended lately."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from whycam.stream.inference.engine import Engine
from whycam.stream.live.pipeline import Counts
from whycam.stream.sessions.session import Session, Settings, StreamName
from whycam.stream.webrtc.end_reason import SERVER_ENDS
from whycam.stream.webrtc.peer import LOOPBACK
from whycam.stream.webrtc.viewers import Viewer

logger = logging.getLogger(__name__)

REMEMBERED = 256
"""Sessions and viewers that ended and whose second DELETE is no mistake."""


class ServerFull(RuntimeError):
    """All sessions or viewers that the server can serve are taken."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a session is: a device, and the address it calls from (None: this computer, which may have them all)."""

    device: str
    address: str | None = None
    key: str | None = field(default=None, repr=False)
    """By which its recordings are known as its own (`stream.recording.ownership`); None: this computer."""

    @property
    def calls_from(self) -> str:
        """The address that its offers come from."""
        return LOOPBACK if self.address is None else self.address


HOST = Owner("host")


class Sessions:
    """All sessions of a server, and all who watch them."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self._open: dict[str, Session] = {}
        self._viewers: dict[str, Viewer] = {}
        self._owners: dict[str, Owner] = {}  # of what is open, and of the newest that ended
        self._ended: deque[str] = deque()
        self._answering: list[Owner] = []
        self._admitting = 0
        self._closing = False

    def __len__(self) -> int:
        return len(self._open)

    @property
    def viewers(self) -> int:
        """How many watch, all sessions together."""
        return len(self._viewers)

    @property
    def counts(self) -> list[Counts]:
        """What became of the frames of each session that runs."""
        return [session.counts for session in self._open.values()]

    def describe(self) -> list[dict[str, Any]]:
        """The sessions, the oldest first, as JSON for those who may watch."""
        return [session.describe() for session in self._open.values()]

    async def start(
        self, offer: str, owner: Owner = HOST, *, returns: bool = True, continues: str | None = None
    ) -> Session:
        """Answer an offer with a new session; raises `ServerFull`, and as `Session.answering` does."""
        self._check_open()
        self._make_room(owner)
        self._answering.append(owner)
        try:
            session = await Session.answering(
                offer,
                self.engine,
                self.settings,
                self._forget,
                returns=returns,
                caller=owner.calls_from,
                owner=owner.key,
                continues=continues,
            )
        finally:
            self._answering.remove(owner)
        self._open[session.id] = session
        self._owners[session.id] = owner
        try:
            self._check_open()
        except ServerFull:
            await session.close(SERVER_ENDS)
            raise
        return session

    def _make_room(self, owner: Owner) -> None:
        owners = [*(self._owners[session_id] for session_id in self._open), *self._answering]
        limits = self.settings.limits
        if len(owners) >= limits.max_sessions:
            raise ServerFull(
                f"The server already serves {limits.max_sessions} cameras, as many as it can. "
                "End one of them, or try again later."
            )
        limit = limits.max_sessions_per_address
        if owner.address is not None and sum(o.address == owner.address for o in owners) >= limit:
            raise ServerFull(
                f"The server already serves {limit} cameras of this device, as many as one may have. "
                "End one of them, or try again in a moment."
            )

    def _check_open(self) -> None:
        if self._closing:
            raise ServerFull("The server is ending. Start it again, then call again.")

    async def watch(self, session_id: str, stream: StreamName, offer: str, owner: Owner = HOST) -> Viewer:
        """Answer a viewer's offer; raises `KeyError` for no such session, `ServerFull`, and as `Viewer.answering`."""
        session = self._open[session_id]
        self._check_open()
        limit = self.settings.limits.max_viewers
        if len(self._viewers) + self._admitting >= limit:
            raise ServerFull(f"The server already serves {limit} viewers, as many as it can. Try again later.")
        self._admitting += 1
        try:
            viewer = await session.admit(offer, stream, self._forget, owner.calls_from)
        except ConnectionError as error:  # it ended meanwhile
            raise KeyError(session_id) from error
        finally:
            self._admitting -= 1
        self._viewers[viewer.id] = viewer
        self._owners[viewer.id] = owner
        return viewer

    def _forget(self, ended: Session | Viewer) -> None:
        if self._open.pop(ended.id, None) is None and self._viewers.pop(ended.id, None) is None:
            return
        if isinstance(ended, Session):
            self.settings.metrics.saw_end(ended.counts)
        self._ended.append(ended.id)
        if len(self._ended) > REMEMBERED:
            del self._owners[self._ended.popleft()]

    def recordings(self) -> dict[str, str]:
        """By the folder's name of each recording whose files are open: the session's id."""
        return {folder.name: session.id for session in self._open.values() for folder in session.recordings}

    def command(self, session_id: str, text: str) -> None:
        """Do what a command asks a session for; raises `KeyError` for no such session, and as `Session.command`."""
        self._open[session_id].command(text)

    def owner(self, made_id: str) -> Owner:
        """Whose a session or a viewer is, or was a moment ago; raises `KeyError` for one that is not known."""
        return self._owners[made_id]

    async def end(self, made_id: str) -> None:
        """End a session or a viewer, or nothing where it ended a moment before; raises `KeyError` for a stranger."""
        if made_id in self._ended:
            return
        await (self._viewers.get(made_id) or self._open[made_id]).close()

    async def close(self) -> None:
        """End all sessions, finish their files, and take no new ones."""
        self._closing = True
        ends = await asyncio.gather(*(s.close(SERVER_ENDS) for s in list(self._open.values())), return_exceptions=True)
        for error in filter(None, ends):
            logger.error("A session did not end well: %r", error)
