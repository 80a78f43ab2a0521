"""The evidence hidden, live: about once a second the model is asked what it says without the hottest region."""

from __future__ import annotations

import logging
from concurrent.futures import CancelledError, Future

from whycam.stream.inference.engine import Engine, EngineDown
from whycam.stream.inference.explainer import Explanation
from whycam.stream.live.heatmap_source import Answered
from whycam.stream.overlay.heatmap import DrawnMap, OcclusionResult, chosen
from whycam.stream.overlay.occlusion import occlude_image
from whycam.stream.overlay.view import View

logger = logging.getLogger(__name__)

ASK_EVERY = 90_000
"""In 1/90000 s, of the camera's time."""


class OcclusionProbe:
    """`ask` when a frame has been shown; `found` is the result of the newest answer. One thread uses it.

    The model input is covered, by its own map: both probabilities are of one image. Nothing waits for the answer, and
    no ordinary request waits for this one: it goes to the engine beside them, after the frame was sent.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asked_at: int | None = None
        self._about: tuple[int, DrawnMap] | None = None
        self._answer: Future[Explanation] | None = None
        self._found: tuple[int, DrawnMap, float] | None = None

    def ask(self, known: Answered | None, view: View, pts: int) -> None:
        """Ask about what is known of the frame on screen; `pts` is the camera's time."""
        self._collect()
        if not view.occlude:
            self._found = self._asked_at = None
            return
        if known is None or not known.maps or self._answer is not None:
            return
        first = chosen(known.maps, view)[0]
        if self._asked_at is not None and 0 <= pts - self._asked_at < ASK_EVERY:
            return
        if self._found is not None and (self._found[0], self._found[1].class_id) == (known.pts, first.class_id):
            return  # of a frozen frame
        self._asked_at, self._about = pts, (known.pts, first)
        self._answer = self._engine.explain(occlude_image(known.image, first.grid)[None], [])

    def _collect(self) -> None:
        if self._answer is None or self._about is None or not self._answer.done():
            return
        answer, self._answer = self._answer, None
        try:
            scores = answer.result().scores
        except (CancelledError, EngineDown):  # the engine's log says why
            return
        except Exception:  # whatever a model raises must not take the stream with it
            logger.exception("The model failed on an image that is covered in part.")
            return
        pts, drawn = self._about
        self._found = pts, drawn, round(float(scores[0, drawn.class_id]), 6)

    def found(self, view: View, pts: int) -> OcclusionResult | None:
        """What is known, and how much older it is than the frame on screen; None before the first answer."""
        self._collect()
        if self._found is None or not view.occlude:
            return None
        made_for, drawn, after = self._found
        return OcclusionResult(drawn.class_id, drawn.label, drawn.score, after, (pts - made_for) / 90)
