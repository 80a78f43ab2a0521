"""Whether the heatmaps are drawn where they belong: patches are put on an image, and the feature map is watched.

It knows nothing of the graph: where a patch changes the map more than the other patches do must be where the model's
region says that it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from whycam.models.contract import Region

MAX_SHIFT = 0.75
"""Of a cell, or of a 32nd of the axis: how far the map's change may be from its patch, in the median."""
PATCHES = 5
"""Along each axis."""
PART = 0.5
"""Of the largest excess: cells with less do not count."""
SLOPES = (0.4, 1.6)
"""Cells by which the change moves where its patch moves by one; in a mirrored map it moves the other way."""
FEW = 3
"""Along an axis of so few cells, a deep network's may answer patches anywhere: only a mirrored map shows."""
MIRRORED = -0.4
"""The slope of a mirrored map of few cells, at most."""
FINEST = 32
"""Of an axis: smaller cells count as this part of it, because a patch is many of them."""

Floats = NDArray[np.floating]


class Shift(NamedTuple):
    """How far the map is from where it is drawn, in cells.

    Infinite where it is mirrored, turned, enlarged or elsewhere, NaN along an axis of a single cell and for a dead map.
    """

    vertical: float
    horizontal: float

    @property
    def largest(self) -> float:
        """Of the two, without its sign; 0 for a map of a single cell."""
        return max((abs(each) for each in self if each == each), default=0.0)


class Probe:
    """Images with patches all over, to be shown to a network whose map is said to cover `region`."""

    def __init__(self, images: NDArray[np.uint8], region: Region) -> None:
        self._region = region
        self._size = images.shape[1:3]
        self._patches = [list(_patches(image, region)) for image in images]
        self.images: NDArray[np.uint8] = np.concatenate(
            [
                np.stack([image, *(patched for _, _, patched in own)])
                for image, own in zip(images, self._patches, strict=True)
            ]
        )
        """(M, H, W, 3): each image without a patch, and then with each of its patches."""

    def shift(self, maps: Floats) -> Shift:
        """The median shift, given the feature map (M, channels, h, w) of `images`."""
        shape = maps.shape[2:]
        found, true = [], []
        for own, seen in zip(self._patches, np.split(maps.astype(np.float64), len(self._patches)), strict=True):
            for heat, (y, x, _) in zip(_excess(np.abs(seen[1:] - seen[:1]).sum(1)), own, strict=True):
                if heat.max() > 0:
                    strong = np.where(heat >= PART * heat.max(), heat, 0)
                    found.append([np.average(np.arange(n), weights=strong.sum(1 - i)) for i, n in enumerate(shape)])
                    true.append((y, x))
        if not true:  # the network looks elsewhere, unless its map is dead
            return Shift(*[float("inf") if maps.any() else float("nan")] * 2)
        left, top, right, bottom = self._region
        cells = []
        for axis, (begin, end) in enumerate(((top, bottom), (left, right))):
            at = np.array(true)[:, axis] / self._size[axis]
            cells.append(
                _shift(np.array(found)[:, axis], (at - begin) / (end - begin) * shape[axis] - 0.5, shape[axis])
            )
        return Shift(*cells)


def _excess(changes: Floats) -> Floats:
    """What each patch changes in each cell (patches, h, w), as a part of its changes, beyond the mean over the patches.

    Deep networks with random weights answer a patch in all cells, and in some cells always more than in others.
    """
    total = changes.sum((1, 2), keepdims=True)
    parts = np.divide(changes, total, out=np.zeros_like(changes), where=total > 0)
    usual = parts.mean(0, keepdims=True)
    return np.asarray(np.maximum(np.divide(parts, usual, out=np.zeros_like(parts), where=usual > 0) - 1, 0))


def _shift(found: Floats, true: Floats, cells: int) -> float:
    """Along one axis: the median of how far the change is from its patch, in cells."""
    if cells == 1:
        return float("nan")
    if np.ptp(true) == 0:
        return float(np.median(found - true))
    slope = float(np.polyfit(true, found, 1)[0])  # 1 where the change moves as its patch does
    if not (slope > MIRRORED if cells <= FEW else SLOPES[0] <= slope <= SLOPES[1]):
        return float("inf")
    return float(np.median(found - true)) * min(1, FINEST / cells)


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
