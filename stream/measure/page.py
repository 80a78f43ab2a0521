"""A study as a self-contained HTML page; its template is `study.html.jinja`, its style that of the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from whycam.stream.measure.comparison import Comparison
from whycam.stream.measure.network import Heat
from whycam.stream.measure.study import BASELINES, Row, Study
from whycam.stream.overlay.colormaps import colours
from whycam.stream.report.canvas import DARK, LIGHT, SERIES, Svg, Tone
from whycam.stream.report.page import declared, jpeg
from whycam.stream.video.planes import Bytes, as_bytes

EXAMPLES = 6
"""Images whose maps are shown."""
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM = 480, 300, 40, 24, 36


def page(study: Study) -> str:
    """The page's HTML."""
    loader = ChoiceLoader([PackageLoader("whycam.stream.measure", ""), PackageLoader("whycam.stream.report", "")])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["jpeg"] = jpeg
    return environment.get_template("study.html.jinja").render(
        study=study,
        verdict=study.verdict,
        strokes=dict(zip((row.name for row in study.rows), _strokes(study.rows), strict=True)),
        cells={row.name: list(_cells(study, row)) for row in study.rows},
        differences={
            row.name: list(_differences(study, row)) for row in study.rows if row.name in study.verdict.compared
        },
        charts=[_chart(study, "deletion"), _chart(study, "insertion")],
        examples=list(_examples(study)),
        light=declared(LIGHT),
        dark=declared(DARK),
    )


class Cell(NamedTuple):
    """A figure of a table."""

    text: str
    error: str = ""
    is_best: bool = False
    """Or not to be told from the best."""
    compared: Comparison | None = None
    """With the reference; None for the reference itself, and without a figure."""


def table_of(study: Study) -> list[tuple[str, list[Cell]]]:
    """The name and the means of each way, a cell for each of the study's columns."""
    return [(row.name, list(_cells(study, row))) for row in study.rows]


def _cells(study: Study, row: Row) -> Iterator[Cell]:
    compared = study.verdict.compared.get(row.name, {})
    for column in study.columns:
        value: float | None = getattr(row.values, column.field)
        if value is None:
            yield Cell("–")
        else:
            is_best = row.name in study.verdict.best[column.field]
            error = f"±{row.errors[column.field]:.3f}" if len(row.each) > 1 else ""
            yield Cell(_figure(value), error, is_best, compared.get(column.field))


def _differences(study: Study, row: Row) -> Iterator[Cell]:
    """How a way differs from the reference, and in how many images it is better."""
    for column in study.columns:
        found = study.verdict.compared[row.name].get(column.field)
        if found is None:
            yield Cell("–")
        else:
            yield Cell(_figure(found.difference, "+"), f"±{found.standard_error:.3f}", compared=found)


def _figure(value: float, sign: str = "") -> str:
    """Three decimals; no sign of a zero."""
    return f"{round(value, 3) + 0.0:{sign if round(value, 3) else ''}.3f}".replace("-", "−")


class Stroke(NamedTuple):
    """How a way is drawn, as a curve and as the dot before its name."""

    tone: Tone
    is_dashed: bool = False
    """Or a ring: when all colours are used, they are used again like this."""


def _strokes(rows: Sequence[Row]) -> Iterator[Stroke]:
    coloured = 0
    for row in rows:
        if row.is_baseline:
            yield Stroke("none" if row.name == next(iter(BASELINES)) else "muted")
        else:
            yield Stroke(SERIES[coloured % len(SERIES)], coloured >= len(SERIES))
            coloured += 1


def _chart(study: Study, field: str) -> str:
    """The mean curves of all ways."""
    svg = Svg(_WIDTH, _HEIGHT)
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _BOTTOM - 8
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = 8 + (1 - share) * high
        svg.line([(_LEFT, y), (_LEFT + wide, y)], "grid", 1)
        svg.text(_LEFT - 6, y + 4, f"{share:g}", "muted", 12, "end")
        svg.text(_LEFT + share * wide, _HEIGHT - _BOTTOM + 20, f"{100 * share:.0f} %", "muted", 12, "middle")
    for row, stroke in reversed(list(zip(study.rows, _strokes(study.rows), strict=True))):
        curve = getattr(row, field)
        points = [
            (_LEFT + float(share) * wide, 8 + (1 - float(probability)) * high)
            for share, probability in zip(curve.shares, curve.probabilities, strict=True)
        ]
        svg.line(points, stroke.tone, 1.5 if row.is_baseline else 2.5, is_dashed=stroke.is_dashed)
    names = ", ".join(row.name for row in study.rows)
    return svg.markup(f"The {field} curves of {names}; the table has their areas", "curve")


class Example(NamedTuple):
    """An image and its maps."""

    name: str
    label: str
    probability: str
    image: Bytes
    maps: Sequence[tuple[str, Bytes]]
    """By way, drawn over the image."""


def _examples(study: Study) -> Iterator[Example]:
    for place, subject in enumerate(study.subjects[:EXAMPLES]):
        maps = [(row.name, _drawn(subject.image, row.heats[place])) for row in study.rows if not row.is_baseline]
        percent = f"{100 * study.probabilities[place]:.0f} %"
        yield Example(subject.name, study.labels[place], percent, subject.image, maps)


def _drawn(image: Bytes, heat: Heat) -> Bytes:
    """The heat over the grey image."""
    grey = cv2.cvtColor(as_bytes(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)), cv2.COLOR_GRAY2RGB)
    colour = colours("inferno")[np.rint(255 * np.clip(heat, 0, 1)).astype(np.uint8)]
    alpha = 0.75 * heat[..., None]
    return np.asarray(np.rint(grey * (1 - alpha) + colour * alpha), np.uint8)
