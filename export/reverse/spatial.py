"""Convolutions, poolings and resizing: operators with windows over height and width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from onnx import NodeProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

from whycam.export.graph.sizes import Dims
from whycam.export.reverse.backward import Backward, Gradient, UnsupportedLayer, flag
from whycam.export.reverse.rule import Rule

LOWEST = -3.4e38
"""The value of padding that is never the largest."""
END = 1 << 31
"""As an end of a Slice: the axis's own."""


class Windows(NamedTuple):
    """How the windows of a convolution or pooling lie on their input, along each axis."""

    strides: Sequence[int]
    dilations: Sequence[int]
    before: Sequence[int]
    """Padding before the input."""
    behind: Sequence[int]
    """Padding behind it; negative where the last windows leave cells over."""

    def undone(self) -> dict[str, object]:
        """Attributes of the ConvTranspose that gives an input of the same size.

        CUDA's takes no uneven pads: where it can, output_padding makes up for the difference.
        """
        more = [
            max(lo - hi, 0) if lo - hi < max(stride, dilation) else max(-hi, 0)
            for lo, hi, stride, dilation in zip(self.before, self.behind, self.strides, self.dilations, strict=True)
        ]
        pads = [*self.before, *(hi + extra for hi, extra in zip(self.behind, more, strict=True))]
        return {"strides": self.strides, "dilations": self.dilations, "pads": pads, "output_padding": more}


def windows(node: NodeProto, into: Dims, out: Dims, kernel: Sequence[int]) -> Windows:
    """Of a node from `into` to `out` (sizes of the spatial axes) with windows of `kernel`."""
    rank = len(kernel)
    strides = list(flag(node, "strides") or [1] * rank)
    dilations = list(flag(node, "dilations") or [1] * rank)
    before = list(flag(node, "pads") or [0] * 2 * rank)[:rank]
    reach = [(out[a] - 1) * strides[a] + dilations[a] * (kernel[a] - 1) + 1 for a in range(rank)]
    automatic = flag(node, "auto_pad", "NOTSET")
    if automatic.startswith("SAME"):
        before = [(max(reach[a] - into[a], 0) + (automatic == "SAME_LOWER")) // 2 for a in range(rank)]
    behind = [reach[a] - before[a] - into[a] for a in range(rank)]
    return Windows(strides, dilations, before, behind)


def _conv(b: Backward, node: NodeProto, place: int, gradient: Gradient) -> Gradient:
    own, kernel, out = (b.sizes.of(name) for name in (node.input[0], node.input[1], node.output[0]))
    if place or b.sizes.value(node.input[1]) is None:
        raise UnsupportedLayer(node, "its weights depend on the image")
    group, rank = flag(node, "group", 1), len(kernel) - 2
    laid = windows(node, own[2:], out[2:], kernel[2:])
    images = b.folded(b.full(gradient, out))
    start = [laid.dilations[a] * (kernel[2 + a] - 1) - laid.before[a] for a in range(rank)]
    end = [laid.dilations[a] * (kernel[2 + a] - 1) - laid.behind[a] for a in range(rank)]
    if max(laid.strides) > 1 or min(start + end) < 0:
        return b.shaped(b.add("ConvTranspose", images, node.input[1], group=group, **laid.undone()), own)
    # Without strides a plain Conv with the turned kernel, which onnxruntime folds on loading, is faster on processors.
    weights = _turned(b, node.input[1], kernel, group, own[1])
    return b.shaped(b.add("Conv", images, weights, group=group, dilations=laid.dilations, pads=[*start, *end]), own)


def _turned(b: Backward, weights: str, kernel: Dims, group: int, channels: int) -> str:
    """A kernel [out, in / group, …] turned around, with its inputs as outputs: [in, out / group, …]."""
    rank = len(kernel) - 2
    spatial = range(2, 2 + rank)
    if max(kernel[2:]) > 1:
        back = b.integers(*[-1] * rank)
        weights = b.once("Slice", weights, back, b.integers(*[-END] * rank), b.integers(*spatial), back)
    if group == 1:
        return b.once("Transpose", weights, perm=[1, 0, *spatial])
    if kernel[0] == group == channels:
        return weights  # depthwise
    shares = kernel[0] // group
    parts = b.once("Reshape", weights, b.integers(group, shares, *kernel[1:]))
    swapped = b.once("Transpose", parts, perm=[0, 2, 1, *(axis + 1 for axis in spatial)])
    return b.once("Reshape", swapped, b.integers(channels, shares, *kernel[2:]))


def _conv_transpose(b: Backward, node: NodeProto, place: int, gradient: Gradient) -> Gradient:
    if place or b.sizes.value(node.input[1]) is None or flag(node, "auto_pad", "NOTSET") != "NOTSET":
        raise UnsupportedLayer(node, "its weights and pads should be constants")
    kept = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    options = {name: value for name, value in kept.items() if name in ("strides", "dilations", "pads", "group")}
    images = b.folded(b.full(gradient, b.sizes.of(node.output[0])))
    return b.shaped(b.add("Conv", images, node.input[1], **options), b.sizes.of(node.input[0]))


def _average_pool(b: Backward, node: NodeProto, _place: int, gradient: Gradient) -> Gradient:
    own, out, kernel = b.sizes.of(node.input[0]), b.sizes.of(node.output[0]), flag(node, "kernel_shape")
    laid, rank = windows(node, own[2:], out[2:], kernel), len(kernel)
    counts = _counts(node, laid, own, out, kernel)
    if counts.size == 1 and min(laid.behind) >= 0 and max(laid.dilations) == 1:  # one window, over all cells
        return b.scaled(gradient, 1 / counts.item())
    shared = b.add("Mul", b.full(gradient, out).tensor, b.store(1 / counts))
    if list(laid.strides) == list(kernel) and all(own[2 + a] == out[2 + a] * kernel[a] for a in range(rank)):
        beside = [(out[2 + a], 1) for a in range(rank)], [(out[2 + a], kernel[a]) for a in range(rank)]
        one, many = ((*out[:2], *(size for pair in pairs for size in pair)) for pairs in beside)
        return b.reshape(b.full(b.reshape(Gradient(shared, out), one), many), own)  # windows side by side: repeated
    single = b.add("Reshape", shared, b.integers(-1, 1, *out[2:]))
    return b.shaped(b.add("ConvTranspose", single, b.store(np.ones([1, 1, *kernel])), **laid.undone()), own)


def _counts(node: NodeProto, laid: Windows, own: Dims, out: Dims, kernel: Sequence[int]) -> np.ndarray:
    """How many cells each mean is of."""
    rank = len(kernel)
    padded = any(laid.before) or any(each > 0 for each in laid.behind)
    if not padded:
        return np.full(out[2:], float(np.prod(kernel)))
    include = bool(flag(node, "count_include_pad", 0))
    automatic = flag(node, "auto_pad", "NOTSET") != "NOTSET"
    ends = laid.behind if automatic else list(flag(node, "pads") or [0] * 2 * rank)[rank:]
    inside = np.zeros([own[2 + a] + laid.before[a] + max(laid.behind[a], 0) + laid.strides[a] for a in range(rank)])
    counted = tuple(
        slice(0, laid.before[a] + own[2 + a] + ends[a])
        if include
        else slice(laid.before[a], laid.before[a] + own[2 + a])
        for a in range(rank)
    )
    inside[counted] = 1
    reach = [laid.dilations[a] * (kernel[a] - 1) + 1 for a in range(rank)]
    view = np.lib.stride_tricks.sliding_window_view(inside, reach)
    taken = tuple(slice(0, out[2 + a] * laid.strides[a], laid.strides[a]) for a in range(rank))
    taps = tuple(slice(None, None, laid.dilations[a]) for a in range(rank))
    return np.asarray(view[taken + taps].sum(tuple(range(-rank, 0))))


def _max_pool(b: Backward, node: NodeProto, _place: int, gradient: Gradient) -> Gradient:
    """Each window's cells as slices, the first of the largest as one-hot, put back by one ConvTranspose."""
    own, out, kernel = b.sizes.of(node.input[0]), b.sizes.of(node.output[0]), flag(node, "kernel_shape")
    laid, rank = windows(node, own[2:], out[2:], kernel), len(kernel)
    behind = [max(laid.behind[a], 0) + max(laid.strides) for a in range(rank)]
    wide = b.once("Pad", node.input[0], b.integers(0, 0, *laid.before, 0, 0, *behind), b.number(LOWEST))
    taps = []
    for at in np.ndindex(*kernel):
        start = [at[a] * laid.dilations[a] for a in range(rank)]
        stop = [start[a] + (out[2 + a] - 1) * laid.strides[a] + 1 for a in range(rank)]
        axes = b.integers(*range(2, 2 + rank))
        tap = b.once("Slice", wide, b.integers(*start), b.integers(*stop), axes, b.integers(*laid.strides))
        taps.append(b.once("Unsqueeze", tap, b.integers(2)))
    first = b.once("ArgMax", b.once("Concat", *taps, axis=2), axis=2, keepdims=1)
    numbers = b.store(np.arange(len(taps)).reshape(-1, *[1] * rank), np.int64)
    hit = b.once("Cast", b.once("Equal", first, numbers), to=TensorProto.FLOAT)
    spread = b.add("Mul", b.add("Unsqueeze", b.full(gradient, out).tensor, b.integers(3)), hit)
    single = b.add("Reshape", spread, b.integers(-1, len(taps), *out[2:]))
    back = b.store(np.eye(len(taps)).reshape(-1, 1, *kernel))
    return b.shaped(b.add("ConvTranspose", single, back, **laid.undone()), own)


def _resize(b: Backward, node: NodeProto, place: int, gradient: Gradient) -> Gradient:
    """Linear, and separable: each axis's matrix is what the operator itself makes of unit vectors."""
    if place:
        raise UnsupportedLayer(node, "its sizes depend on the image")
    own, out = b.sizes.of(node.input[0]), b.sizes.of(node.output[0])
    gradient = b.full(gradient, out)
    for axis in range(2, len(own)):
        if own[axis] == out[axis]:
            continue
        matrix = _line(b, node, own, out, axis)  # (in, out)
        if axis == len(own) - 1:
            product = b.add("MatMul", gradient.tensor, b.store(matrix.T))
        elif axis == len(own) - 2:
            product = b.add("MatMul", b.store(matrix), gradient.tensor)
        else:
            raise UnsupportedLayer(node, "it resizes more than height and width")
        gradient = Gradient(product, (*gradient.dims[:axis], own[axis], *gradient.dims[axis + 1 :]))
    return gradient


def _line(b: Backward, node: NodeProto, own: Dims, out: Dims, axis: int) -> np.ndarray:
    rank = len(own)
    into, wanted = ([1] * rank for _ in range(2))
    into[0] = wanted[0] = into[axis] = own[axis]
    wanted[axis] = out[axis]
    unit = np.eye(own[axis], dtype=np.float32).reshape(into)
    options = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    options = {name: value for name, value in options.items() if name not in ("axes", "keep_aspect_ratio_policy")}
    single = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **options)
    feeds = {"x": unit, "sizes": np.array(wanted, np.int64)}
    (matrix,) = ReferenceEvaluator(single, opsets={"": b.graph.opset}).run(None, feeds)
    return np.asarray(matrix).reshape(own[axis], out[axis])


SPATIAL_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "AveragePool": _average_pool,
        "Conv": _conv,
        "ConvTranspose": _conv_transpose,
        "MaxPool": _max_pool,
        "Resize": _resize,
    }
)
