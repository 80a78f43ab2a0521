"""What is left of a probability if only the hot places are shown (Chattopadhyay et al. 2018, arXiv:1710.11063)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from whycam.stream.measure.network import Heat, Network
from whycam.stream.video.planes import Bytes


class Masked(NamedTuple):
    """One image times its heatmap."""

    drop: float
    """The share of the probability that is lost, 0…1: the mean over images is the 'average drop'."""
    rises: bool
    """Whether the probability rises: its mean over images is the 'increase in confidence'."""


def masked(network: Network, image: Bytes, class_id: int, heat: Heat) -> Masked:
    """The probability of the image times its heat, 0…1, beside that of the image."""
    shown = np.rint(image * heat[..., None]).astype(np.uint8)
    whole, part = network.probabilities(np.stack([image, shown]), class_id)
    return Masked(float(max(0.0, whole - part) / whole) if whole > 0 else 0.0, bool(part > whole))
