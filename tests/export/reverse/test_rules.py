"""Every rule of the reverse pass against numeric differentiation in float64, one operator at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.support.models.differentiation import agree
from tests.support.models.nets import Net

Builder = Callable[[Net], object]

UNARY = ["Abs", "Celu", "Cos", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Neg",
         "Relu", "Selu", "Sigmoid", "Sin", "Softplus", "Tanh"]  # fmt: skip


@pytest.mark.parametrize("operator", UNARY)
def test_a_pointwise_operator(operator: str) -> None:
    net = Net((3, 4))
    net("Mul", "x", net.normal(3, 1))
    net(operator)
    agree(net, k=(2, 0))


@pytest.mark.parametrize("operator", ["Log", "Sqrt", "Reciprocal"])
def test_a_pointwise_operator_of_positive_numbers(operator: str) -> None:
    net = Net((3, 4))
    net("Exp")
    net(operator)
    agree(net)


def gelu_by_tanh(net: Net) -> None:
    net("Gelu", approximate="tanh")


def clip(net: Net) -> None:
    net("Clip", "x", net.keep(-0.4), net.keep(0.6))


def clip_above(net: Net) -> None:
    net("Clip", "x", "", net.keep(0.6))


def p_relu(net: Net) -> None:
    net("PRelu", "x", net.normal(5, 1, 1))


def power(net: Net) -> None:
    net("Pow", net("Exp"), net.keep(1.7))


def square(net: Net) -> None:
    net("Pow", "x", net.keep(2.0))


def silu(net: Net) -> None:
    """A stretch that begins and ends in one tensor, read twice."""
    net("Mul", "x", net("Sigmoid"))


def gelu_in_parts(net: Net) -> None:
    inner = net("Add", net("Erf", net("Div", "x", net.keep(1.4142))), net.keep(1.0))
    net("Mul", net("Mul", "x", inner), net.keep(0.5))


def of_two_branches(net: Net) -> None:
    one, other = net("Tanh", "x"), net("Exp", "x")
    net("Div", one, other)
    net("Sub", net.last, one)


def largest_of_two(net: Net) -> None:
    net("Max", net("Tanh", "x"), net("Mul", "x", net.keep(0.3)))
    net("Min", net.last, net("Mul", "x", net.keep(-0.7)))


def chosen(net: Net) -> None:
    net("Where", net.keep(net.random.random((5, 4, 4)) > 0.5, bool), net("Exp", "x"), net("Tanh", "x"))


def broadcast(net: Net) -> None:
    """A gate [N, C, 1, 1] on a map [N, C, h, w], as in squeeze and excitation."""
    gate = net("Sigmoid", net("GlobalAveragePool", "x"))
    net("Mul", net("Mul", "x", net.normal(5, 1, 1)), gate)


def sum_of_three(net: Net) -> None:
    net("Sum", "x", net("Tanh", "x"), net("Exp", "x"))


def batch_norm(net: Net) -> None:
    parts = [net.normal(5), net.normal(5), net.normal(5), net.keep(net.random.uniform(0.5, 2, 5))]
    net("BatchNormalization", "x", *parts)


def layer_norm(net: Net) -> None:
    net("Transpose", perm=[0, 2, 3, 1])
    net("LayerNormalization", net.last, net.normal(5), net.normal(5), axis=-1)


def layer_norm_of_two_axes(net: Net) -> None:
    net("LayerNormalization", "x", net.normal(4, 4), axis=2)


def instance_norm(net: Net) -> None:
    net("InstanceNormalization", "x", net.normal(5), net.normal(5))


def softmax(net: Net) -> None:
    net("Softmax", axis=1)


def log_softmax(net: Net) -> None:
    net("LogSoftmax", axis=-1)


def means(net: Net) -> None:
    net("ReduceMean", "x", net.keep([2, 3], np.int64), keepdims=0)


def sums(net: Net) -> None:
    net("ReduceSum", "x", net.keep([1, -1], np.int64), keepdims=1)


def largest(net: Net) -> None:
    net("ReduceMax", "x", net.keep([2], np.int64), keepdims=0)


def norm(net: Net) -> None:
    net("ReduceL2", "x", net.keep([1], np.int64), keepdims=1)
    net("Div", "x", net.last)


def global_pools(net: Net) -> None:
    net("Add", net("GlobalAveragePool", "x"), net("GlobalMaxPool", "x"))


def moved(net: Net) -> None:
    net("Reshape", "x", net.keep([0, 5, 16], np.int64))
    net("Transpose", perm=[0, 2, 1])
    net("Unsqueeze", net.last, net.keep([2], np.int64))
    net("Squeeze", net.last, net.keep([2], np.int64))
    net("Flatten", axis=1)


def windows_as_images(net: Net) -> None:
    """[N, C, h, w] as [N·4, C, 2, 2], as in Swin: the batch's axis becomes a multiple of N."""
    net("Reshape", "x", net.keep([0, 5, 2, 2, 2, 2], np.int64))
    net("Transpose", perm=[0, 2, 4, 1, 3, 5])
    net("Reshape", net.last, net.keep([-1, 5, 2, 2], np.int64))
    net("Softmax", axis=1)
    net("Reshape", net.last, net.keep([-1, 2, 2, 5, 2, 2], np.int64))
    net("ReduceMean", net.last, net.keep([1], np.int64), keepdims=0)


def concatenated(net: Net) -> None:
    net("Concat", net("Tanh", "x"), "x", net("Exp", "x"), axis=1)


def split(net: Net) -> None:
    net("Split", "x", net.keep([2, 3], np.int64), outputs=2, axis=1)
    one, other = net.nodes[-1].output
    net("ReduceMean", net("Exp", other), net.keep([1], np.int64))
    net("Mul", one, net.last)


def sliced(net: Net) -> None:
    cut = net("Slice", "x", net.keep([1, 0], np.int64), net.keep([4, 3], np.int64), net.keep([1, 3], np.int64))
    net("Exp", cut)


def sliced_in_steps(net: Net) -> None:
    ends = net.keep([-1], np.int64), net.keep([-(1 << 62)], np.int64), net.keep([2], np.int64), net.keep([-2], np.int64)
    net("Slice", "x", *ends)


def side_by_side(net: Net) -> None:
    """Slices that fill a tensor come back by a Concat."""

    def part(begin: int, end: int) -> str:
        return net("Slice", "x", net.keep([begin], np.int64), net.keep([end], np.int64), net.keep([1], np.int64))

    net(
        "Mul",
        net("ReduceSum", part(0, 2), net.keep([1], np.int64)),
        net("ReduceSum", part(2, 5), net.keep([1], np.int64)),
    )


def gathered(net: Net) -> None:
    net("Gather", "x", net.keep(2, np.int64), axis=1)


def gathered_in_order(net: Net) -> None:
    net("Gather", "x", net.keep([3, 0, 4], np.int64), axis=1)


def gathered_twice(net: Net) -> None:
    net("Gather", "x", net.keep([[3, 3], [0, -1]], np.int64), axis=2)


def padded(net: Net) -> None:
    net("Pad", "x", net.keep([0, 0, 1, 2, 0, 0, 0, 1], np.int64))


def expanded(net: Net) -> None:
    net("ReduceMean", "x", net.keep([1], np.int64))
    net("Expand", net.last, net.keep([1, 3, 1, 1], np.int64))


def depth_to_space(net: Net) -> None:
    net("Conv", "x", net.normal(8, 5, 1, 1))
    net("DepthToSpace", blocksize=2, mode="CRD")
    net("Tanh")


def depth_to_space_by_blocks(net: Net) -> None:
    net("Conv", "x", net.normal(8, 5, 1, 1))
    net("DepthToSpace", blocksize=2, mode="DCR")


def dense(net: Net) -> None:
    net("Flatten")
    net("Gemm", net.last, net.normal(7, 80), net.normal(7), transB=1, alpha=0.5)
    net("MatMul", net.last, net.normal(7, 3))


def attention(net: Net) -> None:
    """softmax(q·kᵀ)·v of tokens, with moving matrices on both sides."""
    net("Reshape", "x", net.keep([0, 5, 16], np.int64))
    tokens = net("Transpose", perm=[0, 2, 1])
    q, k, v = (net("MatMul", tokens, net.normal(5, 3)) for _ in range(3))
    scores = net("Softmax", net("MatMul", q, net("Transpose", k, perm=[0, 2, 1])), axis=-1)
    net("MatMul", scores, v)


def weights_first(net: Net) -> None:
    """A mixer's product over tokens: constant weights on the left."""
    net("Reshape", "x", net.keep([0, 5, 16], np.int64))
    net("MatMul", net.normal(4, 5), net.last)


def einsum(net: Net) -> None:
    net("Einsum", "x", net.normal(5, 3), equation="nchw,cd->nhwd")


def einsum_of_two(net: Net) -> None:
    net("Einsum", net("Tanh", "x"), net("Exp", "x"), equation="nchw,nchv->nhwv")


NETS: list[Builder] = [
    gelu_by_tanh, clip, clip_above, p_relu, power, square, silu, gelu_in_parts, of_two_branches, largest_of_two, chosen,
    broadcast, sum_of_three, batch_norm, layer_norm, layer_norm_of_two_axes, instance_norm, softmax, log_softmax, means,
    sums, largest, norm, global_pools, moved, windows_as_images, concatenated, split, sliced, sliced_in_steps,
    side_by_side, gathered, gathered_in_order, gathered_twice, padded, expanded, depth_to_space,
    depth_to_space_by_blocks, dense, attention, weights_first, einsum, einsum_of_two,
]  # fmt: skip


@pytest.mark.parametrize("build", NETS, ids=lambda build: build.__name__)
def test_a_rule_is_the_derivative(build: Builder) -> None:
    net = Net((5, 4, 4))
    build(net)
    agree(net, k=(2, 0))


CONVOLUTIONS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "plain": ((6, 4, 3, 3), {"pads": [1, 1, 1, 1]}),
    "valid": ((6, 4, 3, 2), {}),
    "1x1": ((6, 4, 1, 1), {}),
    "strided": ((6, 4, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "strided 1x1": ((6, 4, 1, 1), {"strides": [2, 2]}),
    "strides larger than windows": ((6, 4, 2, 2), {"strides": [3, 2]}),
    "uneven pads": ((6, 4, 3, 3), {"strides": [2, 2], "pads": [0, 0, 1, 1]}),
    "wide pads": ((6, 4, 3, 3), {"pads": [3, 3, 3, 3]}),
    "dilated": ((6, 4, 3, 3), {"dilations": [2, 1], "pads": [2, 1, 2, 1]}),
    "depthwise": ((4, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "depthwise strided": ((4, 1, 5, 5), {"group": 4, "strides": [2, 2], "pads": [2, 2, 2, 2]}),
    "grouped": ((6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
    "multiplied": ((8, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "same upper": ((6, 4, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "same lower": ((6, 4, 2, 2), {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("size", [(6, 6), (7, 5)])
def test_a_convolution(case: str, size: tuple[int, int]) -> None:
    shape, attributes = CONVOLUTIONS[case]
    net = Net((4, *size))
    net("Conv", "x", net.normal(*shape), net.normal(shape[0]), **attributes)
    agree(net, k=(2, 0))


def test_a_transposed_convolution() -> None:
    net = Net((4, 3, 4))
    net("ConvTranspose", "x", net.normal(4, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1])
    agree(net)


POOLS: dict[str, dict[str, Any]] = {
    "side by side": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "overlapping": {"kernel_shape": [3, 3], "strides": [2, 2]},
    "padded": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "of one step": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
    "ceiling": {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    "ceiling and pads": {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 0, 0], "ceil_mode": 1},
    "same": {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    "of all, padded": {"kernel_shape": [9, 9], "strides": [9, 9], "pads": [1, 2, 3, 3]},
}


@pytest.mark.parametrize("case", POOLS)
@pytest.mark.parametrize("size", [(6, 6), (7, 5)])
@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool", "counted"])
def test_a_pooling(operator: str, case: str, size: tuple[int, int]) -> None:
    if operator == "counted" and "ceil_mode" in POOLS[case]:
        pytest.skip("onnxruntime and onnx count cells beyond the padding differently")
    net = Net((2, *size))
    counted = {"count_include_pad": 1} if operator == "counted" else {}
    net("AveragePool" if counted else operator, "x", **POOLS[case], **counted)
    agree(net, k=(2, 0))


@pytest.mark.parametrize(
    "attributes",
    [
        {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        {"mode": "cubic", "coordinate_transformation_mode": "half_pixel", "cubic_coeff_a": -0.75},
    ],
    ids=lambda attributes: attributes["mode"] + " " + attributes["coordinate_transformation_mode"],
)
@pytest.mark.parametrize("size", [(7, 10), (2, 5)])
def test_resizing(attributes: dict[str, Any], size: tuple[int, int]) -> None:
    net = Net((2, 4, 5))
    net("Resize", "x", "", "", net.keep([-1, 2, *size], np.int64), **attributes)
    net.nodes[-1].input[3] = net.keep([1, 2, *size], np.int64)
    scales = net.keep([1, 1, size[0] / 4, size[1] / 5])
    net.nodes[-1].input[2], net.nodes[-1].input[3] = scales, ""
    agree(net)
