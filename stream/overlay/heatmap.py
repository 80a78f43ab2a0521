"""What is drawn of a frame: each class's grid and scale, and the result of covering its hottest region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whycam.stream.inference.explanation import Explanation
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes


@dataclass(frozen=True, slots=True)
class DrawnMap:
    """One class's heatmap as it is drawn and stored: all that a `Painter` needs of an explanation."""

    class_id: int
    label: str
    score: float
    grid: Bytes  # (h, w), 0…255 for 0…1 of the map's own maximum; (2h, 2w) for a carried map
    evidence: float
    scale: float = 1.0
    """Factor for the grid in display, so that maps can share one scale (`stream.live.scale_smoothing`)."""
    against: str = ""
    """Of a difference (`stream.overlay.difference`): the other class's label, and `grid` is what speaks for this class
    rather than for that one. Empty: `grid` is the map of this class."""


def heat_of(drawn: DrawnMap) -> float:
    """How hot its hottest place is drawn, 0…1; 0: nothing in the picture speaks for the class."""
    return min(1.0, float(drawn.grid.max(initial=0)) * drawn.scale / 255)


def drawn_maps(explanation: Explanation, index: int, labels: Sequence[str]) -> tuple[DrawnMap, ...]:
    """The maps of one image of a batch, in the order of its targets.

    Scores are rounded to six decimals, as a sidecar stores them.
    """
    classes = explanation.classes[index].tolist()
    grids = np.rint(explanation.heatmaps[index] * 255).astype(np.uint8)  # (K, h, w)
    return tuple(
        DrawnMap(
            class_id,
            labels[class_id],
            round(float(explanation.scores[index, class_id]), 6),
            grid,
            float(explanation.evidence[index, k]),
        )
        for k, (class_id, grid) in enumerate(zip(classes, grids, strict=True))
    )


def without_repeats(maps: Sequence[DrawnMap]) -> tuple[DrawnMap, ...]:
    """Each class once, at its first position: a pinned class may also be among the best."""
    return tuple({m.class_id: m for m in maps}.values())


def chosen(maps: Sequence[DrawnMap], view: View) -> tuple[DrawnMap, ...]:
    """The maps that the view shows: the pinned ones, or the first, which is the best class."""
    return pinned(maps, view) or tuple(maps[:1])


def pinned(maps: Sequence[DrawnMap], view: View) -> tuple[DrawnMap, ...]:
    """The maps of pinned classes, in the order of pinning."""
    known = {m.class_id: m for m in maps}
    return tuple(known[c] for c in view.pinned if c in known)


def caption(drawn: Sequence[DrawnMap], hidden: OcclusionResult | None = None) -> str:
    """The label of the drawn maps: 'NN% name', or 'NN% -> N% name' for the class whose evidence is covered.

    'name - other: NN%, N%' for the difference of two classes; of one half of it, 'name - other: NN%'.
    """
    scores = [_percent(m.score) for m in drawn]
    if hidden is not None and hidden.class_id == drawn[0].class_id:
        scores[0] = f"{_percent(hidden.before)} -> {_percent(hidden.after)}"
    if is_difference(drawn):
        return f"{compared(drawn[0])}: {', '.join(scores)}"
    return "  ".join(
        f"{compared(m)}: {score}" if m.against else f"{score} {m.label}" for m, score in zip(drawn, scores, strict=True)
    )


def compared(drawn: DrawnMap) -> str:
    """What a map is of: a class's label, or 'name - other' for a difference."""
    return f"{drawn.label} - {drawn.against}" if drawn.against else drawn.label


def is_difference(drawn: Sequence[DrawnMap]) -> bool:
    """Whether these are the two halves of a difference."""
    if len(drawn) != 2 or not all(m.against for m in drawn):
        return False
    first, second = drawn
    return (first.against, second.against) == (second.label, first.label)


def _percent(score: float) -> str:
    """A probability of at most six decimals in whole percent, halves up: to the number that the pages show."""
    return f"{(round(1_000_000 * score) + 5_000) // 10_000}%"


@dataclass(frozen=True, slots=True)
class OcclusionResult:
    """A class's probability before and after the hottest region of its map was covered."""

    class_id: int
    label: str
    before: float
    after: float
    age_ms: float
    """How much older the measured frame is than the one on screen."""
