"""Appends an exact Grad-CAM to a classifier's ONNX graph, in closed form: no gradient operator, stock operators only.

Grad-CAM for class c weights the feature map A[k, i, j] by the spatial mean of the gradient:

    α_k = 1/(H·W) Σ_ij ∂y_c/∂A_kij        heatmap_c = relu(Σ_k α_k A_k) / max

After the last feature map a classifier is a chain of operators whose gradient is known from the weights and the
forward pass. `tail` finds that chain, and explains why poolings and the flattening need no operator. `append_cam` walks
back through it from the scores, with one rule per operator (`RULES`), and appends the product; `methods` defines the
map that is drawn. The gradient is [N, K, width]: images, requested classes, entries of a tensor.

For `score="probability"`, y_c is the log-odds log(p_c / (1 − p_c)). Its gradient is that of p_c without the factor
p_c (1 − p_c) > 0, which cancels in the normalised map, so the heatmap is the probability's. It is also defined where
p_c rounds to 1 and automatic differentiation of p_c returns 0/0. For `score="logit"`, y_c is the logit z_c. In a
multi-label classifier p_c is the sigmoid of z_c, so its log-odds are z_c.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

from whycam.export.graph.feature import Feature, Flattened
from whycam.export.graph.global_pools import name_global_pools
from whycam.export.graph.observed_sizes import observe_sizes
from whycam.export.graph.onnx_graph import PREFIX, Graph, attribute, kind, rename
from whycam.export.graph.opset import converted
from whycam.export.graph.sizes import Sizes
from whycam.export.head.covered import DENSE, FACTORS, GATE, SCALE, SHIFT
from whycam.export.head.ends import Ends, find_ends
from whycam.export.head.methods import MapRule, map_rule
from whycam.export.head.quantization import MOVES, Clamp
from whycam.export.head.tail import bounds, clips, data_input, dense_weights, factors, find_tail
from whycam.export.reverse.backward import Backward
from whycam.export.reverse.backward import Gradient as Seed
from whycam.export.reverse.layers import channel_sums, find_layer
from whycam.models.contract import IR_VERSION, METHOD, MULTI_LABEL, OPSET, OUTPUTS, SINGLE_LABEL, Score, Task

METHOD_KEY = "whycam.method"
"""The model property in which the method is kept until `save` writes the contract."""


class Gradient(NamedTuple):
    """The gradient of the explained scores by a tensor of the tail, as a tensor [N, K, width] in the graph."""

    tensor: str
    width: int


def append_cam(
    model: ModelProto,
    *,
    score: Score = "probability",
    method: str = METHOD,
    task: Task | None = None,
    layer: str | None = None,
) -> ModelProto:
    """A copy of a plain classifier with the input `target` and the outputs of the contract (see `models.contract`).

    The classifier keeps its input; its single output, probabilities or logits, becomes `scores`. `task` says what
    logits are for, one class of many by default. `layer` is a tensor whose maps are drawn; by default it is the last
    feature map, for which the closed form needs less than the reverse pass. Raises `UnsupportedTail` if the closed form
    does not cover the tail, `UnsupportedLayer` if there is no reverse pass to the layer, `ValueError` for a model that
    is not a classifier of images with a fixed size and a dynamic batch, or that has another task, and for a `method`
    that is not in `export.head.methods`.
    """
    rule = map_rule(method)
    graph = Graph(prepared(model))
    ends = find_ends(graph, task)
    sizes = Sizes(graph.model) if layer else None
    feature, tail = (find_layer(graph, sizes, layer), []) if sizes and layer else find_tail(graph, ends)

    probabilities = ends.probabilities or _activated(graph, ends)
    graph.add("Reshape", [probabilities, graph.integers(-1, ends.classes)], "scores")
    logits = graph.add("Reshape", [ends.logits, graph.integers(-1, ends.classes)])  # (N, C)
    classes = _classes(graph, logits, ends.classes)  # (N, K)

    by_others = score == "probability" and ends.task == SINGLE_LABEL
    seed = _seed_of_log_odds if by_others else _seed_of_logit
    gradient = Gradient(seed(graph, classes, logits, ends.classes), ends.classes)
    by_channel = _by_channel if sizes is None else partial(_by_reverse_pass, sizes, ends)
    _heatmaps(graph, feature, by_channel(graph, feature, tail, gradient), rule)
    return _close(graph, feature, ends.classes, method)


def prepared(model: ModelProto) -> ModelProto:
    """A copy in the contract's opset or a newer one, with its tensors renamed where the contract uses their names."""
    ready = converted(model)
    for name in ("target", *OUTPUTS):
        rename(ready, name, PREFIX + name)
    stored = {tensor.name for tensor in ready.graph.initializer}
    images = [each for each in ready.graph.input if each.name not in stored]
    batch = images[0].type.tensor_type.shape.dim[0] if len(images) == 1 else None
    if batch is None or batch.HasField("dim_value"):
        raise ValueError("A classifier should have one input whose first axis, the batch, is dynamic. Export it so.")
    batch.dim_param = "N"
    for node in ready.graph.node:  # PyTorch writes there where in whose folders it was called
        del node.metadata_props[:]
        node.doc_string = ""
    del ready.graph.value_info[:]  # holds the exporter's names of sizes; ONNX infers them again
    observe_sizes(ready)
    name_global_pools(ready)
    return ready


def _activated(graph: Graph, ends: Ends) -> str:
    if ends.task == MULTI_LABEL:
        return graph.add("Sigmoid", [ends.logits])
    return graph.add("Softmax", [ends.logits], axis=-1)


# Which classes are explained, and the gradient at the logits.


def _classes(graph: Graph, logits: str, count: int) -> str:
    """`target` with its ranks resolved: −1−j becomes the class with the j-th largest logit.

    Ranked by logits, because probabilities tie where they round to 0. Resolved before OneHot, which reads −1 as the
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


def _by_channel(graph: Graph, feature: Feature, tail: list[NodeProto], gradient: Gradient) -> Gradient:
    """The gradient summed over the map's cells, (N, K, channels).

    The first layer's weights W1, in many networks the largest, need not be read again: if only constants are between
    this layer and the map, their sum over the cells is stored, which is smaller by the number of cells.
    """
    last = max((place for place, node in enumerate(tail) if kind(node) in DENSE), default=None)
    foldable = last is not None and not any(clips(graph, node) for node in tail[last:])
    assert feature.flattened is not None
    if feature.flattened.cells == 1 or not foldable:
        for node in tail:
            gradient = RULES[kind(node)](graph, node, gradient)
        return _summed(graph, feature, gradient)
    for node in tail[:last]:
        gradient = RULES[kind(node)](graph, node, gradient)
    weights = graph.store(_summed_weights(graph, feature.flattened, tail[last:]))
    return Gradient(graph.add("MatMul", [gradient.tensor, weights]), feature.channels)


def _by_reverse_pass(
    sizes: Sizes, ends: Ends, graph: Graph, feature: Feature, _tail: list[NodeProto], gradient: Gradient
) -> Gradient:
    """As `_by_channel`, through whatever is between the layer and the logits."""
    b = Backward(graph, sizes, "classes")
    seed = b.add("Transpose", gradient.tensor, perm=[1, 0, 2])  # (K, N, C)
    dims = sizes.of(ends.logits)
    return Gradient(
        channel_sums(b, feature, ends.logits, b.reshape(Seed(seed, (-1, gradient.width)), dims)), feature.channels
    )


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


# What is drawn.


def _heatmaps(graph: Graph, feature: Feature, gradient: Gradient, rule: MapRule) -> None:
    """The method's maps divided by their maximum; all zero if the maximum is 0."""
    cells = feature.height * feature.width
    alpha = graph.add("Mul", [gradient.tensor, graph.number(1 / cells)])  # (N, K, channels)
    values = feature.tensor
    if feature.skip:
        ends = graph.integers(feature.skip), graph.integers(feature.skip + cells), graph.integers(1)
        values = graph.add("Slice", [values, *ends])
    if feature.channels_last:
        columns = graph.add("Reshape", [values, graph.integers(0, cells, feature.channels)])
        columns = graph.add("Transpose", [columns], perm=[0, 2, 1])
    else:
        columns = graph.add("Reshape", [values, graph.integers(0, feature.channels, cells)])
    maps = rule(graph, alpha, columns)  # (N, K, H·W)
    peak = graph.reduce("ReduceMax", maps, 2)  # (N, K, 1)
    alive = graph.add("Greater", [peak, graph.number(0)])
    shown = graph.add("Div", [maps, graph.add("Where", [alive, peak, graph.number(1)])])
    graph.add("Reshape", [shown, graph.integers(0, 0, feature.height, feature.width)], "heatmaps")
    graph.add("Squeeze", [peak, graph.integers(2)], "evidence")


def _close(graph: Graph, feature: Feature, count: int, method: str) -> ModelProto:
    """Declare the contract's tensors and return the finished model."""
    model = graph.model
    sizes: dict[str | int, str | int] = {"C": count, "h": feature.height, "w": feature.width}
    kinds = {"tensor(float)": TensorProto.FLOAT, "tensor(int64)": TensorProto.INT64}
    model.graph.input.append(helper.make_tensor_value_info("target", TensorProto.INT64, ["N", "K"]))
    del model.graph.output[:]
    for name, (type_, shape) in OUTPUTS.items():
        fixed = [sizes.get(size, size) for size in shape]
        model.graph.output.append(helper.make_tensor_value_info(name, kinds[type_], fixed))
    model.ir_version = IR_VERSION if graph.opset == OPSET else max(IR_VERSION, model.ir_version)
    helper.set_model_props(model, {METHOD_KEY: method})
    return model
