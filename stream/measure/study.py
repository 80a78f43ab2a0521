"""A study: ways to explain one network, measured on the same images beside two baselines, and which one is the best."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from whycam.stream.measure.curves import Curve
from whycam.stream.measure.faithfulness import (
    Faithfulness,
    Measured,
    Subject,
    Way,
    central_heat,
    mean,
    measure,
    random_heat,
    standard_error,
)
from whycam.stream.measure.network import Heat, Network
from whycam.stream.measure.verdict import Verdict, judge
from whycam.stream.report.measures import COLUMNS, Column

BASELINES: Mapping[str, Way] = {"noise": random_heat, "the middle": central_heat}
"""By name. A way that is no better than they are explains nothing."""


class Contender(NamedTuple):
    """A way to explain that is measured."""

    explain: Way
    forgetful: Way | None = None
    """The same way for the network with permuted weights; None: there is no sanity check."""
    grid: str = ""
    """The rows and columns of its maps, such as 7x7."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to explain: its means over the images."""

    name: str
    grid: str
    is_baseline: bool
    each: Sequence[Faithfulness]
    """Of each image."""
    values: Faithfulness
    """The means."""
    errors: Mapping[str, float]
    """The standard error of each mean."""
    deletion: Curve
    insertion: Curve
    """The mean curves."""
    heats: Sequence[Heat]
    """One for each image."""


@dataclass(frozen=True)
class Study:
    """All ways on all images."""

    model: str
    subjects: Sequence[Subject]
    labels: Sequence[str]
    """The class that is explained in each image."""
    probabilities: Sequence[float]
    """Its probability."""
    rows: Sequence[Row]
    default: str
    """The name of the way that the model's map is drawn by if no other is chosen."""

    @cached_property
    def columns(self) -> Sequence[Column]:
        """The measures that there are."""
        return [each for each in COLUMNS if any(getattr(row.values, each.field) is not None for row in self.rows)]

    @cached_property
    def verdict(self) -> Verdict:
        """Which way is the best."""
        maps = {row.name: row.each for row in self.rows if not row.is_baseline}
        baselines = {row.name: row.each for row in self.rows if row.is_baseline}
        return judge(maps, baselines, self.columns, self.default)

    def as_json(self) -> dict[str, Any]:
        """The figures, without maps."""
        images = zip(self.subjects, self.labels, self.probabilities, strict=True)
        return {
            "model": self.model,
            "verdict": self.verdict.as_json(),
            "images": [
                {"name": each.name, "class": each.class_id, "label": label, "probability": round(probability, 6)}
                for each, label, probability in images
            ],
            "rows": [
                {
                    "name": row.name,
                    "grid": row.grid,
                    "baseline": row.is_baseline,
                    "means": dataclasses.asdict(row.values),
                    "standard_errors": dict(row.errors),
                    "compared": self.verdict.compared_json(row.name),
                    "each_image": [_rounded(dataclasses.asdict(each)) for each in row.each],
                    "deletion": row.deletion.probabilities.round(6).tolist(),
                    "insertion": row.insertion.probabilities.round(6).tolist(),
                }
                for row in self.rows
            ],
        }


def study(
    model: str,
    network: Network,
    subjects: Sequence[Subject],
    labels: Sequence[str],
    contenders: Mapping[str, Contender],
    default: str,
    *,
    after_each: Callable[[], None] = lambda: None,
) -> Study:
    """Measure each contender, by name, and the baselines on each image; the others are compared with the default."""
    everyone = {**contenders, **{name: Contender(way) for name, way in BASELINES.items()}}
    rows = []
    for name, contender in everyone.items():
        measured = []
        for subject in subjects:
            measured.append(measure(network, subject, contender.explain, contender.forgetful))
            after_each()
        rows.append(row_of(name, contender.grid, measured, is_baseline=name in BASELINES))
    probabilities = [float(network.probabilities(each.image[None], each.class_id)[0]) for each in subjects]
    return Study(model, subjects, labels, probabilities, rows, default)


def row_of(name: str, grid: str, measured: Sequence[Measured], *, is_baseline: bool) -> Row:
    """The row of what was measured in each image."""
    values = [each.values for each in measured]
    errors = {}
    for field in (field.name for field in dataclasses.fields(Faithfulness)):
        known = [value for value in (getattr(each, field) for each in values) if value is not None]
        errors[field] = standard_error(known)
    return Row(
        name,
        grid,
        is_baseline,
        values,
        mean(values),
        errors,
        _mean_curve([each.deletion for each in measured]),
        _mean_curve([each.insertion for each in measured]),
        [each.heat for each in measured],
    )


def _mean_curve(curves: Sequence[Curve]) -> Curve:
    return Curve(curves[0].shares, np.mean([each.probabilities for each in curves], axis=0))


def _rounded(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 6) for name, value in values.items()}
