"""One live stream: the newest frame in, painted and encoded packet out, in one thread beside the event loop."""

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
"""Encoded frames that may wait to be decoded, two seconds; then all but what follows a keyframe is given up."""
SHOW_EVERY_S = 0.25
RESTARTING = "The model is restarting."


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the frames: received = decoded + lost, decoded = explained + passed + dropped.

    The frames that are on their way between two of these are in none of them yet.
    """

    received: int = 0
    lost: int = 0
    """Given up undecoded, because too many waited, or damaged."""
    decoded: int = 0
    explained: int = 0
    passed: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Painted:
    """One frame on its way out, and what is known of it."""

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
    with its own heatmap, however long that takes (`heatmap_source`). `send` is called from the stream's own thread.
    `want_keyframe` is called, from any thread, when the camera must begin anew; `on_failure` when the stream ends by a
    fault of its own.
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
        self._gave_up = False
        self._closed = False
        self._shown = time.perf_counter()
        self.view = view or View(scale="steady" if policy == "newest" else "own")
        self._freeze: object | None = None  # one for each time that it was wished
        self._granted: object | None = None
        self._kept: av.VideoFrame | None = None
        """The frozen frame, as it came."""
        self.size: tuple[int, int] | None = None
        """Width and height of the newest frame, in pixels."""
        self._received = self._given_up = 0  # counted by the thread that receives, all others by the stream's own
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
            self._gave_up = True
            self._want_keyframe()
        if self._gave_up and not frame.is_keyframe:
            self._given_up += 1
            self._want_keyframe()
            return
        self._gave_up = False
        self._queue.put((frame, time.perf_counter()))

    @property
    def counts(self) -> Counts:
        """The frames so far."""
        counts = self._counts
        return replace(counts, received=self._received, lost=counts.lost + self._given_up)

    def lost_packets(self) -> None:
        """What was received last is not whole: nothing is shown until a keyframe, for it would be a mosaic."""
        self._gave_up = True

    @property
    def frozen(self) -> bool:
        """Whether the picture is to be frozen."""
        return self._freeze is not None

    def freeze(self, wanted: bool) -> None:
        """Freeze the next frame until this is taken back; requests are about that frame then.

        The camera's frames go on to be received, recorded, decoded and counted, and each is answered by the frozen
        frame, with its own time: so viewers and the recording see how long it was frozen.
        """
        if wanted != self.frozen:
            self._freeze = object() if wanted else None

    def request_keyframe(self) -> None:
        """Make the next encoded frame one that a decoder can begin with."""
        self._keyframe_wanted.set()

    def set_bit_rate(self, bit_rate: int) -> None:
        """What the way to the viewer carries, in bit/s."""
        self._encoder.set_bit_rate(bit_rate)

    def close(self) -> None:
        """End the thread; blocks until the frame in hand is done."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        cv2.setNumThreads(1)  # its pool would take the cores from the model and from other streams
        try:
            self._loop()
        except Exception:
            logger.exception("The live stream broke.")
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
        """Whether a newer frame waits, for which this one is left out; the only place where frames are dropped."""
        if self._policy == "every" or self._queue.empty():
            return False
        # Where even decoding is too slow there is always a newer one: now and then a frame must be shown.
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
        shown, frozen = self._on_screen(frame), self._kept is not None
        shown_pts = shown.pts
        assert shown_pts is not None
        view = self.view if self._policy == "newest" else replace(self.view, scale="own")
        self._heatmaps.ask(shown, view, (time.perf_counter() - arrived) * 1000, stands=frozen)
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
        if keyframe:  # else a wish that comes between the two would be lost
            self._keyframe_wanted.clear()
        encoded = self._encoder.encode(shown, keyframe=keyframe)
        if encoded is None:
            return
        recording = self.recording  # another thread may take it away
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
        """What is shown when this frame has come: the frame itself, or the frozen one in its place."""
        wish = self._freeze
        if wish is not self._granted:
            self._granted = wish
            self._kept = None if wish is None else copied(frame)
        elif self._kept is not None:
            return copied(self._kept)  # which is painted on, each time anew
        self._heatmaps.see(frame)
        return frame
