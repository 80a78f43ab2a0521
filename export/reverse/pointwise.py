"""Pointwise operators: the derivative by each input, a tensor without K; None is 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from onnx import NodeProto, TensorProto

from whycam.export.graph.onnx_graph import argument
from whycam.export.reverse.backward import Backward, UnsupportedLayer, flag

Derivative = Callable[[Backward, NodeProto, int], str | None]
"""From a node and the place of an input to the derivative of the output by that input."""


def _one(_b: Backward, _node: NodeProto, _place: int) -> str | None:
    return None


def _minus_one(b: Backward, _node: NodeProto, _place: int) -> str:
    return b.number(-1)


def _sub(b: Backward, _node: NodeProto, place: int) -> str | None:
    return b.number(-1) if place else None


def _mul(_b: Backward, node: NodeProto, place: int) -> str:
    return str(node.input[1 - place])


def _div(b: Backward, node: NodeProto, place: int) -> str | None:
    """x / y: 1/y, and −(x/y) / y."""
    inverse = b.pointwise("Reciprocal", node.input[1])
    return inverse if place == 0 else b.product(b.number(-1), b.product(node.output[0], inverse))


def _pow(b: Backward, node: NodeProto, place: int) -> str | None:
    """p·x^(p−1), for a constant p."""
    exponent = b.sizes.value(node.input[1])
    if place or exponent is None or exponent.size != 1:
        raise UnsupportedLayer(node, "its exponent should be one constant number")
    power = float(exponent.reshape(()))
    base = node.input[0] if power == 2 else b.pointwise("Pow", node.input[0], b.number(power - 1))
    return b.product(base, b.number(power))


def _relu(b: Backward, node: NodeProto, _place: int) -> str:
    return b.pointwise("Sign", node.output[0])  # never negative: 1 or 0


def _clip(b: Backward, node: NodeProto, place: int) -> str | None:
    """1 between the bounds, 0 at them and beyond, as in frameworks."""
    if place:
        raise UnsupportedLayer(node, "its bounds should be constants")
    bounds = {"Greater": argument(node, 1), "Less": argument(node, 2)}
    masks = [_mask(b, operator, node.output[0], end) for operator, end in bounds.items() if end]
    return None if not masks else masks[0] if len(masks) == 1 else b.product(*masks)


def _kink(b: Backward, node: NodeProto, positive: str, negative: str) -> str:
    above = b.pointwise("Greater", node.input[0], b.number(0))
    return b.pointwise("Where", above, positive, negative)


def _leaky_relu(b: Backward, node: NodeProto, _place: int) -> str:
    return _kink(b, node, b.number(1), b.number(flag(node, "alpha", 0.01)))


def _p_relu(b: Backward, node: NodeProto, place: int) -> str:
    if place:
        raise UnsupportedLayer(node, "its slope should be a constant")
    return _kink(b, node, b.number(1), node.input[1])


def _elu(b: Backward, node: NodeProto, _place: int) -> str:
    """Below 0: α·eˣ = y + α."""
    return _kink(b, node, b.number(1), b.pointwise("Add", node.output[0], b.number(flag(node, "alpha", 1.0))))


def _celu(b: Backward, node: NodeProto, _place: int) -> str:
    """Below 0: e^(x/α) = y/α + 1."""
    scaled = b.pointwise("Mul", node.output[0], b.number(1 / flag(node, "alpha", 1.0)))
    return _kink(b, node, b.number(1), b.pointwise("Add", scaled, b.number(1)))


def _selu(b: Backward, node: NodeProto, _place: int) -> str:
    """Below 0: γ·α·eˣ = y + γ·α."""
    gamma, alpha = flag(node, "gamma", 1.0507009873554805), flag(node, "alpha", 1.6732632423543772)
    return _kink(b, node, b.number(gamma), b.pointwise("Add", node.output[0], b.number(gamma * alpha)))


def _sigmoid(b: Backward, node: NodeProto, _place: int) -> str | None:
    """y·(1 − y)"""
    return b.product(node.output[0], b.pointwise("Sub", b.number(1), node.output[0]))


def _hard_sigmoid(b: Backward, node: NodeProto, _place: int) -> str | None:
    inside = b.product(_mask(b, "Greater", node.output[0], b.number(0)), _mask(b, "Less", node.output[0], b.number(1)))
    return b.product(inside, b.number(flag(node, "alpha", 0.2)))


def _hard_swish(b: Backward, node: NodeProto, _place: int) -> str:
    """x·h with h = clip(x/6 + 1/2, 0, 1): h + x·h'. Sign of h·(1 − h) is 1 inside; Where is several times slower."""
    gate = b.pointwise("HardSigmoid", node.input[0], alpha=1 / 6, beta=0.5)
    product = b.product(gate, b.pointwise("Sub", b.number(1), gate))
    inside = b.pointwise("Sign", str(product))
    slope = b.product(b.product(node.input[0], inside), b.number(1 / 6))
    return b.pointwise("Add", gate, str(slope))


def _tanh(b: Backward, node: NodeProto, _place: int) -> str:
    """1 − y²"""
    return b.pointwise("Sub", b.number(1), b.pointwise("Mul", node.output[0], node.output[0]))


def _erf(b: Backward, node: NodeProto, _place: int) -> str | None:
    """2/√π · exp(−x²)"""
    return b.product(_bell(b, node.input[0], -1), b.number(2 / np.sqrt(np.pi)))


def _gelu(b: Backward, node: NodeProto, _place: int) -> str:
    """x·Φ(x): Φ + x·φ; by tanh: x·(1 + t)/2 with t = tanh(c·(x + 0.044715·x³))."""
    x = node.input[0]
    if flag(node, "approximate", "none") == "tanh":
        square = b.pointwise("Mul", x, x)
        inner = b.pointwise("Mul", x, b.pointwise("Add", _times(b, square, 0.044715), b.number(1)))
        t = b.pointwise("Tanh", _times(b, inner, np.sqrt(2 / np.pi)))
        slope = _times(b, b.pointwise("Add", _times(b, square, 3 * 0.044715), b.number(1)), np.sqrt(2 / np.pi))
        bend = b.pointwise("Mul", b.pointwise("Sub", b.number(1), b.pointwise("Mul", t, t)), slope)
        whole = b.pointwise("Add", b.pointwise("Add", t, b.number(1)), b.pointwise("Mul", x, bend))
        return _times(b, whole, 0.5)
    below = _times(b, b.pointwise("Add", b.pointwise("Erf", _times(b, x, np.sqrt(0.5))), b.number(1)), 0.5)
    density = _times(b, _bell(b, x, -0.5), 1 / np.sqrt(2 * np.pi))
    return b.pointwise("Add", below, b.pointwise("Mul", x, density))


def _mish(b: Backward, node: NodeProto, _place: int) -> str:
    """x·t with t = tanh(softplus(x)): t + x·(1 − t²)·σ(x)"""
    x = node.input[0]
    t = b.pointwise("Tanh", b.pointwise("Softplus", x))
    rest = b.pointwise("Sub", b.number(1), b.pointwise("Mul", t, t))
    slope = b.pointwise("Mul", rest, b.pointwise("Sigmoid", x))
    return b.pointwise("Add", t, b.pointwise("Mul", x, slope))


def _swish(b: Backward, node: NodeProto, _place: int) -> str:
    """x·σ(αx): σ + αx·σ·(1 − σ)"""
    scaled = _times(b, node.input[0], flag(node, "alpha", 1.0))
    gate = b.pointwise("Sigmoid", scaled)
    bend = b.pointwise("Mul", gate, b.pointwise("Sub", b.number(1), gate))
    return b.pointwise("Add", gate, b.pointwise("Mul", scaled, bend))


def _softplus(b: Backward, node: NodeProto, _place: int) -> str:
    return b.pointwise("Sigmoid", node.input[0])


def _exp(_b: Backward, node: NodeProto, _place: int) -> str:
    return str(node.output[0])


def _log(b: Backward, node: NodeProto, _place: int) -> str:
    return b.pointwise("Reciprocal", node.input[0])


def _sqrt(b: Backward, node: NodeProto, _place: int) -> str:
    return b.pointwise("Div", b.number(0.5), node.output[0])


def _reciprocal(b: Backward, node: NodeProto, _place: int) -> str | None:
    return b.product(b.number(-1), b.pointwise("Mul", node.output[0], node.output[0]))


def _abs(b: Backward, node: NodeProto, _place: int) -> str:
    return b.pointwise("Sign", node.input[0])


def _sin(b: Backward, node: NodeProto, _place: int) -> str:
    return b.pointwise("Cos", node.input[0])


def _cos(b: Backward, node: NodeProto, _place: int) -> str | None:
    return b.product(b.number(-1), b.pointwise("Sin", node.input[0]))


def _extreme(b: Backward, node: NodeProto, place: int) -> str:
    if len(node.input) != 2:
        raise UnsupportedLayer(node, f"it should have two inputs, it has {len(node.input)}")
    return _mask(b, "Equal", node.input[place], node.output[0])


def _where(b: Backward, node: NodeProto, place: int) -> str:
    return b.pointwise("Where", node.input[0], b.number(place == 1), b.number(place == 2))


def _mask(b: Backward, operator: str, one: str, other: str) -> str:
    return b.pointwise("Cast", b.pointwise(operator, one, other), to=TensorProto.FLOAT)


def _times(b: Backward, tensor: str, factor: float) -> str:
    return b.pointwise("Mul", tensor, b.number(factor))


def _bell(b: Backward, tensor: str, factor: float) -> str:
    """exp(factor · x²)"""
    return b.pointwise("Exp", _times(b, b.pointwise("Mul", tensor, tensor), factor))


POINTWISE: Mapping[str, Derivative] = MappingProxyType(
    {
        "Abs": _abs,
        "Add": _one,
        "Celu": _celu,
        "Clip": _clip,
        "Cos": _cos,
        "Div": _div,
        "Elu": _elu,
        "Erf": _erf,
        "Exp": _exp,
        "Gelu": _gelu,
        "HardSigmoid": _hard_sigmoid,
        "HardSwish": _hard_swish,
        "LeakyRelu": _leaky_relu,
        "Log": _log,
        "Max": _extreme,
        "Min": _extreme,
        "Mish": _mish,
        "Mul": _mul,
        "Neg": _minus_one,
        "PRelu": _p_relu,
        "Pow": _pow,
        "Reciprocal": _reciprocal,
        "Relu": _relu,
        "Selu": _selu,
        "Sigmoid": _sigmoid,
        "Sin": _sin,
        "Softplus": _softplus,
        "Sqrt": _sqrt,
        "Sub": _sub,
        "Sum": _one,
        "Swish": _swish,
        "Tanh": _tanh,
        "Where": _where,
    }
)
