"""Layouts of a result: the frame with heat, plain and with heat side by side, the heat alone, or four classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, get_args

import av
import cv2

from whycam.stream.overlay.heatmap import DrawnMap, chosen
from whycam.stream.overlay.styles import Style
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import blank, copied, layers

LayoutName = Literal["overlay", "side-by-side", "heatmap", "grid"]
LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)

Captions = Callable[[Sequence[DrawnMap], View], Sequence[str] | None]
"""The lines of a label; None: the style's own."""


def lay_out(
    name: LayoutName, frame: av.VideoFrame, maps: Sequence[DrawnMap], view: View, style: Style, captions: Captions
) -> av.VideoFrame:
    """The result for a frame, which may be the frame itself, painted."""
    canvas = style.canvas(frame)
    if name == "grid":
        return _grid(canvas, maps, view, style, captions)
    plain = copied(canvas) if name == "side-by-side" else None
    draw = style.heat if name == "heatmap" else style.paint
    draw(canvas, maps, view, captions(maps, view))
    return canvas if plain is None else _joined(plain, canvas)


def _joined(left: av.VideoFrame, right: av.VideoFrame) -> av.VideoFrame:
    whole = blank(left, 2 * left.width, left.height)
    for to, one, other in zip(layers(whole), layers(left), layers(right), strict=True):
        columns = one.shape[1]
        to[:, :columns], to[:, columns:] = one, other
    return whole


def _grid(
    canvas: av.VideoFrame, maps: Sequence[DrawnMap], view: View, style: Style, captions: Captions
) -> av.VideoFrame:
    """Two by two tiles of half the frame's width and height: the pinned classes, then the best ones."""
    first = [m for m in chosen(maps, view) if m.class_id in view.pinned]
    four = [*first, *(m for m in maps if m not in first)][:4]
    width, height = max(2, canvas.width // 2 & ~1), max(2, canvas.height // 2 & ~1)
    small = blank(canvas, width, height)
    for to, layer in zip(layers(small), layers(canvas), strict=True):
        to[:] = cv2.resize(layer, (to.shape[1], to.shape[0]), interpolation=cv2.INTER_AREA)
    whole = blank(canvas, 2 * width, 2 * height)
    alone = replace(view, pinned=())
    for number, each in enumerate(four):
        tile = copied(small)
        style.paint(tile, [each], alone, captions([each], alone))
        for to, layer in zip(layers(whole), layers(tile), strict=True):
            rows, columns = layer.shape[:2]
            y, x = number // 2 * rows, number % 2 * columns
            to[y : y + rows, x : x + columns] = layer
    return whole
