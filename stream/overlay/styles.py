"""How heat is put onto a picture: `blend`, the way of the live stream, or `book`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Protocol, get_args

import av

from whycam.stream.inference.explainer import Explanation
from whycam.stream.inference.preprocess import Fit
from whycam.stream.overlay.book_style import STRENGTH, Book
from whycam.stream.overlay.colormaps import Colormap, colours_of, shades
from whycam.stream.overlay.heatmap import DrawnMap, caption, chosen, drawn_maps
from whycam.stream.overlay.painter import Painter, coloured, heat_planes
from whycam.stream.overlay.text import write_label
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes, Colour, blank, planes, yuv_frame

StyleName = Literal["blend", "book"]
STYLES: tuple[StyleName, ...] = get_args(StyleName)


class Style(Protocol):
    """Everything that differs between the ways to draw."""

    def picture(self, frame: av.VideoFrame) -> Bytes:
        """The network's RGB picture (H, W, 3) of a frame."""

    def maps(self, explanation: Explanation, index: int, labels: Sequence[str]) -> tuple[DrawnMap, ...]:
        """The maps of one picture of a batch, as they are drawn and stored."""

    def canvas(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame in the format that is drawn on; it may be the frame itself."""

    def paint(
        self, canvas: av.VideoFrame, maps: Sequence[DrawnMap], view: View, lines: Sequence[str] | None = None
    ) -> None:
        """Draw the chosen maps onto the canvas, in place, and `lines`, or the style's own label."""

    def heat(
        self, canvas: av.VideoFrame, maps: Sequence[DrawnMap], view: View, lines: Sequence[str] | None = None
    ) -> None:
        """Put the heat alone in the canvas's place."""

    def colours(self, colormap: Colormap, count: int) -> Sequence[Bytes]:
        """RGB (256, 3) of the heat 0…255, for so many maps that are drawn at once."""


class Blend:
    """Heat that covers the more, the hotter it is; drawn in the frame's own planes. See `Style`."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self.paint = Painter(fit).paint

    def picture(self, frame: av.VideoFrame) -> Bytes:
        """See `Style.picture`."""
        return self._fit.image(frame)

    def maps(self, explanation: Explanation, index: int, labels: Sequence[str]) -> tuple[DrawnMap, ...]:
        """See `Style.maps`."""
        return drawn_maps(explanation, index, labels)

    def canvas(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame itself; of a picture its planes."""
        return yuv_frame(frame) if frame.format.name == "rgb24" else frame

    def heat(
        self, canvas: av.VideoFrame, maps: Sequence[DrawnMap], view: View, lines: Sequence[str] | None = None
    ) -> None:
        """The heat's colours, and black beside the part that the network sees."""
        drawn = chosen(maps, view)
        canvas.make_writable()
        for layer, level in zip(planes(canvas), planes(blank(canvas, 2, 2)), strict=True):
            layer[:] = level[0, 0]
        if drawn:
            part = self._fit.rectangle(canvas.width, canvas.height)
            lumas, chromas = heat_planes(drawn, part)
            colour = Colour.of(canvas)
            tables = [colour.from_rgb(colours_of(s)).T.copy() for s in shades(view.colormap, len(drawn))]
            for index, (layer, heats) in enumerate(zip(planes(canvas), (lumas, chromas, chromas), strict=True)):
                rows, columns = heats[0].shape
                y, x = (part.y, part.x) if index == 0 else (part.y // 2, part.x // 2)
                paint, _ = coloured(heats, [table[index] for table in tables], tables[0][index])
                layer[y : y + rows, x : x + columns] = paint
        write_label(canvas, [caption(drawn)] if lines is None and drawn else lines or ())

    def colours(self, colormap: Colormap, count: int) -> Sequence[Bytes]:
        """See `Style.colours`."""
        return [colours_of(shade) for shade in shades(colormap, count)]


def make_style(name: StyleName, fit: Fit) -> Style:
    """The style of that name."""
    return Book(fit) if name == "book" else Blend(fit)


def usual_view(name: StyleName, pinned: tuple[int, ...], opacity: float | None, colormap: Colormap | None) -> View:
    """The view that a person asks for, with what the style usually has where they do not say."""
    usual = View(opacity=STRENGTH, colormap="jet") if name == "book" else View()
    strength = usual.opacity if opacity is None else opacity
    return replace(usual, pinned=pinned, opacity=strength, colormap=colormap or usual.colormap)
