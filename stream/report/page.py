"""The report as a self-contained HTML page; its template is `page.html.jinja`."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from io import BytesIO

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from whycam.stream.report.canvas import DARK, LIGHT, Svg, Tone
from whycam.stream.report.contents import Contents
from whycam.stream.report.time_chart import clock, draw_timechart
from whycam.stream.video.planes import Bytes

_SIZES = (("wide", 1040, 360), ("narrow", 400, 300))
"""Versions of the chart: CSS class, width and height in pixels."""


def page(contents: Contents) -> str:
    """The page's HTML."""
    environment = Environment(
        loader=PackageLoader("whycam.stream.report", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"clock": lambda seconds: clock(seconds, 0.1), "jpeg": jpeg}
    return environment.get_template("page.html.jinja").render(
        report=contents,
        charts=list(_charts(contents)),
        scale=contents.colours[::15].tolist(),
        light=declared(LIGHT),
        dark=declared(DARK),
    )


def _charts(contents: Contents) -> Iterator[str]:
    names = ", ".join(each.label for each in contents.findings.classes if each.class_id in contents.tones)
    for css_class, width, height in _SIZES:
        svg = Svg(width, height)
        draw_timechart(svg, contents.findings, width, height)
        yield svg.markup(f"Probabilities over time of {names}; the table below has their numbers", css_class)


def jpeg(rgb: Bytes) -> str:
    """An image (H, W, 3) as a data URL."""
    file = BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def declared(colours: Mapping[Tone, str]) -> str:
    """Colours as CSS variables."""
    return "\n".join(f"  --{tone}: {value};" for tone, value in colours.items())
