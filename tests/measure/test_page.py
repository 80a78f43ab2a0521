"""The page of a study says what its figures say."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from whycam.stream.inference.preprocess import Rectangle
from whycam.stream.measure.curves import Curve
from whycam.stream.measure.faithfulness import Faithfulness, Measured, Subject
from whycam.stream.measure.page import page, table_of
from whycam.stream.measure.study import Study, row_of

IMAGES = 12
SHARES = np.linspace(0, 1, 33)


def measured(deletions: list[float]) -> list[Measured]:
    curve = Curve(SHARES, np.linspace(0.9, 0.1, 33))
    heat = np.zeros((8, 8), np.float32)
    return [Measured(Faithfulness(each, 0.5, 0.2, 0.8, 0.3, 0.0), curve, curve, heat) for each in deletions]


def study(*, images: int = IMAGES, **deletions: float) -> Study:
    """A study whose maps have about these deletions, `usual` by default drawn, beside noise."""
    random = np.random.default_rng(6)
    own = {name: list(random.normal(each, 0.01, images)) for name, each in deletions.items()}
    rows = [row_of(name, "7x7", measured(values), is_baseline=name == "noise") for name, values in own.items()]
    subjects = [
        Subject(f"{place}.png", np.zeros((8, 8, 3), np.uint8), 0, Rectangle(0, 0, 8, 8)) for place in range(images)
    ]
    return Study("a model", subjects, ["cup"] * images, [0.9] * images, rows, "usual")


def cells(html: str, heading: str, name: str) -> list[str]:
    """The cells of a row of the table in the section with this heading."""
    section = next(part for part in html.split("<section>") if f"<h2>{heading}" in part)
    row = next(part for part in section.split("<tr") if f"</span>{name}" in part)
    return re.findall(r"<td.*?</td>", row)


def test_better_and_worse_are_marked_for_eyes_and_ears() -> None:
    html = page(study(usual=0.3, finer=0.2, twin=0.3, noise=0.5))
    assert "Better than the default, usual, and worse by no measure: finer by deletion." in html
    compared = "Compared with the default, usual"
    for name, outcome, mark in (("finer", "better", "▲"), ("noise", "worse", "▼")):
        first, second = cells(html, compared, name)[:2]
        assert f'aria-label="{outcome}">{mark}</span>' in first
        assert 'class="open"' in second  # no difference in insertion
    assert "<small>12 of 12</small>" in cells(html, compared, "finer")[0]
    assert re.search(r">−0\.\d{3}<small>±0\.00\d</small>", cells(html, compared, "finer")[0])
    assert "mark" not in cells(html, compared, "twin")[0]


def test_a_dot_marks_the_best_and_those_that_cannot_be_told_from_it() -> None:
    html = page(study(usual=0.3, twin=0.3, worse=0.4, noise=0.5))
    marked = {
        name: 'class="best"' in cells(html, "The measures", name)[0] for name in ("usual", "twin", "worse", "noise")
    }
    assert marked == {"usual": True, "twin": True, "worse": False, "noise": False}


def test_eleven_curves_are_told_apart() -> None:
    names: dict[str, Any] = {f"map {place}": 0.3 for place in range(11)}
    html = page(study(noise=0.5, usual=0.3, **names))
    curves = re.findall(
        r'<polyline [^>]*stroke="var\(--(c\d)\)"[^>]*?( stroke-dasharray="[^"]*")?/>', html.split("</svg>")[0]
    )
    assert len(curves) == len(set(curves)) == 12
    assert html.count('class="dot ring"') > 4


@pytest.mark.parametrize(("value", "text"), [(-0.0001, "0.000"), (-0.25, "−0.250"), (0.25, "0.250")])
def test_a_zero_has_no_sign(value: float, text: str) -> None:
    one = Study("m", [], [], [], [row_of("usual", "", measured([value]), is_baseline=False)], "usual")
    assert table_of(one)[0][1][0].text == text
    assert table_of(one)[0][1][0].error == ""


def test_one_map_is_compared_with_the_baselines() -> None:
    html = page(study(usual=0.3, noise=0.5))
    assert '<p class="answer">usual is better than noise by deletion.</p>' in html
    assert 'class="best"' not in html
