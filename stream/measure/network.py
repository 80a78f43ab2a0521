"""A network as the measures use it: the probability of a class in many images, and its heatmap of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from whycam.stream.inference.explanation import Explanation
from whycam.stream.video.planes import Bytes

BATCH = 8
"""Images in one run; more need memory and are no faster on a processor."""

Heat = NDArray[np.float32]
"""(H, W), 0…1 of the map's maximum, in the size of the network's input."""


class Network(Protocol):
    """What is measured."""

    def probabilities(self, images: Bytes, class_id: int) -> NDArray[np.float64]:
        """(N,): of one class in images (N, H, W, 3)."""

    def heat(self, image: Bytes, class_id: int) -> Heat:
        """A class's heatmap of an image (H, W, 3)."""


class Explains(Protocol):
    """An `Explainer`, or what answers as one does."""

    def explain(self, images: NDArray[np.uint8], targets: Sequence[int]) -> Explanation:
        """Explain images (N, H, W, 3) for K targets each."""


class ExplainedNetwork:
    """A model file. See `Network`."""

    def __init__(self, explainer: Explains) -> None:
        self._explainer = explainer

    def probabilities(self, images: Bytes, class_id: int) -> NDArray[np.float64]:
        """See `Network.probabilities`."""
        parts = [self._explainer.explain(images[at : at + BATCH], ()).scores for at in range(0, len(images), BATCH)]
        return np.concatenate(parts)[:, class_id].astype(np.float64)

    def best(self, image: Bytes) -> int:
        """The best class of an image (H, W, 3)."""
        return int(self._explainer.explain(image[None], (-1,)).classes[0, 0])

    def heat(self, image: Bytes, class_id: int) -> Heat:
        """See `Network.heat`."""
        grid = self._explainer.explain(image[None], (class_id,)).heatmaps[0, 0]
        height, width = image.shape[:2]
        return np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def hottest_first(heat: Heat, seed: int = 0) -> NDArray[np.int64]:
    """The flat indices of all pixels, the hottest first; equal ones, such as all that are 0, in random order."""
    shuffled = np.random.default_rng(seed).permutation(heat.size)
    return np.asarray(shuffled[np.argsort(-heat.ravel()[shuffled], kind="stable")], np.int64)
