"""Draws a heatmap and its label onto a video frame, in the frame's own YUV planes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from whycam.stream.inference.preprocess import Fit, Rectangle
from whycam.stream.overlay.colormaps import Shade, colours_of, shades
from whycam.stream.overlay.heatmap import DrawnMap, OcclusionResult, caption, chosen
from whycam.stream.overlay.occlusion import mask_of, occlude
from whycam.stream.overlay.text import write_label
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes, Colour, as_bytes, planes


class Layer(NamedTuple):
    """What is drawn onto Y, U or V."""

    y: int
    x: int
    """Its place within the map's part, in pixels of this plane."""
    paint: Bytes
    """The heat's colour times alpha."""
    keep: Bytes
    """255 − alpha."""
    covered: Bytes | None
    """The mask of the covered region."""


class Painter:
    """Draws onto frames of one stream; caches the last map's layers, because a map is often drawn again."""

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
        hidden: OcclusionResult | None = None,
    ) -> None:
        """Draw the chosen ones of `maps` and the label onto a yuv420p frame, in place; `lines` replace the label.

        `hidden` is the occlusion result that the label shows.
        """
        drawn = chosen(maps, view)
        if not drawn:
            return
        frame.make_writable()  # the decoder may still predict from this frame
        colour = Colour.of(frame)
        part = self._fit.rectangle(frame.width, frame.height)
        for plane, layer, step in zip(planes(frame), self._layers(drawn, part, colour, view), (1, 2, 2), strict=True):
            rows, columns = layer.paint.shape
            y, x = part.y // step + layer.y, part.x // step + layer.x
            target = plane[y : y + rows, x : x + columns]
            if layer.covered is not None:
                occlude(target, layer.covered)
            # plane * (1 - alpha) + colour * alpha, where colour * alpha is precomputed.
            cv2.multiply(target, layer.keep, dst=target, scale=1 / 255)
            cv2.add(target, layer.paint, dst=target)
        write_label(frame, [caption(drawn, hidden)] if lines is None else lines)

    def write(self, frame: av.VideoFrame, text: str) -> None:
        """Write a sentence onto a yuv420p frame, in place, at the label's position."""
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
    chromas = _chroma_heats(drawn, part)
    x, y, size = 0, 0, (part.width, part.height)
    covers: tuple[Bytes | None, Bytes | None] = (None, None)
    if not view.occlude:
        x, y, chromas, size = _warm(chromas, part)
    lumas = [_enlarged(chroma, size) for chroma in chromas]
    if view.occlude:
        half = mask_of(drawn[0].grid, _half(part))
        whole = _enlarged(half, size)
        covers = whole, half
        # The covered region is shown as the network sees it, without heat.
        lumas, chromas = (
            [as_bytes(cv2.multiply(heat, 255 - covered, scale=1 / 255)) for heat in heats]
            for heats, covered in ((lumas, whole), (chromas, half))
        )
    (luma,), luma_keep = coloured(lumas, [table[:1] for table in tables], keep)
    blue_red, chroma_keep = coloured(chromas, [table[1:] for table in tables], keep)
    return [
        Layer(2 * y, 2 * x, luma, luma_keep, covers[0]),
        *(Layer(y, x, paint, chroma_keep, covers[1]) for paint in blue_red),
    ]


def coloured(heats: Sequence[Bytes], tables: Sequence[Sequence[Bytes]], keep: Bytes) -> tuple[tuple[Bytes, ...], Bytes]:
    """At each pixel the hottest of these heats, mapped by each of its own tables, and mapped by the table `keep`."""
    hottest = heats[0]
    paints = tuple(as_bytes(cv2.LUT(hottest, table)) for table in tables[0])
    for heat, others in zip(heats[1:], tables[1:], strict=True):
        hotter = as_bytes(cv2.compare(heat, hottest, cv2.CMP_GT))
        for paint, table in zip(paints, others, strict=True):
            cv2.copyTo(as_bytes(cv2.LUT(heat, table)), hotter, paint)
        hottest = as_bytes(cv2.max(heat, hottest))
    return paints, as_bytes(cv2.LUT(hottest, keep))


def heat_planes(drawn: Sequence[DrawnMap], part: Rectangle) -> tuple[list[Bytes], list[Bytes]]:
    """The heat 0…255 of each map, in the part's size and in half of it, for luma and chroma."""
    chromas = _chroma_heats(drawn, part)
    return [_enlarged(chroma, (part.width, part.height)) for chroma in chromas], chromas


def _chroma_heats(drawn: Sequence[DrawnMap], part: Rectangle) -> list[Bytes]:
    grids = [np.clip(np.rint(m.grid * np.float32(m.scale)), 0, 255).astype(np.uint8) for m in drawn]
    return [as_bytes(cv2.resize(heat, _half(part), interpolation=cv2.INTER_CUBIC)) for heat in grids]


def _warm(chromas: list[Bytes], part: Rectangle) -> tuple[int, int, list[Bytes], tuple[int, int]]:
    """The rectangle outside which all heat is 0, so that nothing is drawn there: x, y, its heats and its size in luma.

    A margin of one cold pixel is kept, so that the heats are enlarged to the same values as the whole would be.
    """
    whole = (part.width, part.height)
    if part.width % 2 or part.height % 2:  # then the whole is not enlarged by exactly 2
        return 0, 0, chromas, whole
    hottest = chromas[0] if len(chromas) == 1 else np.maximum.reduce(chromas)
    x, y, width, height = cv2.boundingRect(hottest)
    top, left = max(0, y - 1), max(0, x - 1)
    warm = [np.ascontiguousarray(heat[top : y + height + 1, left : x + width + 1]) for heat in chromas]
    rows, columns = warm[0].shape
    return left, top, warm, (2 * columns, 2 * rows)


def _half(part: Rectangle) -> tuple[int, int]:
    return (part.width + 1) // 2, (part.height + 1) // 2


def _enlarged(half: Bytes, size: tuple[int, int]) -> Bytes:
    return as_bytes(cv2.resize(half, size, interpolation=cv2.INTER_LINEAR))


def _alpha(opacity: float) -> NDArray[np.float64]:
    """Alpha over the heat 0…255. It grows with the heat, so that a place without evidence keeps its colours."""
    heat = np.linspace(0, 1, 256)
    # It rises early, so that half of the evidence is clearly visible.
    return np.asarray(opacity * heat * (2 - heat), np.float64)


@lru_cache(maxsize=32)
def _tables(shade: Shade, opacity: float, colour: Colour) -> list[Bytes]:
    """Tables over the heat 0…255: Y, U and V of the colour, times alpha."""
    premultiplied: NDArray[np.float64] = colour.from_rgb(colours_of(shade)) * _alpha(opacity)[:, None]
    return [np.rint(premultiplied[:, i]).astype(np.uint8) for i in range(3)]


@lru_cache(maxsize=32)
def _keep(opacity: float) -> Bytes:
    """The table of 255 − alpha."""
    return np.asarray(np.rint(255 * (1 - _alpha(opacity))), np.uint8)
