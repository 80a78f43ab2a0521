"""All sessions and viewers of a server: their owners, their limits, and which ended recently."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from whycam.models import catalog
from whycam.models.class_set import ClassSet
from whycam.models.contract import ContractError
from whycam.models.taught_model import network_of
from whycam.stream.inference.engine import Engine, EngineDown
from whycam.stream.inference.known_classes import KnownClasses
from whycam.stream.live.pipeline import Counts
from whycam.stream.sessions.classroom import Classroom
from whycam.stream.sessions.model_choice import MapChoice, ModelChoice, ModelShelf, RunningModel, UnknownModel
from whycam.stream.sessions.recording_mode import RecordingMode
from whycam.stream.sessions.session import Session, Settings, StreamName
from whycam.stream.sessions.teacher import Teacher
from whycam.stream.teaching.examples import HOST as HOST_GIVES
from whycam.stream.webrtc.end_reason import SERVER_ENDS
from whycam.stream.webrtc.ice.config import LOOPBACK
from whycam.stream.webrtc.viewers import Viewer

logger = logging.getLogger(__name__)

REMEMBERED = 256
"""Ended sessions and viewers for which a second DELETE is not an error."""


LISTED_ENDS = 32
"""Ended sessions whose reason is listed."""


class ServerFull(RuntimeError):
    """The server has no room for another session or viewer, or is shutting down."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a session: a device and its address (None: the host, which has no limit per address)."""

    device: str
    address: str | None = None
    key: str | None = field(default=None, repr=False)
    """The key that marks its recordings (`stream.recording.ownership`); None for the host."""

    @property
    def calls_from(self) -> str:
        """The address from which its offers come."""
        return LOOPBACK if self.address is None else self.address


HOST = Owner("host")


class Sessions:
    """All sessions and viewers of a server; its methods run on the event loop."""

    def __init__(self, engine: Engine, settings: Settings, shelf: ModelShelf | None = None) -> None:
        self.models = ModelChoice(engine, shelf)
        self.settings = settings
        self.classroom = Classroom(engine, self._use_classes, settings.limits)
        self._givers: dict[str, str] = {}
        """What the classroom calls each device."""
        self._saving: set[str] = set()
        """The names of models that are being saved."""
        self._recording_mode: RecordingMode = "off" if settings.recordings is None else settings.record
        self.open_sessions: dict[str, Session] = {}
        self.open_viewers: dict[str, Viewer] = {}
        """By id; sessions likewise. Only this class changes them."""
        self._owners: dict[str, Owner] = {}  # of open ones, and of those that ended recently
        self._ended: deque[str] = deque()
        self._described_ends: deque[dict[str, Any]] = deque(maxlen=LISTED_ENDS)
        self._answering: list[Owner] = []
        self._admitting = 0
        self._closing = False

    def __len__(self) -> int:
        return len(self.open_sessions)

    @property
    def engine(self) -> Engine:
        """The engine of the current model."""
        return self.models.current.engine

    @property
    def viewers(self) -> int:
        """The number of viewers of all sessions."""
        return len(self.open_viewers)

    @property
    def counts(self) -> list[Counts]:
        """The frame counts of each running session."""
        return [session.counts for session in self.open_sessions.values()]

    def describe(self) -> list[dict[str, Any]]:
        """The sessions, oldest first, as JSON for viewers."""
        return [session.describe() for session in self.open_sessions.values()]

    def describe_ended(self) -> list[dict[str, Any]]:
        """The sessions that ended last and why, the newest first, as JSON for viewers."""
        return list(self._described_ends)

    async def start(
        self, offer: str, owner: Owner = HOST, *, returns: bool = True, continues: str | None = None
    ) -> Session:
        """Answer an offer with a new session; raises `ServerFull` and what `Session.answering` raises."""
        self._check_open()
        self._make_room(owner)
        self._answering.append(owner)
        try:
            session = await Session.answering(
                offer,
                self._running_model,
                self.settings,
                self._forget,
                mode=lambda: self._recording_mode,
                teacher=Teacher(self.classroom, self.giver(owner)),
                returns=returns,
                caller=owner.calls_from,
                owner=owner.key,
                continues=continues,
            )
        finally:
            self._answering.remove(owner)
        self.open_sessions[session.id] = session
        self._owners[session.id] = owner
        try:
            self._check_open()
        except ServerFull:
            await session.close(SERVER_ENDS)
            raise
        return session

    def _make_room(self, owner: Owner) -> None:
        owners = [*(self._owners[session_id] for session_id in self.open_sessions), *self._answering]
        limits = self.settings.limits
        if len(owners) >= limits.max_sessions:
            raise ServerFull(
                f"The server already serves {limits.max_sessions} cameras, as many as it can. "
                "End one of them, or try again later."
            )
        limit = limits.max_sessions_per_address
        if owner.address is not None and sum(o.address == owner.address for o in owners) >= limit:
            raise ServerFull(
                f"The server already serves {limit} cameras of this device, the most for one device. "
                "End one of them, or try again in a moment."
            )

    def _check_open(self) -> None:
        if self._closing:
            raise ServerFull("The server is ending. Start it again, then call again.")

    async def watch(self, session_id: str, stream: StreamName, offer: str, owner: Owner = HOST) -> Viewer:
        """Answer a viewer's offer; raises `KeyError` for an unknown session, `ServerFull`, as `Viewer.answering`."""
        session = self.open_sessions[session_id]
        self._check_open()
        limit = self.settings.limits.max_viewers
        if len(self.open_viewers) + self._admitting >= limit:
            raise ServerFull(f"The server already serves {limit} viewers, as many as it can. Try again later.")
        self._admitting += 1
        try:
            viewer = await session.admit(offer, stream, self._forget, owner.calls_from)
        except ConnectionError as error:  # the session ended meanwhile
            raise KeyError(session_id) from error
        finally:
            self._admitting -= 1
        self.open_viewers[viewer.id] = viewer
        self._owners[viewer.id] = owner
        return viewer

    def _forget(self, ended: Session | Viewer) -> None:
        if self.open_sessions.pop(ended.id, None) is None and self.open_viewers.pop(ended.id, None) is None:
            return
        if isinstance(ended, Session):
            self.settings.metrics.saw_end(ended.counts)
            self._described_ends.appendleft(ended.describe_end())
        self._ended.append(ended.id)
        if len(self._ended) > REMEMBERED:
            del self._owners[self._ended.popleft()]

    def recordings(self) -> dict[str, str]:
        """The session's id for the folder name of each recording with open files."""
        return {folder.name: session.id for session in self.open_sessions.values() for folder in session.recordings}

    @property
    def recording_mode(self) -> RecordingMode:
        """What is recorded of every session."""
        return self._recording_mode

    def set_recording_mode(self, mode: RecordingMode) -> None:
        """Change what is recorded, of all sessions and of those that come later; needs a folder for recordings."""
        self._recording_mode = mode
        for session in self.open_sessions.values():
            session.set_recording_mode(mode)

    def command(self, session_id: str, text: str) -> None:
        """Apply a command to a session; raises `KeyError` for an unknown session, and as `Session.command`."""
        self.open_sessions[session_id].command(text)

    async def frozen_picture(self, session_id: str, pts: int) -> bytes | None:
        """As `Session.frozen_picture`; raises `KeyError` for an unknown session."""
        return await self.open_sessions[session_id].frozen_picture(pts)

    def owner(self, made_id: str) -> Owner:
        """The owner of a session or viewer that is open or ended recently; raises `KeyError` for an unknown id."""
        return self._owners[made_id]

    async def change_model(self, name: str | None, wanted: MapChoice | None = None) -> None:
        """Let all sessions, and those that come later, use this model and map; raises as `ModelChoice.change`."""
        if self._closing:
            raise EngineDown("The server is ending. Start it again, then choose the model.")
        await self.models.change(name, self._adopt, wanted)

    def _running_model(self) -> RunningModel:
        model = self.models.current
        return replace(model, class_set=self.classroom.class_set_for(model.engine))

    def _use_classes(self, class_set: ClassSet | None) -> None:
        for session in self.open_sessions.values():
            session.use_classes(class_set)

    def known_classes(self) -> KnownClasses:
        """The classes that sessions have now."""
        model = self._running_model()
        return KnownClasses(model.engine.contract.labels, model.class_set)

    async def open_kept(self) -> None:
        """Begin with the examples that were kept beside the current model's file, if there are some."""
        with suppress(UnknownModel, ContractError):  # its file is not known here, or not any more
            await self.classroom.open_kept(await asyncio.to_thread(lambda: self.models.path))

    async def save_taught(self, name: str, *, keep: bool = False) -> None:
        """Write the taught model as one of the user's own models, `keep`: with its examples beside it.

        Raises `ContractError` for a name that cannot be one, `FileExistsError` if another has it, `NothingTaught`,
        `SourceChanged`, and `OSError`.
        """
        if name in catalog.RESERVED:
            raise FileExistsError(f"'{name}' is the name of a model that whycam makes. Choose another name.")
        catalog.check_name(name)
        path = catalog.user_models() / f"{name}.onnx"
        if path.exists() or name in self._saving:
            raise FileExistsError(f"There is a model '{name}' already. Choose another name.")
        self._saving.add(name)
        try:
            await self.classroom.settle()
            await self.classroom.save(self.models.path, name, path, keep=keep)
        finally:
            self._saving.remove(name)

    async def taught_classes(self) -> dict[str, Any]:
        """What the taught classes were learned from, as JSON (docs/teach.md); raises `NothingTaught`."""
        await self.classroom.settle()
        summary, path = self.classroom.summary(), self.models.path
        return summary.as_json(await asyncio.to_thread(network_of, path))

    async def write_taught(self, name: str, path: Path) -> None:
        """Write the model with its taught classes; raises `NothingTaught`, `SourceChanged` and `OSError`."""
        await self.classroom.settle()
        await self.classroom.write(self.models.path, name, path)

    def giver(self, owner: Owner) -> str:
        """What the classroom calls a device: 'host', or 'phone 1' and so on."""
        if owner.address is None:
            return HOST_GIVES
        return self._givers.setdefault(owner.device, f"phone {len(self._givers) + 1}")

    def known_giver(self, owner: Owner) -> str | None:
        """What the classroom calls a device that has called or taught; None for any other."""
        return HOST_GIVES if owner.address is None else self._givers.get(owner.device)

    async def _adopt(self, model: RunningModel) -> None:
        is_another = self.classroom.use(model.engine)
        model = self._running_model()
        changes = [session.change_model(model) for session in self.open_sessions.values()]
        if is_another:
            await self.open_kept()
        for error in filter(None, await asyncio.gather(*changes, return_exceptions=True)):
            logger.error("A session did not change its model: %r", error)

    async def end(self, made_id: str) -> None:
        """End a session or viewer; no effect if it ended recently. Raises `KeyError` for an unknown id."""
        if made_id in self._ended:
            return
        await (self.open_viewers.get(made_id) or self.open_sessions[made_id]).close()

    async def end_guests(self) -> None:
        """End all sessions and viewers of other devices, also those that are being answered."""
        while any(owner.address is not None for owner in self._answering):  # noqa: ASYNC110 - for a second at most
            await asyncio.sleep(0.05)
        guests = [each for each in [*self.open_viewers, *self.open_sessions] if self._owners[each].address is not None]
        ends = await asyncio.gather(*map(self._end_guest, guests), return_exceptions=True)
        for error in filter(None, ends):
            logger.error("A device's call ended with an error: %r", error)

    async def _end_guest(self, made_id: str) -> None:
        viewer, session = self.open_viewers.get(made_id), self.open_sessions.get(made_id)
        if viewer is not None:
            await viewer.close()
        if session is not None:
            await session.close(SERVER_ENDS)

    async def close(self) -> None:
        """Refuse new sessions, end all open ones and finish their files."""
        self._closing = True
        ends = await asyncio.gather(
            *(s.close(SERVER_ENDS) for s in list(self.open_sessions.values())), return_exceptions=True
        )
        for error in filter(None, ends):
            logger.error("A session ended with an error: %r", error)
        await self.models.close()
