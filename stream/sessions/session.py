"""One camera's call, from the offer to the end: its peer, live stream, viewers, view and recorder."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from whycam.models.class_set import ClassSet
from whycam.stream.limits import LIMITS, Limits
from whycam.stream.live.heatmap_source import Answered
from whycam.stream.live.inference_pace import InferencePace
from whycam.stream.live.pipeline import Counts, LiveStream, Painted
from whycam.stream.overlay.difference import difference_problem
from whycam.stream.overlay.view import SURE
from whycam.stream.sessions.messages import (
    STOP,
    CommandError,
    as_text,
    for_viewers,
    parse_command,
    refusal,
    report,
    stalled,
)
from whycam.stream.sessions.metrics import Metrics
from whycam.stream.sessions.model_change import ModelChange
from whycam.stream.sessions.model_choice import RunningModel
from whycam.stream.sessions.recorder import Recorder
from whycam.stream.sessions.recording_mode import RecordingMode
from whycam.stream.sessions.teacher import Teacher
from whycam.stream.video.codec import CodecName, EncodedFrame
from whycam.stream.video.encoder import SOFTWARE, Backend
from whycam.stream.video.jpeg import jpeg
from whycam.stream.webrtc.end_reason import BROKE, HUNG_UP, EndReason
from whycam.stream.webrtc.ice.config import LOOPBACK, IceConfig
from whycam.stream.webrtc.ingress_limits import Inflow
from whycam.stream.webrtc.keyframe_requests import RateLimitedRequest
from whycam.stream.webrtc.peer import Peer, PeerEvents
from whycam.stream.webrtc.rtp.packetizer import Packer
from whycam.stream.webrtc.viewers import Audience, Viewer

logger = logging.getLogger(__name__)

CLOSE_S = 3.0
"""Seconds that a connection may take to close; the files are finished in any case."""
FROZEN_QUALITY = 92
"""Of the JPEG of a frozen frame, which is compared with the explained one."""


StreamName: TypeAlias = Literal["explained", "camera"]
"""What a viewer can watch: the frames with heatmaps, or as the camera sent them."""
STREAMS: tuple[StreamName, ...] = get_args(StreamName)


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings that all sessions of a server share."""

    media: IceConfig = field(default_factory=IceConfig)
    encoders: Mapping[CodecName, Backend] = field(default_factory=lambda: SOFTWARE)
    recordings: Path | None = None
    """The folder for recordings; None records nothing."""
    record: RecordingMode = "on"
    """What is recorded, until the host changes it."""
    sure: float = SURE
    """The pages call the best class a guess below this probability."""
    limits: Limits = LIMITS
    pace: InferencePace | None = None
    """How much of the time the model may run; None: as much as it can."""
    metrics: Metrics = field(default_factory=Metrics)


class Session:
    """One call. `session = await Session.answering(...)`; it ends by `close`, or when the phone disconnects."""

    peer: Peer
    _live: LiveStream
    _recorder: Recorder
    _audiences: dict[StreamName, Audience]
    _packers: dict[StreamName, Packer]
    _return_packer: Packer
    """For the frames that only the camera gets."""
    _watchdog: asyncio.Task[None]

    def __init__(self, settings: Settings, on_end: Callable[[Session], None], teacher: Teacher | None = None) -> None:
        self.id = secrets.token_urlsafe(12)
        self._settings = settings
        self._on_end = on_end
        self._teacher = teacher
        self._reported: dict[str, Any] | None = None
        self._frozen: tuple[int, asyncio.Task[bytes]] | None = None  # the last one asked for
        self._loop = asyncio.get_running_loop()
        self._since = datetime.now(UTC)
        self._began = time.monotonic()
        # The phone and all viewers share one rate-limited keyframe request.
        self._want_explained = RateLimitedRequest(lambda: self._live.request_keyframe())
        self._rtp: deque[tuple[int, int]] = deque(maxlen=256)  # pts and RTP timestamp of the newest camera frames
        self._inflow = Inflow(settings.limits)
        self._change: ModelChange | None = None
        self._other_sources_logged = False
        self._closing: asyncio.Task[None] | None = None
        self.end_reason: EndReason | None = None
        """Why it ends; None while it runs."""

    @classmethod
    async def answering(
        cls,
        offer: str,
        model: Callable[[], RunningModel],
        settings: Settings,
        on_end: Callable[[Session], None],
        *,
        mode: Callable[[], RecordingMode] = lambda: "on",
        teacher: Teacher | None = None,
        returns: bool = True,
        caller: str = LOOPBACK,
        owner: str | None = None,
        continues: str | None = None,
    ) -> Session:
        """Answer an offer; raises as `Peer.answering` does.

        `model` and `mode` are asked only when the offer is answered, because they may be changed meanwhile. Without a
        `teacher` it teaches nothing.
        `returns` is False for a publisher, which gets no picture back. The recording has the id `continues`, if given,
        and belongs to `owner` (`stream.recording.ownership`).
        """
        session = cls(settings, on_end, teacher)
        events = PeerEvents(
            on_frame=session._receive,
            on_loss=session._packets_lost,
            on_command=session._command,
            on_keyframe_request=session._want_explained,
            on_bit_rate=lambda bit_rate: session._live.set_bit_rate(bit_rate),
            on_end=session._end,
        )
        session.peer = peer = await Peer.answering(offer, settings.media, events, returns=returns, caller=caller)
        session._packers = {name: Packer(peer.codec) for name in STREAMS}
        session._return_packer = Packer(peer.codec)
        session._audiences = {
            "explained": Audience(peer.codec, settings.media, session._want_explained),
            "camera": Audience(peer.codec, settings.media, peer.request_keyframe),
        }
        running = model()
        session._live = LiveStream(
            running.engine,
            settings.encoders[peer.codec],
            send=lambda painted: session._from_thread(session._send, painted),
            want_keyframe=lambda: session._from_thread(peer.request_keyframe),
            on_failure=lambda: session._from_thread(session._end, BROKE),
            name=running.name,
            pace=settings.pace,
            has_viewers=lambda: bool(session._audiences["explained"]),
        )
        session._live.use_classes(running.class_set)
        session._recorder = Recorder(
            settings.recordings,
            session._live,
            lambda track: session._from_thread(session._want_keyframe, track),
            min_free=settings.limits.min_free_bytes,
            mode=mode(),
            owner=owner,
            continues=continues,
        )
        session._watchdog = asyncio.create_task(session._watch())
        return session

    @property
    def answer(self) -> str:
        """The SDP of the answer."""
        return self.peer.answer

    @property
    def recordings(self) -> set[Path]:
        """The folders with open files of this session."""
        return self._recorder.folders

    @property
    def counts(self) -> Counts:
        """The frame counts so far."""
        return self._live.counts

    def describe(self) -> dict[str, Any]:
        """The session as JSON, without anything that is not for viewers."""
        recording = self._recorder.status
        return {
            "id": self.id,
            "since": self._since.isoformat(timespec="seconds"),
            "model": self._live.model,
            "codec": self.peer.codec,
            "size": self._live.size,
            "viewers": {name: len(audience) for name, audience in self._audiences.items()},
            "view": self._live.view.settings(),
            "frozen": self._live.frozen,
            "giver": "" if self._teacher is None else self._teacher.giver,
            "teaching": None if self._teacher is None else self._teacher.status,
            "recording": {"state": recording.state, "camera": recording.camera},
        }

    def describe_end(self) -> dict[str, Any]:
        """A session that has ended, as JSON for viewers."""
        end = self.end_reason or HUNG_UP
        return {
            "id": self.id,
            "since": self._since.isoformat(timespec="seconds"),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "code": end.code,
            "reason": end.reason,
        }

    async def frozen_picture(self, pts: int) -> bytes | None:
        """The frozen frame with this pts as the camera sent it, as JPEG; None if that is not the frozen one."""
        frame = self._live.frozen_frame
        if frame is None or frame.pts != pts:
            return None
        if self._frozen is None or self._frozen[0] != pts:  # once for all who look at it
            self._frozen = pts, self._loop.create_task(asyncio.to_thread(jpeg, frame, FROZEN_QUALITY))
        return await asyncio.shield(self._frozen[1])

    async def admit(
        self, offer: str, stream: StreamName, on_end: Callable[[Viewer], None], caller: str = LOOPBACK
    ) -> Viewer:
        """Answer a viewer's offer from the address `caller`; raises as `Audience.admit` does."""
        viewer = await self._audiences[stream].admit(offer, on_end, caller)
        logger.info("Session %s has a new viewer of the %s stream", self.id, stream)
        return viewer

    def _from_thread(self, function: Callable[..., None], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _receive(self, frame: EncodedFrame, rtp: int) -> None:
        if self._closing is not None:
            return
        excess = self._inflow.excess(frame)
        if excess is not None:
            self._end(excess)
            return
        if self._change is not None:
            self._change.saw_frame(frame)
        self._recorder.saw_frame()
        self._rtp.append((frame.pts, rtp))
        self._live.receive(frame)
        watching = self._audiences["camera"]
        if watching:
            watching.send(self._packers["camera"](frame))

    def _packets_lost(self) -> None:
        """Handle packets of the camera that are lost for good."""
        self._live.lost_packets()
        self._audiences["camera"].interrupt()

    def _send(self, painted: Painted) -> None:
        if self._closing is not None:
            return
        pts = painted.frame.pts
        self._reported = report(
            painted,
            session=self.id,
            rtp_in=next((rtp for known, rtp in reversed(self._rtp) if known == pts), 0),
            rtp_out=self.peer.returned_rtp(pts),
            recording=self._recorder.status,
            sure=self._settings.sure,
            teaching=self._teach(),
        )
        self._report(self._reported)  # before its frame, which a browser shows when it is complete
        packed = self._packers["explained"](painted.frame)
        if packed.is_keyframe:
            self._want_explained.satisfied()
        if painted.returned is painted.frame:
            self.peer.send(packed)
        elif painted.returned is not None:
            self.peer.send(self._return_packer(painted.returned))
        self._audiences["explained"].send(packed)
        self._settings.metrics.saw_frame(painted)

    def _teach(self) -> dict[str, Any] | None:
        """Give an example if one is wanted; what is taught, for the report."""
        if self._teacher is None:
            return None
        self._teacher.saw(self._live.newest)
        return self._teacher.status

    def _report(self, content: dict[str, Any]) -> None:
        self.peer.report(as_text(content))
        watching = [audience for audience in self._audiences.values() if audience]
        if watching:
            text = for_viewers(content)
            for audience in watching:
                audience.report(text, content["pts"])

    async def change_model(self, model: RunningModel) -> None:
        """Use another model from a next frame on; returns when the former one is not used any more."""
        if self._closing is not None:
            return
        live, recorder = self._live, self._recorder
        self._change = ModelChange(model, live, recorder, self.peer.request_keyframe)
        await self._change.finish()
        self._change = None

    def use_classes(self, class_set: ClassSet | None) -> None:
        """As `LiveStream.use_classes`."""
        self._live.use_classes(class_set)

    @property
    def newest(self) -> Answered | None:
        """The newest explanation."""
        return self._live.newest

    def set_recording_mode(self, mode: RecordingMode) -> None:
        """As `Recorder.set_mode`."""
        self._recorder.set_mode(mode)

    def command(self, text: str) -> None:
        """Apply a command; raises `CommandError` without changing anything."""
        live = self._live
        contract = live.engine.contract
        command = parse_command(text, live.view, live.classes, live.model, no_difference=difference_problem(contract))
        if command.teach is not None:
            self._teach_from_now_on(command.teach)
        if command.record is not None:
            self._recorder.switch(command.record)
        self._live.view = command.view
        if command.freeze is not None:
            self._live.freeze(command.freeze)

    def _teach_from_now_on(self, number: int) -> None:
        if self._teacher is None:
            raise CommandError("This session teaches nothing.", "no-teaching")
        if number == STOP:
            self._teacher.end()
        else:
            self._teacher.begin(number)

    def _command(self, text: str) -> str | None:
        try:
            self.command(text)
        except CommandError as error:
            return refusal(error)
        return None

    def _want_keyframe(self, track: str) -> None:
        if track == "camera":
            self.peer.request_keyframe()
        else:
            self._live.request_keyframe()

    async def _watch(self) -> None:
        limits = self._settings.limits
        while True:
            silent = time.monotonic() - self.peer.last_frame
            self._log_other_sources()
            if self.peer.sources > limits.max_sources:
                words = f"The camera began more than {limits.max_sources} streams (SSRCs) in one call. Start it again."
                self._end(EndReason(words, "too-many-streams"))
            elif silent >= limits.max_silent_s:
                self._end(EndReason(f"No picture came from the camera for {silent:.0f} s. Start it again.", "silent"))
            elif silent > limits.stalled_after_s and self._reported:
                self._report(stalled(self._reported))
            await asyncio.sleep(min(1.0, max(0.0, limits.max_silent_s - silent)))

    def _log_other_sources(self) -> None:
        """Log once that the camera sends more than one stream."""
        if self.peer.source.ignored and not self._other_sources_logged:
            self._other_sources_logged = True
            logger.warning(
                "Session %s: the camera sends several streams (SSRCs) in its video section, such as the layers of "
                "simulcast. The first is taken, the others are ignored.",
                self.id,
            )

    def _end(self, end: EndReason) -> None:
        if self._closing is None:
            self.end_reason = end
            self._closing = self._loop.create_task(self._close(end))

    async def _close(self, end: EndReason) -> None:
        self._watchdog.cancel()
        self._want_explained.satisfied()
        closing = self._loop.create_task(self._close_connections(end.close_message))
        try:  # even if a connection does not close, the files must be
            await asyncio.to_thread(self._live.close)
            if self._change is not None:
                self._change.abandon()
            await self._recorder.close()
        finally:
            await closing
            self._log_end(end)
            self._on_end(self)

    async def _close_connections(self, close_message: str | None) -> None:
        """Close all connections, each within `CLOSE_S`."""
        closes = [self.peer.close(close_message), *(each.close(close_message) for each in self._audiences.values())]
        closed = (asyncio.wait_for(close, CLOSE_S) for close in closes)
        for error in await asyncio.gather(*closed, return_exceptions=True):
            if error is not None:
                logger.error("Session %s: a connection did not close", self.id, exc_info=error)

    def _log_end(self, end: EndReason) -> None:
        """Log one line about the whole session."""
        seconds, counts = time.monotonic() - self._began, asdict(self.counts)
        ignored = self.peer.source.ignored
        why = {"why": end.reason, "code": end.code, "ignored_packets": ignored.total()}
        logger.info(
            "Session %s ended after %.1f s. %s Frames: %s.%s",
            self.id,
            seconds,
            end.reason,
            ", ".join(f"{count} {outcome}" for outcome, count in counts.items()),
            f" Of {len(ignored)} other streams {ignored.total()} packets were ignored." if ignored else "",
            extra={"about": {"session": self.id, "seconds": round(seconds, 3), **why, **counts}},
        )

    async def close(self, end: EndReason = HUNG_UP) -> None:
        """End the call and finish the recording's files."""
        self._end(end)
        assert self._closing is not None
        await asyncio.shield(self._closing)
