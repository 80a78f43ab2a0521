"""Sends a live stream's frames to the model, and turns the answers into maps for the frame on screen."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field, replace
from typing import Literal

import av

from whycam.stream.inference.engine import Engine, EngineDown
from whycam.stream.inference.explainer import BEST
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.known_classes import KnownClasses
from whycam.stream.inference.map_region import placed_size
from whycam.stream.inference.preprocess import Fit
from whycam.stream.inference.providers import CPU
from whycam.stream.live.inference_pace import InferencePace
from whycam.stream.live.scale_smoothing import FrameScales
from whycam.stream.live.tracker import HeatTracker
from whycam.stream.live.wait_policy import WaitPolicy
from whycam.stream.overlay.difference import with_difference
from whycam.stream.overlay.heatmap import DrawnMap, drawn_maps, without_repeats
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes

logger = logging.getLogger(__name__)

Policy = Literal["newest", "every"]


class HeatmapRequest:
    """A frame's model input at the engine, and the time until the answer was ready (not until it was read)."""

    def __init__(self, pts: int, image: Bytes, classes: KnownClasses, answer: Future[Explanation]) -> None:
        self.pts = pts
        self.image = image
        self.classes = classes
        self.answer = answer
        self._asked = time.perf_counter()
        self._answered: list[float] = []  # the time of the answer, or empty
        # The answer must not refer to the request: a cycle would keep the image until the next garbage collection.
        note = self._answered.append
        answer.add_done_callback(lambda _: note(time.perf_counter()))

    @property
    def answered(self) -> float:
        """The time of the answer, or now; by time.perf_counter()."""
        # Threads that wait for a future wake before its callbacks run.
        return self._answered[0] if self._answered else time.perf_counter()

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds until the answer, or until now."""
        return (self.answered - self._asked) * 1000


@dataclass(frozen=True, slots=True)
class Answered:
    """A frame that the model has explained."""

    pts: int
    image: Bytes
    """The model input, RGB (H, W, 3)."""
    maps: tuple[DrawnMap, ...]
    """Those of single classes."""
    explanation: Explanation
    """Of this image alone."""
    classes: KnownClasses
    """Those that it was asked for; `explanation` has their indices."""
    _differences: dict[tuple[int, ...], tuple[DrawnMap, ...]] = field(default_factory=dict, repr=False)

    def maps_for(self, view: View) -> tuple[DrawnMap, ...]:
        """The maps to draw: with a difference of the view's two classes, if it asks for it and both are explained."""
        if not view.compares:
            return self.maps
        if view.pinned not in self._differences:  # made once, so that the painter knows it again
            by_index = drawn_maps(self.explanation, 0, self.classes.labels)
            asked = replace(view, pinned=tuple(self.classes.indices(view.pinned)))
            made = with_difference(without_repeats(by_index), self.explanation, 0, asked)
            self._differences[view.pinned] = numbered(made, self.classes)
        return self._differences[view.pinned]


class HeatmapSource:
    """For each frame on screen: `see` it if it differs from the one before, `ask`, then take its `maps`.

    There is one request at a time, at the `pace` if one is given. With the policy `newest` no frame waits for a slow
    model: the last maps are carried to it and drawn with a steady scale unless the view says otherwise. With `every`
    each frame waits for its own maps, which are drawn with their own maximum. One thread uses it.
    """

    def __init__(self, engine: Engine, fit: Fit, policy: Policy, pace: InferencePace | None = None) -> None:
        self._engine = engine
        self.classes = KnownClasses(engine.contract.labels)
        """Those of the next request. Replaced as a whole, by any thread."""
        self._fit = fit
        self._tracker = HeatTracker(fit, placed_size(engine.contract)) if policy == "newest" else None
        self._scales = FrameScales()
        self._wait_policy = WaitPolicy()
        # On a GPU the model takes nothing from decoding and encoding.
        self._pace = pace if policy == "newest" and engine.provider == CPU else None
        self._next_request = 0.0
        """Not before this time; by time.perf_counter()."""
        self._pending: HeatmapRequest | None = None
        self._seen: tuple[int, Bytes] | None = None
        """The model input of the last request, with its pts. For a frozen frame it is made once: a copy of a decoded
        frame has lost its chroma location and gives a slightly different image."""
        self.newest: Answered | None = None
        """The newest explanation, of the frame on screen or of an earlier one."""

    @property
    def inference_ms(self) -> float | None:
        """Milliseconds that the model takes, smoothed."""
        return self._wait_policy.inference_ms

    def pace(self, pts: int) -> None:
        """Learn the camera's rate from its next frame, also while a frozen one is on screen."""
        self._wait_policy.saw_frame(pts)

    def see(self, frame: av.VideoFrame) -> None:
        """Take a new frame on screen, before it is painted."""
        if self._tracker is not None and not self._tracker.see(frame):
            self._scales = FrameScales()

    def ask(self, frame: av.VideoFrame, view: View, spent_ms: float, *, frozen: bool = False) -> None:
        """Collect an answer, request this frame's explanation if the model is free, and wait if the policy allows.

        For a `frozen` frame only what is not known yet is requested. `spent_ms` is the time since the frame arrived.
        """
        pts = frame.pts
        assert pts is not None
        self._collect(0, pts if frozen else None)
        if self._pending is not None:
            self._wait_policy.observe_pending(self._pending.elapsed_ms)
        elif self._may_ask(pts, view, frozen=frozen):
            if self._tracker is not None:
                self._tracker.mark(pts)
            classes = self.classes
            targets = [*BEST[: len(classes.labels)], *classes.indices(view.pinned)]
            if self._seen is None or not frozen or self._seen[0] != pts:
                self._seen = pts, self._fit.image(frame)
            seen = self._seen[1]
            answer = self._engine.explain(seen[None], targets, classes.class_set)
            self._pending = HeatmapRequest(pts, seen, classes, answer)
            # No frame waits for an earlier request's answer, because the model may hang.
            if self._tracker is not None:
                self._collect(self._wait_policy.seconds(spent_ms), pts if frozen else None)
        if self._tracker is None:
            self._collect(None, pts if frozen else None)

    def _may_ask(self, pts: int, view: View, *, frozen: bool) -> bool:
        return not self._knows(pts, view) if frozen else time.perf_counter() >= self._next_request

    def _knows(self, pts: int, view: View) -> bool:
        """Whether all classes of the view are explained for this frame."""
        known, classes = self.newest, self.classes
        if known is None or known.pts != pts or known.classes.id != classes.id:
            return False
        return {c for c in view.pinned if classes.index(c) is not None} <= {each.class_id for each in known.maps}

    def maps(self, pts: int, view: View) -> tuple[tuple[DrawnMap, ...], float | None]:
        """The maps to draw onto the frame on screen, and how much older they are, in milliseconds.

        `()` and None if there are none, or only those of another scene.
        """
        made_for, maps = (pts, ()) if self.newest is None else (self.newest.pts, self.newest.maps_for(view))
        if self._tracker is not None:
            carried = maps if made_for == pts else self._tracker.carry(made_for, maps)
            scales = self._scales.of(pts, maps if carried else ())
            maps = carried
            if view.scale == "steady":
                maps = tuple(replace(each, scale=scale) for each, scale in zip(carried, scales, strict=True))
        return maps, (pts - made_for) / 90 if maps else None

    def _collect(self, seconds: float | None, frozen_pts: int | None) -> None:
        """Take the pending explanation if it comes within `seconds` (None: without a limit).

        When the model fails, the explanation of a frozen frame (its pts is `frozen_pts`) is kept.
        """
        request = self._pending
        if request is None:
            return
        try:
            explanation = request.answer.result(seconds)
        except FutureTimeout:
            return
        except (CancelledError, EngineDown):  # the engine's log says why, once
            self._forget(frozen_pts)
        except Exception:  # no exception of a model may end the stream
            logger.exception("The model failed; frames pass without a heatmap.")
            self._forget(frozen_pts)
        else:
            self._wait_policy.saw_answer(request.elapsed_ms)
            if self._pace is not None:
                self._next_request = request.answered + self._pace.pause_s(request.elapsed_ms / 1000)
            maps = without_repeats(drawn_maps(explanation, 0, request.classes.labels))
            maps = numbered(maps, request.classes)
            if self.newest is not None and self.newest.classes.id != request.classes.id:
                self._scales = FrameScales()  # evidence of another last layer cannot be compared
            self.newest = Answered(request.pts, request.image, maps, explanation, request.classes)
        self._pending = None

    def _forget(self, frozen_pts: int | None) -> None:
        if self.newest is not None and self.newest.pts != frozen_pts:
            self.newest = None


def numbered(maps: Sequence[DrawnMap], classes: KnownClasses) -> tuple[DrawnMap, ...]:
    """Maps of classes by index as maps of classes by number."""
    if classes.class_set is None:
        return tuple(maps)
    return tuple(replace(each, class_id=classes.number(each.class_id)) for each in maps)
