"""One camera: its peer, its live stream, viewers, view and recording, from the offer to the end; and all of them."""

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
from stream.live import LiveStream, Painted
from stream.messages import CommandError, parse_command, report, stalled
from stream.pacing import Wish
from stream.recording import MIN_FREE, Recording, RecordingStatus, new_folder
from stream.rtc import Media, Peer, PeerEvents
from stream.rtc_hooks import Packer
from stream.sidecar import about_model
from stream.viewer import Viewer

logger = logging.getLogger(__name__)

MAX_SESSIONS = 8
MAX_SESSIONS_AN_ADDRESS = 2
MAX_VIEWERS = 32
STALLED_S = 5.0
SILENT_S = 15.0
SWITCH_EVERY_S = 0.5
REMEMBERED = 256
"""Sessions and viewers that ended and whose second DELETE is no mistake."""
CLOSE_S = 10.0
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
    min_free: int = MIN_FREE
    """Bytes that recordings leave free on the disk."""
    max_sessions: int = MAX_SESSIONS
    max_sessions_an_address: int = MAX_SESSIONS_AN_ADDRESS
    """For one address in the LAN; this computer itself is not counted."""
    max_viewers: int = MAX_VIEWERS
    """Of all sessions together."""
    stalled_s: float = STALLED_S
    """Seconds without a frame after which the reports say so."""
    silent_s: float = SILENT_S
    """Seconds without a frame after which a session is closed: its phone has gone."""


class Session:
    """One call. `session = await Session.answering(...)`; it ends by `close`, or when its phone goes."""

    _peer: Peer
    _live: LiveStream
    _audiences: dict[StreamName, Audience]
    _packers: dict[StreamName, Packer]
    _watchdog: asyncio.Task[None]

    def __init__(self, engine: Engine, settings: Settings, on_end: Callable[[Session], None]) -> None:
        self.id = secrets.token_urlsafe(12)
        self._engine = engine
        self._settings = settings
        self._on_end = on_end
        self._reported = ""
        self._loop = asyncio.get_running_loop()
        self._since = datetime.now(UTC)
        # The phone and all viewers have one wish for a keyframe in common.
        self._want_explained = Wish(lambda: self._live.request_keyframe())
        self._rtp: deque[tuple[int, int]] = deque(maxlen=256)  # pts and RTP time stamp of the newest camera frames
        self._recording: Recording | None = None
        # A recording begins with a frame: a call that is never taken up leaves nothing behind.
        self._to_record = settings.recordings is not None
        self._switched = -SWITCH_EVERY_S
        self._unrecorded = RecordingStatus("off")  # said while there is no recording
        self._counted_from: dict[str, int] = {}
        self._finishing: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def answering(
        cls, offer: str, engine: Engine, settings: Settings, on_end: Callable[[Session], None], *, returns: bool = True
    ) -> Session:
        """Answer an offer, of a publisher unless the picture `returns`; raises as `Peer.answering` does."""
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
        session._watchdog = asyncio.create_task(session._watch())
        return session

    @property
    def answer(self) -> str:
        """The answer's SDP."""
        return self._peer.answer

    @property
    def recording(self) -> RecordingStatus:
        """Whether this session is being recorded, and where."""
        return self._unrecorded if self._recording is None else self._recording.status

    def describe(self) -> dict[str, Any]:
        """What anybody who may watch is told, as JSON."""
        return {
            "id": self.id,
            "since": self._since.isoformat(timespec="seconds"),
            "model": self._engine.contract.name,
            "codec": self._peer.codec,
            "size": self._live.size,
            "viewers": {name: len(audience) for name, audience in self._audiences.items()},
            "recording": {"state": self.recording.state, "camera": self.recording.camera},
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
        if frame.is_too_large:
            self._end("the camera's picture is larger than 1920x1080")
            return
        if self._to_record:
            self._to_record = False
            self._start_recording()
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
        self._audiences["explained"].send(packed)
        pts = painted.frame.pts
        self._reported = report(
            painted,
            model=self._engine.contract.name,
            rtp_in=next((rtp for known, rtp in reversed(self._rtp) if known == pts), 0),
            rtp_out=self._peer.returned_rtp(pts),
            recording=self.recording,
        )
        self._peer.report(self._reported)

    def _command(self, text: str) -> str | None:
        try:
            command = parse_command(text, self._live.view, self._engine.contract.labels)
            if command.record is not None:
                if command.record and self._settings.recordings is None:
                    raise CommandError("This server does not record. Start it without --no-record.")
                self._record(command.record)
        except CommandError as error:
            return json.dumps({"error": str(error)})
        self._live.view = command.view
        return None

    def _record(self, wanted: bool) -> None:
        """Begin a recording with the next frame, or end the one that runs."""
        running = self._recording is not None and self._recording.status.state == "on"
        if wanted == (running or self._to_record):
            return
        now = time.monotonic()
        if now - self._switched < SWITCH_EVERY_S:
            raise CommandError("The recording was switched a moment ago. Try again in a second.")
        self._switched = now
        self._finish_recording()
        self._unrecorded = RecordingStatus("off")
        self._to_record = wanted

    def _start_recording(self) -> None:
        assert self._settings.recordings is not None
        try:
            folder = new_folder(self._settings.recordings)
        except OSError as error:
            reason = f"No recording: {error.filename} cannot be made ({error.strerror})."
            self._unrecorded = RecordingStatus("stopped", reason=reason)
            logger.warning(reason)
            return
        contract = self._engine.contract
        about = {
            **about_model(contract, self._engine.sha256),
            "fit": contract.fit,
            "settings": asdict(self._live.view),
        }
        self._counted_from = asdict(self._live.counts)
        self._recording = Recording(
            folder,
            about,
            lambda track: self._from_thread(self._want_keyframe, track),
            min_free=self._settings.min_free,
        )
        self._live.recording = self._recording
        logger.info("Recording to %s", folder)

    def _want_keyframe(self, track: str) -> None:
        if track == "camera":
            self._peer.request_keyframe()
        else:
            self._live.request_keyframe()

    def _finish_recording(self) -> None:
        """Take the recording away from the stream and finish its files in a thread."""
        recording, self._recording = self._recording, None
        self._live.recording = None
        if recording is None:
            return
        counts = {name: n - self._counted_from[name] for name, n in asdict(self._live.counts).items()}
        del counts["received"]  # the recording counts for itself what it was handed
        task = self._loop.create_task(asyncio.to_thread(recording.close, counts))
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(1)
            silent = time.monotonic() - self._peer.last_frame
            if silent > self._settings.silent_s:
                self._end(f"no picture for {silent:.0f} s")
            elif silent > self._settings.stalled_s and self._reported:
                self._peer.report(stalled(self._reported))

    def _end(self, reason: str) -> None:
        if self._closing is None:
            logger.info("Session %s ends: %s", self.id, reason)
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
            self._finish_recording()
            await asyncio.gather(*self._finishing)
        finally:
            self._on_end(self)

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

    def describe(self) -> list[dict[str, Any]]:
        """The sessions, the oldest first, as JSON for those who may watch."""
        return [session.describe() for session in self._open.values()]

    async def start(self, offer: str, owner: Owner = HOST, *, returns: bool = True) -> Session:
        """Answer an offer with a new session; raises `ServerFull`, and as `Session.answering` does."""
        self._check_open()
        self._make_room(owner)
        self._answering.append(owner)
        try:
            session = await Session.answering(offer, self.engine, self.settings, self._forget, returns=returns)
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
        if len(owners) >= self.settings.max_sessions:
            raise ServerFull(
                f"The server already serves {self.settings.max_sessions} cameras, as many as it can. "
                "End one of them, or try again later."
            )
        most = self.settings.max_sessions_an_address
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
        most = self.settings.max_viewers
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
        self._ended.append(ended.id)
        if len(self._ended) > REMEMBERED:
            del self._owners[self._ended.popleft()]

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
