"""An 8-bit network's quantizations as a derivative sees them: as clamps, and as a factor where integers are rescaled.

QuantizeLinear makes q = round(x / scale) + zero point, at most and at least what its integers hold; DequantizeLinear
makes (q − zero point) · scale of it. Without the rounding, which has no derivative, that is x clamped to the values
that the smallest and the largest integer stand for: derivative 1 between them, the ends included, and 0 beyond.
Quantizers rely on the clamp: where the smallest integer stands for 0, they leave out the ReLU before it.

A mean of equal values may be rounded past them: a region that saturated is averaged, and rounded again with the same
scale. So that this is no second saturation, an end reaches as far as `SLACK` says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from whycam.export.head.onnx_graph import Graph, argument, attribute, kind

SLACK = 2.0**-16
"""How far beyond an end a value still counts as the end, relative to it: 128 units in float32's last place.

onnxruntime's mean of 56x56 equal values is up to 97 of them off; a step between 8-bit integers is 250 times as wide.
The check has the same number (see docs/model.md).
"""
MOVES = frozenset(("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"))
"""Operators that keep a vector's entries and their order."""
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
    """The ends at which a QuantizeLinear really clips: not those that its input cannot pass, whatever the image."""
    ends = _span(graph, node)
    assert ends is not None  # scale and zero point are checked before
    beyond = (np.asarray(np.float32(SLACK) * np.abs(end), np.float32) for end in ends)
    low, high = (end + sign * more for sign, end, more in zip((-1, 1), ends, beyond, strict=True))
    lowest, highest = _reach(graph, node.input[0])
    return Clamp(None if lowest >= low.max() else low, None if highest <= high.min() else high)


def rescaling(graph: Graph, node: NodeProto) -> NDArray[np.float32] | None:
    """The scale of a DequantizeLinear over that of the QuantizeLinear which made its integers.

    None without one, and where the two have scales that do not belong to the same entries.
    """
    maker = quantizer(graph, node)
    scale, former = (graph.constant(each.input[1]) if each else None for each in (node, maker))
    if maker is None or scale is None or former is None:
        return None
    if scale.size > 1 and former.size > 1 and _entries(graph, node) != _entries(graph, maker):
        return None
    return np.asarray(scale.reshape(-1) / former.reshape(-1), np.float32)


def quantizer(graph: Graph, node: NodeProto) -> NodeProto | None:
    """The QuantizeLinear whose integers a DequantizeLinear reads, perhaps moved; None where there is none."""
    maker = graph.producer(node.input[0])
    while maker is not None and kind(maker) in MOVES:
        maker = graph.producer(maker.input[0])
    return maker if maker is not None and kind(maker) == "QuantizeLinear" else None


def _entries(graph: Graph, node: NodeProto) -> tuple[list[int | None], int | None]:
    """Which entries each of a node's scales belongs to: the sizes but those of 1, and which of them is its axis."""
    shape = graph.shape(node.input[0])
    if shape is None:
        return [], None
    axis = attribute(node, "axis", 1) % len(shape)
    return [size for size in shape if size != 1], sum(size != 1 for size in shape[:axis])


def _span(graph: Graph, node: NodeProto) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """What the smallest and the largest integer stand for; in float32, as the network computes it. None: not known."""
    scale, zero = graph.constant(node.input[1]), _zero_point(graph, node)
    if scale is None or zero is None:
        return None
    held = np.iinfo(zero.dtype)
    low, high = ((np.float32(end) - zero.astype(np.float32)) * scale for end in (held.min, held.max))
    return low.astype(np.float32).reshape(-1), high.astype(np.float32).reshape(-1)


def _zero_point(graph: Graph, node: NodeProto) -> NDArray[np.integer[Any]] | None:
    """A node's zero point, in the type of its integers; None where it is not known."""
    given = argument(node, 2)
    if given:
        return graph.constant(given)
    if kind(node) == "QuantizeLinear":
        return np.zeros(1, np.uint8)  # as ONNX has it
    maker = quantizer(graph, node)
    made = _zero_point(graph, maker) if maker is not None else None
    return None if made is None else np.zeros(1, made.dtype)


def _reach(graph: Graph, tensor: str) -> tuple[float, float]:
    """The smallest and the largest value that a tensor may have, from the operators that made it."""
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
