"""A study: ways to explain one network, measured on the same images beside two baselines."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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

BASELINES: Mapping[str, Way] = {"noise": random_heat, "the middle": central_heat}
"""By name. A way that is no better than they are explains nothing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to explain: its means over the images."""

    name: str
    is_baseline: bool
    values: Faithfulness
    errors: Mapping[str, float]
    """The standard error of each mean."""
    deletion: Curve
    insertion: Curve
    """The mean curves."""
    heats: Sequence[Heat]
    """One for each image."""


@dataclass(frozen=True, slots=True)
class Study:
    """All ways on all images."""

    model: str
    subjects: Sequence[Subject]
    labels: Sequence[str]
    """The class that is explained in each image."""
    probabilities: Sequence[float]
    """Its probability."""
    rows: Sequence[Row]

    def as_json(self) -> dict[str, Any]:
        """The figures, without maps."""
        images = zip(self.subjects, self.labels, self.probabilities, strict=True)
        return {
            "model": self.model,
            "images": [
                {"name": each.name, "class": each.class_id, "label": label, "probability": round(probability, 6)}
                for each, label, probability in images
            ],
            "rows": [
                {
                    "name": row.name,
                    "baseline": row.is_baseline,
                    "means": dataclasses.asdict(row.values),
                    "standard_errors": dict(row.errors),
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
    ways: Mapping[str, tuple[Way, Way | None]],
    *,
    after_each: Callable[[], None] = lambda: None,
) -> Study:
    """Measure each way on each image; the second of its pair explains the network with permuted weights."""
    all_ways: dict[str, tuple[Way, Way | None]] = {**ways, **{name: (way, None) for name, way in BASELINES.items()}}
    rows = []
    for name, (way, forgetful) in all_ways.items():
        measured = []
        for subject in subjects:
            measured.append(measure(network, subject, way, forgetful))
            after_each()
        rows.append(_row(name, name in BASELINES, measured))
    probabilities = [float(network.probabilities(each.image[None], each.class_id)[0]) for each in subjects]
    return Study(model, subjects, labels, probabilities, rows)


def _row(name: str, is_baseline: bool, measured: Sequence[Measured]) -> Row:
    values = [each.values for each in measured]
    errors = {}
    for field in (field.name for field in dataclasses.fields(Faithfulness)):
        known = [value for value in (getattr(each, field) for each in values) if value is not None]
        errors[field] = standard_error(known)
    return Row(
        name,
        is_baseline,
        mean(values),
        errors,
        _mean_curve([each.deletion for each in measured]),
        _mean_curve([each.insertion for each in measured]),
        [each.heat for each in measured],
    )


def _mean_curve(curves: Sequence[Curve]) -> Curve:
    return Curve(curves[0].shares, np.mean([each.probabilities for each in curves], axis=0))
