"""Grad-CAM by definition, in float64: the gradient at every cell of the feature map, averaged, by backpropagation.

It shares nothing with the head but the search for the tail: it goes back node by node through all of it, poolings and
flattening included, sends each gradient to the cell it belongs to, and reads every weight. What the forward pass
decided (which cell was the largest, which unit was clipped) is taken from the network's own activations: a unit within
float32's rounding of zero may fall on the other side in another calculation, and then every map moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import NodeProto

from export.graph import Graph, attribute
from export.tail import (
    DENSE,
    GATE,
    KEEP_PLACE,
    POOLINGS,
    REDUCTIONS,
    SCALE,
    SHIFT,
    Feature,
    data_input,
    dense_weights,
    find_ends,
    find_tail,
)
from models.contract import Score

Floats = NDArray[np.float64]
Activations = Mapping[str, NDArray[np.float32]]
BLOCK = 4096  # rows of a weight matrix that are turned into float64 at a time


def needed(graph: Graph) -> list[str]:
    """The tensors of an explainable model or classifier whose values `heatmaps` is to be given."""
    ends = find_ends(graph)
    feature, _ = find_tail(graph, ends)
    names = [feature.tensor, ends.logits]
    for node in _chain(graph, feature, ends.logits):
        if node.op_type in GATE:
            names.append(node.output[0])
        elif node.op_type in POOLINGS:
            names.append(node.input[0])
    return list(dict.fromkeys(names))


def gates(graph: Graph, activations: Activations) -> list[NDArray[np.bool_]]:
    """Which entries pass each ReLU and Clip of the tail, (N, width), the first layer's first."""
    _, tail = find_tail(graph, find_ends(graph))
    clipped = (node for node in reversed(tail) if node.op_type in GATE)
    passed = (_passed(graph, node, activations[node.output[0]]) for node in clipped)
    return [each.reshape(len(each), -1) for each in passed]


def heatmaps(graph: Graph, activations: Activations, classes: NDArray[np.int64], score: Score) -> Floats:
    """The heatmaps (N, K, h, w) of classes (N, K), 0…1, on the activations that a network had for N pictures."""
    ends = find_ends(graph)
    feature, _ = find_tail(graph, ends)
    logits = activations[ends.logits].astype(np.float64).reshape(len(classes), -1)
    gradient = {"probability": _log_odds, "logit": _logit}[score](logits, classes)  # (N, K, C)
    for node in _chain(graph, feature, ends.logits):
        gradient = _back(graph, node, gradient, activations)
    maps = activations[feature.tensor].astype(np.float64)
    # (N, K, h, w, channels) or (N, K, channels, h, w): the gradient at every cell, averaged to α (N, K, channels).
    alpha = gradient.reshape(*classes.shape, *maps.shape[1:]).mean((2, 3) if feature.channels_last else (3, 4))
    layout = "nkc,nhwc->nkhw" if feature.channels_last else "nkc,nchw->nkhw"
    heat: Floats = np.maximum(np.einsum(layout, alpha, maps, optimize=True), 0)
    return normalised(heat)


def normalised(heat: NDArray[Any]) -> Floats:
    """Maps divided by their own maximum; all zero where that is."""
    peak = heat.max(axis=(-2, -1), keepdims=True)
    shown = np.zeros(heat.shape)
    np.divide(heat, peak, out=shown, where=peak > 0)
    return shown


def _chain(graph: Graph, feature: Feature, logits: str) -> list[NodeProto]:
    """Every node between the feature map and the logits, the last first."""
    nodes: list[NodeProto] = []
    tensor = logits
    while tensor != feature.tensor:
        node = graph.producer(tensor)
        assert node is not None
        nodes.append(node)
        tensor = node.input[0] if node.op_type in POOLINGS else data_input(graph, node)
    return nodes


def _logit(logits: Floats, classes: NDArray[np.int64]) -> Floats:
    """∂z_c/∂z = e_c."""
    seed: Floats = np.eye(logits.shape[1])[classes]
    return seed


def _log_odds(logits: Floats, classes: NDArray[np.int64]) -> Floats:
    """∂ log(p_c / (1 − p_c)) / ∂z = e_c − softmax of the other classes."""
    seed = _logit(logits, classes)
    for n, k in np.ndindex(classes.shape):
        others = logits[n].copy()
        others[classes[n, k]] = -np.inf
        powers = np.exp(others - others.max())
        seed[n, k] -= powers / powers.sum()
    return seed


def _back(graph: Graph, node: NodeProto, gradient: Floats, activations: Activations) -> Floats:
    """From the gradient by a node's output, (N, K, …), to that by its input."""
    kind = node.op_type
    if kind in KEEP_PLACE:
        return gradient
    if kind in GATE:
        passed = _passed(graph, node, activations[node.output[0]])
        return gradient * passed.reshape(len(gradient), 1, *gradient.shape[2:])
    if kind in DENSE:
        return _times_weights(graph, node, gradient)
    if kind in SCALE | SHIFT:
        return _elementwise(graph, node, gradient)
    if kind in POOLINGS:
        source = activations[node.input[0]].astype(np.float64)
        gradient = gradient.reshape(*gradient.shape[:2], -1)
        return _unreduced(node, source, gradient) if kind in REDUCTIONS else _unpooled(node, source, gradient)
    if kind == "Transpose":
        shape = _shape(graph, node.output[0])
        order = attribute(node, "perm", list(range(len(shape) + 1))[::-1])
        laid_out = gradient.reshape(*gradient.shape[:2], *shape)
        return laid_out.transpose(0, 1, *(1 + place for place in np.argsort(order)[1:]))
    return gradient.reshape(*gradient.shape[:2], *_shape(graph, node.input[0]))  # Reshape, Flatten and the like


def _shape(graph: Graph, tensor: str) -> list[int]:
    """A tensor's sizes for one picture; [-1] where it is a vector that ONNX could not follow."""
    shape = graph.shape(tensor)
    sizes = [size for size in (shape or [])[1:] if size is not None]
    return sizes if shape and len(sizes) == len(shape) - 1 else [-1]


def _passed(graph: Graph, node: NodeProto, output: NDArray[np.float32]) -> NDArray[np.bool_]:
    if node.op_type == "Relu":
        return output > 0
    passed = np.ones(output.shape, bool)
    for place, inside in ((1, np.greater), (2, np.less)):
        bound = graph.constant(node.input[place]) if len(node.input) > place and node.input[place] else None
        if bound is not None:
            passed &= inside(output, bound)
    return passed


def _times_weights(graph: Graph, node: NodeProto, gradient: Floats) -> Floats:
    name, shape, out_first = dense_weights(graph, node)
    weights = graph.constant(name)
    assert weights is not None
    weights = weights.reshape(shape[:2])
    weights = weights.T if out_first else weights  # (in, out)
    rows = gradient.reshape(*gradient.shape[:2], -1)
    blocks = (weights[start : start + BLOCK].astype(np.float64) for start in range(0, len(weights), BLOCK))
    found: Floats = np.concatenate([rows @ block.T for block in blocks], axis=2) * attribute(node, "alpha", 1.0)
    return found.reshape(*found.shape, 1, 1) if node.op_type == "Conv" else found


def _elementwise(graph: Graph, node: NodeProto, gradient: Floats) -> Floats:
    if node.op_type == "BatchNormalization":
        gamma, _, _, variance = (graph.constant(name) for name in node.input[1:5])
        assert gamma is not None
        assert variance is not None
        scale: Floats = gamma.astype(np.float64) / np.sqrt(
            variance.astype(np.float64) + attribute(node, "epsilon", 1e-5)
        )
        return gradient * scale.reshape(-1, *[1] * (gradient.ndim - 3))
    value = next((value for name in node.input if (value := graph.constant(name)) is not None), None)
    assert value is not None
    if node.op_type == "Sub" and graph.fixed(node.input[0]):
        return -gradient
    if node.op_type in SHIFT:
        return gradient
    value = value.astype(np.float64).reshape(-1)
    gain = value if value.size == 1 else value.reshape(gradient.shape[2:])
    found: Floats = gradient * gain if node.op_type == "Mul" else gradient / gain
    return found


def _unreduced(node: NodeProto, source: Floats, gradient: Floats) -> Floats:
    """Through a mean or a maximum over height and width; the map is (N, channels, h, w) or (N, h, w, channels)."""
    axes = tuple(sorted(axis % 4 for axis in attribute(node, "axes")))
    shape = (*gradient.shape[:2], *(1 if axis in axes else size for axis, size in enumerate(source.shape) if axis))
    share = np.full_like(source, 1 / np.prod([source.shape[axis] for axis in axes]))
    if node.op_type == "ReduceMax":
        share = (source == source.max(axes, keepdims=True)).astype(np.float64)
        share /= share.sum(axes, keepdims=True)
    return gradient.reshape(shape) * share[:, None]


def _unpooled(node: NodeProto, source: Floats, gradient: Floats) -> Floats:
    """Through a pooling of (N, channels, h, w): each pooled cell's gradient to its largest cell, or shared by all."""
    height, width = source.shape[2:]
    everything = node.op_type.startswith("Global")
    kernel = [height, width] if everything else list(attribute(node, "kernel_shape"))
    strides = [1, 1] if everything else attribute(node, "strides", [1, 1])
    steps = [1, 1] if everything else attribute(node, "dilations", [1, 1])
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, steps, strict=True)]
    begin, out = _extent(node, (height, width), reach, strides)
    # Cells by their number, padding −1, in windows: (rows, columns, kernel rows, kernel columns).
    room = [max(out[i] * strides[i] + reach[i], begin[i] + source.shape[2 + i]) for i in (0, 1)]
    number = np.full(room, -1)
    number[begin[0] : begin[0] + height, begin[1] : begin[1] + width] = np.arange(height * width).reshape(height, width)
    windows = sliding_window_view(number, reach)[:: strides[0], :: strides[1], :: steps[0], :: steps[1]]
    windows = windows[: out[0], : out[1]].reshape(out[0] * out[1], -1)  # (pooled cells, cells of a window)
    flat = source.reshape(*source.shape[:2], -1)
    at_cell = np.zeros((*gradient.shape[:2], source.shape[1], height * width))  # (N, K, channels, cells)
    by_pooled = gradient.reshape(*gradient.shape[:2], source.shape[1], -1)
    if node.op_type.endswith("MaxPool"):
        seen = np.where(windows >= 0, flat[..., windows], -np.inf)  # (N, channels, pooled cells, cells of a window)
        chosen = windows[np.arange(len(windows)), seen.argmax(-1)]  # (N, channels, pooled cells)
        n, k, c = np.ogrid[: at_cell.shape[0], : at_cell.shape[1], : at_cell.shape[2]]
        for place in range(len(windows)):  # windows may overlap, within one window a cell is met once
            at_cell[n, k, c, chosen[:, None, :, place]] += by_pooled[..., place]
    else:
        for place, window in enumerate(windows):
            met = window[window >= 0]
            at_cell[..., met] += by_pooled[..., place, None] / len(met)
    return at_cell.reshape(*at_cell.shape[:3], height, width)


def _extent(
    node: NodeProto, size: tuple[int, int], reach: Sequence[int], strides: Sequence[int]
) -> tuple[list[int], list[int]]:
    """The padding at the beginning, and the number of pooled cells, of height and width."""
    auto = attribute(node, "auto_pad", b"NOTSET")
    pads = attribute(node, "pads", [0, 0, 0, 0])
    begin, out = [], []
    for axis in (0, 1):
        if auto in (b"SAME_UPPER", b"SAME_LOWER"):
            cells = -(-size[axis] // strides[axis])
            total = max(0, (cells - 1) * strides[axis] + reach[axis] - size[axis])
            begin.append(total // 2 if auto == b"SAME_UPPER" else total - total // 2)
        else:
            room = size[axis] + pads[axis] + pads[axis + 2] - reach[axis]
            cells = (-(-room // strides[axis]) if attribute(node, "ceil_mode", 0) else room // strides[axis]) + 1
            if (cells - 1) * strides[axis] >= size[axis] + pads[axis]:
                cells -= 1  # no window begins in the padding at the end
            begin.append(pads[axis])
        out.append(cells)
    return begin, out
