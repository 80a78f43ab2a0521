"""The reverse pass of an explainable graph: from the explained scores back to any of its layers, or to its input."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from onnx import TensorProto

from whycam.export.graph.feature import Feature
from whycam.export.graph.onnx_graph import PREFIX, Graph
from whycam.export.graph.sizes import Dims, Sizes
from whycam.export.head.ends import Ends
from whycam.export.head.seeds import Seed
from whycam.export.reverse.backward import Backward, Gradient, UnsupportedLayer
from whycam.export.reverse.layers import by_cell, channel_sums, full_gradient

NETWORK = PREFIX + "network"
"""The network's own input, behind the preprocessing that `take_images` puts before it."""
STEPS = 16
"""Points on the way from zeros to the input: those of the Gauss-Legendre quadrature, which is exact for polynomials up
to degree 31."""


class ReversePass:
    """Gradients (N, K, …) of the scores of `classes` by layers of a network; `sizes` are those of the plain network."""

    def __init__(self, graph: Graph, sizes: Sizes, ends: Ends, seed: Seed, gradient: str) -> None:
        """`gradient` is that by the logits, (N, K, C), which `seed` wrote."""
        self._graph, self._sizes, self._ends, self._seed = graph, sizes, ends, seed
        self._gradient = gradient

    def sums(self, feature: Feature) -> str:
        """The gradient summed over a layer's cells, (N, K, channels)."""
        b, start = self._start
        return channel_sums(b, feature, self._ends.logits, start)

    def at_cells(self, feature: Feature) -> str:
        """The gradient by a layer, (N, K, channels, cells)."""
        b, start = self._start
        return by_cell(b, feature, full_gradient(b, feature, feature.tensor, self._ends.logits, start))

    def on_the_way(self, feature: Feature) -> str:
        """The mean of the gradient by the input over the points between zeros and it, (N, K, channels, cells).

        A copy of the network computes all points as one batch [N·steps, …], with the same weights.
        """
        graph, (b, _), own = self._graph, self._start, self._sizes.of(feature.tensor)
        points, weights = np.polynomial.legendre.leggauss(STEPS)  # on −1…1
        ones = [1] * (len(own) - 1)
        apart = b.add("Unsqueeze", feature.tensor, b.integers(1))  # (N, 1, …)
        places = b.store(((points + 1) / 2).reshape(STEPS, *ones))
        inputs = b.add("Reshape", b.add("Mul", apart, places), b.integers(-1, *own[1:]))
        names = self._copied(feature.tensor, inputs)
        size = b.add("Mul", b.add("Shape", "classes"), b.integers(STEPS, 1))
        repeated = b.add("Expand", b.add("Unsqueeze", "classes", b.integers(1)), b.integers(1, STEPS, 1))
        classes = graph.add("Reshape", [repeated, size], allowzero=1)  # (N·steps, K), K may be 0
        logits = graph.add("Reshape", [names[self._ends.logits], graph.integers(-1, self._ends.written)])
        seed = self._seed(graph, classes, logits, self._ends.written)
        path = Backward(graph, self._sizes, classes)
        start = _reordered(path, seed, self._ends, self._sizes.of(self._ends.logits))
        found = full_gradient(path, feature, inputs, names[self._ends.logits], start)  # (K, N·steps, …)
        steps = b.shaped(found.tensor, (own[0], STEPS, *own[1:]))
        share = b.store((weights / 2).reshape(STEPS, *ones))
        mean = b.total(Gradient(b.add("Mul", steps.tensor, share), steps.dims), [1], keep=False)
        return by_cell(b, feature, mean)

    def _copied(self, source: str, inputs: str) -> dict[str, str]:
        """Append a copy of all nodes between `source` and the logits, which reads `inputs`; its tensors by name."""
        nodes = list(self._graph.model.graph.node)
        behind, wanted, between = {source}, {self._ends.logits}, []
        for node in nodes:
            if not behind.isdisjoint(node.input):
                behind.update(name for name in node.output if name)
        for node in reversed(nodes):
            if source not in node.output and not (wanted & behind).isdisjoint(node.output):
                wanted.update(node.input)
                between.append(node)
        names = {source: inputs}
        names |= {name: f"{PREFIX}path/{name}" for node in between for name in node.output if name}
        for name, copy in names.items():
            self._sizes.copy(copy, name)
        for node in between[::-1]:
            self._graph.copy(node, names)
        return names

    @cached_property
    def _start(self) -> tuple[Backward, Gradient]:
        b = Backward(self._graph, self._sizes, "classes")
        return b, _reordered(b, self._gradient, self._ends, self._sizes.of(self._ends.logits))


def _reordered(b: Backward, seed: str, ends: Ends, dims: Dims) -> Gradient:
    """The gradient (N, K, C) by the logits, of `dims`, as (K, N, …)."""
    turned = b.add("Transpose", seed, perm=[1, 0, 2])
    return b.reshape(Gradient(turned, (-1, ends.classes)), dims)


def input_layer(graph: Graph, sizes: Sizes) -> Feature:
    """The network's own input as a layer; raises `UnsupportedLayer` if it is not known."""
    tensor = NETWORK if graph.producer(NETWORK) is not None else sizes.image
    if tensor == sizes.image and not _is_float(graph, tensor):
        raise UnsupportedLayer(None, "its input are bytes, and where they become numbers is not known")
    dims = sizes.of(tensor)
    last = dims[1] not in (1, 3) or dims[3] == 3
    height, width, channels = dims[1:] if last else (*dims[2:], dims[1])
    return Feature(tensor, channels, height, width, channels_last=last)


def _is_float(graph: Graph, tensor: str) -> bool:
    kinds = {each.name: each.type.tensor_type.elem_type for each in graph.model.graph.input}
    return bool(kinds[tensor] == TensorProto.FLOAT)
