"""Places heatmaps that cover a part of the network's input: from here on every heatmap covers the whole input."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from whycam.models.contract import WHOLE, Contract, Region

FINER = 4
"""Cells of the placed grid for one of the map, if the region's edges are not between cells of a grid of that size."""


def placed_size(contract: Contract) -> tuple[int, int]:
    """Rows and columns of the heatmaps once they cover the whole input."""
    drawn = contract.drawn_map()
    region, (rows, columns) = drawn.region, drawn.grid
    return len(_weights(rows, region[1], region[3])), len(_weights(columns, region[0], region[2]))


def place(heatmaps: NDArray[np.float32], region: Region) -> NDArray[np.float32]:
    """Heatmaps (N, K, h, w) of a region as (N, K, H, W) of the whole input; 0 where the network sees nothing.

    Between the cells of a map values are interpolated linearly, unless the grids fit.
    """
    if region == WHOLE:
        return heatmaps
    left, top, right, bottom = region
    vertical = _weights(heatmaps.shape[2], top, bottom)  # (H, h)
    horizontal = _weights(heatmaps.shape[3], left, right)  # (W, w)
    return np.asarray(vertical @ heatmaps @ horizontal.T, np.float32)


@lru_cache(maxsize=16)
def _weights(cells: int, begin: float, end: float) -> NDArray[np.float32]:
    """(placed cells, cells): what each cell of the map contributes to each cell of the input along one axis."""
    count = max(1, round(cells / (end - begin)))
    if not (np.isclose(begin * count, round(begin * count)) and np.isclose(cells / (end - begin), count)):
        count *= FINER
    middles = (np.arange(count) + 0.5) / count
    at = (middles - begin) / (end - begin) * cells - 0.5  # in cells of the map
    inside = (middles > begin) & (middles < end)
    nearest = np.clip(at, 0, cells - 1)
    low = np.floor(nearest).astype(int)
    high = np.minimum(low + 1, cells - 1)
    weights = np.zeros((count, cells), np.float32)
    rows = np.arange(count)
    np.add.at(weights, (rows, low), (1 - (nearest - low)) * inside)
    np.add.at(weights, (rows, high), (nearest - low) * inside)
    return weights
