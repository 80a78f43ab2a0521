"""One live stream: the newest frame in, painted and encoded packet out, in one thread beside the event loop."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace
from typing import Literal

import av
import cv2

from stream.codec import Decoder, EncodedFrame
from stream.encoder import SOFTWARE, Backend, Encoder
from stream.engine import Engine, EngineDown, EngineState
from stream.explainer import BEST, Explanation
from stream.fit import Fit
from stream.motion import HeatTracker
from stream.overlay import DrawnMap, Painter, View, drawn_maps, without_repeats
from stream.patience import Patience
from stream.recording import Recording
from stream.sidecar import SidecarFrame
from stream.steady import SteadyScale

logger = logging.getLogger(__name__)

Policy = Literal["newest", "every"]
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


class _Question:
    """A frame's picture at the engine, and how long the answer took (not: until somebody asked for it)."""

    def __init__(self, pts: int, answer: Future[Explanation]) -> None:
        self.pts = pts
        self.answer = answer
        self._asked = time.perf_counter()
        self._answered: float | None = None
        answer.add_done_callback(self._note)

    def _note(self, _: Future[Explanation]) -> None:
        self._answered = time.perf_counter()

    @property
    def elapsed_ms(self) -> float:
        # Those who wait for a future wake before its callbacks run.
        return ((self._answered or time.perf_counter()) - self._asked) * 1000


class LiveStream:
    """Decodes what is received, explains the newest frame, paints and encodes it, and hands it to `send`.

    The policy `newest` keeps only the newest decoded frame and never waits for a slow model: the last heatmap moves on
    with the picture, and is drawn by a steady scale unless the view says otherwise. `every` draws each frame with its
    own heatmap, by its own maximum, however long that takes. `send` is called from the stream's own thread.
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
        contract = engine.contract
        self._engine = engine
        self._labels = contract.labels
        self._fit = Fit(contract.fit, contract.size)
        self._painter = Painter(self._fit)
        self._tracker = HeatTracker(self._fit, contract.map_size) if policy == "newest" else None
        self._scale = SteadyScale()
        self._encoder = Encoder(encoder, spare=SOFTWARE[encoder.codec])
        self._decoder: Decoder | None = None
        self._send = send
        self._want_keyframe = want_keyframe
        self._on_failure = on_failure
        self._policy = policy
        self._patience = Patience()
        self._pending: _Question | None = None
        self._newest: tuple[int, tuple[DrawnMap, ...]] | None = None
        self._keyframe_wanted = threading.Event()
        self._queue: queue.Queue[tuple[EncodedFrame, float] | None] = queue.Queue()
        self._gave_up = False
        self._closed = False
        self._shown = time.perf_counter()
        self.view = view or View(scale="steady" if policy == "newest" else "own")
        self.frozen = False
        """Whether the picture stands still."""
        self.size: tuple[int, int] | None = None
        """Width and height of the newest picture, in pixels."""
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
            for picture in self._decode(frame):
                if self._is_superseded():
                    self._count(decoded=1, dropped=1)
                else:
                    self._show(picture, arrived)

    def _is_superseded(self) -> bool:
        """Whether a newer frame waits, for which this one is left out; the only place where frames are dropped."""
        if self._policy == "every" or self._queue.empty():
            return False
        # Where even decoding is too slow there is always a newer one: now and then a picture must be shown.
        return time.perf_counter() - self._shown < SHOW_EVERY_S

    def _decode(self, frame: EncodedFrame) -> list[av.VideoFrame]:
        if self._decoder is None or self._decoder.codec != frame.codec:
            self._decoder = Decoder(frame.codec)
        try:
            pictures = self._decoder.decode(frame)
        except av.FFmpegError as error:
            logger.debug("A frame could not be decoded: %s", error)
            self._want_keyframe()
            self._count(lost=1)
            return []
        return pictures

    def _count(self, **more: int) -> None:
        self._counts = replace(self._counts, **{name: getattr(self._counts, name) + n for name, n in more.items()})

    def _show(self, picture: av.VideoFrame, arrived: float) -> None:
        pts = picture.pts
        assert pts is not None
        self.size = picture.width, picture.height
        view = self.view if self._tracker is not None else replace(self.view, scale="own")
        if self._tracker is not None and not self._tracker.see(picture):
            self._scale = SteadyScale()
        self._explain(picture, pts, view, arrived)
        maps = self._maps(pts, view)
        age_ms: float | None = None
        state: State = "none"
        if maps and self._newest is not None:
            age_ms = (pts - self._newest[0]) / 90
            state = "carried" if age_ms else "exact"
        engine = self._engine.health.state
        if engine == "restarting" and not maps:
            self._painter.write(picture, RESTARTING)
        self._painter.paint(picture, maps, view)
        self._count(decoded=1, **({"explained": 1} if maps else {"passed": 1}))
        keyframe = self._keyframe_wanted.is_set()
        if keyframe:  # else a wish that comes between the two would be lost
            self._keyframe_wanted.clear()
        encoded = self._encoder.encode(picture, keyframe=keyframe)
        if encoded is None:
            return
        recording = self.recording  # another thread may take it away
        if recording is not None:
            recording.explained(encoded, SidecarFrame(pts, age_ms, maps, view))
        self._shown = time.perf_counter()
        self._send(
            Painted(
                encoded,
                maps,
                age_ms,
                state,
                view,
                self.counts,
                self._patience.inference_ms,
                (self._shown - arrived) * 1000,
                engine,
                self.frozen,
            )
        )

    def _maps(self, pts: int, view: View) -> tuple[DrawnMap, ...]:
        """What is known, as it is drawn onto the frame on screen; () where nothing is, or only of another scene."""
        made_for, maps = self._newest or (pts, ())
        if self._tracker is None:
            return maps
        carried = maps if made_for == pts else self._tracker.carry(made_for, maps)
        scales = self._scale.scales(pts, maps if carried else ())
        if view.scale == "own":
            return carried
        return tuple(replace(each, scale=scale) for each, scale in zip(carried, scales, strict=True))

    def _explain(self, picture: av.VideoFrame, pts: int, view: View, arrived: float) -> None:
        """See to `_newest`: collect what is ready, ask about this frame if the engine is free, wait if that is wise."""
        self._patience.saw_frame(pts)
        self._collect(0)
        if self._pending is not None:
            self._patience.saw_silence(self._pending.elapsed_ms)
        if self._pending is None:
            if self._tracker is not None:
                self._tracker.mark(pts)
            targets = [*BEST[: len(self._labels)], *view.hold]
            self._pending = _Question(pts, self._engine.explain(self._fit.picture(picture)[None], targets))
        if self._policy == "every":
            self._collect(None)
        elif self._pending.pts == pts:  # for an earlier frame's answer no frame waits: the model may hang
            self._collect(self._patience.seconds((time.perf_counter() - arrived) * 1000))

    def _collect(self, seconds: float | None) -> None:
        """Take the explanation that was asked for, if it comes within so many seconds (None: however long)."""
        question = self._pending
        if question is None:
            return
        try:
            explanation = question.answer.result(seconds)
        except FutureTimeout:
            return
        except (CancelledError, EngineDown):  # the engine's log says why, once
            self._newest = None
        except Exception:  # whatever a model raises must not take the stream with it
            logger.exception("The model failed; the camera picture passes through.")
            self._newest = None
        else:
            self._patience.saw_answer(question.elapsed_ms)
            self._newest = (question.pts, without_repeats(drawn_maps(explanation, 0, self._labels)))
        self._pending = None
