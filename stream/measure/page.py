"""A study as a self-contained HTML page; its template is `study.html.jinja`, its style that of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from whycam.stream.measure.network import Heat
from whycam.stream.measure.study import BASELINES, Row, Study
from whycam.stream.overlay.colormaps import colours
from whycam.stream.report.canvas import DARK, LIGHT, SERIES, Svg, Tone
from whycam.stream.report.page import declared, jpeg
from whycam.stream.video.planes import Bytes, as_bytes

EXAMPLES = 6
"""Images whose maps are shown."""
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM = 480, 300, 40, 24, 36


class Column(NamedTuple):
    """A measure as the table shows it."""

    field: str
    name: str
    is_better: str
    """'low', 'high' or 'near 0'."""
    meaning: str


COLUMNS = (
    Column("deletion", "Deletion", "low", "area below the probability while the hottest pixels go first"),
    Column("insertion", "Insertion", "high", "area while the hottest pixels of the blurred image become sharp first"),
    Column("road_hottest", "ROAD, hottest", "low", "probability without the hottest pixels, their neighbours in place"),
    Column("road_coldest", "ROAD, coldest", "high", "probability without the coldest pixels"),
    Column("drop", "Drop", "low", "share of the probability that is lost if only the hot places are shown"),
    Column("rises", "Rises", "high", "share of images whose probability rises by that"),
    Column("pointing", "Pointing", "high", "share of images whose hottest place lies on the object"),
    Column("sanity", "Sanity", "near 0", "rank correlation with the map of the network with permuted weights"),
)


def best_of(rows: Sequence[Row], column: Column) -> set[str]:
    """The names of the ways, baselines apart, that are best in a column to the digits that are shown."""
    known = {row.name: value for row in rows if not row.is_baseline and (value := _value(row, column)) is not None}
    if len(known) < 2:
        return set()
    worth: dict[str, Callable[[float], float]] = {"low": lambda v: -v, "high": lambda v: v, "near 0": lambda v: -abs(v)}
    most = max(round(worth[column.is_better](value), 3) for value in known.values())
    return {name for name, value in known.items() if round(worth[column.is_better](value), 3) == most}


def page(study: Study) -> str:
    """The page's HTML."""
    loader = ChoiceLoader([PackageLoader("whycam.stream.measure", ""), PackageLoader("whycam.stream.report", "")])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["jpeg"] = jpeg
    columns, cells = table_of(study)
    return environment.get_template("study.html.jinja").render(
        study=study,
        columns=columns,
        tones=dict(zip((row.name for row in study.rows), _tones(study.rows), strict=True)),
        cells=dict(cells),
        charts=[_chart(study, "deletion"), _chart(study, "insertion")],
        examples=list(_examples(study)),
        light=declared(LIGHT),
        dark=declared(DARK),
    )


def table_of(study: Study) -> tuple[list[Column], list[tuple[str, list[Cell]]]]:
    """The columns that were measured, and the figures of each way."""
    columns = [column for column in COLUMNS if any(_value(row, column) is not None for row in study.rows)]
    return columns, [(row.name, list(_cells(study.rows, row, columns))) for row in study.rows]


class Cell(NamedTuple):
    """A figure of the table."""

    text: str
    error: str
    is_best: bool


def _cells(rows: Sequence[Row], row: Row, shown: Sequence[Column]) -> Iterator[Cell]:
    for column in shown:
        value = _value(row, column)
        if value is None:
            yield Cell("–", "", is_best=False)
        else:
            error = row.errors[column.field]
            yield Cell(
                f"{value:.3f}".replace("-", "−"), f"±{error:.3f}" if error else "", row.name in best_of(rows, column)
            )


def _value(row: Row, column: Column) -> float | None:
    value: float | None = getattr(row.values, column.field)
    return value


def _tones(rows: Sequence[Row]) -> Iterator[Tone]:
    coloured = 0
    for row in rows:
        if row.is_baseline:
            yield "none" if row.name == next(iter(BASELINES)) else "muted"
        elif coloured >= len(SERIES):
            yield "ink"
        else:
            yield SERIES[coloured]
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
    for row, tone in reversed(list(zip(study.rows, _tones(study.rows), strict=True))):
        curve = getattr(row, field)
        points = [
            (_LEFT + float(share) * wide, 8 + (1 - float(probability)) * high)
            for share, probability in zip(curve.shares, curve.probabilities, strict=True)
        ]
        svg.line(points, tone, 1.5 if row.is_baseline else 2.5)
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
