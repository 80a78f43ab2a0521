"""A heatmap and its label, drawn onto a video frame in the frame's own YUV planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from stream.explainer import MAX_HELD, Explanation
from stream.fit import Fit, Rectangle
from stream.label import write_label
from stream.planes import Bytes, Colour, as_bytes, planes

Colormap = Literal["inferno", "viridis", "magma", "cividis", "turbo", "jet"]
COLORMAPS: tuple[Colormap, ...] = get_args(Colormap)
Scale = Literal["own", "steady"]
SCALES: tuple[Scale, ...] = get_args(Scale)


@dataclass(frozen=True, slots=True)
class View:
    """What a person chose to see: the classes held (none: the best one), how strong, in which colours.

    `scale` is what counts as full heat: each map's `own` maximum, or one `steady` scale for neighbouring frames and all
    classes (`stream.steady`), which needs a live stream. Raises `ValueError` for what cannot be drawn.
    """

    hold: tuple[int, ...] = ()
    opacity: float = 0.7
    colormap: Colormap = "inferno"
    scale: Scale = "own"

    def __post_init__(self) -> None:
        if self.colormap not in COLORMAPS:
            raise ValueError(f"There is no colormap '{self.colormap}'. Choose one of {', '.join(COLORMAPS)}.")
        if self.scale not in SCALES:
            raise ValueError(f"There is no scale '{self.scale}'. Choose one of {', '.join(SCALES)}.")
        if not 0 <= self.opacity <= 1:
            raise ValueError(f"The opacity should be 0 to 1, it is {self.opacity}.")
        if len(self.hold) > MAX_HELD:
            raise ValueError(f"At most {MAX_HELD} classes can be held, these are {len(self.hold)}.")


@dataclass(frozen=True, slots=True)
class DrawnMap:
    """One class's heatmap as it is drawn and stored: all that a `Painter` needs of an explanation."""

    class_id: int
    label: str
    score: float
    grid: Bytes  # (h, w) 0…255 for 0…1 of the map's own maximum; of a carried map (2h, 2w)
    evidence: float
    scale: float = 1.0
    """What the grid is multiplied by for display, so that maps can share one scale (`stream.steady`)."""


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
    """Each class once, at its first place: a held class may also be among the best."""
    return tuple({m.class_id: m for m in maps}.values())


def chosen(maps: Sequence[DrawnMap], view: View) -> tuple[DrawnMap, ...]:
    """Those of a frame's maps (best class first) that the view asks for."""
    return held(maps, view) or tuple(maps[:1])


def held(maps: Sequence[DrawnMap], view: View) -> tuple[DrawnMap, ...]:
    """Those of a frame's maps that are held, in the order in which they are."""
    known = {m.class_id: m for m in maps}
    return tuple(known[c] for c in view.hold if c in known)


class Painter:
    """Draws onto frames of one stream; keeps the last picture of a map, which is often drawn again."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self._key: object = None
        self._paint: list[tuple[Bytes, Bytes]] = []

    def paint(
        self, frame: av.VideoFrame, maps: Sequence[DrawnMap], view: View, lines: Sequence[str] | None = None
    ) -> None:
        """Draw the chosen one of `maps` and its label onto a yuv420p frame, in place; `lines` are another label."""
        drawn = chosen(maps, view)
        if not drawn:
            return
        frame.make_writable()  # the decoder may still predict from this picture
        colour = Colour.of(frame)
        part = self._fit.rectangle(frame.width, frame.height)
        layers = planes(frame)
        for plane, (paint, keep) in zip(layers, self._layers(drawn, part, colour, view), strict=True):
            rows, columns = paint.shape
            y, x = (part.y, part.x) if plane is layers[0] else (part.y // 2, part.x // 2)
            target = plane[y : y + rows, x : x + columns]
            # plane * (1 - alpha) + colour * alpha, with colour * alpha made beforehand.
            cv2.multiply(target, keep, dst=target, scale=1 / 255)
            cv2.add(target, paint, dst=target)
        write_label(frame, [caption(drawn)] if lines is None else lines)

    def write(self, frame: av.VideoFrame, text: str) -> None:
        """Write a sentence onto a yuv420p frame, in place, where otherwise the label stands."""
        frame.make_writable()
        write_label(frame, [text])

    def _layers(
        self, drawn: Sequence[DrawnMap], part: Rectangle, colour: Colour, view: View
    ) -> list[tuple[Bytes, Bytes]]:
        """For Y, U and V: the heat's colour times its alpha, and 255 − alpha; both as large as the covered part."""
        key = (tuple((id(m.grid), m.scale) for m in drawn), part, colour, view)
        if key != self._key:
            self._paint = _make_layers(drawn, part, colour, view)
            self._key, self._drawn = key, drawn  # holding `drawn` keeps the ids in the key unique
        return self._paint


def _make_layers(drawn: Sequence[DrawnMap], part: Rectangle, colour: Colour, view: View) -> list[tuple[Bytes, Bytes]]:
    tables, keep = _tables(view.colormap, view.opacity, colour)
    luma, chroma = heat_planes(drawn, part)
    return [
        (as_bytes(cv2.LUT(plane, table)), as_bytes(cv2.LUT(plane, keep)))
        for plane, table in zip((luma, chroma, chroma), tables, strict=True)
    ]


def heat_planes(drawn: Sequence[DrawnMap], part: Rectangle) -> tuple[Bytes, Bytes]:
    """The heat 0…255, of several maps the hottest, as large as the part and as half of it."""
    grid = np.max([m.grid * np.float32(m.scale) for m in drawn], axis=0)  # (h, w)
    heat = np.clip(np.rint(grid), 0, 255).astype(np.uint8)
    half = ((part.width + 1) // 2, (part.height + 1) // 2)
    chroma = as_bytes(cv2.resize(heat, half, interpolation=cv2.INTER_CUBIC))
    luma = as_bytes(cv2.resize(chroma, (part.width, part.height), interpolation=cv2.INTER_LINEAR))
    return luma, chroma


def colours(colormap: Colormap) -> Bytes:
    """RGB (256, 3) of the heat 0…255."""
    number = getattr(cv2, f"COLORMAP_{colormap.upper()}")
    bgr = as_bytes(cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], number))[:, 0]
    return np.ascontiguousarray(bgr[:, ::-1])


@lru_cache(maxsize=32)
def _tables(colormap: Colormap, opacity: float, colour: Colour) -> tuple[list[Bytes], Bytes]:
    """Tables over the heat 0…255: Y, U and V of its colour times alpha, and 255 − alpha.

    Alpha grows with the heat, so that a place without evidence keeps its own colours.
    """
    yuv = colour.from_rgb(colours(colormap))  # (256, 3)
    heat = np.linspace(0, 1, 256)
    alpha = opacity * heat * (2 - heat)  # rises early: half of the evidence is already well seen
    premultiplied: NDArray[np.float64] = yuv * alpha[:, None]
    return [np.rint(premultiplied[:, i]).astype(np.uint8) for i in range(3)], np.rint(255 * (1 - alpha)).astype(
        np.uint8
    )


def caption(drawn: Sequence[DrawnMap]) -> str:
    """What a label says of the maps that are drawn."""
    return "  ".join(f"{100 * m.score:.0f}% {m.label}" for m in drawn)
