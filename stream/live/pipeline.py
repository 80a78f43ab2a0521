"""One live stream: encoded frames in, painted and encoded frames out, in its own thread."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Literal

import av
import cv2

from whycam.models.class_set import ClassSet
from whycam.models.contract import MapSpec
from whycam.stream.inference.engine import Engine, EngineState
from whycam.stream.inference.known_classes import KnownClasses
from whycam.stream.live.heatmap_source import Answered, Policy
from whycam.stream.live.inference_pace import InferencePace
from whycam.stream.live.live_encoder import LiveEncoder
from whycam.stream.live.model_stage import ModelStage
from whycam.stream.overlay.heatmap import DrawnMap, OcclusionResult
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import SidecarFrame
from whycam.stream.recording.writer import Recording
from whycam.stream.video.codec import Decoder, EncodedFrame
from whycam.stream.video.encoder import Backend
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
    returned: EncodedFrame | None
    """The same for the camera, which may get another bit rate than all others; None if it gets none."""
    maps: tuple[DrawnMap, ...]
    age_ms: float | None
    state: State
    view: View
    counts: Counts
    inference_ms: float | None
    frame_ms: float
    engine: EngineState
    frozen_pts: int | None
    """The frozen frame's pts; None if the picture is not frozen."""
    hidden: OcclusionResult | None
    model: str
    """The name of the model that explained it."""
    map: MapSpec
    """Which of its maps is drawn."""
    class_set: str = ""
    """The id of the class set that the maps are of; empty: the model's own classes."""

    @property
    def frozen(self) -> bool:
        """Whether the picture is frozen."""
        return self.frozen_pts is not None


@dataclass(frozen=True, slots=True)
class _Handover:
    """The change to another model at the first frame with this pts or a later one."""

    first_pts: int | None
    """None: at the next frame."""
    view: View
    recording: Recording | None
    """Of the frames before, as the view."""
    stage: ModelStage
    done: Future[Counts] = field(default_factory=Future)
    """The counts of the frames before."""


class LiveStream:
    """Decodes what is received, explains the newest frame, paints and encodes it, and hands it to `send`.

    The policy `newest` keeps only the newest decoded frame and never waits for a slow model; `pace` limits its share of
    the time. `every` draws each frame with its own heatmap and waits for it (`heatmap_source`). `has_viewers` says
    whether anybody but the camera watches. `send` is called from the stream's own thread. `want_keyframe` is called
    from any thread when decoding needs a new keyframe, `on_failure` when the stream ends because of an internal error.
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
        name: str | None = None,
        pace: InferencePace | None = None,
        has_viewers: Callable[[], bool] = lambda: False,
    ) -> None:
        self._pace = pace
        self._stage = ModelStage(engine, policy, name, pace)
        """Draws now; the stream's thread replaces it."""
        self._rehearsing: ModelStage | None = None
        self._handover: _Handover | None = None
        self._handing_over = threading.Lock()  # while the handover is replaced
        self._encoder = LiveEncoder(encoder)
        self._has_viewers = has_viewers
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
        # Replaced as a whole, so that class numbers and labels belong together.
        self._chosen = self._stage, view or View(scale="steady" if policy == "newest" else "own")
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

    @property
    def frozen_frame(self) -> av.VideoFrame | None:
        """The frozen frame as the camera sent it, to be read only; None if the picture is not frozen."""
        return self._frozen_frame

    def freeze(self, wanted: bool) -> None:
        """Freeze the picture at the next frame, or end that; while frozen, model requests are about that frame.

        The camera's frames are still received, recorded, decoded and counted. Each is replaced by the frozen frame with
        its own pts, so viewers and the recording see how long it was frozen.
        """
        if wanted != self.frozen:
            self._freeze_request = object() if wanted else None

    @property
    def view(self) -> View:
        """The view from now on, in the class numbers of the model of `labels`."""
        return self._chosen[1]

    @view.setter
    def view(self, view: View) -> None:
        self._chosen = self._chosen[0], view

    @property
    def engine(self) -> Engine:
        """The engine whose class numbers `view` has: the last one that was handed to the stream."""
        return self._chosen[0].engine

    @property
    def newest(self) -> Answered | None:
        """The newest explanation by the model that draws now."""
        return self._stage.heatmaps.newest

    @property
    def model(self) -> str:
        """The name of that engine's model."""
        return self._chosen[0].name

    @property
    def classes(self) -> KnownClasses:
        """The classes of that model that the next requests are for."""
        return self._chosen[0].classes

    def use_classes(self, class_set: ClassSet | None) -> None:
        """Explain frames for other classes from a next one on; None: for the model's own.

        Pinned classes that are not among them are released.
        """
        stage, view = self._chosen
        stage.use_classes(class_set)
        waiting = self._rehearsing
        if waiting is not None and waiting.engine.sha256 == stage.engine.sha256:  # the same model with another map
            waiting.use_classes(class_set)
        known = stage.of_known_classes(view)
        self._chosen = stage, replace(known, difference=view.difference and len(known.pinned) == 2)

    def rehearse(self, engine: Engine, name: str | None = None, class_set: ClassSet | None = None) -> None:
        """Explain frames with another model as well, for its own classes or a set; not drawn until `hand_over`."""
        self._rehearsing = ModelStage(engine, self._policy, name, self._pace, class_set)

    @property
    def is_rehearsed(self) -> bool:
        """Whether that model has explained a frame."""
        return self._rehearsing is not None and self._rehearsing.has_explained

    def hand_over(self, first_pts: int | None) -> Future[Counts]:
        """Draw with the rehearsed model from the frame with this pts (None: the next) on; that one is a keyframe.

        Frames received before are still drawn with the former model, and recorded to the recording of now. Pinned
        classes that the new model has, too, stay pinned. The future has the counts of those frames; until then the
        former engine and recording are used. Called by the thread that calls `receive` and sets `view` and `recording`,
        before it receives that frame. If a handover waits for a frame that has not come, this one replaces it.
        """
        stage = self._rehearsing
        assert stage is not None
        before, view = self._chosen
        self._rehearsing = None
        with self._handing_over:
            waits = self._handover
            of_frames_before = (view, self.recording) if waits is None else (waits.view, waits.recording)
            self._handover = handover = _Handover(first_pts, *of_frames_before, stage)
        self._chosen = stage, stage.renumbered(view, before)
        if waits is not None:
            waits.done.set_result(self.counts)
        return handover.done

    def request_keyframe(self) -> None:
        """Make the next encoded frame a keyframe."""
        self._keyframe_wanted.set()

    def set_bit_rate(self, bit_rate: int) -> None:
        """Set what the way back to the camera carries, in bit/s."""
        self._encoder.set_bit_rate(bit_rate)

    def close(self) -> None:
        """End the thread; blocks until the current frame is done."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        handover, self._handover = self._handover, None
        if handover is not None:
            handover.done.set_result(self.counts)

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
                self._take_over(decoded)
                if self._is_superseded():
                    self._count(decoded=1, dropped=1)
                else:
                    self._show(decoded, arrived)

    def _take_over(self, frame: av.VideoFrame) -> None:
        """Carry out a handover that begins with this frame."""
        with self._handing_over:
            handover = self._handover
            if handover is None or frame.pts is None:
                return
            if handover.first_pts is not None and frame.pts < handover.first_pts:
                return
            self._stage, self._handover = handover.stage, None
        self._keyframe_wanted.set()
        handover.done.set_result(self.counts)

    def _view_now(self) -> View:
        """The view of the next frame, read before the handover, because it is set after it."""
        (_, view), handover = self._chosen, self._handover
        view = view if handover is None else handover.view
        return view if self._policy == "newest" else replace(view, scale="own")

    def _recording_now(self) -> Recording | None:
        """The recording of the frame on screen, read as the view."""
        recording, handover = self.recording, self._handover
        return recording if handover is None else handover.recording

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
        stage, view = self._stage, self._view_now()
        stage.heatmaps.pace(pts)
        shown, is_new = self._on_screen(frame)
        frozen, shown_pts = self._frozen_frame is not None, shown.pts
        assert shown_pts is not None
        stage.see(shown, is_new=is_new)
        self._rehearse(shown, pts, view, is_new=is_new)
        stage.heatmaps.ask(shown, view, (time.perf_counter() - arrived) * 1000, frozen=frozen)
        maps, age_ms = stage.heatmaps.maps(shown_pts, view)
        classes = stage.drawn_classes
        engine = stage.engine.health.state
        if engine == "restarting" and not maps:
            stage.painter.write(shown, RESTARTING)
        hidden = stage.probe.found(view, shown_pts) if maps else None
        stage.painter.paint(shown, maps, view, hidden=hidden)
        shown = fitted(shown, *self.size)
        shown.pts = pts
        self._count(decoded=1, **({"explained": 1} if maps else {"passed": 1}))
        keyframe = self._keyframe_wanted.is_set()
        if keyframe:  # clearing it always would lose a request since is_set()
            self._keyframe_wanted.clear()
        recording = self._recording_now()
        others = recording is not None or self._has_viewers()
        encoded = self._encoder.encode(shown, keyframe=keyframe, others=others)
        if encoded is None:
            return
        if recording is not None:
            recording.explained(
                encoded.shared,
                SidecarFrame(pts, age_ms, maps, view, shown_pts if frozen else None, hidden, class_set=classes.names),
            )
        self._shown = time.perf_counter()
        self._send(
            Painted(
                encoded.shared,
                encoded.returned,
                maps,
                age_ms,
                "none" if age_ms is None else "carried" if age_ms else "exact",
                view,
                self.counts,
                stage.heatmaps.inference_ms,
                (self._shown - arrived) * 1000,
                engine,
                shown_pts if frozen else None,
                hidden,
                stage.name,
                stage.map,
                classes.id,
            )
        )
        stage.probe.ask(stage.heatmaps.newest, view, pts)

    def _rehearse(self, shown: av.VideoFrame, pts: int, view: View, *, is_new: bool) -> None:
        """Explain the frame on screen, not painted yet, with the model that waits to take over."""
        handover = self._handover
        waiting = self._rehearsing if handover is None else handover.stage
        if waiting is not None:
            its_view = waiting.renumbered(view, self._stage)
            waiting.rehearse(shown, pts, its_view, is_new=is_new, frozen=self._frozen_frame is not None)

    def _on_screen(self, frame: av.VideoFrame) -> tuple[av.VideoFrame, bool]:
        """The frame to show for a camera frame, and whether it is a new one: itself, or a copy of the frozen one."""
        request = self._freeze_request
        if request is not self._applied_request:
            self._applied_request = request
            self._frozen_frame = None if request is None else copied(frame)
        elif self._frozen_frame is not None:
            return copied(self._frozen_frame), False  # a copy, because it is painted on
        return frame, True
