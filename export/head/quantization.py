"""An 8-bit network's quantizations as a derivative sees them: as clamps, and as a factor where integers are rescaled.

QuantizeLinear makes q = round(x / scale) + zero point, at most and at least what its integers hold; DequantizeLinear
makes (q − zero point) · scale of it. Without the rounding, which has no derivative, that is x clamped to the values
that the smallest and the largest integer stand for: derivative 1 between them, the ends included, and 0 beyond.
Quantizers rely on the clamp: where the smallest integer stands for 0, they leave out the ReLU before it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from whycam.export.head.onnx_graph import Graph

MOVES = frozenset(("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"))
WITHIN = MOVES | {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMean"}
"""Operators whose output holds no value beyond the largest and smallest of their input."""


class Clamp(NamedTuple):
    """What a tensor's values are limited to: one number, or one for each entry; None where there is no limit."""

    low: NDArray[np.float32] | None
    high: NDArray[np.float32] | None

    @property
    def clips(self) -> bool:
        """Whether there is a limit at all."""
        return self.low is not None or self.high is not None


def clamp(graph: Graph, node: NodeProto) -> Clamp:
    """The ends at which a QuantizeLinear really clips: not those that its input cannot pass, whatever the picture."""
    low, high = _span(graph, node)
    least, most = _reach(graph, node.input[0])
    return Clamp(None if least >= low.max() else low, None if most <= high.min() else high)


def rescaling(graph: Graph, node: NodeProto) -> NDArray[np.float32] | None:
    """The scale of a DequantizeLinear over that of the QuantizeLinear which made its integers; None without one."""
    maker = graph.producer(node.input[0])
    while maker is not None and maker.op_type in MOVES:
        maker = graph.producer(maker.input[0])
    if maker is None or maker.op_type != "QuantizeLinear":
        return None
    scale, former = (graph.constant(each.input[1]) for each in (node, maker))
    assert scale is not None
    assert former is not None
    return np.asarray(scale.reshape(-1) / former.reshape(-1), np.float32)


def _span(graph: Graph, node: NodeProto) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the smallest and the largest integer stand for; in float32, as the network computes it."""
    scale = graph.constant(node.input[1])
    zero = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(1, np.uint8)
    assert scale is not None
    assert zero is not None
    held = np.iinfo(zero.dtype)
    low, high = ((np.float32(end) - zero.astype(np.float32)) * scale for end in (held.min, held.max))
    return low.astype(np.float32).reshape(-1), high.astype(np.float32).reshape(-1)


def _reach(graph: Graph, tensor: str) -> tuple[float, float]:
    """The smallest and the largest value that a tensor may have, from the operators that made it."""
    node = graph.producer(tensor)
    if node is None or node.op_type not in WITHIN | {"DequantizeLinear", "Relu", "Clip"}:
        return -np.inf, np.inf
    if node.op_type == "DequantizeLinear":
        ends = _span(graph, node)
        return float(ends[0].min()), float(ends[1].max())
    least, most = _reach(graph, node.input[0])
    if node.op_type == "Relu":
        return max(least, 0.0), max(most, 0.0)
    if node.op_type == "Clip":
        low, high = (graph.constant(name) if name else None for name in (*node.input[1:], "", "")[:2])
        least = least if low is None else max(least, float(low.item()))
        most = most if high is None else min(most, float(high.item()))
    return least, most
