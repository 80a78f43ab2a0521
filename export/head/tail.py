"""Finds a classifier's tail: its last feature map, and the operators between it and the logits.

The tail has two parts. Near the logits, each image is a vector: dense layers, gates, scales. Before them, poolings and
a flattening turn the feature map into that vector. `grad_cam` walks back through the vector part operator by operator.
The other part needs no operator: raising a whole channel of the feature map by δ raises each of its pooled cells by δ,
so

    Σ over the map's cells of ∂y/∂A_kij = Σ over the pooled cells of ∂y/∂P_kp

and Grad-CAM's α_k is the left side divided by H·W. It holds for average pooling that counts no padding, and for max
pooling of any window, stride, overlap and padding: each pooled cell is one cell of the map (padding, −∞, is never the
largest). If several cells tie for the largest, frameworks send the gradient to one or distribute it; the sum is the
same, so ties do not matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto

from whycam.export.graph.feature import CHANNELS_FIRST, Feature, Flattened
from whycam.export.graph.onnx_graph import Graph, argument, attribute, kind
from whycam.export.head.covered import (
    DENSE,
    ELEMENTWISE,
    GATE,
    KEEP_PLACE,
    POOLINGS,
    QUANTIZATION,
    REDUCTIONS,
    RULED,
    SCALE,
    SHIFT,
    UnsupportedTail,
)
from whycam.export.head.ends import Ends, find_ends
from whycam.export.head.quantization import MOVES, Clamp, clamp, quantizer, rescaling


def find_feature(model: ModelProto) -> Feature:
    """The last feature map of a classifier, or of an explainable model."""
    graph = Graph(model)
    return find_tail(graph, find_ends(graph))[0]


def find_tail(graph: Graph, ends: Ends) -> tuple[Feature, list[NodeProto]]:
    """The last feature map, and the nodes between its flattened vector and the logits, in reverse order.

    Raises `UnsupportedTail` if there is none, or if a node's gradient is not known from its weights and its output.
    """
    tail: list[NodeProto] = []
    tensor, width = ends.logits, ends.classes
    while not _is_map(graph, tensor):
        node = graph.producer(tensor)
        if node is None:
            raise UnsupportedTail(None, "the walk found no feature map")
        if kind(node) in POOLINGS:
            break
        if kind(node) not in RULED:
            raise UnsupportedTail(node, "there is no rule for this operator")
        width = _input_width(graph, node, width)
        tail.append(node)
        tensor = data_input(graph, node)
    return _find_feature(graph, tensor, width), tail


def data_input(graph: Graph, node: NodeProto) -> str:
    """The one input of a tail's node that depends on the image; raises `UnsupportedTail` if there are several."""
    # Further inputs of `MOVES` are shapes, axes and rates. tf2onnx computes the shape from the batch size, by Shape,
    # Gather, Slice, Concat and Cast: it depends on the number of images, not on the images.
    moving = [node.input[0]] if kind(node) in MOVES else graph.moving(node)
    if len(moving) != 1:
        raise UnsupportedTail(node, f"{len(moving)} of its inputs depend on the image, it should be one")
    return moving[0]


def dense_weights(graph: Graph, node: NodeProto) -> tuple[str, list[int], bool]:
    """The weights of a dense layer, their shape, and whether they are stored [out, in]."""
    name = node.input[1]
    shape = graph.shape(name)
    if not graph.fixed(name) or graph.fixed(node.input[0]) or shape is None:
        raise UnsupportedTail(node, "its second input should be constant weights, and only that")
    sizes = [size for size in shape if size is not None]
    if kind(node) == "Conv":
        plain = len(sizes) == 4 and sizes[2:] == [1, 1] and attribute(node, "group", 1) == 1
        if not plain or any(attribute(node, "pads", [0])) or attribute(node, "strides", [1, 1]) != [1, 1]:
            raise UnsupportedTail(node, "behind the feature map a convolution should be a plain 1x1 one")
        return name, sizes, True
    if len(sizes) != 2 or attribute(node, "transA", 0):
        raise UnsupportedTail(node, f"it should multiply rows with a matrix, not with weights {sizes}")
    return name, sizes, bool(attribute(node, "transB", 0))


def bounds(graph: Graph, node: NodeProto) -> Clamp:
    """The range to which a Clip, Relu or QuantizeLinear limits its input."""
    if kind(node) == "QuantizeLinear":
        return clamp(graph, node)
    if kind(node) == "Relu":
        return Clamp(np.zeros(1, np.float32), None)
    low, high = (graph.constant(name) if (name := argument(node, place)) else None for place in (1, 2))
    return Clamp(low, high)


def clips(graph: Graph, node: NodeProto) -> bool:
    """Whether a node may block the gradient of some entries, depending on the image."""
    return kind(node) in GATE | {"QuantizeLinear"} and bounds(graph, node).clips


def factors(graph: Graph, node: NodeProto) -> NDArray[np.float32]:
    """The factor by which a node multiplies its vector: one number, or one per entry."""
    if kind(node) == "DequantizeLinear":
        found = rescaling(graph, node)
        assert found is not None
        return found
    if kind(node) == "BatchNormalization":
        scale, _, _, variance = (graph.constant(name) for name in node.input[1:5])
        assert scale is not None
        assert variance is not None
        return np.asarray(scale / np.sqrt(variance + attribute(node, "epsilon", 1e-5)), np.float32)
    value = next(value for name in node.input if (value := graph.constant(name)) is not None)
    value = value.reshape(-1)
    return np.asarray(1 / value if kind(node) == "Div" else value, np.float32)


def _input_width(graph: Graph, node: NodeProto, width: int) -> int:
    """The entries per image of a tail node's input, if its output has `width`; checks the node."""
    operator = kind(node)
    _check_rows(graph, node, width)
    if operator in DENSE:
        _, shape, out_first = dense_weights(graph, node)
        out, into = shape[:2] if out_first else shape[1::-1]
        if out != width:
            raise UnsupportedTail(node, f"it makes {out} numbers of which {width} are used")
        return into
    if operator in ("BatchNormalization", "Dropout") and _trains(graph, node):
        raise UnsupportedTail(node, "it is set to training; export the network for inference")
    constants = node.input[1:] if operator in GATE | QUANTIZATION | {"BatchNormalization"} else ()
    if not all(graph.fixed(name) for name in constants if name):
        raise UnsupportedTail(node, "all but its first input should be constants")
    if operator in QUANTIZATION:
        _check_quantization(graph, node, width)
    if operator in SHIFT | SCALE:
        if operator == "Div" and data_input(graph, node) != node.input[0]:
            raise UnsupportedTail(node, "its divisor depends on the image")
        for name in node.input:
            value = graph.constant(name) if graph.fixed(name) else None
            if value is not None and value.size not in (1, width):
                raise UnsupportedTail(node, f"its constant has {value.size} entries for {width} numbers")
    return width


def _check_rows(graph: Graph, node: NodeProto, width: int) -> None:
    """Check that a node's output is one row per image, because gates and constants apply to a row's entries."""
    shape = graph.shape(node.output[0])
    if kind(node) == "Transpose":
        inputs = graph.shape(node.input[0])
        if inputs is None:
            raise UnsupportedTail(node, "the shape of its input is unknown")
        order = list(attribute(node, "perm", range(len(inputs))[::-1]))
        if order[:1] != [0]:
            raise UnsupportedTail(node, f"it moves the axes {order}, the images' axis among them")
    if shape is not None and (shape[:1] != [None] or int(np.prod([size or 0 for size in shape[1:]])) not in (0, width)):
        raise UnsupportedTail(node, f"it makes {shape}, it should make {width} numbers for each image")


def _check_quantization(graph: Graph, node: NodeProto, width: int) -> None:
    scale = _checked_scale(graph, node, width)
    if scale.size > 1 and (shape := graph.shape(node.input[0])) is not None:
        axis = attribute(node, "axis", 1)
        if shape[axis] != scale.size:
            raise UnsupportedTail(node, f"its {scale.size} scales belong to the axis {axis} of {shape}")
    if kind(node) != "DequantizeLinear":
        return
    maker = quantizer(graph, node)
    if maker is None:
        source = graph.producer(node.input[0])
        raise UnsupportedTail(
            node, f"its integers come from {source.op_type if source else 'an input'}, not from a QuantizeLinear"
        )
    _checked_scale(graph, maker, width)
    if rescaling(graph, node) is None:
        raise UnsupportedTail(node, "its scales belong to other entries than those of the QuantizeLinear before it")


def _checked_scale(graph: Graph, node: NodeProto, width: int) -> NDArray[Any]:
    scale = graph.constant(node.input[1])
    if scale is None or scale.size not in (1, width):
        raise UnsupportedTail(node, f"it has {0 if scale is None else scale.size} scales for {width} numbers")
    if not np.all((scale > 0) & np.isfinite(scale)):
        raise UnsupportedTail(node, "a scale should be a positive number")
    return scale


def _trains(graph: Graph, node: NodeProto) -> bool:
    if kind(node) == "BatchNormalization":
        return bool(attribute(node, "training_mode", 0))
    given = argument(node, 2)
    return given != "" and (not graph.fixed(given) or bool(np.any(graph.constant(given))))


# The feature map.


def _is_map(graph: Graph, tensor: str) -> bool:
    """Whether a tensor has more than one axis per image, so that it is not flattened yet."""
    shape = graph.shape(tensor)
    return shape is not None and len(shape) > 2 and sum(size != 1 for size in shape[1:]) > 1


def _find_feature(graph: Graph, tensor: str, width: int) -> Feature:
    """The feature map from which `tensor`, the tail's vector of that width, is flattened."""
    path = _path(graph, tensor)
    source = path[-1].input[0] if path else tensor
    end = path[-1] if path else graph.producer(tensor)
    maker = graph.producer(source)
    if maker is not None and kind(maker) == "QuantizeLinear":
        raise UnsupportedTail(maker, "its output map consists of integers")
    if maker is not None and kind(maker) == "Pad":
        raise UnsupportedTail(maker, "the heatmap would cover its padding as well as the image")
    first = _channel_axis(graph, path, source)
    shape = graph.shape(source) or []
    sizes = [size for size in shape[1:] if size is not None]
    if len(shape) != 4 or len(sizes) != 3 or first not in (1, 3):
        raise UnsupportedTail(end, f"its feature map {shape} should have channels, height and width of fixed size")
    channels = sizes.pop(first - 1)
    place = first
    for node in reversed(path):
        if kind(node) == "Transpose":
            place = _order(node).index(place)
        elif kind(node) in POOLINGS and place != _pooled_axis(graph, node):
            raise UnsupportedTail(node, "it pools over channels")
    flat = graph.shape(tensor) or []
    if _is_map(graph, tensor) and place not in (1, len(flat) - 1):
        raise UnsupportedTail(end, f"its channels are axis {place} of {flat} where it is flattened")
    if sizes == [1, 1]:
        raise UnsupportedTail(end, "its feature map has a single cell, so a heatmap has no place to show")
    cells = int(np.prod([size or 0 for size in flat[1:]])) // channels
    if cells * channels != width:
        raise UnsupportedTail(end, f"it gives {cells * channels} numbers of which {width} are used")
    return Feature(source, channels, sizes[0], sizes[1], first == 3, Flattened(cells, place != 1))


def _path(graph: Graph, tensor: str) -> list[NodeProto]:
    """The nodes between the feature map and `tensor`, in reverse order: all poolings, and the nodes between them.

    Before the first pooling, or without one, only Identity and Transpose count: the feature map is the network's own,
    and 8-bit in a quantized network. A quantization that clips ends the path like a ReLU.
    """
    path: list[NodeProto] = []
    kept = 0
    while (node := graph.producer(tensor)) is not None:
        if kind(node) in POOLINGS:
            _pooled_axis(graph, node)
        elif kind(node) not in KEEP_PLACE | {"Transpose"} or not _keeps_values(graph, node):
            break
        path.append(node)
        tensor = node.input[0]
        if kind(node) in POOLINGS or (kind(node) in ("Identity", "Transpose") and kept == len(path) - 1):
            kept = len(path)
    return path[:kept]


def _keeps_values(graph: Graph, node: NodeProto) -> bool:
    """Whether a node of `KEEP_PLACE` passes the gradient of every cell unchanged."""
    if kind(node) in QUANTIZATION and not all(graph.fixed(name) for name in node.input[1:] if name):
        return False
    if kind(node) == "Dropout" and _trains(graph, node):
        raise UnsupportedTail(node, "it is set to training; export the network for inference")
    if kind(node) == "DequantizeLinear":
        factor = rescaling(graph, node)
        return factor is not None and bool(np.all(factor == 1))
    return not clips(graph, node)


def _pooled_axis(graph: Graph, node: NodeProto) -> int:
    """The channel axis of a pooling; raises `UnsupportedTail` unless it pools height and width only."""
    shape = graph.shape(node.input[0])
    if shape is None or len(shape) != 4:
        raise UnsupportedTail(node, f"it should pool a feature map with four axes, this one is {shape}")
    if kind(node) in REDUCTIONS:
        spatial = sorted(axis % 4 for axis in graph.axes(node) or [])
        if spatial not in ([2, 3], [1, 2]):
            raise UnsupportedTail(node, f"it should pool over height and width, but pools over axes {spatial}")
        return 1 if spatial == [2, 3] else 3
    padded = any(attribute(node, "pads", [0])) or attribute(node, "auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    counted = kind(node) == "AveragePool" and attribute(node, "count_include_pad", 0)
    if counted and (padded or attribute(node, "ceil_mode", 0)):
        raise UnsupportedTail(node, "it counts padding, so cells at the border weigh less")
    return 1


def _channel_axis(graph: Graph, path: list[NodeProto], source: str) -> int | None:
    """The channel axis of the feature map, from its pooling, or from the operator that computed it; None if unknown."""
    axis = None
    for node in path:
        if kind(node) in POOLINGS:
            axis = _pooled_axis(graph, node)
        elif kind(node) == "Transpose" and axis is not None:
            axis = _order(node)[axis]
    if axis is not None:
        return axis
    moves = []
    while (node := graph.producer(source)) is not None and kind(node) not in CHANNELS_FIRST:
        if kind(node) == "Transpose":
            moves.append(_order(node))
        elif kind(node) not in ELEMENTWISE:
            return None
        source = next((name for name in graph.moving(node) if len(graph.shape(name) or []) == 4), "")
    if node is None:
        return None
    axis = 1
    for order in reversed(moves):
        axis = order.index(axis)
    return axis


def _order(node: NodeProto) -> list[int]:
    """The permutation of a map's Transpose: entry i is the input axis that becomes axis i."""
    order: list[int] = list(attribute(node, "perm", [3, 2, 1, 0]))
    if len(order) != 4 or order[0] != 0:
        raise UnsupportedTail(node, f"it moves the axes {order}, the images' axis among them")
    return order
