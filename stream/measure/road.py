"""ROAD, remove and debias (Rong et al. 2022, arXiv:2202.00449): pixels are replaced by what their neighbours suggest.

A removed pixel becomes the weighted mean of its eight neighbours (direct ones 1/6, diagonal ones 1/12), all at once by
one sparse linear system, plus a little noise; so neither a colour nor an edge of the removed region says where it was,
which a constant colour does.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from whycam.stream.measure.network import Heat, Network, hottest_first
from whycam.stream.video.planes import Bytes

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Of the pixels that are removed."""
NOISE = 2.55
"""Standard deviation of the noise, a hundredth of the range as in the authors' code, in levels."""
NEIGHBOURS = (
    *(((y, x), 1 / 6) for y, x in ((0, 1), (0, -1), (1, 0), (-1, 0))),
    *(((y, x), 1 / 12) for y, x in ((1, 1), (1, -1), (-1, 1), (-1, -1))),
)

_SYMMETRIC = {"SymmetricMode": True}
"""The matrix is symmetric, and its diagonal large enough for pivots."""
_SMALL = 16
"""Pixels that are not divided further."""


def road(network: Network, image: Bytes, class_id: int, heat: Heat) -> tuple[float, float]:
    """The mean probability over `SHARES`, with the hottest pixels removed, and with the coldest.

    The first is low and the second high for a faithful map.
    """
    order = hottest_first(heat)
    counts = [round(share * heat.size) for share in SHARES]
    images = [imputed(image, _mask(heat.shape, part[:count])) for part in (order, order[::-1]) for count in counts]
    found = network.probabilities(np.stack(images), class_id)
    return float(found[: len(SHARES)].mean()), float(found[len(SHARES) :].mean())


def imputed(image: Bytes, removed: NDArray[np.bool_], seed: int = 0) -> Bytes:
    """The image (H, W, 3) with the removed pixels (H, W) replaced, with noise; needs SciPy."""
    levels = solved(image, removed)
    levels[removed] += np.random.default_rng(seed).normal(0, NOISE, (int(removed.sum()), 3))
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def solved(image: Bytes, removed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The image with each removed pixel the weighted mean of its neighbours; its mean colour if all are removed."""
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    height, width = removed.shape
    places = dissection(height, width)
    places = places[removed.ravel()[places]]
    levels = image.astype(np.float64)
    if not places.size:
        return levels
    if places.size == removed.size:
        levels[:] = image.mean((0, 1))
        return levels
    number = np.full(height * width, -1)
    number[places] = np.arange(len(places))
    y, x = np.divmod(places, width)
    rows, columns, weights = [np.arange(len(places))], [np.arange(len(places))], [np.zeros(len(places))]
    known = np.zeros((len(places), 3))
    for (dy, dx), weight in NEIGHBOURS:
        inside = (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        weights[0] += weight * inside  # at an edge there are fewer neighbours
        here = np.flatnonzero(inside)
        there = (y[here] + dy) * width + x[here] + dx
        unknown = number[there] >= 0
        rows.append(here[unknown])
        columns.append(number[there[unknown]])
        weights.append(np.full(int(unknown.sum()), -weight))
        known[here[~unknown]] += weight * image.reshape(-1, 3)[there[~unknown]]
    parts = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    factors = splu(csc_matrix(parts), permc_spec="NATURAL", diag_pivot_thresh=0, options=_SYMMETRIC)
    levels.reshape(-1, 3)[places] = factors.solve(known)
    return levels


@lru_cache(maxsize=4)
def dissection(height: int, width: int) -> NDArray[np.int64]:
    """All pixels in the order of a nested dissection (George 1973): both halves, then the line between them.

    In this order the factors have few entries. Solving takes half the time that it takes in SuperLU's own order.
    """
    order: list[NDArray[np.int64]] = []

    def divide(part: NDArray[np.int64]) -> None:
        if part.size <= _SMALL:
            order.append(part.ravel())
            return
        part = part if len(part) >= part.shape[1] else part.T
        middle = len(part) // 2
        divide(part[:middle])
        divide(part[middle + 1 :])
        order.append(part[middle])

    divide(np.arange(height * width).reshape(height, width))
    return np.concatenate(order)


def _mask(shape: tuple[int, ...], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(shape, np.bool_)
    mask.ravel()[places] = True
    return mask
