"""How often a learned classifier is right, on holdings that it has not seen."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from whycam.stream.teaching.accuracy import HeldOut, held_out

WIDTH = 12


def holding(centre: list[float], count: int, seed: int, noise: float = 0.05) -> NDArray[np.float32]:
    vector = np.zeros(WIDTH)
    vector[: len(centre)] = centre
    return (vector + noise * np.random.default_rng(seed).normal(0, 1, (count, WIDTH))).astype(np.float32)


def judged(parts: list[tuple[int, str, NDArray[np.float32]]], count: int) -> HeldOut | None:
    vectors = np.concatenate([part for _, _, part in parts])
    classes = np.concatenate([np.full(len(part), number) for number, _, part in parts])
    names = [name for _, name, part in parts for _ in part]
    return held_out(vectors, classes, names, count)


def test_classes_that_are_told_apart_are_all_right() -> None:
    found = judged([(c, f"{c}{h}", holding([5.0 * c], 10, 10 * c + h)) for c in (0, 1) for h in (0, 1, 2)], 2)
    assert found is not None
    assert found.share == 1
    assert found.tested == 60
    assert found.confusion.tolist() == [[30, 0], [0, 30]]
    assert found.wrong == ()


def test_a_whole_holding_is_left_out() -> None:
    """Two cups that have nothing in common: with single frames left out, their neighbours would make them right."""
    parts = [
        (0, "mug 1", holding([0, 0], 20, 1)),
        (0, "mug 2", holding([0, 0], 20, 2)),
        (1, "cup 1", holding([0, 3], 20, 3)),
        (1, "cup 2", holding([5, 0], 20, 4)),
    ]
    found = judged(parts, 2)
    assert found is not None
    assert found.confusion.tolist() == [[40, 0], [40, 0]]
    assert {mistake.example for mistake in found.wrong} == set(range(40, 80))
    frames = judged([(number, f"{name} {n}", part[n : n + 1]) for number, name, part in parts for n in range(20)], 2)
    assert frames is not None
    assert frames.share == 1


def test_the_surest_mistake_is_first_and_names_its_row() -> None:
    parts = [
        (0, "a", holding([0], 10, 1)),
        (0, "b", holding([0], 10, 2)),
        (1, "c", holding([5], 10, 3)),
        (1, "d", np.concatenate([holding([5], 9, 4), holding([0], 1, 5)])),
    ]
    found = judged(parts, 2)
    assert found is not None
    assert found.wrong[0].example == 39
    assert found.wrong[0].taken_for == 0
    assert 0.5 < found.wrong[0].probability <= 1
    values = [mistake.probability for mistake in found.wrong]
    assert values == sorted(values, reverse=True)
    assert found.share == 1 - len(found.wrong) / 40


def test_a_class_of_one_holding_is_learned_and_not_tested() -> None:
    parts = [
        (0, "a", holding([0], 10, 1)),
        (0, "b", holding([0], 10, 2)),
        (1, "c", holding([5], 10, 3)),
    ]
    found = judged(parts, 2)
    assert found is not None
    assert found.tested == 20
    assert found.confusion.tolist() == [[20, 0], [0, 0]]


def test_the_same_name_in_two_classes_is_two_holdings() -> None:
    parts = [(c, "film.mp4", holding([5.0 * c], 10, c)) for c in (0, 1)]
    assert judged(parts, 2) is None


def test_with_one_holding_a_class_nothing_is_said() -> None:
    assert judged([(c, f"{c}", holding([5.0 * c], 10, c)) for c in (0, 1, 2)], 3) is None


def test_each_of_many_photographs_is_tested_once() -> None:
    parts = [(c, f"{c}-{n}.jpg", holding([3.0 * c], 1, 100 * c + n)) for c in (0, 1) for n in range(9)]
    found = judged(parts, 2)
    assert found is not None
    assert found.tested == 18
    assert found.confusion.sum() == 18
    assert found.share == 1


def test_each_example_needs_a_holding() -> None:
    with pytest.raises(ValueError, match="has a holding"):
        held_out(np.ones((2, WIDTH), np.float32), np.array([0, 1]), ["a"], 2)
