"""Whether the heatmaps are drawn where they belong: patches are put on an image, and the feature map is watched.

It knows nothing of the graph: where a patch changes the map most must be where the model's region says that it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from whycam.models.contract import Region

MAX_SHIFT = 0.75
"""Of a cell: how far the map's change may be from its patch, in the median."""
PATCHES = 5
"""Along each axis."""
PART = 0.5
"""Of the largest change: cells that changed less do not count."""

SLOPES = (0.4, 1.6)
"""Cells by which the change moves where its patch moves by one; in a mirrored map it moves the other way."""

Floats = NDArray[np.floating]
Observe = Callable[[NDArray[np.uint8]], Floats]
"""From images (N, H, W, 3) to the feature map, (N, channels, h, w)."""


class Shift(NamedTuple):
    """How far the map is from where it is drawn, in cells.

    Infinite where it is mirrored, turned or enlarged, NaN along an axis of a single cell.
    """

    vertical: float
    horizontal: float

    @property
    def is_right(self) -> bool:
        """Whether the map is drawn in its place."""
        return not any(abs(each) > MAX_SHIFT for each in self)


def measure_shift(observe: Observe, images: NDArray[np.uint8], region: Region) -> Shift:
    """The median shift over patches all over each of the images (N, H, W, 3)."""
    height, width = images.shape[1:3]
    left, top, right, bottom = region
    drawn, true, shape = [], [], (1, 1)
    for image in images:
        patches = list(_patches(image, region))
        maps = observe(np.stack([image, *(patched for _, _, patched in patches)]))
        shape = (maps.shape[2], maps.shape[3])
        change = np.abs(maps[1:].astype(np.float64) - maps[:1]).sum(1)  # (patches, h, w)
        for heat, (y, x, _) in zip(change, patches, strict=True):
            if heat.max() > 0:
                strong = np.where(heat >= PART * heat.max(), heat, 0)
                drawn.append([np.average(np.arange(n), weights=strong.sum(1 - axis)) for axis, n in enumerate(shape)])
                true.append((y, x))
    edges = ((top * height, bottom * height), (left * width, right * width))
    places = [
        ((np.array(true)[:, axis] - begin) / (end - begin) * shape[axis] - 0.5) if true else np.empty(0)
        for axis, (begin, end) in enumerate(edges)
    ]
    return Shift(*(_shift(np.array(drawn)[:, axis], places[axis], shape[axis]) if true else np.nan for axis in (0, 1)))


def _shift(drawn: Floats, true: Floats, cells: int) -> float:
    """Along one axis: the median of how far the change is from its patch, in cells."""
    if cells == 1:
        return float("nan")
    slope = float(np.polyfit(true, drawn, 1)[0])  # 1 where the change moves as its patch does
    return float(np.median(drawn - true)) if SLOPES[0] <= slope <= SLOPES[1] else float("inf")


def _patches(image: NDArray[np.uint8], region: Region) -> Iterator[tuple[float, float, NDArray[np.uint8]]]:
    """The image with one patch inverted, and the patch's middle; only patches that the map sees whole."""
    height, width = image.shape[:2]
    left, top, right, bottom = (min(max(edge, 0.0), 1.0) for edge in region)
    tall, wide = (max(2, round((b - a) * n / PATCHES)) for a, b, n in ((top, bottom, height), (left, right, width)))
    for row in range(PATCHES):
        for column in range(PATCHES):
            y = min(round(top * height) + row * tall, height - tall)
            x = min(round(left * width) + column * wide, width - wide)
            made = image.copy()
            made[y : y + tall, x : x + wide] = 255 - made[y : y + tall, x : x + wide]
            yield y + tall / 2, x + wide / 2, made
