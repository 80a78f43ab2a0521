"""What was learned as a self-contained HTML page; its template is `taught.html.jinja`, its style that of the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from whycam.stream.inference.explainer import Explainer
from whycam.stream.overlay.colormaps import colours
from whycam.stream.report.canvas import DARK, LIGHT
from whycam.stream.report.page import declared, jpeg
from whycam.stream.teaching.heat_place import SUSPICION, is_suspicious
from whycam.stream.teaching.training import Trained
from whycam.stream.teaching.verdict import basis, confusions, percent, typical_mistakes
from whycam.stream.video.planes import Bytes, as_bytes

MISTAKES = 12
"""Wrong pictures that are shown."""
PAIRS = 6
"""Confused pairs that are listed."""
MEAN_SIZE = 224
"""Height and width of a mean heatmap, in pixels."""


class ClassRow(NamedTuple):
    """A class."""

    label: str
    pictures: int
    tested: int
    right: str
    """Of the tested examples; empty if there are none."""
    border: str
    middle: str
    warning: str
    heat: Bytes
    """The mean of its heatmaps in colours."""
    example: Bytes
    """The heat of the class in one of its examples, drawn over it."""


class WrongPicture(NamedTuple):
    """An example that was taken for another class, with the heat of that class, and of its own."""

    name: str
    label: str
    taken_for: str
    probability: str
    drawn: tuple[Bytes, Bytes]


def page(trained: Trained, explainer: Explainer, name: str) -> str:
    """The page's HTML. The explainer is the one that was taught."""
    loader = ChoiceLoader([PackageLoader("whycam.stream.teaching", ""), PackageLoader("whycam.stream.report", "")])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["jpeg"] = jpeg
    return environment.get_template("taught.html.jinja").render(
        name=name,
        model=explainer.contract.name,
        labels=trained.dataset.labels,
        basis=basis(trained),
        rows=list(_rows(trained, explainer)),
        confusion=None if trained.held is None else trained.held.confusion.tolist(),
        pairs=confusions(trained)[:PAIRS],
        wrong=list(_wrong(trained, explainer)),
        mistakes=0 if trained.held is None else len(trained.held.wrong),
        unread=trained.dataset.unread,
        light=declared(LIGHT),
        dark=declared(DARK),
    )


def _rows(trained: Trained, explainer: Explainer) -> Iterator[ClassRow]:
    for class_id, label in enumerate(trained.dataset.labels):
        look, own = trained.looks[class_id], np.flatnonzero(trained.dataset.classes == class_id)
        row = None if trained.held is None else trained.held.confusion[class_id]
        tested = 0 if row is None else int(row.sum())
        image = trained.dataset.images[int(own[len(own) // 2])]
        yield ClassRow(
            label,
            len(own),
            tested,
            percent(row[class_id] / tested) if row is not None and tested else "",
            percent(look.place.border),
            percent(look.place.middle),
            SUSPICION if is_suspicious(look.place) else "",
            _coloured(look.heat / max(float(look.heat.max()), 1e-9)),
            _explained(trained, explainer, image, class_id),
        )


def _wrong(trained: Trained, explainer: Explainer) -> Iterator[WrongPicture]:
    dataset = trained.dataset
    for mistake in typical_mistakes(trained, MISTAKES):
        image, own = dataset.images[mistake.example], int(dataset.classes[mistake.example])
        drawn = (
            _explained(trained, explainer, image, mistake.taken_for),
            _explained(trained, explainer, image, own),
        )
        yield WrongPicture(
            dataset.names[mistake.example],
            dataset.labels[own],
            dataset.labels[mistake.taken_for],
            percent(mistake.probability),
            drawn,
        )


def _explained(trained: Trained, explainer: Explainer, image: Bytes, class_id: int) -> Bytes:
    """The heat of a class over the grey image."""
    heat = explainer.explain(image[None], (class_id,), trained.class_set).heatmaps[0, 0]
    height, width = image.shape[:2]
    large = np.clip(cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    grey = cv2.cvtColor(as_bytes(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)), cv2.COLOR_GRAY2RGB)
    alpha = 0.75 * large[..., None]
    return np.asarray(np.rint(grey * (1 - alpha) + _table(large) * alpha), np.uint8)


def _coloured(heat: NDArray[np.float32]) -> Bytes:
    """Heat (h, w), 0…1, in colours."""
    return _table(np.clip(cv2.resize(heat, (MEAN_SIZE, MEAN_SIZE), interpolation=cv2.INTER_LINEAR), 0, 1))


def _table(heat: NDArray[np.generic]) -> Bytes:
    return colours("inferno")[np.rint(255 * np.asarray(heat, np.float32)).astype(np.uint8)]
