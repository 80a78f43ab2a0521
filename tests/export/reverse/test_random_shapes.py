"""Every rule of the reverse pass against numeric differentiation in float64, over random shapes.

Each example is tried with N = 1 and 3, and with K = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.models.differentiation import agree, summed
from tests.support.models.nets import Net
from whycam.export import reverse
from whycam.export.graph.onnx_graph import kind
from whycam.export.graph.opset import NEWEST
from whycam.export.reverse.summed import Cells

Pick = Callable[[int, int], int]
"""A number from one to another, both included."""
Build = Callable[[Net, Pick], object]
EXAMPLES = settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.data_too_large])
SHAPES = st.tuples(st.integers(1, 4), st.integers(2, 5), st.integers(2, 5))
"""Channels, height and width."""


def unary(operator: str) -> Build:
    """At values of which none is near a kink."""

    def build(net: Net, _: Pick) -> object:
        net("Mul", "x", net.normal(*net.shape))
        return net(operator)

    return build


def positive(operator: str) -> Build:
    def build(net: Net, _: Pick) -> object:
        net("Add", net("Exp", "x"), net.keep(0.3))
        return net(operator)

    return build


def of_two(operator: str) -> Build:
    """With an operand of another shape, whose gradient is summed over the axes along which it is repeated."""

    def build(net: Net, pick: Pick) -> object:
        axis = pick(1, 3)
        other = net("Exp", net("ReduceMean", "x", net.keep([axis], np.int64), keepdims=1))
        one, two = ("x", other) if pick(0, 1) and operator != "Div" else (net("Tanh", "x"), other)
        return net(operator, one, two)

    return build


def power(net: Net, pick: Pick) -> object:
    return net("Pow", net("Exp", "x"), net.keep((0.5, 2.0, 3.0, -1.5)[pick(0, 3)]))


def clip(net: Net, pick: Pick) -> object:
    low, high = (net.keep(value) if pick(0, 1) else "" for value in (-0.4, 0.5))
    return net("Clip", "x", low, high)


def swish(net: Net, pick: Pick) -> object:
    net.opset = 24
    return net("Swish", "x", alpha=(0.5, 1.0, 1.7)[pick(0, 2)])


def p_relu(net: Net, pick: Pick) -> object:
    return net("PRelu", "x", net.normal(*(net.shape[0], 1, 1)) if pick(0, 1) else net.normal(1))


def chosen(net: Net, _: Pick) -> object:
    condition = net.keep(net.random.random(net.shape) > 0.5, bool)
    return net("Where", condition, net("Exp", "x"), net("Tanh", "x"))


def conv(net: Net, pick: Pick) -> object:
    channels, (tall, wide) = net.shape[0], net.shape[1:]
    kernel = [pick(1, min(3, size)) for size in (tall, wide)]
    group = (channels, 1, 2 - channels % 2)[pick(0, 2)]
    weights = net.normal(group * pick(1, 2), channels // group, *kernel)
    pads = [pick(0, size - 1) if size > 1 else 0 for size in kernel * 2]
    dilations = [pick(1, 2) if size > 1 else 1 for size in kernel]
    pads = [size + 1 if max(dilations) > 1 else size for size in pads]
    return net("Conv", "x", weights, strides=[pick(1, 2)] * 2, pads=pads, group=group, dilations=dilations)


def conv_transpose(net: Net, pick: Pick) -> object:
    kernel = [pick(1, 3), pick(1, 3)]
    pads = [pick(0, (size - 1) // 2) for size in kernel * 2]
    weights = net.normal(net.shape[0], pick(1, 3), *kernel)
    return net("ConvTranspose", "x", weights, strides=[pick(1, 2), pick(1, 2)], pads=pads)


def pool(operator: str) -> Build:
    def build(net: Net, pick: Pick) -> object:
        kernel = [pick(1, min(3, size)) for size in net.shape[1:]]
        pads = [pick(0, size - 1) if size > 1 else 0 for size in kernel * 2]
        return net(operator, "x", kernel_shape=kernel, strides=[pick(1, 3), pick(1, 3)], pads=pads)

    return build


def resize(net: Net, pick: Pick) -> object:
    scales = net.keep([1, 1, pick(1, 3), pick(1, 3)])
    return net("Resize", "x", "", scales, mode=("linear", "nearest")[pick(0, 1)])


def reduced(operator: str) -> Build:
    def build(net: Net, pick: Pick) -> object:
        axes = sorted({pick(1, 3), pick(1, 3)})
        return net(operator, "x", net.keep(axes, np.int64), keepdims=pick(0, 1))

    return build


def normalised(operator: str) -> Build:
    def build(net: Net, pick: Pick) -> object:
        channels = net.shape[0]
        if operator == "LayerNormalization":
            axis = pick(1, 3)
            return net(operator, "x", net.normal(*net.shape[axis - 1 :]), axis=axis)
        more = [net.normal(channels), net.keep(net.random.uniform(0.5, 2, channels))]
        parts = [net.normal(channels), net.normal(channels), *(more if operator == "BatchNormalization" else [])]
        return net(operator, "x", *parts)

    return build


def softmax(operator: str) -> Build:
    return lambda net, pick: net(operator, "x", axis=pick(1, 3) * (1, -1)[pick(0, 1)])


def gemm(net: Net, pick: Pick) -> object:
    flat, out = net("Flatten"), pick(1, 4)
    size, turned = int(np.prod(net.shape)), pick(0, 1)
    shape = (out, size) if turned else (size, out)
    return net("Gemm", flat, net.normal(*shape), net.normal(out), transB=turned, alpha=0.5)


def mat_mul(net: Net, pick: Pick) -> object:
    if pick(0, 1):
        return net("MatMul", net.normal(pick(1, 3), net.shape[1]), "x")
    turned = net("Transpose", net("Tanh", "x"), perm=[0, 1, 3, 2])
    return net("MatMul", "x", turned)


def of_cells(net: Net, pick: Pick) -> object:
    """A layer's channels, its last axis, times constant weights; behind that all cells, their mean, or the last one."""
    net("MatMul", "x", net.normal(net.shape[-1], pick(1, 3)))
    rest = pick(0, 2)
    if rest == 0:
        return net("Exp")
    if rest == 1:
        return net("ReduceMean", net.last, net.keep([*range(1, len(net.shape))], np.int64), keepdims=0)
    return net("Gather", net.last, net.keep(net.shape[0] - 1, np.int64), axis=1)


def einsum(net: Net, pick: Pick) -> object:
    if pick(0, 1):
        return net("Einsum", "x", net.normal(net.shape[0], pick(1, 3)), equation="nchw,cd->nhwd")
    return net("Einsum", net("Tanh", "x"), net("Exp", "x"), equation="nchw,nchv->nhwv")


def reshaped(net: Net, _: Pick) -> object:
    net("Exp", net("Reshape", "x", net.keep([0, net.shape[0], -1], np.int64)))
    return net("Reshape", net.last, net.keep([0, -1, net.shape[2]], np.int64))


def flattened(net: Net, pick: Pick) -> object:
    return net("Flatten", net("Exp", "x"), axis=pick(1, 1))


def squeezed(net: Net, pick: Pick) -> object:
    place = net.keep([pick(1, 4)], np.int64)
    return net("Squeeze", net("Exp", net("Unsqueeze", "x", place)), place)


def kept(operator: str, **options: int) -> Build:
    return lambda net, _: net("Exp", net(operator, "x", **options))


def transposed(net: Net, pick: Pick) -> object:
    order = [axis + 1 for axis in net.random.permutation(3)]
    return net("Exp", net("Transpose", "x", perm=[0, *(int(axis) for axis in order)]))


def concatenated(net: Net, pick: Pick) -> object:
    return net("Concat", "x", net("Exp", "x"), "x", axis=pick(1, 3))


def split(net: Net, pick: Pick) -> object:
    net("Concat", "x", net("Exp", "x"), axis=1)
    first = pick(1, 2 * net.shape[0] - 1)
    net("Split", net.last, net.keep([first, 2 * net.shape[0] - first], np.int64), outputs=2, axis=1)
    one, other = net.nodes[-1].output
    return net("Mul", one, net("ReduceMean", net("Exp", other), net.keep([1], np.int64)))


def depth_to_space(net: Net, pick: Pick) -> object:
    net("Conv", "x", net.normal(4 * pick(1, 2), net.shape[0], 1, 1))
    return net("Exp", net("DepthToSpace", blocksize=2, mode=("CRD", "DCR")[pick(0, 1)]))


def expanded(net: Net, pick: Pick) -> object:
    net("ReduceMean", "x", net.keep([1], np.int64))
    return net("Expand", net.last, net.keep([1, pick(1, 3), 1, 1], np.int64))


def gathered(net: Net, pick: Pick) -> object:
    axis = pick(1, 3)
    places = [pick(-1, net.shape[axis - 1] - 1) for _ in range(pick(1, 4))]
    return net("Exp", net("Gather", "x", net.keep(places if pick(0, 1) else places[0], np.int64), axis=axis))


def padded(net: Net, pick: Pick) -> object:
    return net("Exp", net("Pad", "x", net.keep([0, 0, *(pick(0, 2) for _ in range(2)), 0, 0, 1, pick(0, 2)], np.int64)))


def sliced(net: Net, pick: Pick) -> object:
    axis = pick(1, 3)
    begin = pick(0, net.shape[axis - 1] - 1)
    parts = ([begin], [pick(begin + 1, net.shape[axis - 1])], [axis], [pick(1, 2)])
    return net("Exp", net("Slice", "x", *(net.keep(each, np.int64) for each in parts)))


UNARY = "Abs Celu Cos Elu Erf Exp Gelu HardSigmoid HardSwish LeakyRelu Mish Neg Relu Selu Sigmoid Sin Softplus Tanh"
BUILDS: Mapping[str, Build] = {
    **{operator: unary(operator) for operator in UNARY.split()},
    **{operator: positive(operator) for operator in ("Log", "Reciprocal", "Sqrt")},
    **{operator: of_two(operator) for operator in ("Add", "Div", "Max", "Min", "Mul", "Sub", "Sum")},
    **{operator: pool(operator) for operator in ("AveragePool", "MaxPool")},
    **{operator: reduced(operator) for operator in ("ReduceL2", "ReduceMax", "ReduceMean", "ReduceSum")},
    **{operator: kept(operator) for operator in ("Dropout", "GlobalAveragePool", "GlobalMaxPool", "Identity")},
    **{operator: softmax(operator) for operator in ("LogSoftmax", "Softmax")},
    "BatchNormalization": normalised("BatchNormalization"),
    "Cast": kept("Cast", to=1),
    "Clip": clip,
    "Concat": concatenated,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "DepthToSpace": depth_to_space,
    "Einsum": einsum,
    "Expand": expanded,
    "Flatten": flattened,
    "Gather": gathered,
    "Gemm": gemm,
    "InstanceNormalization": normalised("InstanceNormalization"),
    "LayerNormalization": normalised("LayerNormalization"),
    "MatMul": mat_mul,
    "PRelu": p_relu,
    "Pad": padded,
    "Pow": power,
    "Reshape": reshaped,
    "Resize": resize,
    "Slice": sliced,
    "Split": split,
    "Squeeze": squeezed,
    "Swish": swish,
    "Transpose": transposed,
    "Unsqueeze": squeezed,
    "Where": chosen,
}


SUMMED: Mapping[str, Build] = {
    **{each: BUILDS[each] for each in ("AveragePool", "Conv", "GlobalAveragePool", "GlobalMaxPool", "MaxPool")},
    "MatMul": of_cells,
}
"""Of the rules for the sum over a layer's cells."""


def tables() -> dict[str, Mapping[str, Any]]:
    """Every table of the reverse pass from operators to functions."""
    modules = [import_module(f"{reverse.__name__}.{each.name}") for each in iter_modules(reverse.__path__)]
    named = [(name, value) for module in modules for name, value in vars(module).items() if name.isupper()]
    return {name: value for name, value in named if isinstance(value, Mapping) and all(map(callable, value.values()))}


def test_every_rule_is_tried() -> None:
    known = tables()
    assert set(known) >= {"DENSE_RULES", "MOVE_RULES", "NORM_RULES", "POINTWISE", "RULES", "SPATIAL_RULES"}
    assert set(known.pop("SUMMED_RULES")) == set(SUMMED)
    assert {operator for table in known.values() for operator in table} | {"Split"} == set(BUILDS)


def built(operator: str, build: Build, net: Net, pick: Pick) -> None:
    build(net, pick)
    if net.opset > NEWEST:
        pytest.skip(f"The installed onnx has no {operator}.")
    assert operator in {kind(node) for node in net.nodes}


@pytest.mark.parametrize("operator", BUILDS)
@EXAMPLES
@given(data=st.data(), shape=SHAPES, k=st.integers(1, 2))
def test_a_rule_is_the_derivative(operator: str, data: st.DataObject, shape: tuple[int, int, int], k: int) -> None:
    net = Net(shape, seed=data.draw(st.integers(0, 9)))
    built(operator, BUILDS[operator], net, lambda low, high: data.draw(st.integers(low, high)))
    agree(net, images=(1, 3), k=(k, 0))


def laid_out(operator: str, shape: tuple[int, int, int], pick: Pick) -> tuple[tuple[int, ...], Cells]:
    """A layer's shape and axes: a map, or for MatMul one with its channels last, or tokens."""
    channels, height, width = shape
    if operator != "MatMul":
        return shape, Cells(1, (2, 3))
    if pick(0, 1):
        return (height, width, channels), Cells(3, (1, 2))
    return (height * width, channels), Cells(2, (1,), pick(0, 2))


def assert_summed(net: Net, cells: Cells, images: int, k: int) -> bool:
    found, expected, applied = summed(net, images, k, cells)
    assert found.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected, atol=2e-4 * scale)
    return applied


@pytest.mark.parametrize("operator", SUMMED)
@EXAMPLES
@given(data=st.data(), shape=SHAPES, k=st.integers(1, 2))
def test_the_sum_over_the_cells_is_that_of_the_gradient(
    operator: str, data: st.DataObject, shape: tuple[int, int, int], k: int
) -> None:
    """Also where the rule for sums does not apply."""

    def pick(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    own, cells = laid_out(operator, shape, pick)
    net = Net(own, seed=data.draw(st.integers(0, 9)))
    built(operator, SUMMED[operator], net, pick)
    for images, classes in ((1, k), (3, k), (3, 0)):
        assert_summed(net, cells, images, classes)


@pytest.mark.parametrize("operator", SUMMED)
def test_a_rule_for_sums_applies(operator: str) -> None:
    """So that the test above is one of these rules, not of the general ones alone."""
    own, cells = laid_out(operator, (3, 5, 4), min)
    net = Net(own)
    built(operator, SUMMED[operator], net, min)
    assert assert_summed(net, cells, 3, 2)
