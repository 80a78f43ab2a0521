"""One live stream: encoded frames in, painted and encoded frames out, in its own thread."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import av
import cv2

from whycam.stream.inference.engine import Engine, EngineState
from whycam.stream.inference.preprocess import Fit
from whycam.stream.live.heatmap_source import HeatmapSource, Policy
from whycam.stream.live.occlusion_probe import OcclusionProbe
from whycam.stream.overlay.heatmap import DrawnMap, OcclusionResult
from whycam.stream.overlay.painter import Painter
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import SidecarFrame
from whycam.stream.recording.writer import Recording
from whycam.stream.video.codec import Decoder, EncodedFrame
from whycam.stream.video.encoder import SOFTWARE, Backend, Encoder
from whycam.stream.video.planes import copied, fitted

logger = logging.getLogger(__name__)

State = Literal["exact", "carried", "none"]
MAX_WAITING = 60
"""Encoded frames that may wait for the decoder (two seconds); beyond, they are discarded until a keyframe."""
SHOW_EVERY_S = 0.25
RESTARTING = "The model is restarting."


@dataclass(frozen=True, slots=True)
class Counts:
    """Frames by outcome: received = decoded + lost, decoded = explained + passed + dropped.

    Frames that are still being processed are not counted yet.
    """

    received: int = 0
    lost: int = 0
    """Not decoded, because too many waited, or because they are damaged."""
    decoded: int = 0
    explained: int = 0
    passed: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Painted:
    """One painted and encoded frame, and its explanation."""

    frame: EncodedFrame
    maps: tuple[DrawnMap, ...]
    age_ms: float | None
    state: State
    view: View
    counts: Counts
    inference_ms: float | None
    frame_ms: float
    engine: EngineState
    frozen: bool
    hidden: OcclusionResult | None


class LiveStream:
    """Decodes what is received, explains the newest frame, paints and encodes it, and hands it to `send`.

    The policy `newest` keeps only the newest decoded frame and never waits for a slow model. `every` draws each frame
    with its own heatmap and waits for it (`heatmap_source`). `send` is called from the stream's own thread.
    `want_keyframe` is called from any thread when decoding needs a new keyframe, `on_failure` when the stream ends
    because of an internal error.
    """

    def __init__(
        self,
        engine: Engine,
        encoder: Backend,
        send: Callable[[Painted], None],
        want_keyframe: Callable[[], None],
        on_failure: Callable[[], None],
        *,
        view: View | None = None,
        policy: Policy = "newest",
    ) -> None:
        fit = Fit(engine.contract.fit, engine.contract.input_size)
        self._engine = engine
        self._painter = Painter(fit)
        self._heatmaps = HeatmapSource(engine, fit, policy)
        self._probe = OcclusionProbe(engine)
        self._encoder = Encoder(encoder, fallback=SOFTWARE[encoder.codec])
        self._decoder: Decoder | None = None
        self._send = send
        self._want_keyframe = want_keyframe
        self._on_failure = on_failure
        self._policy = policy
        self._keyframe_wanted = threading.Event()
        self._queue: queue.Queue[tuple[EncodedFrame, float] | None] = queue.Queue()
        self._awaiting_keyframe = False
        self._closed = False
        self._shown = time.perf_counter()
        self.view = view or View(scale="steady" if policy == "newest" else "own")
        self._freeze_request: object | None = None  # a new object for each request to freeze
        self._applied_request: object | None = None
        self._frozen_frame: av.VideoFrame | None = None
        """The frozen frame, not painted."""
        self.size: tuple[int, int] | None = None
        """Width and height of the newest frame, in pixels."""
        self._received = self._discarded = 0  # counted by the receiving thread, all others by the stream's
        self._counts = Counts()
        self.recording: Recording | None = None
        self._thread = threading.Thread(target=self._run, name="live")
        self._thread.start()

    def receive(self, frame: EncodedFrame) -> None:
        """Take a frame from the network; never blocks."""
        self._received += 1
        recording = self.recording
        if recording is not None:
            recording.camera(frame)
        if self._queue.qsize() >= MAX_WAITING:
            self._awaiting_keyframe = True
            self._want_keyframe()
        if self._awaiting_keyframe and not frame.is_keyframe:
            self._discarded += 1
            self._want_keyframe()
            return
        self._awaiting_keyframe = False
        self._queue.put((frame, time.perf_counter()))

    @property
    def counts(self) -> Counts:
        """The frame counts so far."""
        counts = self._counts
        return replace(counts, received=self._received, lost=counts.lost + self._discarded)

    def lost_packets(self) -> None:
        """Discard frames until a keyframe, because packets are lost and the decoded frames would show artefacts."""
        self._awaiting_keyframe = True

    @property
    def frozen(self) -> bool:
        """Whether the picture is frozen, or will be with the next frame."""
        return self._freeze_request is not None

    def freeze(self, wanted: bool) -> None:
        """Freeze the picture at the next frame, or end that; while frozen, model requests are about that frame.

        The camera's frames are still received, recorded, decoded and counted. Each is replaced by the frozen frame with
        its own pts, so viewers and the recording see how long it was frozen.
        """
        if wanted != self.frozen:
            self._freeze_request = object() if wanted else None

    def request_keyframe(self) -> None:
        """Make the next encoded frame a keyframe."""
        self._keyframe_wanted.set()

    def set_bit_rate(self, bit_rate: int) -> None:
        """Set the encoder's bit rate, in bit/s."""
        self._encoder.set_bit_rate(bit_rate)

    def close(self) -> None:
        """End the thread; blocks until the current frame is done."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        cv2.setNumThreads(1)  # its thread pool would take cores from the model and other streams
        try:
            self._loop()
        except Exception:
            logger.exception("The live stream failed.")
            self._on_failure()

    def _loop(self) -> None:
        while (item := self._queue.get()) is not None and not self._closed:
            frame, arrived = item
            for decoded in self._decode(frame):
                if self._is_superseded():
                    self._count(decoded=1, dropped=1)
                else:
                    self._show(decoded, arrived)

    def _is_superseded(self) -> bool:
        """Whether to drop this frame for a newer one; the only place where decoded frames are dropped."""
        if self._policy == "every" or self._queue.empty():
            return False
        # If even decoding is too slow, there is always a newer one; still a frame is shown now and then.
        return time.perf_counter() - self._shown < SHOW_EVERY_S

    def _decode(self, frame: EncodedFrame) -> list[av.VideoFrame]:
        if self._decoder is None or self._decoder.codec != frame.codec:
            self._decoder = Decoder(frame.codec)
        try:
            return self._decoder.decode(frame)
        except av.FFmpegError as error:
            logger.debug("A frame could not be decoded: %s", error)
            self._want_keyframe()
            self._count(lost=1)
            return []

    def _count(self, **more: int) -> None:
        self._counts = replace(self._counts, **{name: getattr(self._counts, name) + n for name, n in more.items()})

    def _show(self, frame: av.VideoFrame, arrived: float) -> None:
        pts = frame.pts
        assert pts is not None
        self.size = frame.width, frame.height
        self._heatmaps.pace(pts)
        shown, frozen = self._on_screen(frame), self._frozen_frame is not None
        shown_pts = shown.pts
        assert shown_pts is not None
        view = self.view if self._policy == "newest" else replace(self.view, scale="own")
        self._heatmaps.ask(shown, view, (time.perf_counter() - arrived) * 1000, frozen=frozen)
        maps, age_ms = self._heatmaps.maps(shown_pts, view)
        engine = self._engine.health.state
        if engine == "restarting" and not maps:
            self._painter.write(shown, RESTARTING)
        hidden = self._probe.found(view, shown_pts) if maps else None
        self._painter.paint(shown, maps, view, hidden=hidden)
        shown = fitted(shown, *self.size)
        shown.pts = pts
        self._count(decoded=1, **({"explained": 1} if maps else {"passed": 1}))
        keyframe = self._keyframe_wanted.is_set()
        if keyframe:  # clearing it always would lose a request since is_set()
            self._keyframe_wanted.clear()
        encoded = self._encoder.encode(shown, keyframe=keyframe)
        if encoded is None:
            return
        recording = self.recording  # another thread may set it to None
        if recording is not None:
            recording.explained(encoded, SidecarFrame(pts, age_ms, maps, view, shown_pts if frozen else None, hidden))
        self._shown = time.perf_counter()
        self._send(
            Painted(
                encoded,
                maps,
                age_ms,
                "none" if age_ms is None else "carried" if age_ms else "exact",
                view,
                self.counts,
                self._heatmaps.inference_ms,
                (self._shown - arrived) * 1000,
                engine,
                frozen,
                hidden,
            )
        )
        self._probe.ask(self._heatmaps.newest, view, pts)

    def _on_screen(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame to show for a camera frame: itself, or a copy of the frozen one."""
        request = self._freeze_request
        if request is not self._applied_request:
            self._applied_request = request
            self._frozen_frame = None if request is None else copied(frame)
        elif self._frozen_frame is not None:
            return copied(self._frozen_frame)  # a copy, because it is painted on
        self._heatmaps.see(frame)
        return frame
