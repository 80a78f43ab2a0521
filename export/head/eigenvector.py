"""The first principal component of a layer without centring, by power iteration with stock operators."""

from __future__ import annotations

from whycam.export.head.layer import Layer

SQUARINGS = 12
"""Each doubles the exponent of the Gram matrix: its 4096th power. Where the second singular value is 0.999 of the
first, 0.03 % of it is left; of two equal ones neither is the first."""


def first_projection(layer: Layer) -> str:
    """A · v (N, 1, cells), v the first right singular vector of A (cells, channels), its sign such that Σ A·v ≥ 0.

    The Gram matrix of cells or of channels, whichever are fewer, is squared; its power is P = λ p pᵀ. Of channels, p is
    v, and P applied to the channels' sums is v times Σ A·v. Of cells, p is the projection itself, and P applied to ones
    is p times Σ p. Both have the wanted sign. One more iteration with A removes the rounding of the squarings.
    """
    graph, values = layer.graph, layer.features  # (N, channels, cells)
    turned = graph.add("Transpose", [values], perm=[0, 2, 1])
    ones = graph.integers(2)
    if layer.cells <= layer.channels:
        power = _power(layer, graph.add("MatMul", [turned, values]))
        start = graph.add("MatMul", [values, graph.add("ReduceSum", [power, ones], keepdims=1)])  # (N, channels, 1)
    else:
        power = _power(layer, graph.add("MatMul", [values, turned]))
        start = graph.add("MatMul", [power, graph.add("ReduceSum", [values, ones], keepdims=1)])
    start = _by_largest(layer, start)
    again = _by_largest(layer, graph.add("MatMul", [values, graph.add("MatMul", [turned, start])]))
    square = graph.add("ReduceSum", [graph.add("Mul", [again, again]), graph.integers(1)], keepdims=1)
    length = graph.add("Sqrt", [square])
    unit = graph.add("Div", [again, _never_zero(layer, length)])
    return graph.add("Transpose", [graph.add("MatMul", [turned, unit])], perm=[0, 2, 1])


def _power(layer: Layer, gram: str) -> str:
    for _ in range(SQUARINGS):
        gram = _by_largest(layer, gram)
        gram = layer.graph.add("MatMul", [gram, gram])
    return _by_largest(layer, gram)


def _by_largest(layer: Layer, matrix: str) -> str:
    """Divided by its largest absolute entry, so that nothing overflows."""
    size = layer.graph.add("Abs", [matrix])
    for axis in (1, 2):
        size = layer.graph.reduce("ReduceMax", size, axis)
    return layer.graph.add("Div", [matrix, _never_zero(layer, size)])


def _never_zero(layer: Layer, number: str) -> str:
    graph = layer.graph
    return graph.add("Where", [graph.add("Greater", [number, graph.number(0)]), number, graph.number(1)])
