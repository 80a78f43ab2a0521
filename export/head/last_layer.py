"""A classifier's last dense layer as inputs of its graph: its weights and bias become defaults that a run may replace.

The layer is written anew as one Gemm from the embedding, the vector that it multiplies, to the logits (N, C). Operators
that only reshape the logits are left out, because their shapes hold the first number of classes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from whycam.export.graph.onnx_graph import PREFIX, Graph, argument, attribute, kind
from whycam.export.head.covered import DENSE, QUANTIZATION, UnsupportedTail
from whycam.export.head.ends import activation_of, find_ends, output_name
from whycam.export.head.quantization import MOVES
from whycam.export.head.tail import dense_weights
from whycam.models.contract import LastLayer, Task

LAYER = f"{PREFIX}last_layer"
WEIGHTS, BIAS, EMBEDDING = (f"{LAYER}/{name}" for name in ("weights", "bias", "embedding"))
OPENED = "whycam.opened"
"""The model property with the last layer that can be replaced, until `save` writes the contract."""


class FixedClasses(ValueError):
    """A classifier whose last layer cannot be replaced; says why."""


class Dense(NamedTuple):
    """logits = embedding · weights + bias"""

    embedding: str
    weights: NDArray[np.float32]
    """(width, C), or (C, width) if they are stored so."""
    bias: NDArray[np.float32]
    """(C,)"""
    transposed: bool
    nodes: list[NodeProto]
    """What computes the logits of the embedding, in reverse order."""
    is_row: bool
    """Whether the embedding is (N, width), not with further axes of size 1."""

    @property
    def width(self) -> int:
        """The entries of the embedding."""
        return int(self.weights.shape[1 if self.transposed else 0])


def open_last_layer(model: ModelProto, task: Task | None = None) -> LastLayer:
    """Write a classifier's last layer anew, in place, with weights and a bias that `declare` makes inputs.

    Raises `FixedClasses`, and then leaves the model as it is, if there is no such layer.
    """
    graph = Graph(model)
    ends = find_ends(graph, task)
    output = output_name(graph)
    last = activation_of(graph, output)
    behind = _only_moves(graph, output, last.output[0] if last is not None else ends.logits)
    dense = _dense(graph, ends.logits, ends.classes)
    if dense.width == 1:
        dense = _with_one_before(graph, dense)
    unused = _unused(model)
    _check_readers(model, [*behind, *dense.nodes], [*([last] if last is not None else []), *unused])
    _rewrite(model, dense, ends.logits, last, [*behind, *dense.nodes, *unused])
    return LastLayer(dense.embedding if dense.is_row else EMBEDDING, WEIGHTS, BIAS, dense.width, dense.transposed)


def declare(model: ModelProto, layer: LastLayer) -> None:
    """Make the layer's weights and bias inputs with a default, for any number of classes, and its embedding an output.

    They are remembered in the model for `opened`.
    """
    sizes: list[str | int] = ["C", layer.width] if layer.transposed else [layer.width, "C"]
    model.graph.input.append(helper.make_tensor_value_info(layer.weights, TensorProto.FLOAT, sizes))
    model.graph.input.append(helper.make_tensor_value_info(layer.bias, TensorProto.FLOAT, ["C"]))
    model.graph.output.append(helper.make_tensor_value_info(layer.embedding, TensorProto.FLOAT, ["N", layer.width]))
    entry = model.metadata_props.add()
    entry.key, entry.value = OPENED, json.dumps(layer)


def opened(model: ModelProto) -> LastLayer | None:
    """The last layer that `append_cam` has made replaceable; None if it has not."""
    text = next((entry.value for entry in model.metadata_props if entry.key == OPENED), None)
    return LastLayer(*json.loads(text)) if text is not None else None


def _dense(graph: Graph, logits: str, count: int) -> Dense:
    """The dense layer that makes `count` numbers, and the nodes behind it."""
    nodes: list[NodeProto] = []
    tensor, added = logits, np.zeros(count, np.float32)
    while True:
        node = graph.producer(tensor)
        if node is None:
            raise FixedClasses("nothing computes its logits")
        nodes.append(node)
        if kind(node) in DENSE:
            break
        if kind(node) == "Add" and len(moving := graph.moving(node)) == 1 and not added.any():
            (tensor,) = moving
            added = _vector(graph, node, next(name for name in node.input if name != tensor), count)
        elif kind(node) in MOVES:
            tensor = _moved(graph, node, count)
        else:
            which = "is in 8 bits" if kind(node) in QUANTIZATION else "is not one plain dense layer"
            raise FixedClasses(f"its last layer {which}, because its logits come from {node.op_type} '{node.name}'")
    weights, transposed = _weights(graph, node, count)
    given = argument(node, 2)
    own = attribute(node, "beta", 1.0) * _vector(graph, node, given, count) if given else np.zeros(count)
    is_row = len(graph.shape(node.input[0]) or []) == 2
    return Dense(str(node.input[0]), weights, np.asarray(own + added, np.float32), transposed, nodes, is_row)


def _weights(graph: Graph, node: NodeProto, count: int) -> tuple[NDArray[np.float32], bool]:
    """A dense node's weights with two axes, and whether they are (C, width)."""
    try:
        name, shape, transposed = dense_weights(graph, node)
    except UnsupportedTail as refusal:
        raise FixedClasses(f"its last layer, {node.op_type} '{node.name}', is not plain: {refusal.reason}") from refusal
    maker = graph.producer(name)
    if maker is not None and kind(maker) == "DequantizeLinear":
        raise FixedClasses("its last layer is in 8 bits")
    stored = graph.constant(name)
    assert stored is not None
    if stored.dtype != np.float32 or shape[0 if transposed else 1] != count:
        raise FixedClasses(f"the weights of its last layer are {stored.dtype} {stored.shape} for {count} classes")
    weights = stored.reshape(shape[:2])
    sizes, width = graph.shape(node.input[0]), shape[1 if transposed else 0]
    if not _is_vector(sizes, width):
        raise FixedClasses(f"its last layer multiplies {sizes}, not one vector for each image")
    return np.asarray(weights * np.float32(attribute(node, "alpha", 1.0)), np.float32), transposed


def _vector(graph: Graph, node: NodeProto, name: str, count: int) -> NDArray[np.float32]:
    """A constant that is added to the logits, (C,)."""
    value = graph.constant(name) if graph.fixed(name) else None
    if value is None or value.size not in (1, count) or value.dtype != np.float32:
        raise FixedClasses(f"{node.op_type} '{node.name}' adds more to its logits than a bias")
    return np.broadcast_to(value.reshape(-1), count)


def _moved(graph: Graph, node: NodeProto, count: int) -> str:
    """The input of a node that keeps an image's numbers together, in their order."""
    for name in (node.input[0], node.output[0]):
        shape = graph.shape(name)
        if not _is_vector(shape, count):
            raise FixedClasses(f"{node.op_type} '{node.name}' reshapes its logits as {shape}")
    return str(node.input[0])


def _is_vector(shape: list[int | None] | None, width: int) -> bool:
    """Whether a shape is one vector for each image, perhaps with further axes of size 1."""
    return (
        shape is not None
        and shape[:1] == [None]
        and sorted(size or 0 for size in shape[1:])[-1:] == [width]
        and (math.prod(size or 0 for size in shape[1:]) == width)
    )


def _only_moves(graph: Graph, output: str, tensor: str) -> list[NodeProto]:
    """The nodes between a tensor and the output, in reverse order, which only reshape it."""
    nodes, count = [], next(size for size in (graph.shape(tensor) or [])[1:] if size != 1)
    assert count is not None
    while output != tensor:
        node = graph.producer(output)
        assert node is not None
        if kind(node) not in MOVES:
            raise FixedClasses(f"{node.op_type} '{node.name}' follows its probabilities")
        nodes.append(node)
        output = _moved(graph, node, count)
    return nodes


def _with_one_before(graph: Graph, dense: Dense) -> Dense:
    """Two classes made of one number, and the layer that makes that number, as one layer."""
    pair = dense.weights.reshape(-1)
    before = _dense(graph, dense.embedding, 1)
    weights = before.weights.reshape(-1, 1) * pair  # (width, 2)
    return before._replace(
        weights=np.ascontiguousarray(weights.T if before.transposed else weights),
        bias=np.asarray(before.bias * pair + dense.bias, np.float32),
        nodes=[*dense.nodes, *before.nodes],
    )


def _check_readers(model: ModelProto, nodes: list[NodeProto], others: list[NodeProto]) -> None:
    """Raise `FixedClasses` if another operator than these and `others` reads what `nodes` compute."""
    computed = {name for node in nodes for name in node.output}
    known = {node.output[0] for node in (*nodes, *others)}
    for node in model.graph.node:
        if node.output[0] not in known and not computed.isdisjoint(_read_by(node)):
            raise FixedClasses(f"{node.op_type} '{node.name}' reads the output of its last layer too")


def _unused(model: ModelProto) -> list[NodeProto]:
    """The nodes that the output does not depend on."""
    wanted, unused = {each.name for each in model.graph.output}, []
    for node in reversed(model.graph.node):
        if wanted.isdisjoint(node.output):
            unused.append(node)
        else:
            wanted.update(_read_by(node))
    return unused


def _read_by(node: NodeProto) -> set[str]:
    """The tensors that a node reads, those of its branches included."""
    inner = [each.g for each in node.attribute if each.type == AttributeProto.GRAPH]
    return set(node.input).union(*(_read_by(each) for graph in inner for each in graph.node))


def _rewrite(model: ModelProto, dense: Dense, logits: str, last: NodeProto | None, dropped: list[NodeProto]) -> None:
    """Replace the nodes of a dense layer, and those behind it that only reshape, by one Gemm to (N, C)."""
    gone = {node.output[0] for node in dropped}
    place, former = dense.nodes[-1].output[0], {name for node in dropped for name in node.input}
    embedding = dense.embedding if dense.is_row else EMBEDDING
    made = helper.make_node("Gemm", [embedding, WEIGHTS, BIAS], [logits], LAYER, transB=int(dense.transposed))
    flat = [] if dense.is_row else [helper.make_node("Flatten", [dense.embedding], [EMBEDDING], EMBEDDING, axis=1)]
    if last is not None and kind(last) != "Sigmoid":
        del last.attribute[:]
        last.attribute.append(helper.make_attribute("axis", -1))
    scores = last.output[0] if last is not None else logits
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        nodes += [*flat, made] if node.output[0] == place else []
        nodes += [node] if node.output[0] not in gone else []
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _remove(model.graph, (WEIGHTS, BIAS))  # of a head that was there before
    model.graph.initializer.append(numpy_helper.from_array(dense.weights, WEIGHTS))
    model.graph.initializer.append(numpy_helper.from_array(dense.bias, BIAS))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(scores, TensorProto.FLOAT, ["N", len(dense.bias)]))
    known = [each for each in model.graph.value_info if each.name not in gone]
    del model.graph.value_info[:]
    model.graph.value_info.extend(known)
    _remove_unread(model, former)


def _remove_unread(model: ModelProto, names: set[str]) -> None:
    """Remove those of these tensors that nothing reads, and what only they were made of."""
    graph = model.graph
    while names:
        unread = names - {name for node in graph.node for name in _read_by(node)} - {each.name for each in graph.output}
        names = {name for node in graph.node if node.output[0] in unread for name in node.input}
        _remove(graph, unread)


def _remove(graph: GraphProto, tensors: Collection[str]) -> None:
    """Remove stored tensors, inputs and the nodes that compute tensors."""
    for entries in (graph.node, graph.initializer, graph.input):
        names = [each.output[0] if isinstance(each, NodeProto) else each.name for each in entries]
        kept = [each for name, each in zip(names, entries, strict=True) if name not in tensors]
        if len(kept) < len(entries):
            del entries[:]
            entries.extend(kept)
