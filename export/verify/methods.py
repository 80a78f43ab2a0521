"""The CAM methods by name for the check: each by its definition, from the gradient at every cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Definition = Callable[[Floats, Floats], Floats]
"""From the gradient by the feature map (K, N, channels, h, w) and the map (N, channels, h, w) to (N, K, h, w)."""


def grad_cam(gradient: Floats, features: Floats) -> Floats:
    """relu(Σ_k α_k A_k), α the gradient's mean over the cells (arXiv:1610.02391, equations 1 and 2)."""
    heat: Floats = np.einsum("knc,nchw->nkhw", gradient.mean((3, 4)), features, optimize=True)
    return np.maximum(heat, 0)


DEFINITIONS: Mapping[str, Definition] = {"grad-cam": grad_cam}
