"""How heat is drawn onto a frame: `blend`, as in the live stream, or `book`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Protocol, get_args

import av

from whycam.stream.inference.explanation import Explanation
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
    """Everything that differs between the drawing styles."""

    def input_image(self, frame: av.VideoFrame) -> Bytes:
        """The network's input (H, W, 3), RGB, for a frame."""

    def maps(self, explanation: Explanation, index: int, labels: Sequence[str]) -> tuple[DrawnMap, ...]:
        """The maps of one image of a batch, as they are drawn and stored."""

    def canvas(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame in the format of the style; it may be the frame itself."""

    def paint(
        self, canvas: av.VideoFrame, maps: Sequence[DrawnMap], view: View, lines: Sequence[str] | None = None
    ) -> None:
        """Draw the chosen maps onto the canvas, in place, with `lines` or the style's own label."""

    def heat(
        self, canvas: av.VideoFrame, maps: Sequence[DrawnMap], view: View, lines: Sequence[str] | None = None
    ) -> None:
        """Replace the canvas by the heat alone, in place."""

    def colours(self, colormap: Colormap, count: int, *, halves: bool = False) -> Sequence[Bytes]:
        """Tables RGB (256, 3) over the heat 0…255, for `count` maps drawn together; `halves`: those of a difference."""


class Blend:
    """Alpha blending that grows with the heat, in the frame's own planes. See `Style`."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self.paint = Painter(fit).paint

    def input_image(self, frame: av.VideoFrame) -> Bytes:
        """See `Style.input_image`."""
        return self._fit.image(frame)

    def maps(self, explanation: Explanation, index: int, labels: Sequence[str]) -> tuple[DrawnMap, ...]:
        """See `Style.maps`."""
        return drawn_maps(explanation, index, labels)

    def canvas(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame itself; an rgb24 frame is converted to planes."""
        return yuv_frame(frame) if frame.format.name == "rgb24" else frame

    def heat(
        self, canvas: av.VideoFrame, maps: Sequence[DrawnMap], view: View, lines: Sequence[str] | None = None
    ) -> None:
        """The heat's colours, black outside the part that the network sees."""
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
                (paint,), _ = coloured(heats, [[table[index]] for table in tables], tables[0][index])
                layer[y : y + rows, x : x + columns] = paint
        write_label(canvas, [caption(drawn)] if lines is None and drawn else lines or ())

    def colours(self, colormap: Colormap, count: int, *, halves: bool = False) -> Sequence[Bytes]:  # noqa: ARG002
        """See `Style.colours`."""
        return [colours_of(shade) for shade in shades(colormap, count)]


def make_style(name: StyleName, fit: Fit) -> Style:
    """The style of that name."""
    return Book(fit) if name == "book" else Blend(fit)


def usual_view(name: StyleName, pinned: tuple[int, ...], opacity: float | None, colormap: Colormap | None) -> View:
    """The view with the given options; those that are None have the style's default."""
    usual = View(opacity=STRENGTH, colormap="jet") if name == "book" else View()
    strength = usual.opacity if opacity is None else opacity
    return replace(usual, pinned=pinned, opacity=strength, colormap=colormap or usual.colormap)
