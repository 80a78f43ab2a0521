"""Normalisations, softmax, and reductions over axes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from onnx import NodeProto, TensorProto

from whycam.export.reverse.backward import Backward, Gradient, UnsupportedLayer, flag
from whycam.export.reverse.rule import Rule


def _batch_norm(b: Backward, node: NodeProto, place: int, gradient: Gradient) -> Gradient:
    """γ / √(σ² + ε)"""
    if place or flag(node, "training_mode", 0):
        raise UnsupportedLayer(node, "it is set to training; export the network for inference")
    scale, _, _, variance = (b.constant(name, node).astype(np.float64) for name in node.input[1:5])
    factor = (scale / np.sqrt(variance + flag(node, "epsilon", 1e-5))).reshape(-1, *[1] * (len(gradient.dims) - 2))
    return b.times(gradient, b.store(factor), factor.shape)


def _normalise(b: Backward, node: NodeProto, place: int, gradient: Gradient) -> Gradient:
    """(s − mean(s) − z·mean(s·z)) / σ, with s = g·scale and z the normalised input."""
    if place or any(node.output[1:]):
        raise UnsupportedLayer(node, "its scale should be a constant, and it should have one output")
    x, scale, dims = node.input[0], node.input[1], b.sizes.of(node.input[0])
    rank, scale_dims = len(dims), b.sizes.of(node.input[1])
    axes = list(range(flag(node, "axis", -1) % rank, rank))
    if node.op_type == "InstanceNormalization":
        axes, scale_dims = list(range(2, rank)), (*scale_dims, *[1] * (rank - 2))
        scale = b.once("Reshape", scale, b.integers(*scale_dims))
    behind = [axis + 1 for axis in axes]
    offset = b.once("Sub", x, b.mean(x, axes, once=True))
    variance = b.mean(b.once("Mul", offset, offset), axes, once=True)
    shifted = b.once("Add", variance, b.number(flag(node, "epsilon", 1e-5)))
    inverse = b.once("Reciprocal", b.once("Sqrt", shifted))
    z = b.once("Mul", offset, inverse)
    seen = b.full(b.times(gradient, scale, scale_dims), dims).tensor
    along = b.add("Mul", z, b.mean(b.add("Mul", seen, z), behind))
    rest = b.add("Sub", seen, b.add("Add", b.mean(seen, behind), along))
    return Gradient(b.add("Mul", rest, inverse), dims)


def _softmax(b: Backward, node: NodeProto, _place: int, gradient: Gradient) -> Gradient:
    """y·(g − Σ g·y); of its logarithm: g − eʸ·Σ g."""
    y, dims = node.output[0], b.sizes.of(node.output[0])
    axis = flag(node, "axis", -1) % len(dims)
    if node.op_type == "LogSoftmax":
        gradient = b.full(gradient, dims)
        spread = b.add("Mul", b.once("Exp", y), b.total(gradient, [axis]).tensor)
        return Gradient(b.add("Sub", gradient.tensor, spread), dims)
    seen = b.full(b.times(gradient, y), dims)
    return Gradient(b.add("Sub", seen.tensor, b.add("Mul", y, b.total(seen, [axis]).tensor)), dims)


def _reduce(b: Backward, node: NodeProto, _place: int, gradient: Gradient) -> Gradient:
    """Sums and means are lazy: the cells of a mean have one gradient. Cells that tie for the largest share it."""
    dims, operator = b.sizes.of(node.input[0]), node.op_type
    axes = _axes(b, node, len(dims))
    if not axes:
        return b.reshape(gradient, dims)
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(dims))
    count = int(np.prod([dims[axis] for axis in axes]))
    gradient = b.reshape(gradient, kept)
    if operator == "ReduceSum":
        return gradient
    if operator in ("ReduceMean", "GlobalAveragePool"):
        if count < 0:
            raise UnsupportedLayer(node, "it takes the mean over images")
        return b.scaled(gradient, 1 / count)
    y = node.output[0]
    if b.sizes.of(y) != kept:
        wide = b.once("Slice", b.shape(kept), b.integers(1), b.integers(len(kept) + 1))
        y = b.once("Reshape", y, wide)
    if operator == "ReduceL2":
        return b.times(gradient, b.once("Div", node.input[0], y), dims)
    hit = b.once("Cast", b.once("Equal", node.input[0], y), to=TensorProto.FLOAT)
    shared = b.once("Div", hit, b.once("ReduceSum", hit, b.integers(*axes), keepdims=1))
    return b.times(gradient, shared, dims)


def _axes(b: Backward, node: NodeProto, rank: int) -> list[int]:
    if node.op_type.startswith("Global"):
        return list(range(2, rank))
    given = flag(node, "axes")
    if given is None and len(node.input) > 1 and node.input[1]:
        given = b.constant(node.input[1], node).tolist()
    if given is None:
        given = [] if flag(node, "noop_with_empty_axes", 0) else range(rank)
    return sorted(int(axis) % rank for axis in given)


NORM_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "BatchNormalization": _batch_norm,
        "InstanceNormalization": _normalise,
        "LayerNormalization": _normalise,
        "LogSoftmax": _softmax,
        "Softmax": _softmax,
    }
    | dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceSum"), _reduce)
)
