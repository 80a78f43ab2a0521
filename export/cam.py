"""Appends an exact Grad-CAM to a classifier's ONNX graph, in closed form: no gradient operator, stock operators only.

Grad-CAM for class c weighs the feature map A[k, i, j] by the mean gradient over space:

    α_k = 1/(H·W) Σ_ij ∂y_c/∂A_kij        heatmap_c = relu(Σ_k α_k A_k) / max

Behind the last feature map a classifier is a chain of operators whose gradient is known from the weights and the
forward pass. `append_cam` walks that chain back from the scores, with one small rule an operator (`RULES`), and writes
down the product. The gradient it carries is [N, K, width]: pictures, classes asked for, entries of a tensor.

For `score="probability"`, y_c is the log-odds log(p_c / (1 − p_c)). Its gradient is that of p_c without the factor
p_c (1 − p_c) > 0, which cancels in the normalised map, so the heatmap is the probability's; but it stays alive where
p_c rounds to 1 and automatic differentiation of p_c returns 0/0. For `score="logit"`, y_c is the logit z_c.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, version_converter

from export.graph import PREFIX, Graph, attribute, rename
from models.contract import IR_VERSION, OPSET, OUTPUTS, Score

OLDEST_OPSET = 13  # from here on, onnx converts upwards without changing what an operator means


class UnsupportedTail(ValueError):
    """A classifier that the closed form does not cover: names the operator and the node at which the walk ended."""

    def __init__(self, node: NodeProto | None, reason: str) -> None:
        where = f"{node.op_type} '{node.name or node.output[0]}'" if node else "the network's input"
        self.operator = node.op_type if node else None
        self.node = node.name if node else None
        super().__init__(
            f"No closed-form Grad-CAM through {where}: {reason}. "
            f"A classifier may end in a global average pooling ({' or '.join(POOLINGS)}), "
            f"then any of {', '.join(sorted(RULES))}, then Softmax or nothing."
        )


class Gradient(NamedTuple):
    """The gradient of the explained scores by some tensor of the tail, as a tensor [N, K, width] in the graph."""

    tensor: str
    width: int


class Feature(NamedTuple):
    """The last feature map: a tensor [N, channels, height, width], or [N, height, width, channels]."""

    tensor: str
    channels: int
    height: int
    width: int
    channels_last: bool


class Ends(NamedTuple):
    """Where a classifier ends: its logits and probabilities, and how many classes they have."""

    logits: str
    probabilities: str | None
    """None where the network ends in logits."""
    classes: int


def append_cam(model: ModelProto, *, score: Score = "probability") -> ModelProto:
    """A copy of a plain classifier with the input `target` and the outputs of the contract (see `models.contract`).

    The classifier keeps its own input; its single output, probabilities or logits, becomes `scores`. Raises
    `UnsupportedTail` where the closed form does not reach, `ValueError` for a model that is no classifier of pictures
    with a fixed size and a free batch.
    """
    graph = Graph(_prepare(model))
    ends = find_ends(graph)
    feature, tail = find_tail(graph, ends)

    probabilities = ends.probabilities or graph.add("Softmax", [ends.logits], axis=-1)
    graph.add("Reshape", [probabilities, graph.integers(-1, ends.classes)], "scores")
    logits = graph.add("Reshape", [ends.logits, graph.integers(-1, ends.classes)])  # (N, C)
    classes = _classes(graph, logits, ends.classes)  # (N, K)

    seed = {"probability": _seed_of_log_odds, "logit": _seed_of_logit}[score]
    gradient = Gradient(seed(graph, classes, logits, ends.classes), ends.classes)
    for node in tail:
        gradient = RULES[node.op_type](graph, node, gradient)
    _heatmaps(graph, feature, gradient)
    return _close(graph, feature, ends.classes)


def find_ends(graph: Graph) -> Ends:
    """The logits and probabilities of a classifier, or of an explainable model."""
    output = next((each.name for each in graph.model.graph.output if each.name == "scores"), None)
    if output is None:
        if len(graph.model.graph.output) != 1:
            names = [each.name for each in graph.model.graph.output]
            raise ValueError(f"A classifier has one output, its scores; this model has {len(names)}: {names}.")
        output = graph.model.graph.output[0].name
    tensor = output
    while (node := graph.producer(tensor)) is not None and RULES.get(node.op_type) is _same:
        tensor = node.input[0]
    softmax = node if node is not None and node.op_type == "Softmax" else None
    logits = softmax.input[0] if softmax else output
    shape = graph.shape(logits) or []
    sizes = [size for size in shape[1:] if size != 1]
    if len(sizes) != 1 or sizes[0] is None:
        raise ValueError(f"The scores of a classifier are [N, C] with 2 or more classes, these are {shape}.")
    if softmax and shape[attribute(softmax, "axis", -1)] != sizes[0]:
        raise UnsupportedTail(softmax, "it does not run over the classes")
    return Ends(logits, softmax.output[0] if softmax else None, sizes[0])


def find_tail(graph: Graph, ends: Ends) -> tuple[Feature, list[NodeProto]]:
    """The last feature map, and the nodes between it and the logits, the last first."""
    tail: list[NodeProto] = []
    tensor, width = ends.logits, ends.classes
    while (node := graph.producer(tensor)) is not None and node.op_type not in POOLINGS:
        if node.op_type not in RULES:
            raise UnsupportedTail(node, "there is no rule for this operator")
        moving = graph.moving(node)
        if len(moving) != 1:
            raise UnsupportedTail(node, f"{len(moving)} of its inputs depend on the picture, it should be one")
        tail.append(node)
        tensor = moving[0]
        width = _input_width(graph, node, width)
    if node is None:
        raise UnsupportedTail(None, "the walk met no pooling")
    return _pooled(graph, node, width), tail


def _prepare(model: ModelProto) -> ModelProto:
    """A copy in the contract's opset, none of whose tensors bears a name that the contract uses."""
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if not OLDEST_OPSET <= opset <= OPSET:
        raise ValueError(f"The model has opset {opset}; export it with opset {OPSET} ({OLDEST_OPSET} and up will do).")
    ready = ModelProto()
    ready.CopyFrom(model if opset == OPSET else version_converter.convert_version(model, OPSET))
    for name in ("target", *OUTPUTS):
        rename(ready, name, PREFIX + name)
    stored = {tensor.name for tensor in ready.graph.initializer}
    pictures = [each for each in ready.graph.input if each.name not in stored]
    batch = pictures[0].type.tensor_type.shape.dim[0] if len(pictures) == 1 else None
    if batch is None or batch.HasField("dim_value"):
        raise ValueError("A classifier takes one input whose first size, the batch, is left open. Export it like that.")
    batch.dim_param = "N"
    del ready.graph.value_info[:]  # sizes named by the exporter; ONNX infers them again
    return ready


# Which classes are explained, and the gradient at the logits.


def _classes(graph: Graph, logits: str, count: int) -> str:
    """`target` with its ranks resolved: −1−j becomes the class with the j-th largest logit.

    Ranked by logits, not by probabilities, which tie where they round to 0. Before OneHot, to which −1 would mean the
    last class.
    """
    zero = graph.integers(0)
    _, order = graph.add_two("TopK", [logits, graph.integers(count)], axis=-1)  # (N, C)
    ranked = graph.add("Less", ["target", zero])
    rank = graph.add("Where", [ranked, graph.add("Sub", [graph.integers(-1), "target"]), zero])
    best = graph.add("GatherElements", [order, rank], axis=1)  # (N, C), (N, K) -> (N, K)
    return graph.add("Where", [ranked, best, "target"], "classes")


def _one_hot(graph: Graph, classes: str, count: int) -> str:
    return graph.add("OneHot", [classes, graph.integers(count), graph.store(np.array([0, 1], np.float32))], axis=-1)


def _seed_of_logit(graph: Graph, classes: str, _logits: str, count: int) -> str:
    """∂z_c/∂z = e_c, as (N, K, C)."""
    return _one_hot(graph, classes, count)


def _seed_of_log_odds(graph: Graph, classes: str, logits: str, count: int) -> str:
    """∂(z_c − log Σ_{i≠c} exp z_i)/∂z = e_c − softmax of the other classes, as (N, K, C)."""
    hot = _one_hot(graph, classes, count)
    row = graph.add("Unsqueeze", [logits, graph.integers(1)])  # (N, 1, C)
    explained = graph.add("Cast", [hot], to=TensorProto.BOOL)
    others = graph.add("Softmax", [graph.add("Where", [explained, graph.number(-np.inf), row])], axis=-1)
    return graph.add("Sub", [hot, others])


# One rule an operator: from the gradient by its output to the gradient by the input that depends on the picture.


def _same(_graph: Graph, _node: NodeProto, gradient: Gradient) -> Gradient:
    """Behind a global pooling every tensor is a vector, however its axes of size 1 are folded or moved."""
    return gradient


def _dense(graph: Graph, node: NodeProto, gradient: Gradient) -> Gradient:
    """y = x W: the gradient by x is g Wᵀ, with the weights that the forward pass already holds."""
    weights, out_first = _weights(graph, node)
    shape = graph.constant(weights)
    assert shape is not None
    if shape.ndim != 2:  # a 1x1 convolution's kernel
        weights = graph.add("Reshape", [weights, graph.integers(*shape.shape[:2])])
    width = _input_width(graph, node, gradient.width)
    if out_first:
        product = graph.add("MatMul", [gradient.tensor, weights])  # (N, K, out) x (out, in) -> (N, K, in)
    else:
        rows = graph.add("Reshape", [gradient.tensor, graph.integers(-1, gradient.width)])  # (N·K, out)
        rows = graph.add("Gemm", [rows, weights], transB=1)
        size = graph.add("Concat", [graph.add("Shape", ["classes"]), graph.integers(width)], axis=0)
        product = graph.add("Reshape", [rows, size], allowzero=1)  # K may be 0
    alpha = attribute(node, "alpha", 1.0)
    if alpha != 1.0:
        product = graph.add("Mul", [product, graph.number(alpha)])
    return Gradient(product, width)


def _shift(graph: Graph, node: NodeProto, gradient: Gradient) -> Gradient:
    """y = x + b and y = x − b change nothing; y = b − x turns the sign."""
    if node.op_type == "Sub" and node.input[1] == graph.moving(node)[0]:
        return Gradient(graph.add("Neg", [gradient.tensor]), gradient.width)
    return gradient


def _scale(graph: Graph, node: NodeProto, gradient: Gradient) -> Gradient:
    """y = x · s and y = x / s."""
    factor = next(graph.constant(name) for name in node.input if graph.constant(name) is not None)
    assert factor is not None
    factors = graph.store(factor.reshape(-1))
    return Gradient(graph.add(node.op_type, [gradient.tensor, factors]), gradient.width)


Rule = Callable[[Graph, NodeProto, Gradient], Gradient]
RULES: Mapping[str, Rule] = MappingProxyType(
    dict.fromkeys(("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"), _same)
    | dict.fromkeys(("Conv", "Gemm", "MatMul"), _dense)
    | dict.fromkeys(("Add", "Sub"), _shift)
    | dict.fromkeys(("Div", "Mul"), _scale)
)


def _weights(graph: Graph, node: NodeProto) -> tuple[str, bool]:
    """The weights of a dense layer, and whether they are stored [out, in]."""
    value = graph.constant(node.input[1])
    if value is None or graph.constant(node.input[0]) is not None:
        raise UnsupportedTail(node, "its second input should be constant weights, and only that")
    if node.op_type == "Conv":
        plain = value.ndim == 4 and value.shape[2:] == (1, 1) and attribute(node, "group", 1) == 1
        if not plain or any(attribute(node, "pads", [0])) or attribute(node, "strides", [1, 1]) != [1, 1]:
            raise UnsupportedTail(node, "behind the pooling a convolution should be a plain 1x1 one")
        return node.input[1], True
    if value.ndim != 2 or attribute(node, "transA", 0):
        raise UnsupportedTail(node, f"it should multiply rows with a matrix, not with weights {list(value.shape)}")
    return node.input[1], bool(attribute(node, "transB", 0))


def _input_width(graph: Graph, node: NodeProto, width: int) -> int:
    """How many entries a picture's input of a tail node has, where its output has `width`."""
    rule = RULES[node.op_type]
    if rule is _dense:
        weights, out_first = _weights(graph, node)
        value = graph.constant(weights)
        assert value is not None
        out, into = value.shape[:2] if out_first else value.shape[1::-1]
        if out != width:
            raise UnsupportedTail(node, f"it makes {out} numbers of which {width} are used")
        return int(into)
    if rule in (_shift, _scale):
        if node.op_type == "Div" and graph.moving(node)[0] != node.input[0]:
            raise UnsupportedTail(node, "it divides by what depends on the picture")
        for name in node.input:
            value = graph.constant(name)
            if value is not None and value.size not in (1, width):
                raise UnsupportedTail(node, f"its constant has {value.size} entries for {width} numbers")
    return width


# The feature map, and what is drawn.


def _pooled(graph: Graph, node: NodeProto, width: int) -> Feature:
    """The feature map that a global average pooling takes, as it was before it was transposed for the pooling."""
    shape = graph.shape(node.input[0])
    if shape is None or len(shape) != 4:
        raise UnsupportedTail(node, f"it should pool a feature map with four axes, this one is {shape}")
    channel = 1
    if node.op_type == "ReduceMean":
        spatial = sorted(axis % 4 for axis in attribute(node, "axes", range(4)))
        if spatial not in ([2, 3], [1, 2]):
            raise UnsupportedTail(node, f"it should average over height and width, it does over axes {spatial}")
        channel = 1 if spatial == [2, 3] else 3
    tensor = node.input[0]
    while (before := graph.producer(tensor)) is not None and before.op_type in ("Identity", "Transpose"):
        order = attribute(before, "perm", [3, 2, 1, 0]) if before.op_type == "Transpose" else list(range(4))
        if order[0] != 0 or order[channel] not in (1, 3):
            break
        tensor, channel = before.input[0], order[channel]
    shape = graph.shape(tensor) or shape
    channels, height, columns = (shape[1], *shape[2:]) if channel == 1 else (shape[3], *shape[1:3])
    if height is None or columns is None:
        raise UnsupportedTail(node, f"its feature map {shape} has no fixed size; export with a fixed picture size")
    if channels != width:
        raise UnsupportedTail(node, f"it pools {channels} channels of which {width} are used")
    return Feature(tensor, width, height, columns, channel == 3)


def _heatmaps(graph: Graph, feature: Feature, gradient: Gradient) -> None:
    """heatmap = relu(Σ_k α_k A_k) / max, all zero where that maximum is."""
    cells = feature.height * feature.width
    # A mean over the map hands 1/(H·W) of its gradient to each cell, and Grad-CAM's α is the mean of those.
    alpha = graph.add("Mul", [gradient.tensor, graph.number(1 / cells)])  # (N, K, channels)
    if feature.channels_last:
        columns = graph.add("Reshape", [feature.tensor, graph.integers(0, cells, feature.channels)])
        columns = graph.add("Transpose", [columns], perm=[0, 2, 1])
    else:
        columns = graph.add("Reshape", [feature.tensor, graph.integers(0, feature.channels, cells)])
    maps = graph.add("Relu", [graph.add("MatMul", [alpha, columns])])  # (N, K, H·W)
    peak = graph.add("ReduceMax", [maps], axes=[2], keepdims=1)  # (N, K, 1)
    alive = graph.add("Greater", [peak, graph.number(0)])
    shown = graph.add("Div", [maps, graph.add("Where", [alive, peak, graph.number(1)])])
    graph.add("Reshape", [shown, graph.integers(0, 0, feature.height, feature.width)], "heatmaps")
    graph.add("Squeeze", [peak, graph.integers(2)], "evidence")


def _close(graph: Graph, feature: Feature, count: int) -> ModelProto:
    """Declare the contract's tensors and return the finished model."""
    model = graph.model
    sizes: dict[str | int, str | int] = {"C": count, "h": feature.height, "w": feature.width}
    kinds = {"tensor(float)": TensorProto.FLOAT, "tensor(int64)": TensorProto.INT64}
    model.graph.input.append(helper.make_tensor_value_info("target", TensorProto.INT64, ["N", "K"]))
    del model.graph.output[:]
    for name, (kind, shape) in OUTPUTS.items():
        fixed = [sizes.get(size, size) for size in shape]
        model.graph.output.append(helper.make_tensor_value_info(name, kinds[kind], fixed))
    model.ir_version = IR_VERSION
    return model


POOLINGS = ("GlobalAveragePool", "ReduceMean")
