"""Deletion and insertion (Petsiuk et al. 2018, arXiv:1806.07421): a class's probability while pixels go or come.

Deletion replaces the hottest pixels first, by the image's mean colour; insertion begins with the blurred image and puts
the hottest pixels back first. The area below the curve over the share of pixels, 0…1, is low for a faithful map under
deletion, and high under insertion.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from whycam.stream.measure.network import Heat, Network, hottest_first
from whycam.stream.video.planes import Bytes

STEPS = 32
"""Between no pixel and all of them."""
BLUR = 0.045
"""Standard deviation of the blur for insertion, as a share of the shorter side: 10 pixels of 224."""


class Curve(NamedTuple):
    """The probability at each share of changed pixels."""

    shares: NDArray[np.float64]
    """0…1, `STEPS` + 1 of them."""
    probabilities: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Below the curve, by trapezoids."""
        return float(np.trapezoid(self.probabilities, self.shares))


def deletion(network: Network, image: Bytes, class_id: int, heat: Heat) -> Curve:
    """The curve while the hottest pixels are replaced by the mean colour."""
    mean = np.rint(image.mean((0, 1))).astype(np.uint8)
    return _curve(network, image, np.broadcast_to(mean, image.shape), class_id, heat)


def insertion(network: Network, image: Bytes, class_id: int, heat: Heat) -> Curve:
    """The curve while the hottest pixels of the blurred image become sharp."""
    blurred = np.asarray(cv2.GaussianBlur(image, (0, 0), BLUR * min(image.shape[:2])), np.uint8)
    return _curve(network, blurred, image, class_id, heat)


def _curve(network: Network, before: Bytes, after: Bytes, class_id: int, heat: Heat) -> Curve:
    order = hottest_first(heat)
    counts = np.rint(np.linspace(0, heat.size, STEPS + 1)).astype(int)
    images = np.repeat(before[None], len(counts), axis=0)
    flat, to = images.reshape(len(counts), -1, 3), after.reshape(-1, 3)
    for number, count in enumerate(counts):
        flat[number, order[:count]] = to[order[:count]]
    return Curve(counts / heat.size, network.probabilities(images, class_id))
