"""Where in the image a class's heat is: a taught class with its heat along the border may be its background."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BORDER = 1 / 8
"""Width of the border on each side, in parts of the image: what is shown is held before the camera and reaches the
middle; along the border is what is behind it."""
MIDDLE = 1 / 2
"""Width and height of the middle, in parts of the image."""
EVEN_BORDER = 1 - (1 - 2 * BORDER) ** 2
"""The border's share of heat that is the same everywhere: 0.44."""
EVEN_MIDDLE = MIDDLE**2
"""The middle's: 0.25."""
SUSPICION = "It may have learned the background: move the object and try again."


class Place(NamedTuple):
    """Shares of the heat, 0…1; both 0 where there is none."""

    border: float
    middle: float


def place_of(heat: NDArray[Any]) -> Place:
    """The place of heat (h, w), 0 or more; a cell on an edge counts by its part. Raises `ValueError`."""
    if heat.ndim != 2 or not heat.size:
        raise ValueError(f"Heat is (h, w), this is {heat.shape}.")
    whole = float(heat.sum(dtype=np.float64))
    if whole <= 0:
        return Place(0.0, 0.0)
    inner = _within(heat, BORDER, 1 - BORDER)
    middle = _within(heat, (1 - MIDDLE) / 2, (1 + MIDDLE) / 2)
    return Place(1 - inner / whole, middle / whole)


def is_suspicious(place: Place) -> bool:
    """Whether the class may be its background: more of its heat is along the border than in the middle.

    So it is of heat that is the same everywhere. Of an object in the middle a tenth is along the border, of one that
    fills the image a quarter.
    """
    return place.border > place.middle


def _within(heat: NDArray[Any], low: float, high: float) -> float:
    """The heat between two edges of the image, in both directions."""
    rows, columns = (_parts(length, low, high) for length in heat.shape)
    return float(rows @ heat.astype(np.float64) @ columns)


def _parts(cells: int, low: float, high: float) -> NDArray[np.float64]:
    """How much of each of some equal cells of 0…1 is between two edges, 0…1."""
    edges = np.arange(cells + 1) / cells
    return np.asarray(np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None) * cells)
