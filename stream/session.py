"""One camera: its peer, its live stream, viewers, view and recorder, from the offer to the end; and all of them."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from stream.audience import Audience
from stream.codec import CodecName, EncodedFrame
from stream.encoder import SOFTWARE, Backend
from stream.engine import Engine
from stream.inflow import Inflow
from stream.limits import LIMITS, Limits
from stream.live import Counts, LiveStream, Painted
from stream.messages import CommandError, for_viewers, parse_command, refusal, report, stalled
from stream.metrics import Metrics
from stream.pacing import Wish
from stream.recorder import Recorder
from stream.rtc import Media, Peer, PeerEvents
from stream.rtc_hooks import Packer
from stream.viewer import Viewer

logger = logging.getLogger(__name__)

REMEMBERED = 256
"""Sessions and viewers that ended and whose second DELETE is no mistake."""
CLOSE_S = 3.0
"""Seconds that a connection may take to close; the files are finished all the same."""


StreamName: TypeAlias = Literal["explained", "camera"]
"""What can be watched: the picture with its heatmap, or as the camera sent it."""
STREAMS: tuple[StreamName, ...] = get_args(StreamName)


class ServerFull(RuntimeError):
    """All sessions or viewers that the server can serve are taken."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What every session of a server shares."""

    media: Media = field(default_factory=Media)
    encoders: Mapping[CodecName, Backend] = field(default_factory=lambda: SOFTWARE)
    recordings: Path | None = None
    """The folder for recordings; None: nothing is recorded."""
    limits: Limits = LIMITS
    metrics: Metrics = field(default_factory=Metrics)


class Session:
    """One call. `session = await Session.answering(...)`; it ends by `close`, or when its phone goes."""

    _peer: Peer
    _live: LiveStream
    _recorder: Recorder
    _audiences: dict[StreamName, Audience]
    _packers: dict[StreamName, Packer]
    _watchdog: asyncio.Task[None]

    def __init__(self, engine: Engine, settings: Settings, on_end: Callable[[Session], None]) -> None:
        self.id = secrets.token_urlsafe(12)
        self._engine = engine
        self._settings = settings
        self._on_end = on_end
        self._reported: dict[str, Any] | None = None
        self._loop = asyncio.get_running_loop()
        self._since = datetime.now(UTC)
        self._began = time.monotonic()
        self._why = ""
        # The phone and all viewers have one wish for a keyframe in common.
        self._want_explained = Wish(lambda: self._live.request_keyframe())
        self._rtp: deque[tuple[int, int]] = deque(maxlen=256)  # pts and RTP time stamp of the newest camera frames
        self._inflow = Inflow(settings.limits)
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def answering(
        cls,
        offer: str,
        engine: Engine,
        settings: Settings,
        on_end: Callable[[Session], None],
        *,
        returns: bool = True,
        continues: str | None = None,
    ) -> Session:
        """Answer an offer, of a publisher unless the picture `returns`; raises as `Peer.answering` does.

        Its recording has the id `continues`, if there is one.
        """
        session = cls(engine, settings, on_end)
        events = PeerEvents(
            on_frame=session._receive,
            on_loss=session._lose,
            on_command=session._command,
            on_keyframe_request=session._want_explained,
            on_bit_rate=lambda bit_rate: session._live.set_bit_rate(bit_rate),
            on_end=session._end,
        )
        session._peer = peer = await Peer.answering(offer, settings.media, events, returns=returns)
        session._packers = {name: Packer(peer.codec) for name in STREAMS}
        session._audiences = {
            "explained": Audience(peer.codec, settings.media, session._want_explained),
            "camera": Audience(peer.codec, settings.media, peer.request_keyframe),
        }
        session._live = LiveStream(
            engine,
            settings.encoders[peer.codec],
            send=lambda painted: session._from_thread(session._send, painted),
            want_keyframe=lambda: session._from_thread(peer.request_keyframe),
            on_failure=lambda: session._from_thread(session._end, "the stream broke"),
        )
        session._recorder = Recorder(
            settings.recordings,
            engine,
            session._live,
            lambda track: session._from_thread(session._want_keyframe, track),
            min_free=settings.limits.min_free,
            continues=continues,
        )
        session._watchdog = asyncio.create_task(session._watch())
        return session

    @property
    def answer(self) -> str:
        """The answer's SDP."""
        return self._peer.answer

    @property
    def recordings(self) -> set[Path]:
        """The folders in which this session's files are open now."""
        return self._recorder.folders

    @property
    def counts(self) -> Counts:
        """What became of its frames so far."""
        return self._live.counts

    def describe(self) -> dict[str, Any]:
        """What anybody who may watch is told, as JSON."""
        recording = self._recorder.status
        return {
            "id": self.id,
            "since": self._since.isoformat(timespec="seconds"),
            "model": self._engine.contract.name,
            "codec": self._peer.codec,
            "size": self._live.size,
            "viewers": {name: len(audience) for name, audience in self._audiences.items()},
            "view": asdict(self._live.view),
            "frozen": self._live.frozen,
            "recording": {"state": recording.state, "camera": recording.camera},
        }

    async def admit(self, offer: str, stream: StreamName, on_end: Callable[[Viewer], None]) -> Viewer:
        """Answer a viewer's offer; raises as `Audience.admit` does."""
        viewer = await self._audiences[stream].admit(offer, on_end)
        logger.info("Session %s has one more viewer of the %s stream", self.id, stream)
        return viewer

    def _from_thread(self, function: Callable[..., None], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _receive(self, frame: EncodedFrame, rtp: int) -> None:
        excess = self._inflow.excess(frame)
        if excess is not None:
            self._end(excess)
            return
        self._recorder.saw_frame()
        self._rtp.append((frame.pts, rtp))
        self._live.receive(frame)
        watching = self._audiences["camera"]
        if watching:
            watching.send(self._packers["camera"](frame))

    def _lose(self) -> None:
        """Packets of the camera are lost for good."""
        self._live.lost_packets()
        self._audiences["camera"].interrupt()

    def _send(self, painted: Painted) -> None:
        if self._closing is not None:
            return
        packed = self._packers["explained"](painted.frame)
        if packed.is_keyframe:
            self._want_explained.fulfilled()
        self._peer.send(packed)
        self._settings.metrics.saw_frame(painted)
        self._audiences["explained"].send(packed)
        pts = painted.frame.pts
        self._reported = report(
            painted,
            session=self.id,
            model=self._engine.contract.name,
            rtp_in=next((rtp for known, rtp in reversed(self._rtp) if known == pts), 0),
            rtp_out=self._peer.returned_rtp(pts),
            recording=self._recorder.status,
        )
        self._report(self._reported)

    def _report(self, told: dict[str, Any]) -> None:
        self._peer.report(json.dumps(told))
        watching = [audience for audience in self._audiences.values() if audience]
        if watching:
            text = json.dumps(for_viewers(told))
            for audience in watching:
                audience.report(text)

    def command(self, text: str) -> None:
        """Do what a command asks for; raises `CommandError`, and changes nothing then."""
        command = parse_command(text, self._live.view, self._engine.contract.labels)
        if command.record is not None:
            self._recorder.switch(command.record)
        self._live.view = command.view
        if command.freeze is not None:
            self._live.freeze(command.freeze)

    def _command(self, text: str) -> str | None:
        try:
            self.command(text)
        except CommandError as error:
            return refusal(error)
        return None

    def _want_keyframe(self, track: str) -> None:
        if track == "camera":
            self._peer.request_keyframe()
        else:
            self._live.request_keyframe()

    async def _watch(self) -> None:
        limits = self._settings.limits
        while True:
            await asyncio.sleep(1)
            if self._peer.sources > limits.sources:
                self._end(f"the camera sends more than {limits.sources} streams in one call")
            silent = time.monotonic() - self._peer.last_frame
            if silent > limits.silent_s:
                self._end(f"no picture for {silent:.0f} s")
            elif silent > limits.stalled_s and self._reported:
                self._report(stalled(self._reported))

    def _end(self, reason: str) -> None:
        if self._closing is None:
            self._why = reason
            self._closing = self._loop.create_task(self._close())

    async def _close(self) -> None:
        self._watchdog.cancel()
        self._want_explained.fulfilled()
        closes = [self._peer.close(), *(audience.close() for audience in self._audiences.values())]
        closed = (asyncio.wait_for(close, CLOSE_S) for close in closes)
        for error in await asyncio.gather(*closed, return_exceptions=True):
            if error is not None:  # a connection that does not close must not keep the files open
                logger.error("Session %s: a connection did not close", self.id, exc_info=error)
        try:
            await asyncio.to_thread(self._live.close)
            await self._recorder.close()
        finally:
            self._tell()
            self._on_end(self)

    def _tell(self) -> None:
        """One line of the log for all of it."""
        seconds, counts = time.monotonic() - self._began, asdict(self.counts)
        logger.info(
            "Session %s ended after %.1f s: %s. Frames: %s.",
            self.id,
            seconds,
            self._why,
            ", ".join(f"{count} {fate}" for fate, count in counts.items()),
            extra={"about": {"session": self.id, "seconds": round(seconds, 3), "why": self._why, **counts}},
        )

    async def close(self) -> None:
        """End the call and finish the recording's files."""
        self._end("closed")
        assert self._closing is not None
        await asyncio.shield(self._closing)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a session is: a device, and the address it calls from (None: this computer, which may have them all)."""

    device: str
    address: str | None = None


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
                offer, self.engine, self.settings, self._forget, returns=returns, continues=continues
            )
        finally:
            self._answering.remove(owner)
        self._open[session.id] = session
        self._owners[session.id] = owner
        try:
            self._check_open()
        except ServerFull:
            await session.close()
            raise
        return session

    def _make_room(self, owner: Owner) -> None:
        owners = [*(self._owners[session_id] for session_id in self._open), *self._answering]
        limits = self.settings.limits
        if len(owners) >= limits.sessions:
            raise ServerFull(
                f"The server already serves {limits.sessions} cameras, as many as it can. "
                "End one of them, or try again later."
            )
        most = limits.sessions_an_address
        if owner.address is not None and sum(o.address == owner.address for o in owners) >= most:
            raise ServerFull(
                f"The server already serves {most} cameras of this device, as many as one may have. "
                "End one of them, or try again in a moment."
            )

    def _check_open(self) -> None:
        if self._closing:
            raise ServerFull("The server is ending. Start it again, then call again.")

    async def watch(self, session_id: str, stream: StreamName, offer: str, owner: Owner = HOST) -> Viewer:
        """Answer a viewer's offer; raises `KeyError` for no such session, `ServerFull`, and as `Viewer.answering`."""
        session = self._open[session_id]
        self._check_open()
        most = self.settings.limits.viewers
        if len(self._viewers) + self._admitting >= most:
            raise ServerFull(f"The server already serves {most} viewers, as many as it can. Try again later.")
        self._admitting += 1
        try:
            viewer = await session.admit(offer, stream, self._forget)
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
        ends = await asyncio.gather(*(s.close() for s in list(self._open.values())), return_exceptions=True)
        for error in filter(None, ends):
            logger.error("A session did not end well: %r", error)
