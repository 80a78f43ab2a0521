"""What a model says of some images: scores, and a heatmap for each of the asked classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Explanation:
    """Scores and heatmaps of N images with K classes each, as in the model's contract."""

    scores: NDArray[np.float32]  # (N, C) probabilities
    classes: NDArray[np.int64]  # (N, K)
    heatmaps: NDArray[np.float32]  # (N, K, h, w) in 0…1, over the whole input (see `map_region`)
    evidence: NDArray[np.float32]  # (N, K) each map's maximum before normalisation
    signed: NDArray[np.float32] | None = None
    """(N, K, h, w), the signed maps of the logits, over the whole input; None if they were not asked for."""
    embedding: NDArray[np.float32] | None = None
    """(N, width), the vectors before the last layer; None if the file does not name that layer."""
    class_set: str = ""
    """The id of the class set (`models.class_set`) that scores and classes are of; empty: the model's own classes."""

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: slice) -> Explanation:
        """The explanations of some of the images."""
        return self._with(lambda values: values[index])

    def first(self, count: int) -> Explanation:
        """The same images with their first `count` classes only."""
        return self._with(lambda values: values[:, :count], of_images=False)

    def _with(self, part: Callable[[NDArray[Any]], NDArray[Any]], *, of_images: bool = True) -> Explanation:
        """Every array's part; without `of_images` only of those that have an axis of classes K."""
        named = {name: getattr(self, name) for name in (PER_CLASS + PER_IMAGE if of_images else PER_CLASS)}
        parts: dict[str, Any] = {name: part(values) for name, values in named.items() if values is not None}
        return replace(self, **parts)


PER_IMAGE = ("scores", "embedding")
PER_CLASS = ("classes", "heatmaps", "evidence", "signed")
"""The arrays of an explanation, those of each image, and of each of its K classes."""


def joined(parts: Sequence[Explanation]) -> Explanation:
    """The explanations of all images of some, one after the other, with the same number of classes each."""
    first = parts[0]
    if len(parts) == 1:
        return first
    named = [name for name in PER_CLASS + PER_IMAGE if getattr(first, name) is not None]
    whole: dict[str, Any] = {name: np.concatenate([getattr(each, name) for each in parts]) for name in named}
    return replace(first, **whole)
