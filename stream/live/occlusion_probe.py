"""Live occlusion: about once a second the model scores the image with its hottest region covered."""

from __future__ import annotations

import logging
from concurrent.futures import CancelledError, Future

from whycam.stream.inference.engine import Engine, EngineDown
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.known_classes import KnownClasses
from whycam.stream.live.heatmap_source import Answered
from whycam.stream.overlay.heatmap import DrawnMap, OcclusionResult, chosen
from whycam.stream.overlay.occlusion import occlude_image
from whycam.stream.overlay.view import View

logger = logging.getLogger(__name__)

ASK_EVERY = 90_000
"""In 1/90000 s of the camera's clock."""


class OcclusionProbe:
    """Call `ask` after a frame was shown; `found` is the result of the newest answer. One thread uses it.

    The model input itself is covered, according to its map, so both probabilities are of one image. Nothing waits for
    the answer. The request is sent to the engine after the frame, so it does not delay an ordinary request.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asked_at: int | None = None
        self._about: tuple[int, DrawnMap, KnownClasses] | None = None
        self._answer: Future[Explanation] | None = None
        self._found: tuple[int, DrawnMap, float] | None = None

    def ask(self, known: Answered | None, view: View, pts: int) -> None:
        """Request the scores of the covered image of `known`, if one is due; `pts` is the camera's time."""
        self._collect()
        if not view.occlude:
            self._found = self._asked_at = None
            return
        if known is None or not known.maps or self._answer is not None:
            return
        first = chosen(known.maps_for(view), view)[0]
        if self._asked_at is not None and 0 <= pts - self._asked_at < ASK_EVERY:
            return
        if self._found is not None and _same(*self._found[:2], known.pts, first):
            return  # a frozen frame that was covered already
        self._asked_at, self._about = pts, (known.pts, first, known.classes)
        self._answer = self._engine.explain(occlude_image(known.image, first.grid)[None], [], known.classes.class_set)

    def _collect(self) -> None:
        if self._answer is None or self._about is None or not self._answer.done():
            return
        answer, self._answer = self._answer, None
        try:
            scores = answer.result().scores
        except (CancelledError, EngineDown):  # the engine's log says why
            return
        except Exception:  # no exception of a model may end the stream
            logger.exception("The model failed on a partly covered image.")
            return
        pts, drawn, classes = self._about
        (index,) = classes.indices([drawn.class_id])
        self._found = pts, drawn, round(float(scores[0, index]), 6)

    def found(self, view: View, pts: int) -> OcclusionResult | None:
        """The newest result, and how much older it is than the frame on screen; None before the first answer.

        None, too, if where a class differs from another was covered and a class by itself is drawn, or the other way
        round.
        """
        self._collect()
        if self._found is None or not view.occlude or bool(self._found[1].against) != view.compares:
            return None
        made_for, drawn, after = self._found
        return OcclusionResult(drawn.class_id, drawn.label, drawn.score, after, (pts - made_for) / 90)


def _same(pts: int, drawn: DrawnMap, other_pts: int, other: DrawnMap) -> bool:
    """Whether two maps are of one frame and show the same."""
    return (pts, drawn.class_id, drawn.against) == (other_pts, other.class_id, other.against)
