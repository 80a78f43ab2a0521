"""Ways to explain compared on the same images: which differences are larger than chance makes them.

Images differ more than maps do, so the standard errors of two means say little about the difference of these means.
Here two ways are compared image by image. A difference counts if it is larger than what random signs make of the same
images' differences; as many differences are looked at, all of one table are tested together (the step-down maximum of
Westfall and Young 1993), so that with no true difference at all only one table of twenty has any that counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whycam.stream.measure.faithfulness import Faithfulness, standard_error
from whycam.stream.report.measures import Column

Outcome = Literal["better", "worse", "open"]
"""'open': not to be told from the reference."""
LEVEL = 0.05
"""The probability that a table without true differences has one that counts."""
FEWEST = 6
"""Images; with fewer no signs are rare enough: 2 of 2^5 sets are all alike."""
_ALL_SIGNS = 14
"""Up to so many images all signs are tried, else `_DRAWS` random ones."""
_DRAWS = 10_000
_DIGITS = 6
"""Of differences; maps that are equal but for rounding errors are equal."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One way beside the reference, in one measure, over the images for which both have it."""

    images: int
    better: int
    """Number of images in which it is better than the reference; equal ones are neither better nor worse."""
    worse: int
    difference: float
    """Its mean less the reference's; of correlations, the difference of their means' sizes."""
    standard_error: float
    """Of the difference."""
    chance: float
    """The probability that chance makes a difference as large, somewhere in such a table."""
    outcome: Outcome


def compare(
    ways: Mapping[str, Sequence[Faithfulness]], reference: str, columns: Sequence[Column]
) -> dict[str, dict[str, Comparison]]:
    """Each other way beside the reference, by the way's name and the measure's field; tested together.

    The values of a way are those of each image, the images in the same order for all ways.
    """
    pairs = [(name, column) for name in ways if name != reference for column in columns]
    gains = {(name, column.field): _gains(ways[name], ways[reference], column) for name, column in pairs}
    known = {key: gain for key, gain in gains.items() if np.isfinite(gain).any()}
    if not known:
        return {name: {} for name in ways if name != reference}
    chances = _chances(np.nan_to_num(np.stack(list(known.values()), axis=1)))  # 0: an image that says nothing
    found: dict[str, dict[str, Comparison]] = {name: {} for name in ways if name != reference}
    low = {column.field: column.is_better != "high" for column in columns}
    for ((name, field), gain), chance in zip(known.items(), chances, strict=True):
        found[name][field] = _comparison(gain[np.isfinite(gain)], float(chance), is_low_better=low[field])
    return found


def _comparison(gains: NDArray[np.float64], chance: float, *, is_low_better: bool) -> Comparison:
    gain = float(gains.mean())
    return Comparison(
        images=len(gains),
        better=int((gains > 0).sum()),
        worse=int((gains < 0).sum()),
        difference=-gain if is_low_better else gain,
        standard_error=standard_error(gains.tolist()),
        chance=chance,
        outcome="open" if chance > LEVEL else "better" if gain > 0 else "worse",
    )


def _gains(values: Sequence[Faithfulness], reference: Sequence[Faithfulness], column: Column) -> NDArray[np.float64]:
    """(images,): by how much it is better than the reference in each image; NaN where one of them has no value."""
    own, other = (np.array([getattr(each, column.field) for each in ways], np.float64) for ways in (values, reference))
    if column.is_better == "near 0":  # the mean should be, so that each image counts in the direction of the mean
        own, other = own * _direction(own), other * _direction(other)
    gains = own - other if column.is_better == "high" else other - own
    return np.asarray(np.round(gains, _DIGITS), np.float64)


def _direction(values: NDArray[np.float64]) -> float:
    return -1.0 if np.nan_to_num(values).sum() < 0 else 1.0


def _chances(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """(comparisons,): the probability of a mean gain as large by chance, from gains (images, comparisons)."""
    norms = np.linalg.norm(gains, axis=0)
    scaled = gains / np.where(norms > 0, norms, 1)
    found = np.abs(scaled.sum(0))
    order = np.argsort(-found, kind="stable")
    by_chance = np.abs(_signs(len(gains)) @ scaled[:, order])  # (signs, images) x (images, comparisons)
    largest = np.maximum.accumulate(by_chance[:, ::-1], axis=1)[:, ::-1]  # of this comparison and of all smaller ones
    share = (largest >= found[order] - 1e-9).mean(0)
    chances = np.empty(len(found))
    chances[order] = np.maximum.accumulate(share)
    return np.where(norms > 0, chances, 1.0)


def _signs(images: int) -> NDArray[np.float64]:
    """Sets of signs (sets, images), the one that leaves all as it is among them."""
    if images <= _ALL_SIGNS:
        return np.array(list(itertools.product((1.0, -1.0), repeat=images)))
    drawn = np.random.default_rng(0).choice((1.0, -1.0), (_DRAWS, images))
    drawn[0] = 1
    return drawn
