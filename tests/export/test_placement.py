"""The check of a map's place, with networks written in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from whycam.export.verify.placement import MAX_SHIFT, Probe
from whycam.export.verify.synthetic_images import scenes
from whycam.models.contract import WHOLE

Maps = NDArray[np.float64]
SIZE = 96


def pooled(images: NDArray[np.uint8], rows: int, columns: int) -> Maps:
    """The mean level of each cell, (N, 1, rows, columns)."""
    height, width = images.shape[1:3]
    cells = images.reshape(-1, rows, height // rows, columns, width // columns, 3)
    return np.asarray(cells.mean((2, 4, 5)))[:, None]


def shift(network: Callable[[NDArray[np.uint8]], Maps]) -> float:
    probe = Probe(scenes(2, SIZE, SIZE), WHOLE)
    return probe.shift(network(probe.images)).largest


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (3, 4), (6, 6), (12, 48), (2, 96)])
def test_a_map_in_its_place_is_not_shifted(rows: int, columns: int) -> None:
    assert shift(lambda images: pooled(images, rows, columns)) < 0.35


def test_a_map_that_answers_everywhere_is_placed_by_what_differs() -> None:
    """As deep networks with random weights: 95 % of a change are everywhere, and some cells answer more than others."""
    gains = np.random.default_rng(0).uniform(1, 4, (8, 8))

    def diffuse(images: NDArray[np.uint8]) -> Maps:
        maps = pooled(images, 8, 8)
        return np.asarray((maps + 0.3 * maps.sum((2, 3), keepdims=True)) * gains)

    assert shift(diffuse) < MAX_SHIFT


def test_two_cells_that_answer_at_random_say_nothing() -> None:
    def anywhere(images: NDArray[np.uint8]) -> Maps:
        mixed = np.random.default_rng(1).uniform(0.2, 1, (36, 4))
        return np.asarray((pooled(images, 6, 6).reshape(-1, 36) @ mixed).reshape(-1, 1, 2, 2))

    assert shift(anywhere) < MAX_SHIFT


@pytest.mark.parametrize("cells", [2, 3, 6, 12])
def test_a_mirrored_map_is_elsewhere_however_few_its_cells(cells: int) -> None:
    assert shift(lambda images: pooled(images, cells, cells)[..., ::-1]) == float("inf")


@pytest.mark.parametrize("cells", [6, 12, 48])
def test_a_map_that_is_moved_is_shifted(cells: int) -> None:
    """By a sixth of the image: one cell of 6, eight of 48, which count as 5 32nds."""
    moved = shift(lambda images: np.roll(pooled(images, cells, cells), cells // 6, 3))
    assert moved > MAX_SHIFT


def test_fine_cells_count_as_a_32nd() -> None:
    one = shift(lambda images: np.roll(pooled(images, 96, 96), 1, 3))
    assert one < MAX_SHIFT
    assert shift(lambda images: np.roll(pooled(images, 12, 12), 1, 3)) > MAX_SHIFT
