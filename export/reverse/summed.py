"""Rules next to the layer, where only the sum of the gradient over its cells is wanted: [K, N, channels].

Max pooling sends each cell's gradient to one cell of the layer, so the sum over cells passes unchanged: no unpooling. A
convolution's taps need the sum of the gradient over the output cells where they read the layer, not its padding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from onnx import NodeProto

from whycam.export.graph.sizes import Dims
from whycam.export.reverse.backward import Backward, Gradient, flag
from whycam.export.reverse.dense import rows
from whycam.export.reverse.spatial import windows


class Cells(NamedTuple):
    """The axes of a layer [N, channels, h, w], [N, h, w, channels] or [N, tokens, channels]."""

    channel: int
    space: tuple[int, ...]
    skip: int = 0
    """Tokens before those of the grid: a class token, registers."""


SummedRule = Callable[[Backward, NodeProto, int, Gradient, Cells], Gradient | None]
"""As a rule, to the sum over the cells of input `place`, the layer; None where it does not apply."""


def cell_sum(b: Backward, gradient: Gradient, dims: Dims, cells: Cells) -> Gradient:
    """The sum over a layer's cells of a gradient by a tensor with its axes, of `dims`."""
    if cells.skip:
        if gradient.dims[1] != 1:
            rest = b.add("Slice", gradient.tensor, b.integers(cells.skip), b.integers(dims[1]), b.integers(2))
            gradient = Gradient(rest, (gradient.dims[0], dims[1] - cells.skip, *gradient.dims[2:]))
        dims = (dims[0], dims[1] - cells.skip, *dims[2:])
    lazy = float(np.prod([dims[axis] for axis in cells.space if gradient.dims[axis] == 1] or [1]))
    wide = tuple(gradient.dims[axis] if axis in cells.space else size for axis, size in enumerate(dims))
    return b.total(b.scaled(b.full(gradient, wide), lazy), cells.space, keep=False)


def _conv(b: Backward, node: NodeProto, place: int, gradient: Gradient, cells: Cells) -> Gradient | None:
    own, kernel, out = (b.sizes.of(name) for name in (node.input[0], node.input[1], node.output[0]))
    group, rank = flag(node, "group", 1), len(kernel) - 2
    depthwise = kernel[0] == group == own[1]
    if place or cells.space != tuple(range(2, 2 + rank)) or b.sizes.value(node.input[1]) is None:
        return None
    if group > 1 and not depthwise:
        return None
    taps = _reads(node, own, out, kernel[2:])  # (output cells, taps)
    count, full = taps.shape[1], b.full(gradient, out)
    if count == 1 and taps.all():
        total = b.total(full, range(2, 2 + rank), keep=False).tensor
    else:
        flat = b.add("Reshape", full.tensor, b.integers(0, 0, out[1], len(taps)))
        total = b.add("MatMul", flat, b.store(taps))  # [K, N, out, taps]
    if depthwise:
        weights = b.once("Reshape", node.input[1], b.integers(kernel[0], count))
        each = total if count > 1 or not taps.all() else b.add("Unsqueeze", total, b.integers(3))
        product = Gradient(b.add("Mul", each, weights), (out[0], out[1], count))
        return b.total(product, [2], keep=False)
    turned = b.once("Transpose", node.input[1], perm=[0, *range(2, 2 + rank), 1])
    weights = b.once("Reshape", turned, b.integers(kernel[0] * count, kernel[1]))
    flat = b.add("Reshape", total, b.integers(-1, kernel[0] * count))
    return b.shaped(b.add("Gemm", flat, weights), (own[0], own[1]))


def _reads(node: NodeProto, own: Dims, out: Dims, kernel: Dims) -> np.ndarray:
    """Whether each tap of a kernel reads the layer, not its padding, for each output cell: (output cells, taps)."""
    laid = windows(node, own[2:], out[2:], kernel)
    reads = np.ones((1, 1))
    for a, size in enumerate(kernel):
        at = np.arange(out[2 + a])[:, None] * laid.strides[a] + np.arange(size) * laid.dilations[a] - laid.before[a]
        inside = (at >= 0) & (at < own[2 + a])
        reads = np.einsum("at,bu->abtu", reads, inside).reshape(len(reads) * len(inside), -1)
    return reads


def _mat_mul(b: Backward, node: NodeProto, place: int, gradient: Gradient, cells: Cells) -> Gradient | None:
    own, weights = b.sizes.of(node.input[0]), b.sizes.of(node.input[1])
    if place or cells.channel != len(own) - 1 or len(weights) != 2 or b.sizes.value(node.input[1]) is None:
        return None
    return rows(b, cell_sum(b, gradient, b.sizes.of(node.output[0]), cells), node.input[1], own[-1], transposed=True)


def _pool(b: Backward, node: NodeProto, _place: int, gradient: Gradient, cells: Cells) -> Gradient | None:
    out = b.sizes.of(node.output[0])
    if cells.space != tuple(range(2, len(out))) or flag(node, "count_include_pad", 0):
        return None
    return b.total(b.full(b.reshape(gradient, out), out), cells.space, keep=False)


SUMMED_RULES: Mapping[str, SummedRule] = MappingProxyType(
    {"Conv": _conv, "MatMul": _mat_mul}
    | dict.fromkeys(("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"), _pool)
)
