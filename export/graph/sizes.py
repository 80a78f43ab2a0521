"""The sizes of a network's tensors: numbers, or multiples of the number of images N."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto, shape_inference
from onnx.reference import ReferenceEvaluator

from whycam.export.graph.observed_sizes import BATCHES, observed
from whycam.export.graph.onnx_graph import Graph, attribute, kind, skeleton

Size: TypeAlias = int
"""A number of entries; −a stands for a·N."""
Dims: TypeAlias = tuple[Size, ...]


class UnknownSize(ValueError):
    """A tensor's size cannot be found, or does not grow with the number of images."""


class Sizes:
    """Looks up sizes, and values of tensors that no image changes; observes them where ONNX infers none.

    `model` is a network with one input of fixed height and width, before anything is appended. Exporters write sizes
    that are computed in the graph, which shape inference may not follow: then the network is run on 2 and on 3 images.
    """

    def __init__(self, model: ModelProto) -> None:
        self._graph = Graph(model)
        stored = {tensor.name for tensor in model.graph.initializer}
        (self.image,) = [each.name for each in model.graph.input if each.name not in stored]
        self._model = model
        self._own = len(model.graph.node), len(model.graph.initializer)  # what is appended later does not count
        self._shapes = [self._inferred(batch) for batch in BATCHES]
        self._observed = False
        self._declared: dict[str, Dims] = {}
        self._copies: dict[str, str] = {}
        self._values: dict[tuple[str, int], NDArray[Any] | None] = {}

    def declare(self, tensor: str, dims: Dims) -> str:
        """Remember the size of an appended tensor, and return its name."""
        self._declared[tensor] = dims
        return tensor

    def copy(self, tensor: str, original: str) -> None:
        """Remember that an appended tensor has the sizes and the constant value of another one."""
        self._copies[tensor] = original

    def of(self, tensor: str) -> Dims:
        """A tensor's sizes; raises `UnknownSize`."""
        tensor = self._copies.get(tensor, tensor)
        if tensor in self._declared:
            return self._declared[tensor]
        two, three = (shapes.get(tensor) for shapes in self._shapes)
        if two is None or three is None or None in two or None in three:
            if self._observed:
                raise UnknownSize(f"The size of '{tensor}' is not known.")
            self._observe()
            return self.of(tensor)
        return tuple(_size(tensor, int(a or 0), int(b or 0)) for a, b in zip(two, three, strict=True))

    def value(self, tensor: str) -> NDArray[Any] | None:
        """The value of a tensor that no image changes, computed sizes included; None for one that they change."""
        two, three = self.by_batch(tensor)
        return two if two is not None and three is not None and np.array_equal(two, three) else None

    def by_batch(self, tensor: str) -> list[NDArray[Any] | None]:
        """The value of a tensor that depends on nothing but the number of images, for each of `BATCHES`; or None."""
        tensor = self._copies.get(tensor, tensor)
        return [self._value(tensor, place) for place in range(len(BATCHES))]

    def _inferred(self, batch: int) -> dict[str, list[int | None]]:
        bare = skeleton(self._model)
        del bare.graph.value_info[:]
        next(each for each in bare.graph.input if each.name == self.image).type.tensor_type.shape.dim[
            0
        ].dim_value = batch
        for output in bare.graph.output:
            output.type.tensor_type.ClearField("shape")
        found = shape_inference.infer_shapes(bare, data_prop=True).graph
        shapes = {each.name: _shape(each) for each in (*found.value_info, *found.input, *found.output)}
        return {name: shape for name, shape in shapes.items() if shape is not None} | {
            tensor.name: list(tensor.dims) for tensor in self._model.graph.initializer
        }

    def _observe(self) -> None:
        self._observed = True
        nodes = list(self._model.graph.node)[: self._own[0]]
        made = [name for node in nodes for name in node.output if name]
        open_ = [name for name in made if any(None in shapes.get(name, [None]) for shapes in self._shapes)]
        own = ModelProto()
        own.CopyFrom(self._model)
        del own.graph.node[self._own[0] :], own.graph.initializer[self._own[1] :]
        for shapes, found in zip(self._shapes, observed(own, open_), strict=True):
            shapes.update({name: list(np.shape(value)) for name, value in zip(open_, found, strict=True)})

    def _value(self, tensor: str, place: int) -> NDArray[Any] | None:
        if (tensor, place) not in self._values:
            self._values[tensor, place] = self._computed(tensor, place)
        return self._values[tensor, place]

    def _computed(self, tensor: str, place: int) -> NDArray[Any] | None:
        if (stored := self._graph.constant(tensor)) is not None:
            return stored
        node = self._graph.producer(tensor)
        if node is None:
            return None
        if kind(node) == "Shape":
            shape = self._shapes[place].get(node.input[0])
            part = slice(attribute(node, "start", 0), attribute(node, "end"))
            return None if shape is None or None in shape else np.array(shape, np.int64)[part]
        inputs = {name: self._value(name, place) for name in node.input if name}
        if not inputs or any(value is None for value in inputs.values()):
            return None
        outputs = ReferenceEvaluator(node, opsets={"": self._graph.opset}).run(None, inputs)
        return np.asarray(outputs[list(node.output).index(tensor)])


def _size(tensor: str, two: int, three: int) -> Size:
    if two == three:
        return two
    if two % 2 == 0 and two // 2 * 3 == three:
        return -(two // 2)
    raise UnknownSize(f"A size of '{tensor}' is {two} for two images and {three} for three.")


def _shape(value: ValueInfoProto) -> list[int | None] | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
