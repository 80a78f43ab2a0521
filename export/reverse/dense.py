"""Matrix products."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from onnx import NodeProto

from whycam.export.reverse.backward import Backward, Gradient, UnsupportedLayer, flag
from whycam.export.reverse.rule import Rule


def rows(b: Backward, gradient: Gradient, weights: str, width: int, *, transposed: bool) -> Gradient:
    """A gradient [K, …, out] times constant weights, by one Gemm that reads those of the forward pass."""
    if weights in b.graph.replaceable:  # their `out` is another one at run time
        flat = b.add("Flatten", gradient.tensor, axis=len(gradient.dims))
    else:
        flat = b.add("Reshape", gradient.tensor, b.integers(-1, gradient.dims[-1]))
    return b.shaped(b.add("Gemm", flat, weights, transB=int(transposed)), (*gradient.dims[:-1], width))


def _mat_mul(b: Backward, node: NodeProto, place: int, gradient: Gradient) -> Gradient:
    """C = A·B: g·Bᵀ and Aᵀ·g."""
    one, other = node.input
    own, out = b.sizes.of(node.input[place]), b.sizes.of(node.output[0])
    if min(len(b.sizes.of(one)), len(b.sizes.of(other))) < 2:
        raise UnsupportedLayer(node, "it should multiply matrices, not a vector")
    gradient = b.full(gradient, out)
    if place == 0 and len(b.sizes.of(other)) == 2 and b.sizes.value(other) is not None:
        return rows(b, gradient, other, own[-1], transposed=True)
    inputs = (gradient.tensor, _turned(b, other)) if place == 0 else (_turned(b, one), gradient.tensor)
    wide = (*out[:-2], *own[-2:])
    return b.unbroadcast(Gradient(b.add("MatMul", *inputs), wide), wide, own)


def _turned(b: Backward, tensor: str) -> str:
    rank = len(b.sizes.of(tensor))
    return b.once("Transpose", tensor, perm=[*range(rank - 2), rank - 1, rank - 2])


def _gemm(b: Backward, node: NodeProto, place: int, gradient: Gradient) -> Gradient:
    """Y = α·A·B + β·C"""
    out = b.sizes.of(node.output[0])
    gradient = b.full(gradient, out)
    if place == 2:
        return b.scaled(b.unbroadcast(gradient, out, b.sizes.of(node.input[2])), flag(node, "beta", 1.0))
    if place == 1 or flag(node, "transA", 0) or b.sizes.value(node.input[1]) is None:
        raise UnsupportedLayer(node, "it should multiply rows with constant weights")
    width = b.sizes.of(node.input[0])[1]
    product = rows(b, gradient, node.input[1], width, transposed=not flag(node, "transB", 0))
    return b.scaled(product, flag(node, "alpha", 1.0))


def _einsum(b: Backward, node: NodeProto, place: int, gradient: Gradient) -> Gradient:
    """The gradient takes the output's place in the equation, with a letter for K before its own."""
    terms, out = flag(node, "equation").replace(" ", "").split("->")
    names = terms.split(",")
    own, other = names[place], names[1 - place] if len(names) == 2 else ""
    if "." in terms or len(names) != 2 or len(set(own)) < len(own) or set(own) - set(out) - set(other):
        raise UnsupportedLayer(node, f"its equation {terms}->{out} is not a product of two tensors")
    k = next(letter for letter in "ZYXWVU" if letter not in terms + out)
    equation = f"{k}{out},{other}->{k}{own}"
    full = b.full(gradient, b.sizes.of(node.output[0]))
    return Gradient(
        b.add("Einsum", full.tensor, node.input[1 - place], equation=equation), b.sizes.of(node.input[place])
    )


DENSE_RULES: Mapping[str, Rule] = MappingProxyType({"Einsum": _einsum, "Gemm": _gemm, "MatMul": _mat_mul})
