"""Where a class's heat is in the image."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from whycam.stream.teaching.heat_place import SUSPICION, is_suspicious, place_of


def spot(row: int, column: int, size: int = 7) -> NDArray[np.float32]:
    heat = np.zeros((size, size), np.float32)
    heat[row, column] = 1
    return heat


@pytest.mark.parametrize("shape", [(7, 7), (14, 14), (8, 8), (5, 9), (1, 1)])
def test_even_heat_has_the_shares_of_the_areas(shape: tuple[int, int]) -> None:
    """A cell on an edge counts by its part, so the grid makes no difference."""
    place = place_of(np.full(shape, 0.3))
    assert place.border == pytest.approx(1 - 0.75**2)
    assert place.middle == pytest.approx(0.25)
    assert is_suspicious(place)


def test_an_object_in_the_middle_is_not_suspicious() -> None:
    place = place_of(spot(3, 3))
    assert place == pytest.approx((0, 1))
    assert not is_suspicious(place)


def test_heat_in_a_corner_is_suspicious() -> None:
    place = place_of(spot(0, 6))
    assert place.middle == 0
    assert place.border > 0.98
    assert is_suspicious(place)
    assert "background" in SUSPICION


def test_an_object_that_fills_the_image_is_not_suspicious() -> None:
    heat = np.zeros((14, 14))
    heat[2:12, 2:12] = 1
    heat[1:13, 1:13] += 0.2
    assert not is_suspicious(place_of(heat))


def test_a_hot_object_outweighs_a_little_heat_behind_it() -> None:
    heat = 0.1 * np.ones((14, 14))
    heat[5:9, 5:9] = 1
    assert not is_suspicious(place_of(heat))


def test_heat_all_around_an_object_is_suspicious() -> None:
    heat = np.ones((14, 14))
    heat[3:11, 3:11] = 0
    assert is_suspicious(place_of(heat))


def test_no_heat_is_nowhere() -> None:
    assert place_of(np.zeros((7, 7))) == (0, 0)
    assert not is_suspicious(place_of(np.zeros((7, 7))))


def test_heat_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="Heat is"):
        place_of(np.zeros((2, 7, 7)))
