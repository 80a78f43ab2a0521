"""An ONNX graph with lookup by tensor name, and functions that extend and rewrite it; independent of classifiers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

PREFIX = "whycam/"
"""The name prefix of every tensor and node added here, so that none collides with the network's names."""
WEIGHTY = 1024
"""A stored tensor with more entries than this is weights, on which no shape, axis or bound depends."""
AXES_AS_INPUT = 18
"""The opset from which on every reduction takes its axes as an input."""
DOMAINS = ("", "ai.onnx")
"""The domains of ONNX's own operators; in other domains the same name may mean something else."""
UNCHANGING = ("Cast", "DequantizeLinear", "Identity")
"""Operators allowed between stored weights and their use, for weights in half precision or as 8-bit integers."""
Length: TypeAlias = int | str
"""A number of entries, or the tensor, int64 [1], that holds it when the graph runs."""


class Graph:
    """A model with producers, constants and shapes by tensor name; `add` and `store` append to the model in place.

    `replaceable` are the stored tensors that will be inputs too, so that what is appended does not depend on their
    values and first size. A stored tensor that is an input has the size of its default here.
    """

    def __init__(self, model: ModelProto, replaceable: Collection[str] = ()) -> None:
        self.model = model
        self.replaceable = frozenset(replaceable)
        inferred = shape_inference.infer_shapes(_with_default_sizes(model), data_prop=True).graph
        self._shapes: dict[str, list[int | None]] = {
            value.name: [
                dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim
            ]
            for value in (*inferred.value_info, *inferred.input, *inferred.output)
            if value.type.tensor_type.HasField("shape")
        }
        self._shapes |= {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
        self._producers = {output: node for node in self.model.graph.node for output in node.output}
        self._initializers = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self._count = 0
        self._vectors: dict[tuple[Length, ...], str] = {}

    def producer(self, tensor: str) -> NodeProto | None:
        """The node that computes a tensor; None for an input or a stored constant."""
        return self._producers.get(tensor)

    def shape(self, tensor: str) -> list[int | None] | None:
        """The shape that ONNX infers for a tensor, with None for a dynamic size; None if the shape is unknown."""
        return self._shapes.get(tensor)

    def constant(self, tensor: str) -> NDArray[Any] | None:
        """The value of a constant tensor; None for one that depends on the image."""
        if tensor in self._initializers:
            return np.asarray(numpy_helper.to_array(self._initializers[tensor]))
        node = self.producer(tensor)
        if node is None:
            return None
        if kind(node) == "Constant":
            return _literal(node.attribute[0])
        if kind(node) not in UNCHANGING or (value := self.constant(node.input[0])) is None:
            return None
        if kind(node) == "Cast":
            return _cast(value, attribute(node, "to"))
        return value if kind(node) == "Identity" else self._dequantized(node, value)

    def fixed(self, tensor: str) -> bool:
        """Whether `constant` finds a tensor's value, without computing it.

        All inputs count, because stored integers may be read with a scale that depends on the image.
        """
        node = self.producer(tensor)
        if node is None:
            return tensor in self._initializers
        return kind(node) == "Constant" or (kind(node) in UNCHANGING and not self.moving(node))

    def moving(self, node: NodeProto) -> list[str]:
        """A node's inputs that depend on the image."""
        return [name for name in node.input if name and not self.fixed(name)]

    def add(self, operator: str, inputs: Sequence[str], output: str | None = None, **attributes: object) -> str:
        """Append a node with one output and return that output's name."""
        name = self._name(operator)
        node = helper.make_node(operator, inputs, [output or name], name=name, **attributes)
        self.model.graph.node.append(node)
        self._producers[output or name] = node
        return output or name

    def add_two(self, operator: str, inputs: Sequence[str], **attributes: object) -> tuple[str, str]:
        """Append a node with two outputs and return their names."""
        name = self._name(operator)
        node = helper.make_node(operator, inputs, [name, f"{name}/second"], name=name, **attributes)
        self.model.graph.node.append(node)
        self._producers |= dict.fromkeys(node.output, node)
        return name, f"{name}/second"

    def copy(self, node: NodeProto, names: Mapping[str, str]) -> None:
        """Append a copy of a node whose inputs and outputs are renamed."""
        made = NodeProto()
        made.CopyFrom(node)
        made.name = self._name(node.op_type)
        made.input[:] = [names.get(name, name) for name in node.input]
        made.output[:] = [names.get(name, name) for name in node.output]
        self.model.graph.node.append(made)
        self._producers |= dict.fromkeys(made.output, self.model.graph.node[-1])

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators in this model."""
        return max((entry.version for entry in self.model.opset_import if entry.domain in DOMAINS), default=0)

    def reduce(self, operator: str, tensor: str, axis: int) -> str:
        """Append a reduction over one axis, which stays with size 1; the axis is an attribute up to opset 17."""
        if self.opset < AXES_AS_INPUT:
            return self.add(operator, [tensor], axes=[axis], keepdims=1)
        return self.add(operator, [tensor, self.integers(axis)], keepdims=1)

    def axes(self, node: NodeProto) -> list[int] | None:
        """The axes of a reduction, from its attribute or its second input; None if they depend on the image."""
        if name := argument(node, 1):
            given = self.constant(name)
            return None if given is None else [int(axis) for axis in given.reshape(-1)]
        return list(attribute(node, "axes", range(len(self.shape(node.input[0]) or []))))

    def pass_through(self, node: NodeProto) -> str:
        """Insert a Reshape without effect before a node's first input, and return its output."""
        dimensions = self.shape(node.input[0])
        if dimensions is None:  # the shape is unknown
            return str(node.input[0])
        shape = self.integers(*[0] * len(dimensions))  # 0: as in the input
        name = self._name("Reshape")
        place = next(index for index, each in enumerate(self.model.graph.node) if each.output[:1] == node.output[:1])
        self.model.graph.node.insert(place, helper.make_node("Reshape", [node.input[0], shape], [name], name=name))
        self._producers[name] = self.model.graph.node[place]
        self._shapes[name] = dimensions
        node.input[0] = name
        return name

    def store(self, value: NDArray[Any]) -> str:
        """Append a constant and return its name."""
        tensor = numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), self._name("constant"))
        self.model.graph.initializer.append(tensor)
        self._initializers[tensor.name] = tensor
        return str(tensor.name)

    def integers(self, *values: Length) -> str:
        """Append an int64 vector, for axes and shapes, and return its name; one that holds tensors, only once."""
        known = [value for value in values if isinstance(value, int)]
        if len(known) == len(values):
            return self.store(np.array(known, np.int64))
        if values not in self._vectors:
            parts = [value if isinstance(value, str) else self.integers(value) for value in values]
            self._vectors[values] = parts[0] if len(parts) == 1 else self.add("Concat", parts, axis=0)
        return self._vectors[values]

    def number(self, value: float) -> str:
        """Append a float32 scalar and return its name."""
        return self.store(np.array(value, np.float32))

    def _dequantized(self, node: NodeProto, value: NDArray[Any]) -> NDArray[np.float32] | None:
        """(value − zero point) · scale, where both are scalars, or have one entry per index of an axis."""
        scale = self.constant(node.input[1])
        zero = self.constant(given) if (given := argument(node, 2)) else np.zeros_like(scale, np.int32)
        if scale is None or zero is None:
            return None
        if scale.size == 1:  # also a vector of one entry, for which the axis does not matter
            scale, zero = scale.reshape(()), zero.reshape(())
        else:
            shape = [1] * value.ndim
            shape[attribute(node, "axis", 1)] = -1
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        return np.asarray((value.astype(np.int32) - zero.astype(np.int32)) * scale, np.float32)

    def _name(self, what: str) -> str:
        self._count += 1
        name = f"{PREFIX}{what}_{self._count}"
        return self._name(what) if name in self._producers or name in self._initializers else name


def kind(node: NodeProto) -> str:
    """A node's operator; one from another domain is prefixed with its domain."""
    return str(node.op_type if node.domain in DOMAINS else f"{node.domain}.{node.op_type}")


def argument(node: NodeProto, place: int) -> str:
    """The input at a position; empty if the node omits it."""
    return str(node.input[place]) if place < len(node.input) else ""


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """The value of a node's attribute, or the default if the node omits it."""
    found: AttributeProto | None = next((each for each in node.attribute if each.name == name), None)
    return default if found is None else helper.get_attribute_value(found)


def skeleton(model: ModelProto) -> ModelProto:
    """A copy in which each weight is an input of its shape, so that shape inference and checks are fast."""
    graph = model.graph
    bare = helper.make_model(
        helper.make_graph(
            list(graph.node),
            graph.name,
            list(graph.input),
            list(graph.output),
            [tensor for tensor in graph.initializer if not _weighty(tensor)],
            value_info=list(graph.value_info),
        ),
        opset_imports=list(model.opset_import),
        ir_version=model.ir_version,
    )
    declared = {value.name for value in graph.input}
    bare.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in graph.initializer
        if _weighty(tensor) and tensor.name not in declared
    )
    helper.set_model_props(bare, {entry.key: entry.value for entry in model.metadata_props})
    return bare


def _with_default_sizes(model: ModelProto) -> ModelProto:
    """A skeleton in which an input with a default has the size of that."""
    bare, stored = skeleton(model), {tensor.name: tensor for tensor in model.graph.initializer}
    for value in bare.graph.input:
        if value.name in stored:
            own = stored[value.name]
            value.CopyFrom(helper.make_tensor_value_info(value.name, own.data_type, own.dims))
    return bare


def _weighty(tensor: TensorProto) -> bool:
    return int(np.prod(tensor.dims)) > WEIGHTY


def tidy(model: ModelProto) -> ModelProto:
    """A copy with constants, nodes and the batch named by position, so that the same network gives the same file.

    Exporters number names in an order that changes between runs. The model's inputs and outputs keep their names.
    """
    ready = ModelProto()
    ready.CopyFrom(model)
    graph = ready.graph
    del graph.value_info[:]  # uses the former names, and can be inferred again
    kept = {value.name for value in (*graph.input, *graph.output)}
    for value in (*graph.input, *graph.output):
        batch = value.type.tensor_type.shape.dim[0]
        if not batch.HasField("dim_value"):
            batch.dim_param = "N"
    names: dict[str, str] = {"": ""}
    for place, node in enumerate(graph.node):
        node.name, node.doc_string = f"{node.op_type}_{place}", ""
        for name in node.input:
            names.setdefault(name, name if name in kept else f"constant_{len(names)}")
        for number, name in enumerate(node.output):
            names[name] = name if name in kept else node.name + (f"/{number}" if number else "")
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    domains = {node.domain for node in graph.node}
    imports = [entry for entry in ready.opset_import if entry.domain in domains]
    stored = {tensor.name: tensor for tensor in graph.initializer}
    used = [stored[name] for name in names if name in stored]  # in order of first use
    for tensor in used:
        tensor.name = names[tensor.name]
    kept_tensors = [_copy(tensor) for tensor in used]
    del graph.initializer[:]
    graph.initializer.extend(kept_tensors)
    copies = [helper.make_opsetid(entry.domain, entry.version) for entry in imports]
    del ready.opset_import[:]
    ready.opset_import.extend(copies)
    return ready


def rename(model: ModelProto, old: str, new: str) -> None:
    """Rename a tensor at its producer and at all uses."""
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        if value.name == old:
            value.name = new


def _copy(tensor: TensorProto) -> TensorProto:
    copy = TensorProto()
    copy.CopyFrom(tensor)
    return copy


def _literal(given: AttributeProto) -> NDArray[Any]:
    """The value of a Constant node, from any of its attributes."""
    value = helper.get_attribute_value(given)
    if given.name == "value":
        return np.asarray(numpy_helper.to_array(value))
    return np.array(value, np.float32 if given.name.startswith("value_float") else np.int64)


def _cast(value: NDArray[Any], to: int) -> NDArray[Any]:
    return value.astype(helper.tensor_dtype_to_np_dtype(to))
