"""Images of more than 8 bits, such as scientific ones, as 8 bits; stretched if they do not fill their type."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from whycam.stream.video.planes import Bytes

FILLED = 1 << 14
"""A 16-bit image with values from here on is taken to use its whole range; 10 and 12 bits end below."""
_WHITE = 65_535
_ROWS = 256


def to_8_bits(values: NDArray[Any]) -> tuple[Bytes, str]:
    """Grey (H, W) in 8 bits of integers or floats, and how it was stretched, or ''.

    16-bit images keep their range if they fill it. Others, which have no range that a viewer knows, are stretched
    from their least to their greatest value; what is not a number becomes black.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.zeros(values.shape, np.uint8), ""
    low, high = float(finite.min()), float(finite.max())
    if np.issubdtype(values.dtype, np.integer) and low >= 0 and FILLED <= high <= _WHITE:
        return scaled(values, 0, _WHITE), ""
    return scaled(values, low, high), f"{low:g} is black and {high:g} is white"


def scaled(values: NDArray[Any], low: float, high: float) -> Bytes:
    """Values as 8 bits: `low` and less become 0, `high` and more 255; what is not a number becomes 0."""
    made = np.empty(values.shape, np.uint8)
    factor = 255 / (high - low) if high > low else 0.0
    for begin in range(0, len(values), _ROWS):  # an array of floats for a large image would need a gigabyte
        with np.errstate(invalid="ignore", over="ignore"):
            grey = (values[begin : begin + _ROWS].astype(np.float64) - low) * factor
        made[begin : begin + _ROWS] = np.rint(np.nan_to_num(grey, nan=0, posinf=255, neginf=0).clip(0, 255))
    return made
