"""The CAM methods by name: from a layer's values and the gradient by them to the signed map of each class.

A rule gives (N, K, cells): positive where a cell speaks for the class. What is drawn is its positive part, divided by
its maximum. The gradient is that of the logit, or of a probability's log-odds (see `export.head.grad_cam`): the same
quantity for all methods but `signed`, whose maps are the logit's and are not drawn by themselves.
`export.verify.methods` implements them independently, from their definitions.

A further method is a function here, a line in `METHODS`, and its definition there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from whycam.export.head.eigenvector import first_projection
from whycam.export.head.layer import Layer, Source
from whycam.models.contract import METHOD, SIGNED

MapRule = Callable[[Layer], str]
"""From a layer to its signed maps (N, K, cells), before the negative part is dropped and they are normalised."""


class Method(NamedTuple):
    """A CAM method: its rule, and by what it differentiates."""

    rule: MapRule
    source: Source = "layer"
    """A layer of the network, its input, or the way to its input."""


def grad_cam(layer: Layer) -> str:
    """Σ_k α_k A_k, α_k the gradient's mean over the cells (Selvaraju et al. 2017, arXiv:1610.02391)."""
    return layer.graph.add("MatMul", [layer.alpha, layer.features])


def negative(layer: Layer) -> str:
    """−Σ_k α_k A_k: what speaks against the class (arXiv:1610.02391, section 3.3, without normalisation)."""
    return layer.graph.add("Neg", [grad_cam(layer)])


def signed(layer: Layer) -> str:
    """Σ_k α_k A_k of the logit, both signs: linear in the gradient, so S_a − S_b is the map of z_a − z_b.

    In a network that ends in a mean over the cells and one dense layer its sum over the cells is the logit without its
    bias: S is Zhou et al.'s class activation map (2016, arXiv:1512.04150, equation 2) divided by the cells.
    """
    return layer.graph.add("MatMul", [layer.logit_alpha, layer.features])


def hires_cam(layer: Layer) -> str:
    """Σ_k g_kij A_kij, g the gradient at each cell (Draelos and Carin 2020, arXiv:2011.08891)."""
    return _sum(layer, layer.graph.add("Mul", [layer.gradient, layer.wide]), 2)


def layer_cam(layer: Layer) -> str:
    """Σ_k relu(g_kij) A_kij (Jiang et al. 2021, doi:10.1109/TIP.2021.3089943)."""
    positive = layer.graph.add("Relu", [layer.gradient])
    return _sum(layer, layer.graph.add("Mul", [positive, layer.wide]), 2)


def grad_cam_plus_plus(layer: Layer) -> str:
    """Σ_k w_k A_k, w_k = Σ_ij a_kij relu(g_kij), a = g² / (2 g² + g³ Σ_ab A_kab) (arXiv:1710.11063, equation 19).

    Chattopadhay et al. derive it for y = exp of the explained quantity, whose positive factor cancels. Where g is not
    0, a is 1 / (2 + g Σ A), which depends on the scale of g; where that divides by 0, the cell counts nothing.
    """
    graph = layer.graph
    total = graph.add("Unsqueeze", [_sum(layer, layer.features, 2, keep=True), graph.integers(1)])  # (N, 1, C, 1)
    divisor = graph.add("Add", [graph.add("Mul", [layer.gradient, total]), graph.number(2)])
    share = _ratio(layer, graph.add("Relu", [layer.gradient]), divisor)
    return graph.add("MatMul", [_sum(layer, share, 3), layer.features])


def x_grad_cam(layer: Layer) -> str:
    """Σ_k w_k A_k, w_k = Σ_ij g_kij A_kij / Σ_ab A_kab (Fu et al. 2020, arXiv:2008.02312, equation 8).

    A channel whose sum is 0 counts nothing.
    """
    graph = layer.graph
    products = _sum(layer, graph.add("Mul", [layer.gradient, layer.wide]), 3)  # (N, K, C)
    total = graph.add("Unsqueeze", [_sum(layer, layer.features, 2), graph.integers(1)])  # (N, 1, C)
    return graph.add("MatMul", [_ratio(layer, products, total), layer.features])


def eigen_cam(layer: Layer) -> str:
    """A · v, v the first right singular vector of A (cells, channels): the same map for every class.

    Muhammad and Yeasin 2020, arXiv:2008.00299. Like the paper's, and unlike pytorch-grad-cam's, A is not centred. The
    sign is the one with which the map's sum is positive: with values that are never negative, the whole map is.
    """
    return layer.for_each_class(first_projection(layer))


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        METHOD: Method(grad_cam),
        "hirescam": Method(hires_cam),
        "grad-cam++": Method(grad_cam_plus_plus),
        "xgrad-cam": Method(x_grad_cam),
        "layer-cam": Method(layer_cam),
        "eigen-cam": Method(eigen_cam),
        "negative": Method(negative),
        # Gradient by the network's input, times the input (Shrikumar et al. 2016, arXiv:1605.01713).
        "input-x-gradient": Method(hires_cam, "input"),
        # The same with the gradient's mean on the way from an input of zeros (Sundararajan et al. 2017,
        # arXiv:1703.01365, equation 1).
        "integrated-gradients": Method(hires_cam, "path"),
        SIGNED: Method(signed),
    }
)


def find_method(name: str) -> Method:
    """The method of that name; raises `ValueError` for an unknown one."""
    if name not in METHODS:
        raise ValueError(f"There is no CAM method '{name}'. Choose one of {', '.join(METHODS)}.")
    return METHODS[name]


def _sum(layer: Layer, tensor: str, axis: int, *, keep: bool = False) -> str:
    return layer.graph.add("ReduceSum", [tensor, layer.graph.integers(axis)], keepdims=int(keep))


def _ratio(layer: Layer, one: str, other: str) -> str:
    """one / other, and 0 where that divides by 0."""
    graph = layer.graph
    zero = graph.add("Equal", [other, graph.number(0)])
    return graph.add("Where", [zero, graph.number(0), graph.add("Div", [one, other])])
