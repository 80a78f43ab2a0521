"""Writes a reverse pass into a graph: the algebra of gradients [K, *dims], whatever the operator.

A gradient may be lazy: it has size 1 along an axis on which it is constant, as behind a mean. It is written out only
where a rule needs all entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from whycam.export.graph.onnx_graph import Graph, attribute
from whycam.export.graph.sizes import Dims, Size, Sizes


class Gradient(NamedTuple):
    """The gradient of the explained scores by a tensor: [K, *dims] in the graph."""

    tensor: str
    dims: Dims
    """Those of the tensor, or 1 where the gradient is constant along an axis."""


class Backward:
    """A graph to which a reverse pass is appended; `classes` is its tensor of classes [N, K]."""

    def __init__(self, graph: Graph, sizes: Sizes, classes: str) -> None:
        self.graph = graph
        self.sizes = sizes
        self._written: dict[object, str] = {}
        count = graph.add("Shape", [classes])
        self._k = self.add("Slice", count, self.integers(1), self.integers(2))
        self._n = self.add("Slice", count, self.integers(0), self.integers(1))

    # Tensors without K.

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output and return its name."""
        return self.graph.add(operator, list(inputs), **attributes)

    def once(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """As `add`, but the same operator on the same inputs is appended once."""
        key = (operator, inputs, str(attributes))
        if key not in self._written:
            self._written[key] = self.add(operator, *inputs, **attributes)
        return self._written[key]

    def store(self, value: NDArray[Any] | Sequence[Any] | float, dtype: Any = np.float32) -> str:
        """Append a constant, once for equal values, and return its name."""
        array = np.asarray(value, dtype)
        key = (array.shape, str(array.dtype), array.tobytes())
        if key not in self._written:
            self._written[key] = self.sizes.declare(self.graph.store(array), array.shape)
        return self._written[key]

    def integers(self, *values: int) -> str:
        """Append an int64 vector and return its name."""
        return self.store(values, np.int64)

    def number(self, value: float) -> str:
        """Append a float32 scalar and return its name."""
        return self.store(value)

    def pointwise(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append a pointwise operator on tensors without K, and remember the size of its output."""
        shapes = [self.sizes.of(each) for each in inputs]
        rank = max(map(len, shapes))
        wide = [(1,) * (rank - len(shape)) + shape for shape in shapes]
        dims = tuple(next((size for size in column if size != 1), 1) for column in zip(*wide, strict=True))
        return self.sizes.declare(self.once(operator, *inputs, **attributes), dims)

    def product(self, one: str | None, other: str | None) -> str | None:
        """Of two tensors without K; None is 1."""
        if one is None or other is None:
            return one or other
        return self.pointwise("Mul", one, other)

    def mean(self, tensor: str, axes: Sequence[int], *, once: bool = False) -> str:
        """Append a mean over axes, which stay with size 1."""
        write = self.once if once else self.add
        if self.graph.opset < 18:  # from then on the axes are an input
            return write("ReduceMean", tensor, axes=list(axes), keepdims=1)
        return write("ReduceMean", tensor, self.integers(*axes), keepdims=1)

    def constant(self, tensor: str, node: NodeProto) -> NDArray[Any]:
        """The value of a tensor that no image changes; raises `UnsupportedLayer`."""
        value = self.sizes.value(tensor)
        if value is None:
            raise UnsupportedLayer(node, f"'{tensor}' should be a constant")
        return value

    # Sizes as tensors.

    def shape(self, dims: Sequence[Size], leading: int | None = None) -> str:
        """A tensor that holds [K, *dims], or [leading, *dims]."""
        parts = [self._k if leading is None else self.integers(leading)]
        for size in dims:
            if size >= 0:
                parts.append(self.integers(size))
            elif size == -1:
                parts.append(self._n)
            else:
                parts.append(self.once("Mul", self._n, self.integers(-size)))
        return self.once("Concat", *parts, axis=0)

    # Gradients.

    def reshape(self, gradient: Gradient, dims: Dims) -> Gradient:
        """The same entries in other dims."""
        if gradient.dims == dims:
            return gradient
        if all(size >= 0 for size in dims):
            return Gradient(self.add("Reshape", gradient.tensor, self.integers(0, *dims)), dims)
        if gradient.dims and dims[0] == gradient.dims[0] < 0 and all(size >= 0 for size in dims[1:]):
            return Gradient(self.add("Reshape", gradient.tensor, self.integers(0, 0, *dims[1:])), dims)
        return self.shaped(gradient.tensor, dims)

    def shaped(self, tensor: str, dims: Dims) -> Gradient:
        """Any tensor with K·dims entries as a gradient; K may be 0."""
        return Gradient(self.add("Reshape", tensor, self.shape(dims), allowzero=1), dims)

    def full(self, gradient: Gradient, dims: Dims) -> Gradient:
        """The gradient with no axis left lazy."""
        if gradient.dims == dims:
            return gradient
        wide = [1 if own == size else size for own, size in zip(gradient.dims, dims, strict=True)]
        return Gradient(self.add("Expand", gradient.tensor, self.shape(wide, leading=1)), dims)

    def folded(self, gradient: Gradient) -> str:
        """[K, N, …] as [K·N, …], for operators that take one batch axis."""
        return self.add("Reshape", gradient.tensor, self.integers(-1, *gradient.dims[1:]))

    def total(self, gradient: Gradient, axes: Sequence[int], *, keep: bool = True) -> Gradient:
        """The sum over axes; those that are kept and lazy stay as they are."""
        axes = [axis for axis in axes if not (keep and gradient.dims[axis] == 1)]
        if not axes:
            return gradient
        behind = self.integers(*(axis + 1 for axis in axes))
        name = self.add("ReduceSum", gradient.tensor, behind, keepdims=int(keep))
        dims = (1 if place in axes else size for place, size in enumerate(gradient.dims) if keep or place not in axes)
        return Gradient(name, tuple(dims))

    def times(self, gradient: Gradient, factor: str | None, dims: Dims | None = None) -> Gradient:
        """The gradient times a tensor without K, of `dims` if its size is not known; None is 1."""
        if factor is None:
            return gradient
        own = self.sizes.of(factor) if dims is None else dims
        wide = (1,) * (len(gradient.dims) - len(own)) + own
        product = tuple(b if a == 1 else a for a, b in zip(gradient.dims, wide, strict=True))
        return Gradient(self.add("Mul", gradient.tensor, factor), product)

    def scaled(self, gradient: Gradient, factor: float) -> Gradient:
        """The gradient times a number."""
        if factor == 1:
            return gradient
        return Gradient(self.add("Mul", gradient.tensor, self.number(factor)), gradient.dims)

    def plus(self, one: Gradient, other: Gradient) -> Gradient:
        """The sum of two gradients by one tensor."""
        dims = tuple(b if a == 1 else a for a, b in zip(one.dims, other.dims, strict=True))
        return Gradient(self.add("Add", one.tensor, other.tensor), dims)

    def unbroadcast(self, gradient: Gradient, wide: Dims, dims: Dims) -> Gradient:
        """From the gradient by a tensor that was broadcast to `wide` to that by the tensor itself, of `dims`."""
        lead = len(wide) - len(dims)
        own = (1,) * lead + dims
        lost = [axis for axis in range(len(wide)) if own[axis] == 1 and wide[axis] != 1]
        lazy = [wide[axis] for axis in lost if gradient.dims[axis] == 1]
        if any(size < 0 for size in lazy):
            gradient, lazy = self.full(gradient, wide), []
        gradient = self.total(gradient, lost)
        gradient = self.scaled(gradient, float(np.prod(lazy))) if lazy else gradient
        return self.reshape(gradient, gradient.dims[lead:]) if lead else gradient

    def padded(self, gradient: Gradient, by: Mapping[int, tuple[int, int]]) -> Gradient:
        """The gradient with zeros before and behind, by axis."""
        pads = np.zeros((2, len(gradient.dims) + 1), np.int64)
        for axis, ends in by.items():
            pads[:, axis + 1] = ends
        dims = (size + sum(by.get(axis, (0, 0))) for axis, size in enumerate(gradient.dims))
        return Gradient(self.add("Pad", gradient.tensor, self.integers(*pads.ravel())), tuple(dims))

    def transposed(self, gradient: Gradient, order: Sequence[int]) -> Gradient:
        """The gradient with its axes, K apart, in another order."""
        if list(order) == sorted(order):
            return gradient
        name = self.add("Transpose", gradient.tensor, perm=[0, *(axis + 1 for axis in order)])
        return Gradient(name, tuple(gradient.dims[axis] for axis in order))


class UnsupportedLayer(ValueError):
    """A network through which there is no reverse pass to a layer; names the node where it ended."""

    def __init__(self, node: NodeProto | None, reason: str) -> None:
        where = f"{node.op_type} '{node.name or node.output[0]}'" if node else "the network"
        self.operator = node.op_type if node else None
        super().__init__(f"There is no exact gradient through {where}: {reason}.")


def flag(node: NodeProto, name: str, default: Any = None) -> Any:
    """A node's attribute, text as text."""
    value = attribute(node, name, default)
    return value.decode() if isinstance(value, bytes) else value
