"""A heatmap and its label, drawn onto a video frame in the frame's own YUV planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias, get_args

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from stream.cover import Hidden, cover, hide
from stream.explainer import MAX_HELD, Explanation
from stream.fit import Fit, Rectangle
from stream.label import write_label
from stream.planes import Bytes, Colour, as_bytes, planes

Colormap = Literal["inferno", "viridis", "magma", "cividis", "turbo", "jet"]
COLORMAPS: tuple[Colormap, ...] = get_args(Colormap)
Scale = Literal["own", "steady"]
SCALES: tuple[Scale, ...] = get_args(Scale)
HELD = ("#ff9e1b", "#3aa0ff", "#3ddc84", "#ff6fae", "#c79bff")
"""Colours of classes that are drawn at once, in the order in which they are held. The first two, which the page has as
well, can be told apart by colour-blind eyes (orange and blue)."""
DARKEST = 0.3
"""What a cold place has of the brightness of such a colour."""


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
    hide: bool = False
    """Whether the hottest region of the first class drawn is covered (`stream.cover`)."""

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


Layer: TypeAlias = tuple[Bytes, Bytes, Bytes | None]
"""For Y, U or V: the heat's colour times its alpha, 255 − alpha, and what is covered; as large as the map's part."""


class Painter:
    """Draws onto frames of one stream; keeps the last picture of a map, which is often drawn again."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self._key: object = None
        self._paint: list[Layer] = []

    def paint(
        self,
        frame: av.VideoFrame,
        maps: Sequence[DrawnMap],
        view: View,
        lines: Sequence[str] | None = None,
        *,
        hidden: Hidden | None = None,
    ) -> None:
        """Draw the chosen one of `maps` and its label onto a yuv420p frame, in place; `lines` are another label.

        `hidden` is what the label says about evidence that is covered.
        """
        drawn = chosen(maps, view)
        if not drawn:
            return
        frame.make_writable()  # the decoder may still predict from this picture
        colour = Colour.of(frame)
        part = self._fit.rectangle(frame.width, frame.height)
        layers = planes(frame)
        for plane, (paint, keep, covered) in zip(layers, self._layers(drawn, part, colour, view), strict=True):
            rows, columns = paint.shape
            y, x = (part.y, part.x) if plane is layers[0] else (part.y // 2, part.x // 2)
            target = plane[y : y + rows, x : x + columns]
            if covered is not None:
                hide(target, covered)
            # plane * (1 - alpha) + colour * alpha, with colour * alpha made beforehand.
            cv2.multiply(target, keep, dst=target, scale=1 / 255)
            cv2.add(target, paint, dst=target)
        write_label(frame, [caption(drawn, hidden)] if lines is None else lines)

    def write(self, frame: av.VideoFrame, text: str) -> None:
        """Write a sentence onto a yuv420p frame, in place, where otherwise the label stands."""
        frame.make_writable()
        write_label(frame, [text])

    def _layers(self, drawn: Sequence[DrawnMap], part: Rectangle, colour: Colour, view: View) -> list[Layer]:
        key = (tuple((id(m.grid), m.scale) for m in drawn), part, colour, view)
        if key != self._key:
            self._paint = _make_layers(drawn, part, colour, view)
            self._key, self._drawn = key, drawn  # holding `drawn` keeps the ids in the key unique
        return self._paint


def _make_layers(drawn: Sequence[DrawnMap], part: Rectangle, colour: Colour, view: View) -> list[Layer]:
    tables = [_tables(shade, view.opacity, colour) for shade in shades(view.colormap, len(drawn))]
    keep = _keep(view.opacity)
    lumas, chromas = heat_planes(drawn, part)
    covers: tuple[Bytes | None, ...] = (None, None, None)
    if view.hide:
        half = cover(drawn[0].grid, _half(part))
        whole = _enlarged(half, part)
        covers = whole, half, half
        # What is covered is shown as it is seen then, without heat.
        lumas, chromas = (
            [as_bytes(cv2.multiply(heat, 255 - covered, scale=1 / 255)) for heat in heats]
            for heats, covered in ((lumas, whole), (chromas, half))
        )
    return [
        (*coloured(heats, [table[index] for table in tables], keep), covers[index])
        for index, heats in enumerate((lumas, chromas, chromas))
    ]


def coloured(heats: Sequence[Bytes], tables: Sequence[Bytes], keep: Bytes) -> tuple[Bytes, Bytes]:
    """At each place the hottest of these heats, by its own table; and by the table `keep`."""
    most = heats[0]
    paint = as_bytes(cv2.LUT(most, tables[0]))
    for heat, table in zip(heats[1:], tables[1:], strict=True):
        cv2.copyTo(as_bytes(cv2.LUT(heat, table)), as_bytes(cv2.compare(heat, most, cv2.CMP_GT)), paint)
        most = as_bytes(cv2.max(heat, most))
    return paint, as_bytes(cv2.LUT(most, keep))


def heat_planes(drawn: Sequence[DrawnMap], part: Rectangle) -> tuple[list[Bytes], list[Bytes]]:
    """The heat 0…255 of each map, as large as the part and as half of it."""
    grids = [np.clip(np.rint(m.grid * np.float32(m.scale)), 0, 255).astype(np.uint8) for m in drawn]
    chromas = [as_bytes(cv2.resize(heat, _half(part), interpolation=cv2.INTER_CUBIC)) for heat in grids]
    return [_enlarged(chroma, part) for chroma in chromas], chromas


def _half(part: Rectangle) -> tuple[int, int]:
    return (part.width + 1) // 2, (part.height + 1) // 2


def _enlarged(half: Bytes, part: Rectangle) -> Bytes:
    return as_bytes(cv2.resize(half, (part.width, part.height), interpolation=cv2.INTER_LINEAR))


def colours(colormap: Colormap) -> Bytes:
    """RGB (256, 3) of the heat 0…255."""
    number = getattr(cv2, f"COLORMAP_{colormap.upper()}")
    bgr = as_bytes(cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], number))[:, 0]
    return np.ascontiguousarray(bgr[:, ::-1])


Shade: TypeAlias = Colormap | int
"""How one map is coloured: by a colormap, or in shades of one of `HELD`."""


def shades(colormap: Colormap, count: int) -> list[Shade]:
    """Of each of so many maps that are drawn at once: one has the colormap, of several each has a colour of its own."""
    return [colormap] if count == 1 else list(range(count))


def colours_of(shade: Shade) -> Bytes:
    """RGB (256, 3) of the heat 0…255; the hottest shade is the colour itself."""
    if isinstance(shade, str):
        return colours(shade)
    full = np.array([int(HELD[shade][at : at + 2], 16) for at in (1, 3, 5)])
    return np.asarray(np.rint(np.linspace(DARKEST, 1, 256)[:, None] * full), np.uint8)


def _alpha(opacity: float) -> NDArray[np.float64]:
    """Over the heat 0…255. It grows with the heat, so that a place without evidence keeps its own colours."""
    heat = np.linspace(0, 1, 256)
    # Rises early: half of the evidence is already well seen.
    return np.asarray(opacity * heat * (2 - heat), np.float64)


@lru_cache(maxsize=32)
def _tables(shade: Shade, opacity: float, colour: Colour) -> list[Bytes]:
    """Tables over the heat 0…255: Y, U and V of its colour times alpha."""
    premultiplied: NDArray[np.float64] = colour.from_rgb(colours_of(shade)) * _alpha(opacity)[:, None]
    return [np.rint(premultiplied[:, i]).astype(np.uint8) for i in range(3)]


@lru_cache(maxsize=32)
def _keep(opacity: float) -> Bytes:
    """The table of 255 − alpha."""
    return np.asarray(np.rint(255 * (1 - _alpha(opacity))), np.uint8)


def caption(drawn: Sequence[DrawnMap], hidden: Hidden | None = None) -> str:
    """What a label says of the maps that are drawn: 'NN% name', and for one of which the evidence is covered 'NN% ->
    N% name'.
    """
    texts = [f"{100 * m.score:.0f}% {m.label}" for m in drawn]
    if hidden is not None and hidden.class_id == drawn[0].class_id:
        texts[0] = f"{100 * hidden.before:.0f}% -> {100 * hidden.after:.0f}% {hidden.label}"
    return "  ".join(texts)
