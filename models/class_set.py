"""Classes that replace a model's own: a last layer of other weights, with the names of what it tells apart."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

ID_LENGTH = 12
FIRST_NUMBER = 1_000_000
"""The smallest number of a class of a set: larger than any of a model's own classes, which are numbered from 0."""


@dataclass(frozen=True, eq=False)
class ClassSet:
    """A dense layer over the embedding, and its classes' names; two of the same content have the same `id`.

    Raises `ValueError` for shapes that do not fit together, or for numbers that are not finite.
    """

    labels: tuple[str, ...]
    weights: NDArray[np.float32]  # (width, C)
    bias: NDArray[np.float32]  # (C,)
    numbers: tuple[int, ...] = ()
    """Each class's number in reports and recordings, from `FIRST_NUMBER` on; by default in their order."""

    def __post_init__(self) -> None:
        count = len(self.labels)
        if count < 2 or self.weights.ndim != 2 or self.weights.shape[1] != count or self.bias.shape != (count,):
            raise ValueError(
                f"A set of classes has 2 or more, with weights (width, C) and a bias (C,); these are {count} names, "
                f"{self.weights.shape} and {self.bias.shape}."
            )
        if not self.numbers:
            object.__setattr__(self, "numbers", tuple(range(FIRST_NUMBER, FIRST_NUMBER + count)))
        if len(set(self.numbers)) != count or min(self.numbers) < FIRST_NUMBER:
            raise ValueError(
                f"Each class of a set has a number of its own from {FIRST_NUMBER:,} on; these are {self.numbers}."
            )
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise ValueError("The weights of a set of classes should be finite numbers.")

    @cached_property
    def id(self) -> str:
        """Hexadecimal digits that differ from those of any other set."""
        content = hashlib.sha256(json.dumps(self.labels).encode())
        for values in (self.weights, self.bias):
            content.update(np.ascontiguousarray(values, "<f4").tobytes())
        return content.hexdigest()[:ID_LENGTH]
