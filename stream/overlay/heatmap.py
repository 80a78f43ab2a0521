"""What is drawn of a frame: a grid for each class, its scale, and what covering its hottest place showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whycam.stream.inference.explainer import Explanation
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes


@dataclass(frozen=True, slots=True)
class DrawnMap:
    """One class's heatmap as it is drawn and stored: all that a `Painter` needs of an explanation."""

    class_id: int
    label: str
    score: float
    grid: Bytes  # (h, w) 0…255 for 0…1 of the map's own maximum; of a carried map (2h, 2w)
    evidence: float
    scale: float = 1.0
    """What the grid is multiplied by for display, so that maps can share one scale (`stream.live.scale_smoothing`)."""


def drawn_maps(explanation: Explanation, index: int, labels: Sequence[str]) -> tuple[DrawnMap, ...]:
    """The maps of one picture of a batch, in the order of its targets.

    Scores have six digits, so that those of a sidecar are the same.
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
    """Each class once, at its first place: a pinned class may also be among the best."""
    return tuple({m.class_id: m for m in maps}.values())


def chosen(maps: Sequence[DrawnMap], view: View) -> tuple[DrawnMap, ...]:
    """Those of a frame's maps (best class first) that the view asks for."""
    return pinned(maps, view) or tuple(maps[:1])


def pinned(maps: Sequence[DrawnMap], view: View) -> tuple[DrawnMap, ...]:
    """Those of a frame's maps that are pinned, in the order in which they are."""
    known = {m.class_id: m for m in maps}
    return tuple(known[c] for c in view.pinned if c in known)


def caption(drawn: Sequence[DrawnMap], hidden: OcclusionResult | None = None) -> str:
    """What a label says of the maps that are drawn: 'NN% name', and for one of which the evidence is covered 'NN% ->
    N% name'.
    """
    texts = [f"{100 * m.score:.0f}% {m.label}" for m in drawn]
    if hidden is not None and hidden.class_id == drawn[0].class_id:
        texts[0] = f"{100 * hidden.before:.0f}% -> {100 * hidden.after:.0f}% {hidden.label}"
    return "  ".join(texts)


@dataclass(frozen=True, slots=True)
class OcclusionResult:
    """What became of a class's probability when the hottest region of its map was covered."""

    class_id: int
    label: str
    before: float
    after: float
    age_ms: float
    """How much older than the picture on screen the one is of which these are told."""
