"""The closed form: the gradient of a classifier's scores summed over its last feature map, through its tail.

`export.head.tail` finds the tail, and explains why poolings and the flattening need no operator. This walks back
through it from the logits, with one rule per operator (`RULES`). The gradient is [N, K, width]: images, requested
classes, entries of a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from whycam.export.graph.feature import Feature, Flattened
from whycam.export.graph.onnx_graph import Graph, Length, attribute, kind
from whycam.export.head.covered import DENSE, FACTORS, GATE, SCALE, SHIFT
from whycam.export.head.quantization import MOVES, Clamp
from whycam.export.head.tail import bounds, clips, data_input, dense_weights, factors


class Gradient(NamedTuple):
    """The gradient of the explained scores by a tensor of the tail, as a tensor [N, K, width] in the graph."""

    tensor: str
    width: Length


# One rule per operator: from the gradient by its output to the gradient by its input.


def _same(_graph: Graph, _node: NodeProto, gradient: Gradient) -> Gradient:
    """The vector's entries and their order do not change."""
    return gradient


def _dense(graph: Graph, node: NodeProto, gradient: Gradient) -> Gradient:
    """y = x W: the gradient by x is g Wᵀ, with the stored weights of the forward pass."""
    weights, shape, out_first = dense_weights(graph, node)
    if len(shape) != 2:  # a 1x1 convolution's kernel
        weights = graph.add("Reshape", [weights, graph.integers(*shape[:2])])
    product = _product(graph, gradient, weights, (shape[1] if out_first else shape[0]), transpose=not out_first)
    alpha = attribute(node, "alpha", 1.0)
    if alpha != 1.0:
        product = graph.add("Mul", [product, graph.number(alpha)])
    return Gradient(product, shape[1] if out_first else shape[0])


def _shift(graph: Graph, node: NodeProto, gradient: Gradient) -> Gradient:
    """y = x + b and y = x − b change nothing; y = b − x negates the gradient."""
    if _negates(graph, node):
        return Gradient(graph.add("Neg", [gradient.tensor]), gradient.width)
    return gradient


def _scale(graph: Graph, node: NodeProto, gradient: Gradient) -> Gradient:
    """y = x · s, y = x / s, and a BatchNorm: y = x · γ / √(σ² + ε) + a constant."""
    return Gradient(graph.add("Mul", [gradient.tensor, graph.store(factors(graph, node))]), gradient.width)


def _gate(graph: Graph, node: NodeProto, gradient: Gradient) -> Gradient:
    """y = x where it is not clipped. As in frameworks, the gradient is 0 beyond the bounds and at them."""
    output = graph.add("Reshape", [node.output[0], graph.integers(-1, 1, gradient.width)])  # (N, 1, width)
    if kind(node) == "Relu":
        passed = graph.add("Sign", [output])  # y is never negative: 1 or 0
        return Gradient(graph.add("Mul", [gradient.tensor, passed]), gradient.width)
    return _where_inside(graph, output, bounds(graph, node), gradient, ("Greater", "Less"))


def _quantize(graph: Graph, node: NodeProto, gradient: Gradient) -> Gradient:
    """y = x within the integers' range, ends included (see `export.head.quantization`).

    x is read before rounding, because the rounded output does not show whether it was clipped. A Reshape without
    effect is inserted between x and its two readers: onnxruntime computes a dense layer in 8 bits only if a single
    operator reads its output.
    """
    if not clips(graph, node):
        return gradient
    ends, values = bounds(graph, node), graph.pass_through(node)
    values = graph.add("Reshape", [values, graph.integers(-1, 1, gradient.width)])  # (N, 1, width)
    return _where_inside(graph, values, ends, gradient, ("GreaterOrEqual", "LessOrEqual"))


def _dequantize(graph: Graph, node: NodeProto, gradient: Gradient) -> Gradient:
    """y follows x with slope 1, unless the integers were made with another scale."""
    return gradient if np.all(factors(graph, node) == 1) else _scale(graph, node, gradient)


def _where_inside(graph: Graph, values: str, ends: Clamp, gradient: Gradient, operators: tuple[str, str]) -> Gradient:
    """The gradient of the entries whose values, (N, 1, width), are between the ends; 0 for the others."""
    if not ends.clips:
        return gradient
    inside = [
        graph.add(operator, [values, graph.store(end)])
        for operator, end in zip(operators, ends, strict=True)
        if end is not None
    ]
    both = graph.add("And", inside) if len(inside) == 2 else inside[0]
    passed = graph.add("Cast", [both], to=TensorProto.FLOAT)
    return Gradient(graph.add("Mul", [gradient.tensor, passed]), gradient.width)


Rule = Callable[[Graph, NodeProto, Gradient], Gradient]
RULES: Mapping[str, Rule] = MappingProxyType(
    dict.fromkeys(MOVES, _same)
    | dict.fromkeys(DENSE, _dense)
    | dict.fromkeys(SHIFT, _shift)
    | dict.fromkeys(SCALE, _scale)
    | dict.fromkeys(GATE, _gate)
    | {"DequantizeLinear": _dequantize, "QuantizeLinear": _quantize}
)


def _product(graph: Graph, gradient: Gradient, weights: str, width: int, *, transpose: bool) -> str:
    """The gradient (N, K, out) times weights (out, width), or times the transpose of weights (width, out)."""
    if not transpose:
        return graph.add("MatMul", [gradient.tensor, weights])
    rows = graph.add("Reshape", [gradient.tensor, graph.integers(-1, gradient.width)])  # (N·K, out)
    rows = graph.add("Gemm", [rows, weights], transB=1)
    size = graph.add("Concat", [graph.add("Shape", ["classes"]), graph.integers(width)], axis=0)
    return graph.add("Reshape", [rows, size], allowzero=1)  # K may be 0


def _negates(graph: Graph, node: NodeProto) -> bool:
    return bool(kind(node) == "Sub" and node.input[1] == data_input(graph, node))


# From the flattened vector to a channel of the map: the sum over its cells (see `export.head.tail`).


def by_channel(graph: Graph, feature: Feature, tail: list[NodeProto], gradient: Gradient) -> Gradient:
    """The gradient summed over the map's cells, (N, K, channels).

    The first layer's weights W1, in many networks the largest, need not be read again: if only constants are between
    this layer and the map, their sum over the cells is stored, which is smaller by the number of cells. This does not
    apply to weights that may be replaced.
    """
    last = max((place for place, node in enumerate(tail) if kind(node) in DENSE), default=None)
    foldable = last is not None and tail[last].input[1] not in graph.replaceable
    foldable = foldable and not any(clips(graph, node) for node in tail[last:])
    assert feature.flattened is not None
    if feature.flattened.cells == 1 or not foldable:
        for node in tail:
            gradient = RULES[kind(node)](graph, node, gradient)
        return _summed(graph, feature, gradient)
    for node in tail[:last]:
        gradient = RULES[kind(node)](graph, node, gradient)
    weights = graph.store(_summed_weights(graph, feature.flattened, tail[last:]))
    return Gradient(graph.add("MatMul", [gradient.tensor, weights]), feature.channels)


def _summed(graph: Graph, feature: Feature, gradient: Gradient) -> Gradient:
    assert feature.flattened is not None
    cells, channels_last = feature.flattened
    if cells == 1:
        return gradient
    sizes = (cells, feature.channels) if channels_last else (feature.channels, cells)
    laid_out = graph.add("Reshape", [gradient.tensor, graph.integers(0, 0, *sizes)])
    axis = graph.integers(2 if channels_last else 3)
    return Gradient(graph.add("ReduceSum", [laid_out, axis], keepdims=0), feature.channels)


def _summed_weights(graph: Graph, flattened: Flattened, nodes: list[NodeProto]) -> NDArray[np.float32]:
    """The first dense layer and the constants before it as one matrix [out, channels], summed over the map's cells."""
    name, shape, out_first = dense_weights(graph, nodes[0])
    weights = graph.constant(name)
    assert weights is not None
    weights = weights.reshape(shape[:2])  # a 1x1 convolution's kernel has four axes
    weights = weights.T if out_first else weights  # (cells·channels, out)
    gain = np.full(len(weights), attribute(nodes[0], "alpha", 1.0), np.float64)
    for node in nodes[1:]:
        gain *= -1 if _negates(graph, node) else factors(graph, node) if kind(node) in FACTORS else 1
    cells, channels_last = flattened
    channels = len(weights) // cells
    summed = np.zeros((channels, weights.shape[1]))
    for cell in range(cells):  # one cell at a time, because all of VGG16's weights in float64 take 800 MB
        rows = slice(cell * channels, (cell + 1) * channels) if channels_last else slice(cell, None, cells)
        summed += gain[rows, None] * weights[rows]
    return summed.T.astype(np.float32)
