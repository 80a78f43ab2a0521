"""Differences between maps: image by image, and no more of them than chance allows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from whycam.stream.measure.comparison import LEVEL, compare
from whycam.stream.measure.faithfulness import Faithfulness
from whycam.stream.report.measures import COLUMNS, Column

BY_FIELD = {column.field: column for column in COLUMNS}
DELETION, INSERTION, SANITY, POINTING = (BY_FIELD[name] for name in ("deletion", "insertion", "sanity", "pointing"))
BLANK = Faithfulness(0.5, 0.5, 0.5, 0.5, 0.5, 0.0)


def having(column: Column, values: Sequence[float | None] | NDArray[np.float64]) -> list[Faithfulness]:
    """One image's measures for each value; all others are equal."""
    changes: list[dict[str, Any]] = [{column.field: value} for value in values]
    return [replace(BLANK, **change) for change in changes]


def chances_by_loops(gains: NDArray[np.float64]) -> list[float]:
    """Step-down maxima over all signs, from gains (images, comparisons), one comparison after the other."""
    found = [abs(sum(column)) / np.sqrt(sum(each * each for each in column)) for column in gains.T]
    order = sorted(range(len(found)), key=lambda place: -found[place])
    chances, least = [0.0] * len(found), 0.0
    for rank, place in enumerate(order):
        count, sets = 0, list(itertools.product((1, -1), repeat=len(gains)))
        for signs in sets:
            columns = [gains[:, other] for other in order[rank:]]
            most = max(abs(sum(signs * column)) / np.sqrt(sum(column * column)) for column in columns)
            count += most >= found[place] - 1e-9
        least = max(least, count / len(sets))
        chances[place] = least
    return chances


def test_chances_are_those_of_all_signs_of_all_comparisons_together() -> None:
    random = np.random.default_rng(5)
    gains = np.round(random.normal(0.1, 0.1, (7, 3)) * (1, 0.5, 3), 6)
    ways = {"first": having(INSERTION, [0.4] * 7)}
    ways |= {f"way {place}": having(INSERTION, 0.4 + gains[:, place]) for place in range(3)}
    found = compare(ways, "first", [INSERTION])
    chances = [found[f"way {place}"]["insertion"].chance for place in range(3)]
    assert chances == pytest.approx(chances_by_loops(gains))
    assert min(chances) < 0.1
    assert len({round(each, 4) for each in chances}) > 1


def test_without_true_differences_few_tables_have_any_that_counts() -> None:
    random = np.random.default_rng(1)
    tables, marked, by_two_errors = 300, 0, 0
    for _ in range(tables):
        ways = {f"way {place}": having(DELETION, random.normal(0.5, 0.1, 12)) for place in range(11)}
        found = [each["deletion"] for each in compare(ways, "way 0", [DELETION]).values()]
        marked += any(each.outcome != "open" for each in found)
        by_two_errors += any(abs(each.difference) > 2 * each.standard_error for each in found)
    assert 0 < marked < tables * (LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / tables))
    assert by_two_errors > 5 * marked  # a rule of thumb finds winners in a third of such tables


@pytest.mark.parametrize("images", [10, 40])
def test_a_small_difference_in_each_image_counts_where_images_differ_much(images: int) -> None:
    random = np.random.default_rng(2)
    base = random.uniform(0, 0.9, images)
    less = base - random.uniform(0.01, 0.03, images)
    for column, outcome in ((DELETION, "better"), (INSERTION, "worse")):
        ways = {"first": having(column, base), "second": having(column, less)}
        found = compare(ways, "first", [column])["second"][column.field]
        assert found.outcome == outcome
        assert found.difference == pytest.approx(float((less - base).mean()), abs=1e-6)
        assert found.standard_error == pytest.approx(float(np.std(less - base, ddof=1)) / images**0.5, abs=1e-6)
        assert found.standard_error < base.std() / images**0.5 / 5
        assert (found.better, found.worse) == ((images, 0) if outcome == "better" else (0, images))


def test_one_image_makes_no_winner() -> None:
    values = np.full(20, 0.5)
    values[3] = 0.0
    found = compare({"first": having(DELETION, [0.5] * 20), "second": having(DELETION, values)}, "first", [DELETION])
    assert found["second"]["deletion"].outcome == "open"
    assert (found["second"]["deletion"].better, found["second"]["deletion"].worse) == (1, 0)


@pytest.mark.parametrize(("images", "outcome"), [(1, "open"), (5, "open"), (6, "better")])
def test_few_images_tell_nothing_however_alike_they_are(images: int, outcome: str) -> None:
    ways = {"first": having(DELETION, [0.5] * images), "second": having(DELETION, [0.1] * images)}
    assert compare(ways, "first", [DELETION])["second"]["deletion"].outcome == outcome


def test_correlations_are_better_if_their_mean_is_nearer_to_0() -> None:
    random = np.random.default_rng(4)
    first, lower, wide = (random.normal(mean, spread, 20) for mean, spread in ((0.3, 0.02), (-0.6, 0.02), (0, 0.3)))
    ways = {name: having(SANITY, each) for name, each in (("first", first), ("lower", lower), ("wide", wide))}
    found = compare(ways, "first", [SANITY])
    assert (found["lower"]["sanity"].outcome, found["wide"]["sanity"].outcome) == ("worse", "better")
    assert found["lower"]["sanity"].difference == pytest.approx(abs(lower.mean()) - abs(first.mean()), abs=1e-5)


def test_images_without_a_value_are_left_out() -> None:
    ways = {
        "first": having(POINTING, [0.0, None] * 8),
        "second": having(POINTING, [1.0, None] * 8),
        "none": having(POINTING, [None] * 16),
    }
    found = compare(ways, "first", [POINTING, DELETION])
    assert (found["second"]["pointing"].images, found["second"]["pointing"].better) == (8, 8)
    assert found["second"]["pointing"].difference == 1
    assert list(found["none"]) == ["deletion"]
    assert found["none"]["deletion"].images == 16


def test_maps_that_are_equal_but_for_rounding_are_equal() -> None:
    ways = {"first": having(DELETION, [0.3] * 20), "second": having(DELETION, [0.3 + 1e-9] * 20)}
    found = compare(ways, "first", [DELETION])["second"]["deletion"]
    assert (found.outcome, found.better, found.worse, found.chance) == ("open", 0, 0, 1)
