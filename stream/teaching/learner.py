"""Learns a linear classifier of embeddings: regularised least squares, with calibrated probabilities.

Of vectors x_i with the classes y_i, in which each class has the same weight however many examples it has, v_i = 1 / Cn
for a class of n, the weights minimise Σ v_i |(x_i − x̄) W − (e_{y_i} − 1/C)|² + λ m |W|², where x̄ = Σ v_i x_i,
m = Σ v_i |x_i − x̄|², and e_c is 1 for class c, else 0 (Rifkin, Yeo and Poggio 2003, 'Regularized least-squares
classification').

What comes out is no probability yet. It is divided by a temperature: the likeliest for examples that were left out (Guo
et al. 2017, arXiv:1706.04599), towards Platt's targets (1999), with which n examples do not prove more than a
probability of (n + 1) / (n + 2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RIDGE = 0.1
"""λ. Between 0.03 and 0.3 it makes little difference."""
BLOCKS = 3
"""Parts into which a class's examples are cut, in their order, to leave each out once; neighbours stay together."""
EXACT, MAX_STEPS = 1e-6, 60
"""The size of the residual, in parts of the first one, that ends the steps of conjugate gradients."""
TINY = np.finfo(np.float32).tiny
SHARPEST, SOFTEST = 1e-4, 1e6
"""The range of temperatures."""

Vectors = NDArray[np.float32]
"""(N, D), the embeddings of N examples."""
Classes = NDArray[np.int64]
"""(N,), each example's class, 0…C−1."""
Logits = NDArray[np.float64]
"""(N, C)."""


def learn(vectors: Vectors, classes: Classes, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The weights (D, C) and bias (C,) of a linear classifier of `count` = C classes, for the vectors as they are.

    Deterministic. Raises `ValueError` for fewer than two classes, a class without an example, arrays that do not fit
    together, and numbers that are not finite.
    """
    checked = _checked(vectors, classes, count)
    weights, bias = _least_squares(checked, classes, count)
    blocks = _blocks(classes, count)
    left_out = blocks >= 0
    logits = cross_validated(vectors, classes, count, blocks) if left_out.any() else checked @ weights + bias
    used = left_out if left_out.any() else np.ones_like(left_out)
    heat = temperature(logits[used], classes[used], np.bincount(classes, minlength=count))
    return (weights / heat).astype(np.float32), (bias / heat).astype(np.float32)


def cross_validated(vectors: Vectors, classes: Classes, count: int, folds: NDArray[np.int64]) -> Logits:
    """The logits (N, C), not calibrated, of each example by a classifier that was learned from the other folds.

    An example of a negative fold is never left out; its logits are 0. Each class has an example outside of each fold.
    """
    checked = _checked(vectors, classes, count)
    logits = np.zeros((len(classes), count))
    for fold in np.unique(folds[folds >= 0]):
        tested = folds == fold
        weights, bias = _least_squares(checked[~tested], classes[~tested], count)
        logits[tested] = checked[tested] @ weights + bias
    return logits


def temperature(logits: Logits, classes: Classes, examples: NDArray[np.int64]) -> float:
    """What the logits (N, C) are divided by; `examples` (C,) is the number of examples each class was learned from.

    Each class that occurs has the same weight.
    """
    count = logits.shape[1]
    right = (examples + 1) / (examples + 2)  # (C,)
    targets = np.repeat(((1 - right) / (count - 1))[classes][:, None], count, axis=1)  # (N, C)
    targets[np.arange(len(classes)), classes] = right[classes]
    occurring = np.bincount(classes, minlength=count)
    each = 1 / occurring[classes]

    def slope(inverse: float) -> float:
        """The derivative of the cross-entropy by the inverse temperature, which grows with it."""
        return float(each @ ((probabilities(logits * inverse) - targets) * logits).sum(1))

    low, high = np.log(1 / SOFTEST), np.log(1 / SHARPEST)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(float(np.exp(middle))) > 0 else (middle, high)
    return float(np.exp(-low))


def probabilities(logits: Logits) -> NDArray[np.float64]:
    """Softmax of (N, C) over the classes."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True), np.float64)


def _checked(vectors: Vectors, classes: Classes, count: int) -> NDArray[np.float64]:
    if count < 2:
        raise ValueError(f"A classifier tells two classes or more apart, not {count}.")
    if vectors.ndim != 2 or classes.shape != vectors.shape[:1]:
        raise ValueError(f"Vectors (N, D) have one class each, (N,); these are {vectors.shape} and {classes.shape}.")
    if classes.size and not 0 <= classes.min() <= classes.max() < count:
        raise ValueError(f"Classes should be 0 to {count - 1}, not {classes.min()} to {classes.max()}.")
    missing = np.flatnonzero(np.bincount(classes, minlength=count) == 0)
    if missing.size:
        raise ValueError(f"Each class needs an example; there is none of {', '.join(map(str, missing))}.")
    if not np.isfinite(vectors).all():
        raise ValueError("Vectors should be finite numbers.")
    return vectors.astype(np.float64)


def _blocks(classes: Classes, count: int) -> NDArray[np.int64]:
    """Each example's fold: the examples of a class in their order, in up to `BLOCKS` parts; −1 for a class of one."""
    folds = np.full(len(classes), -1, np.int64)
    for number in range(count):
        own = np.flatnonzero(classes == number)
        if len(own) > 1:
            folds[own] = np.arange(len(own)) * min(BLOCKS, len(own)) // len(own)
    return folds


def _least_squares(
    vectors: NDArray[np.float64], classes: Classes, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (D, C) and bias (C,), not calibrated."""
    weight = 1 / (count * np.bincount(classes, minlength=count)[classes])  # (N,), their sum is 1
    centre = weight @ vectors
    scale = np.sqrt(weight)[:, None]
    centred = (vectors - centre) * scale
    targets = (np.eye(count)[classes] - 1 / count) * scale  # (N, C)
    ridge = RIDGE * float((centred**2).sum()) or 1.0  # 0 where all vectors are alike
    weights = _solved(centred.astype(np.float32), ridge, targets.astype(np.float32)).astype(np.float64)
    return weights, -centre @ weights


def _solved(centred: NDArray[np.float32], ridge: float, targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """(centred.T @ centred + ridge I)⁻¹ @ centred.T @ targets (D, C), by conjugate gradients, all classes at once.

    The matrix's eigenvalues are between λ m and (1 + λ) m: each step about halves the error, so that single
    precision is reached in some twenty, faster than the matrix is made.
    """
    residual = centred.T @ targets  # (D, C)
    solution, direction = np.zeros_like(residual), residual.copy()
    size = (residual**2).sum(0)  # (C,)
    enough = EXACT**2 * size
    for _ in range(MAX_STEPS):
        if (size <= enough).all():
            break
        product = centred.T @ (centred @ direction) + np.float32(ridge) * direction
        step = size / np.maximum((direction * product).sum(0), TINY)
        solution += step * direction
        residual -= step * product
        former, size = size, (residual**2).sum(0)
        direction = residual + size / np.maximum(former, TINY) * direction
    return solution
