"""The CAM methods by name for the check: each by its definition, from the gradient at every cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whycam.models.contract import SIGNED

Floats = NDArray[np.float64]
Definition = Callable[[Floats, Floats], Floats]
"""From the gradient by the feature map (K, N, channels, h, w) and the map (N, channels, h, w) to (N, K, rows, columns),
never negative but for `SIGNED`: a row and a column for each of the map's, or for a block of pixels."""
BLOCKS = 56
"""Along an axis of a map of pixels, at most."""
SCALED = ("grad-cam++",)
"""Methods whose maps change where the explained quantity is multiplied by a number."""
OF_PIXELS = ("input-x-gradient", "integrated-gradients")
"""Methods whose layer is the network's input."""
ON_A_WAY = ("integrated-gradients",)
"""Methods whose gradient is the mean of those on the way from an input of zeros."""
WITHOUT_GRADIENT = ("eigen-cam",)
"""Methods that do not read the gradient."""


def grad_cam(gradient: Floats, features: Floats) -> Floats:
    """relu(Σ_k α_k A_k), α the gradient's mean over the cells (arXiv:1610.02391, equations 1 and 2)."""
    return np.maximum(_weighted(gradient.mean((3, 4)), features), 0)


def negative(gradient: Floats, features: Floats) -> Floats:
    """relu(−Σ_k α_k A_k): Grad-CAM of the negated score (arXiv:1610.02391, section 3.3)."""
    return np.maximum(_weighted((-gradient).mean((3, 4)), features), 0)


def signed(gradient: Floats, features: Floats) -> Floats:
    """Σ_k α_k A_k, α the logit's gradient's mean over the cells (arXiv:1610.02391, equation 2 without its relu)."""
    return _weighted(gradient.mean((3, 4)), features)


def hires_cam(gradient: Floats, features: Floats) -> Floats:
    """relu(Σ_k g_k ⊙ A_k) (arXiv:2011.08891, equation 4)."""
    return np.maximum(_at_cells(gradient, features), 0)


def layer_cam(gradient: Floats, features: Floats) -> Floats:
    """relu(Σ_k relu(g_k) ⊙ A_k) (doi:10.1109/TIP.2021.3089943, equations 5 to 7)."""
    return np.maximum(_at_cells(np.where(gradient > 0, gradient, 0), features), 0)


def grad_cam_plus_plus(gradient: Floats, features: Floats) -> Floats:
    """relu(Σ_k w_k A_k), w_k = Σ a ⊙ relu(g), a = g² / (2 g² + Σ A · g³) (arXiv:1710.11063, equations 5 and 19)."""
    square = gradient**2
    divisor = 2 * square + features.sum((2, 3), keepdims=True) * square * gradient
    share = np.divide(square, divisor, out=np.zeros_like(divisor), where=divisor != 0)
    return np.maximum(_weighted((share * np.maximum(gradient, 0)).sum((3, 4)), features), 0)


def x_grad_cam(gradient: Floats, features: Floats) -> Floats:
    """relu(Σ_k w_k A_k), w_k = Σ (A_k / Σ A_k) ⊙ g_k (arXiv:2008.02312, equation 8)."""
    total = features.sum((2, 3), keepdims=True)
    parts = np.divide(features, total, out=np.zeros_like(features), where=total != 0)
    return np.maximum(_weighted((gradient * parts).sum((3, 4)), features), 0)


def eigen_cam(gradient: Floats, features: Floats) -> Floats:
    """relu(A v), v the first right singular vector of A (cells, channels), Σ A v ≥ 0 (arXiv:2008.00299)."""
    count, channels, height, width = features.shape
    matrices = features.reshape(count, channels, -1).transpose(0, 2, 1)
    _, _, right = np.linalg.svd(matrices, full_matrices=False)
    projection = matrices @ right[:, 0, :, None]  # (N, cells, 1)
    projection = projection * np.sign(projection.sum(1, keepdims=True))
    one = np.maximum(projection, 0).reshape(count, 1, height, width)
    return np.asarray(np.broadcast_to(one, (count, len(gradient), height, width)))


def input_x_gradient(gradient: Floats, features: Floats) -> Floats:
    """relu of Σ_c x_c g_c, summed over blocks of pixels (arXiv:1605.01713; the mean gradient: arXiv:1703.01365)."""
    signed = _at_cells(gradient, features)
    side = int(np.ceil(max(signed.shape[2:]) / BLOCKS))
    rows, columns = (int(np.ceil(length / side)) for length in signed.shape[2:])
    return np.asarray(np.maximum(in_blocks(signed, (rows, columns)), 0))


def in_blocks(maps: NDArray[Any], grid: tuple[int, int]) -> NDArray[Any]:
    """Maps (…, h, w) summed over blocks of pixels, of which the last may be smaller: (…, rows, columns) of a grid."""
    for axis, count in ((-2, grid[0]), (-1, grid[1])):
        side = int(np.ceil(maps.shape[axis] / count))
        maps = np.add.reduceat(maps, np.arange(0, maps.shape[axis], side), axis)
    return maps


DEFINITIONS: Mapping[str, Definition] = {
    "grad-cam": grad_cam,
    "hirescam": hires_cam,
    "grad-cam++": grad_cam_plus_plus,
    "xgrad-cam": x_grad_cam,
    "layer-cam": layer_cam,
    "eigen-cam": eigen_cam,
    "negative": negative,
    SIGNED: signed,
    "input-x-gradient": input_x_gradient,
    "integrated-gradients": input_x_gradient,
}


def definition_of(name: str) -> Definition:
    """The method of that name; raises `ValueError` for one that cannot be checked."""
    if name not in DEFINITIONS:
        raise ValueError(f"The CAM method '{name}' has no definition in export/verify/methods.py. Add one to check it.")
    return DEFINITIONS[name]


def _weighted(weights: Floats, features: Floats) -> Floats:
    """Σ_k w_k A_k for weights (K, N, channels)."""
    heat: Floats = np.einsum("knc,nchw->nkhw", weights, features, optimize=True)
    return heat


def _at_cells(gradient: Floats, features: Floats) -> Floats:
    """Σ_k g_k ⊙ A_k."""
    heat: Floats = np.einsum("knchw,nchw->nkhw", gradient, features)
    return heat
