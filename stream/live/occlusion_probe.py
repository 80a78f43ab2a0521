"""The evidence hidden, live: about once a second the model is asked what it says without the hottest region."""

from __future__ import annotations

import logging
from concurrent.futures import CancelledError, Future

from whycam.stream.inference.engine import Engine, EngineDown
from whycam.stream.inference.explainer import Explanation
from whycam.stream.live.heatmap_source import Answered
from whycam.stream.overlay.heatmap import DrawnMap, OcclusionResult, chosen
from whycam.stream.overlay.occlusion import hide_in_picture
from whycam.stream.overlay.view import View

logger = logging.getLogger(__name__)

ASK_EVERY = 90_000
"""In 1/90000 s, of the camera's time."""


class Hiding:
    """`ask` when a picture has been shown; `found` is what the newest answer told. One thread uses it.

    What is covered is the network's own picture, by its own map: both probabilities are of one picture. Nobody waits
    for the answer, and no ordinary question waits to be put: this one goes to the engine beside them, when a picture is
    on its way already.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asked_at: int | None = None
        self._about: tuple[int, DrawnMap] | None = None
        self._answer: Future[Explanation] | None = None
        self._found: tuple[int, DrawnMap, float] | None = None

    def ask(self, known: Answered | None, view: View, pts: int) -> None:
        """Ask about what is known of the picture on screen, at this time of the camera's."""
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
            return  # of a picture that stands still
        self._asked_at, self._about = pts, (known.pts, first)
        self._answer = self._engine.explain(hide_in_picture(known.picture, first.grid)[None], [])

    def _collect(self) -> None:
        if self._answer is None or self._about is None or not self._answer.done():
            return
        answer, self._answer = self._answer, None
        try:
            scores = answer.result().scores
        except (CancelledError, EngineDown):  # the engine's log says why
            return
        except Exception:  # whatever a model raises must not take the stream with it
            logger.exception("The model failed on a picture that is covered in part.")
            return
        pts, drawn = self._about
        self._found = pts, drawn, round(float(scores[0, drawn.class_id]), 6)

    def found(self, view: View, pts: int) -> OcclusionResult | None:
        """What is known, and how much older it is than the picture on screen; None before the first answer."""
        self._collect()
        if self._found is None or not view.occlude:
            return None
        made_for, drawn, after = self._found
        return OcclusionResult(drawn.class_id, drawn.label, drawn.score, after, (pts - made_for) / 90)
