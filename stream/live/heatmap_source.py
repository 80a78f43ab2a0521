"""What a live stream asks the model, and what it makes of the answers: the maps of the frame on screen."""

from __future__ import annotations

import logging
import time
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace
from typing import Literal

import av

from whycam.stream.inference.engine import Engine, EngineDown
from whycam.stream.inference.explainer import BEST, Explanation
from whycam.stream.inference.preprocess import Fit
from whycam.stream.live.scale_smoothing import ScaleSmoother
from whycam.stream.live.tracker import HeatTracker
from whycam.stream.live.wait_policy import WaitPolicy
from whycam.stream.overlay.heatmap import DrawnMap, drawn_maps, without_repeats
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes

logger = logging.getLogger(__name__)

Policy = Literal["newest", "every"]


class HeatmapRequest:
    """A frame's model input at the engine, and how long the answer took (not: until somebody asked for it)."""

    def __init__(self, pts: int, image: Bytes, answer: Future[Explanation]) -> None:
        self.pts = pts
        self.image = image
        self.answer = answer
        self._asked = time.perf_counter()
        self._answered: list[float] = []  # when, once it was
        # The answer must not refer to the request: in a cycle, the image would live until the garbage is collected.
        note = self._answered.append
        answer.add_done_callback(lambda _: note(time.perf_counter()))

    @property
    def elapsed_ms(self) -> float:
        """Up to the answer, or up to now."""
        # Those who wait for a future wake before its callbacks run.
        until = self._answered[0] if self._answered else time.perf_counter()
        return (until - self._asked) * 1000


@dataclass(frozen=True, slots=True)
class Answered:
    """A frame that the model has explained."""

    pts: int
    image: Bytes
    """The model input, RGB (H, W, 3)."""
    maps: tuple[DrawnMap, ...]


class HeatmapSource:
    """For each frame on screen: `see` it if it is not the one before, `ask`, then take its `maps`.

    One request at a time. By the policy `newest` no frame waits for a slow model: the last maps move on with it, and
    are drawn by a steady scale unless the view says otherwise. By `every` each waits for its own, which are drawn by
    their own maximum. One thread uses it.
    """

    def __init__(self, engine: Engine, fit: Fit, policy: Policy) -> None:
        self._engine = engine
        self._labels = engine.contract.labels
        self._fit = fit
        self._tracker = HeatTracker(fit, engine.contract.map_size) if policy == "newest" else None
        self._scale = ScaleSmoother()
        self._wait_policy = WaitPolicy()
        self._pending: HeatmapRequest | None = None
        self._seen: tuple[int, Bytes] | None = None
        """The model input of the last request, with its pts. Of a frozen frame it is made once: a copy of a decoded
        frame has lost where its chroma samples lie, and gives a slightly other one."""
        self.newest: Answered | None = None
        """What is known, be it of the frame on screen or of an earlier one."""

    @property
    def inference_ms(self) -> float | None:
        """How long the model takes, smoothed."""
        return self._wait_policy.inference_ms

    def pace(self, pts: int) -> None:
        """Learn the camera's rate from its next frame that is shown, be it on screen itself or not."""
        self._wait_policy.saw_frame(pts)

    def see(self, frame: av.VideoFrame) -> None:
        """Another frame is on screen than before."""
        if self._tracker is not None and not self._tracker.see(frame):
            self._scale = ScaleSmoother()

    def ask(self, frame: av.VideoFrame, view: View, spent_ms: float, *, stands: bool = False) -> None:
        """Collect what is ready, ask about this frame if the model is free, wait if that is wise.

        About a frame that `stands` (is frozen) is asked what is not known of it yet, and no more.
        """
        pts = frame.pts
        assert pts is not None
        self._collect(0, pts if stands else None)
        if self._pending is not None:
            self._wait_policy.observe_pending(self._pending.elapsed_ms)
        elif not (stands and self._knows(pts, view)):
            if self._tracker is not None:
                self._tracker.mark(pts)
            targets = [*BEST[: len(self._labels)], *view.pinned]
            if self._seen is None or not stands or self._seen[0] != pts:
                self._seen = pts, self._fit.image(frame)
            seen = self._seen[1]
            self._pending = HeatmapRequest(pts, seen, self._engine.explain(seen[None], targets))
            # For an earlier request's answer no frame waits: the model may hang.
            if self._tracker is not None:
                self._collect(self._wait_policy.seconds(spent_ms), pts if stands else None)
        if self._tracker is None:
            self._collect(None, pts if stands else None)

    def _knows(self, pts: int, view: View) -> bool:
        """Whether all that the view asks for is known of this very frame."""
        known = self.newest
        return known is not None and known.pts == pts and {*view.pinned} <= {each.class_id for each in known.maps}

    def maps(self, pts: int, view: View) -> tuple[tuple[DrawnMap, ...], float | None]:
        """What is known, as it is drawn onto the frame on screen, and how much older it is, in milliseconds.

        `()` and None where nothing is known, or only of another scene.
        """
        made_for, maps = (pts, ()) if self.newest is None else (self.newest.pts, self.newest.maps)
        if self._tracker is not None:
            carried = maps if made_for == pts else self._tracker.carry(made_for, maps)
            scales = self._scale.scales(pts, maps if carried else ())
            maps = carried
            if view.scale == "steady":
                maps = tuple(replace(each, scale=scale) for each, scale in zip(carried, scales, strict=True))
        return maps, (pts - made_for) / 90 if maps else None

    def _collect(self, seconds: float | None, standing: int | None) -> None:
        """Take the explanation that was asked for, if it comes within so many seconds (None: however long).

        When the model fails, what is known of a frozen frame (`standing` is its pts) remains true.
        """
        request = self._pending
        if request is None:
            return
        try:
            explanation = request.answer.result(seconds)
        except FutureTimeout:
            return
        except (CancelledError, EngineDown):  # the engine's log says why, once
            self._forget(standing)
        except Exception:  # whatever a model raises must not take the stream with it
            logger.exception("The model failed; the camera picture passes through.")
            self._forget(standing)
        else:
            self._wait_policy.saw_answer(request.elapsed_ms)
            maps = without_repeats(drawn_maps(explanation, 0, self._labels))
            self.newest = Answered(request.pts, request.image, maps)
        self._pending = None

    def _forget(self, standing: int | None) -> None:
        if self.newest is not None and self.newest.pts != standing:
            self.newest = None
