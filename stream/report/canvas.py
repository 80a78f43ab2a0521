"""A drawing surface with two backends, SVG for a page and pixels for an image, that draw the same strokes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Literal, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from whycam.stream.overlay.colormaps import CLASS_COLORS_ON_DARK, CLASS_COLORS_ON_LIGHT
from whycam.stream.video.planes import Bytes

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]
Tone = Literal["ink", "muted", "grid", "paper", "none", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"]
"""Roles of colours: text, secondary text, thin lines, background, no class, classes (`stream.overlay.colormaps`)."""
SERIES: tuple[Tone, ...] = ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8")
LIGHT: Mapping[Tone, str] = {
    "ink": "#1b1d22",
    "muted": "#636a76",
    "grid": "#dfe2e8",
    "paper": "#ffffff",
    "none": "#c9ced8",
    **dict(zip(SERIES, CLASS_COLORS_ON_LIGHT, strict=True)),
}
DARK: Mapping[Tone, str] = {
    "ink": "#eceef2",
    "muted": "#9aa3b2",
    "grid": "#2c323d",
    "paper": "#14171c",
    "none": "#4a5261",
    **dict(zip(SERIES, CLASS_COLORS_ON_DARK, strict=True)),
}


class Canvas(Protocol):
    """Takes strokes; x points right and y down, in pixels of a page."""

    def line(self, points: Sequence[Point], tone: Tone, width: float) -> None:
        """A polyline."""

    def area(self, points: Sequence[Point], tone: Tone, opacity: float) -> None:
        """A filled polygon."""

    def box(self, x: float, y: float, width: float, height: float, tone: Tone, title: str = "") -> None:
        """A filled rectangle; its title is a tooltip."""

    def text(self, x: float, y: float, text: str, tone: Tone, size: float, anchor: Anchor = "start") -> None:
        """A line of text with its baseline at y."""


class Svg:
    """Strokes as SVG, in the page's colours `var(--c1)` and so on. See `Canvas`."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._made: list[str] = []

    def line(self, points: Sequence[Point], tone: Tone, width: float, *, is_dashed: bool = False) -> None:
        """See `Canvas.line`."""
        dashes = f' stroke-dasharray="{3 * width:g} {2.4 * width:g}"' if is_dashed else ""
        self._made.append(
            f'<polyline points="{_points(points)}" fill="none" stroke="var(--{tone})" stroke-width="{width:g}" '
            f'stroke-linejoin="round" stroke-linecap="round"{dashes}/>'
        )

    def area(self, points: Sequence[Point], tone: Tone, opacity: float) -> None:
        """See `Canvas.area`."""
        self._made.append(f'<polygon points="{_points(points)}" fill="var(--{tone})" fill-opacity="{opacity:g}"/>')

    def box(self, x: float, y: float, width: float, height: float, tone: Tone, title: str = "") -> None:
        """See `Canvas.box`."""
        tooltip = f"<title>{escape(title)}</title>" if title else ""
        place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        self._made.append(f'<rect {place} fill="var(--{tone})">{tooltip}</rect>')

    def text(self, x: float, y: float, text: str, tone: Tone, size: float, anchor: Anchor = "start") -> None:
        """See `Canvas.text`."""
        place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}"'
        self._made.append(f'<text {place} fill="var(--{tone})">{escape(text)}</text>')

    def markup(self, name: str, css_class: str) -> str:
        """The element; `name` is its label for screen readers."""
        width, height = self._size
        return (
            f'<svg class="{css_class}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}">'
            + "".join(self._made)
            + "</svg>"
        )


class Raster:
    """Strokes as pixels, in light colours, drawn at twice the size and reduced, for smooth edges. See `Canvas`."""

    _FINER = 2

    def __init__(self, width: int, height: int, pixels: float = 1.0) -> None:
        """`pixels` is the number of image pixels per unit."""
        self._unit = pixels * self._FINER
        self._image = Image.new("RGB", self._sized(width, height), LIGHT["paper"])
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def _sized(self, width: float, height: float) -> tuple[int, int]:
        return round(width * self._unit), round(height * self._unit)

    def _scaled(self, points: Sequence[Point]) -> list[tuple[float, float]]:
        return [(x * self._unit, y * self._unit) for x, y in points]

    def line(self, points: Sequence[Point], tone: Tone, width: float) -> None:
        """See `Canvas.line`."""
        self._draw.line(self._scaled(points), LIGHT[tone], max(1, round(width * self._unit)), joint="curve")

    def area(self, points: Sequence[Point], tone: Tone, opacity: float) -> None:
        """See `Canvas.area`."""
        self._draw.polygon(self._scaled(points), f"{LIGHT[tone]}{round(255 * opacity):02x}")

    def box(self, x: float, y: float, width: float, height: float, tone: Tone, title: str = "") -> None:  # noqa: ARG002
        """See `Canvas.box`."""
        self._draw.rectangle(self._scaled([(x, y), (x + width, y + height)]), LIGHT[tone])

    def text(self, x: float, y: float, text: str, tone: Tone, size: float, anchor: Anchor = "start") -> None:
        """See `Canvas.text`."""
        font = ImageFont.load_default(size * self._unit)
        text = text.replace("\N{NO-BREAK SPACE}", " ")  # this font draws it as a box
        where = {"start": "ls", "middle": "ms", "end": "rs"}[anchor]
        self._draw.text((x * self._unit, y * self._unit), text, LIGHT[tone], font, where)

    def image(self, x: float, y: float, width: float, height: float, rgb: Bytes) -> None:
        """Put an image (H, W, 3) into a rectangle."""
        sized = Image.fromarray(rgb).resize(self._sized(width, height), Image.Resampling.LANCZOS)
        self._image.paste(sized, self._sized(x, y))

    @property
    def pixels(self) -> Bytes:
        """The drawing, RGB (H, W, 3)."""
        width, height = self._image.size
        smaller = self._image.resize((width // self._FINER, height // self._FINER), Image.Resampling.BOX)
        return np.asarray(smaller)


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
