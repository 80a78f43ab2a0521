"""The drawing of the book 'Practical Deep Learning for Cloud, Mobile, and Edge', chapter 2: jet, added to the image.

The steps of the book's program: resize the image to the network's size by nearest neighbour; colour the map's 256 steps
with matplotlib's jet; enlarge the coloured map; add 0.4 of it to the image; rescale the sum to 0…255, per frame. Unlike
the book, a map of zeros is not divided by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.preprocess import Fit
from whycam.stream.overlay.colormaps import Colormap, colours
from whycam.stream.overlay.heatmap import DrawnMap, caption, chosen, drawn_maps, is_difference
from whycam.stream.overlay.text import write_label
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes, layers, rgb_frame, rgb_of

Heat: TypeAlias = NDArray[np.float32] | NDArray[np.int64]
STRENGTH = 0.4
"""Weight of the heat's colours in the sum, in the book."""

# matplotlib's `jet` (BSD licence): breakpoints in 0…1 of R, G and B, and the values there.
_JET = (
    ((0.0, 0.35, 0.66, 0.89, 1.0), (0.0, 0.0, 1.0, 1.0, 0.5)),
    ((0.0, 0.125, 0.375, 0.64, 0.91, 1.0), (0.0, 0.0, 1.0, 1.0, 0.0, 0.0)),
    ((0.0, 0.11, 0.34, 0.65, 1.0), (0.5, 1.0, 1.0, 0.0, 0.0)),
)


class Book:
    """Draws in RGB, as the book does; see `stream.overlay.styles.Style`."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit

    def input_image(self, frame: av.VideoFrame) -> Bytes:
        """The network's input (H, W, 3), RGB, by nearest neighbour."""
        part = self._fit.rectangle(frame.width, frame.height)
        seen = rgb_of(frame)[part.y : part.y + part.height, part.x : part.x + part.width]
        rows, columns = self._fit.size
        return np.asarray(Image.fromarray(seen).resize((columns, rows), Image.Resampling.NEAREST))

    def maps(self, explanation: Explanation, index: int, labels: Sequence[str]) -> tuple[DrawnMap, ...]:
        """The maps of one image, truncated to integers like the book's `np.uint8`."""
        grids = (explanation.heatmaps[index] * 255).astype(np.uint8)  # (K, h, w)
        maps = drawn_maps(explanation, index, labels)
        return tuple(replace(each, grid=grid) for each, grid in zip(maps, grids, strict=True))

    def canvas(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame as rgb24."""
        canvas = rgb_frame(rgb_of(frame), frame.pts or 0)
        canvas.pts, canvas.time_base, canvas.duration = frame.pts, frame.time_base, frame.duration
        return canvas

    def paint(
        self, canvas: av.VideoFrame, maps: Sequence[DrawnMap], view: View, lines: Sequence[str] | None = None
    ) -> None:
        """Add the heat of the chosen maps, in place; there is no label unless `lines` are given."""
        if chosen(maps, view):
            (rgb,) = layers(canvas)
            heat = self._enlarged(canvas, maps, view).astype(np.float32)
            rgb[:] = _rescaled(heat * np.float32(view.opacity) + rgb)
        write_label(canvas, lines or ())

    def heat(
        self, canvas: av.VideoFrame, maps: Sequence[DrawnMap], view: View, lines: Sequence[str] | None = None
    ) -> None:
        """Replace the image by the heat."""
        drawn = chosen(maps, view)
        layers(canvas)[0][:] = self._enlarged(canvas, maps, view) if drawn else 0
        write_label(canvas, [caption(drawn)] if lines is None and drawn else lines or ())

    def colours(self, colormap: Colormap, count: int, *, halves: bool = False) -> Sequence[Bytes]:  # noqa: ARG002
        """A table RGB (256, 3) over the heat 0…255, which all maps share; jet is matplotlib's.

        The halves of a difference have a half of it each: from the middle to the hot end, and to the cold one.
        """
        table = np.rint(_table(colormap) * 255).astype(np.uint8)
        heat = np.arange(256)
        return [table[_of_difference(heat, 0)], table[_of_difference(0, heat)]] if halves else [table]

    def _enlarged(self, canvas: av.VideoFrame, maps: Sequence[DrawnMap], view: View) -> Bytes:
        """The heat's colours in the frame's size, black outside the part that the network sees."""
        drawn = chosen(maps, view)
        heats = [m.grid * np.float32(m.scale) for m in drawn]
        grid = _of_difference(*heats) if is_difference(drawn) else np.max(heats, axis=0).clip(0, 255).astype(np.uint8)
        part = self._fit.rectangle(canvas.width, canvas.height)
        small = _rescaled(_table(view.colormap)[grid])
        large = np.zeros((canvas.height, canvas.width, 3), np.uint8)
        enlarged = Image.fromarray(small).resize((part.width, part.height))
        large[part.y : part.y + part.height, part.x : part.x + part.width] = np.asarray(enlarged)
        return large


def _of_difference(first: Heat | int, second: Heat | int) -> Bytes:
    """Two heats 0…255 as one: 255 where the first is hottest, 0 where the second is, and between them 127."""
    return np.asarray(np.clip(127.5 + (np.subtract(first, second)) / 2, 0, 255), np.float32).astype(np.uint8)


def _rescaled(picture: NDArray[np.float32]) -> Bytes:
    """Scale lowest…highest to 0…255 and truncate, like Keras's `array_to_img`."""
    picture = picture - picture.min()
    peak = picture.max()
    if peak > 0:
        picture /= peak
    return np.asarray(picture * 255).astype(np.uint8)


def _table(colormap: Colormap) -> NDArray[np.float32]:
    """RGB (256, 3) in 0…1."""
    if colormap != "jet":
        return np.asarray(colours(colormap) / 255, np.float32)
    table = np.empty((256, 3), np.float32)
    for index, (at, strength) in enumerate(_JET):
        table[:, index] = np.interp(np.linspace(0, 1, 256), at, strength)
    return table
