"""How often a classifier of embeddings is right, on examples that it was not learned from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycam.stream.teaching.learner import Classes, Vectors, cross_validated, probabilities, temperature

FOLDS = 4
"""Most times that a classifier is learned, each time without a part of the holdings."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """An example that was taken for another class."""

    example: int
    """Its row in the vectors."""
    taken_for: int
    probability: float
    """Of the class that it was taken for."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """What came out for examples whose whole holding was left out."""

    share: float
    """Of the tested examples, those that were right, 0…1."""
    tested: int
    confusion: NDArray[np.int64]
    """(C, C): rows are what an example is, columns what it was taken for. A class that was not tested is a row of 0."""
    wrong: tuple[Mistake, ...]
    """The surest first."""


def held_out(
    vectors: Vectors, classes: Classes, holdings: Sequence[str], count: int, learned: Collection[str] = ()
) -> HeldOut | None:
    """Test a classifier of vectors (N, D) and classes (N,), 0…C−1, on holdings that it was not learned from.

    A holding is a film, a photograph, or the time for which an object was shown: its frames are alike, so they are left
    out together. Holdings in `learned` are learned each time and not tested, and so is a class of one holding. None if
    nothing is tested. Raises `ValueError` as `learn` does.
    """
    if len(holdings) != len(classes):
        raise ValueError(f"Each of {len(classes)} examples has a holding; there are {len(holdings)}.")
    folds = _folds(classes, holdings, learned)
    tested = np.flatnonzero(folds >= 0)
    if not tested.size:
        return None
    logits = cross_validated(vectors, classes, count, folds)[tested]  # (T, C)
    examples = np.bincount(classes, minlength=count)
    found = probabilities(logits / temperature(logits, classes[tested], examples))
    taken = found.argmax(1)
    confusion = np.zeros((count, count), np.int64)
    np.add.at(confusion, (classes[tested], taken), 1)
    wrong = [
        Mistake(int(example), int(other), float(values[other]))
        for example, other, values in zip(tested, taken, found, strict=True)
        if other != classes[example]
    ]
    return HeldOut(
        float(np.trace(confusion) / len(tested)),
        len(tested),
        confusion,
        tuple(sorted(wrong, key=lambda mistake: (-mistake.probability, mistake.example))),
    )


def _folds(classes: Classes, holdings: Sequence[str], learned: Collection[str]) -> NDArray[np.int64]:
    """Each example's fold: the holdings of a class are dealt to `FOLDS` in turn; −1 for a class of one holding."""
    dealt: dict[int, dict[str, int]] = {}
    for number, holding in zip(classes.tolist(), holdings, strict=True):
        own = dealt.setdefault(number, {})
        own.setdefault(holding, len(own) % FOLDS)
    return np.array(
        [
            dealt[number][holding] if len(dealt[number]) > 1 and holding not in learned else -1
            for number, holding in zip(classes.tolist(), holdings, strict=True)
        ],
        np.int64,
    )
