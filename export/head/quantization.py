"""The derivatives of an 8-bit network's quantizations: clamps, and factors where integers are rescaled.

QuantizeLinear computes q = round(x / scale) + zero point, clamped to the range of its integers; DequantizeLinear
computes (q − zero point) · scale. Without the rounding, which has no derivative, the pair clamps x to the values of the
smallest and the largest integer: the derivative is 1 between them, ends included, and 0 beyond. Quantizers rely on
this clamp: where the smallest integer represents 0, they omit the ReLU before it.

A mean of equal values may be rounded past them, for instance when a saturated region is averaged and quantized again
with the same scale. An end is extended by `SLACK`, so that this does not count as a second saturation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from whycam.export.graph.onnx_graph import Graph, argument, attribute, kind

SLACK = 2.0**-16
"""How far beyond an end a value still counts as the end, relative to it: 128 units in the last place of float32.

onnxruntime's mean of 56x56 equal values is off by up to 97 units; a step between 8-bit integers is 250 times as wide.
The check uses the same number (see docs/model.md).
"""
MOVES = frozenset(("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"))
"""Operators that keep a vector's entries and their order."""
WITHIN = MOVES | {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMean"}
"""Operators whose output is within the range of their input."""


class Clamp(NamedTuple):
    """The limits of a tensor's values: one number, or one per entry; None without a limit."""

    low: NDArray[np.float32] | None
    high: NDArray[np.float32] | None

    @property
    def clips(self) -> bool:
        """Whether there is any limit."""
        return self.low is not None or self.high is not None


def clamp(graph: Graph, node: NodeProto) -> Clamp:
    """The ends at which a QuantizeLinear clips; an end that its input can never pass is None."""
    ends = _span(graph, node)
    assert ends is not None  # scale and zero point were checked before
    beyond = (np.asarray(np.float32(SLACK) * np.abs(end), np.float32) for end in ends)
    low, high = (end + sign * more for sign, end, more in zip((-1, 1), ends, beyond, strict=True))
    lowest, highest = _reach(graph, node.input[0])
    return Clamp(None if lowest >= low.max() else low, None if highest <= high.min() else high)


def rescaling(graph: Graph, node: NodeProto) -> NDArray[np.float32] | None:
    """The scale of a DequantizeLinear divided by that of the QuantizeLinear that made its integers.

    None without a QuantizeLinear, and if the two scales belong to different entries.
    """
    maker = quantizer(graph, node)
    scale, former = (graph.constant(each.input[1]) if each else None for each in (node, maker))
    if maker is None or scale is None or former is None:
        return None
    if scale.size > 1 and former.size > 1 and _entries(graph, node) != _entries(graph, maker):
        return None
    return np.asarray(scale.reshape(-1) / former.reshape(-1), np.float32)


def quantizer(graph: Graph, node: NodeProto) -> NodeProto | None:
    """The QuantizeLinear whose integers a DequantizeLinear reads, perhaps reshaped; None if there is none."""
    maker = graph.producer(node.input[0])
    while maker is not None and kind(maker) in MOVES:
        maker = graph.producer(maker.input[0])
    return maker if maker is not None and kind(maker) == "QuantizeLinear" else None


def _entries(graph: Graph, node: NodeProto) -> tuple[list[int | None], int | None]:
    """The entries that a node's scales belong to: the shape without sizes of 1, and the index of its axis in it."""
    shape = graph.shape(node.input[0])
    if shape is None:
        return [], None
    axis = attribute(node, "axis", 1) % len(shape)
    return [size for size in shape if size != 1], sum(size != 1 for size in shape[:axis])


def _span(graph: Graph, node: NodeProto) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """The values of the smallest and the largest integer, in float32 like the network's; None if unknown."""
    scale, zero = graph.constant(node.input[1]), _zero_point(graph, node)
    if scale is None or zero is None:
        return None
    limits = np.iinfo(zero.dtype)
    low, high = ((np.float32(end) - zero.astype(np.float32)) * scale for end in (limits.min, limits.max))
    return low.astype(np.float32).reshape(-1), high.astype(np.float32).reshape(-1)


def _zero_point(graph: Graph, node: NodeProto) -> NDArray[np.integer[Any]] | None:
    """A node's zero point, in the type of its integers; None if unknown."""
    given = argument(node, 2)
    if given:
        return graph.constant(given)
    if kind(node) == "QuantizeLinear":
        return np.zeros(1, np.uint8)  # ONNX's default
    maker = quantizer(graph, node)
    made = _zero_point(graph, maker) if maker is not None else None
    return None if made is None else np.zeros(1, made.dtype)


def _reach(graph: Graph, tensor: str) -> tuple[float, float]:
    """The smallest and the largest possible value of a tensor, from the operators that computed it."""
    node = graph.producer(tensor)
    if node is None or kind(node) not in WITHIN | {"DequantizeLinear", "Relu", "Clip"}:
        return -np.inf, np.inf
    if kind(node) == "DequantizeLinear":
        ends = _span(graph, node)
        return (float(ends[0].min()), float(ends[1].max())) if ends else (-np.inf, np.inf)
    lowest, highest = _reach(graph, node.input[0])
    if kind(node) == "Relu":
        return max(lowest, 0.0), max(highest, 0.0)
    if kind(node) == "Clip":
        low, high = (graph.constant(name) if (name := argument(node, place)) else None for place in (1, 2))
        lowest = lowest if low is None else max(lowest, float(low.item()))
        highest = highest if high is None else min(highest, float(high.item()))
    return lowest, highest
