"""The operators of a classifier's tail in float64, each with its derivative, written from the ONNX specification.

Only `reference` uses them: they share no code with the head that they check. An operator is a function of a node and
its inputs. It returns the output and, for each input with a known derivative, a function that propagates a gradient
back to it. A gradient is (K, *shape of the tensor): one for each of K explained classes. Images are a tensor's first
axis.

A node's decisions (which unit is clipped, which cell is the largest) follow from its inputs and its output. The
gradient is computed later, with the output that the network itself had: see `Step.back`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

Array = NDArray[Any]
Floats = NDArray[np.float64]
Inputs = Sequence[Array | None]
"""A node's inputs in order; None for an omitted one. Inputs that depend on the image are float64."""
Back = Callable[[Floats, Floats], Floats]
"""From the gradient by a node's output, and the output, to the gradient by one of its inputs."""

SLACK = 2.0**-16
"""How far beyond an integer type's end x still counts as the end, relative to it (see docs/model.md)."""
BLOCK = 4096  # rows of a weight matrix converted to float64 at a time


class Step(NamedTuple):
    """A node's output, and how a gradient is propagated back through it."""

    value: Array
    back: Sequence[Back] = ()
    """One function for each of the node's first inputs that have a known derivative."""


class UnknownOperator(ValueError):
    """An operator that is not implemented here, or not with these attributes."""

    def __init__(self, node: NodeProto, reason: str) -> None:
        super().__init__(f"The check cannot evaluate {node.op_type} '{node.name or node.output[0]}': {reason}.")


def apply(node: NodeProto, inputs: Inputs) -> Step:
    """Evaluate a node; raises `UnknownOperator`."""
    operator = OPERATORS.get(kind(node))
    if operator is None:
        raise UnknownOperator(node, "it has no float64 implementation")
    return operator(node, inputs)


def kind(node: NodeProto) -> str:
    """A node's operator; one from another domain is prefixed with its domain."""
    return str(node.op_type if node.domain in DOMAINS else f"{node.domain}:{node.op_type}")


def attributes(node: NodeProto) -> dict[str, Any]:
    """A node's attributes by name."""
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


# Elementwise operators.


def _constant(node: NodeProto, _inputs: Inputs) -> Step:
    (name, value), *_ = attributes(node).items()
    if name == "value":
        return Step(np.asarray(numpy_helper.to_array(value)))
    return Step(np.array(value, np.float32 if name.startswith("value_float") else np.int64))


def _identity(_node: NodeProto, inputs: Inputs) -> Step:
    return Step(_given(inputs, 0), [lambda g, _: g])


def _dropout(node: NodeProto, inputs: Inputs) -> Step:
    training = inputs[2] if len(inputs) > 2 else None
    if training is not None and np.any(training):
        raise UnknownOperator(node, "it is set to training")
    return _identity(node, inputs)


def _cast(node: NodeProto, inputs: Inputs) -> Step:
    x = _given(inputs, 0)
    kind = helper.tensor_dtype_to_np_dtype(attributes(node)["to"])
    if x.dtype != np.float64:
        return Step(x.astype(kind))
    if kind not in (np.float32, np.float64):
        raise UnknownOperator(node, f"it casts a value that depends on the image to {kind}")
    return Step(x, [lambda g, _: g])


def _relu(_node: NodeProto, inputs: Inputs) -> Step:
    """The gradient passes where the output is positive."""
    return Step(np.maximum(_given(inputs, 0), 0), [lambda g, y: g * (y > 0)])


def _clip(_node: NodeProto, inputs: Inputs) -> Step:
    """The gradient passes between the bounds but not at them, as in frameworks."""
    low, high = (bound.astype(np.float64) if bound is not None else None for bound in (*inputs[1:], None, None)[:2])
    low, high = np.array(-np.inf) if low is None else low, np.array(np.inf) if high is None else high
    return Step(np.clip(_given(inputs, 0), low, high), [lambda g, y: g * ((y > low) & (y < high))])


def _quantize(node: NodeProto, inputs: Inputs) -> Step:
    """y = round(x / scale) + zero point, clamped to the integer's range.

    The derivative is that of the clamp without rounding: 1 / scale if x is between the values of the smallest and the
    largest integer, 0 beyond them. Bounds are computed in float32, like x, and extended by `SLACK`, so that a value
    dequantized before, or a mean of such values, is not outside by a rounding error.
    """
    x = _given(inputs, 0)
    scale, zero, kind = _scale_and_zero(node, inputs, x.ndim)
    lowest, highest = np.iinfo(kind).min, np.iinfo(kind).max
    low, high = ((np.float32(bound) - zero.astype(np.float32)) * scale for bound in (lowest, highest))
    low, high = low - np.float32(SLACK) * np.abs(low), high + np.float32(SLACK) * np.abs(high)
    rounded = np.clip(np.rint(x.astype(np.float32) / scale).astype(np.float64) + zero, lowest, highest)
    if x.dtype != np.float64:
        return Step(rounded.astype(kind))
    inside = (x >= low) & (x <= high)
    return Step(rounded, [lambda g, _: g * inside / scale.astype(np.float64)])


def _dequantize(node: NodeProto, inputs: Inputs) -> Step:
    """y = (x − zero point) · scale; weights become float32, as in the network."""
    x = _given(inputs, 0)
    scale, zero, _ = _scale_and_zero(node, inputs, x.ndim)
    if x.dtype != np.float64:
        return Step((x.astype(np.int32) - zero.astype(np.int32)).astype(np.float32) * scale)
    exact = scale.astype(np.float64)
    return Step((x - zero) * exact, [lambda g, _: g * exact])


def _scale_and_zero(node: NodeProto, inputs: Inputs, dimensions: int) -> tuple[Array, Array, np.dtype[Any]]:
    """Scale and zero point, reshaped to broadcast along their axis, and the integers' type."""
    scale, zero = _given(inputs, 1), inputs[2] if len(inputs) > 2 else None
    zero = np.zeros(scale.shape, np.uint8) if zero is None else zero
    if scale.ndim > 1:
        raise UnknownOperator(node, "its scale has more than one axis")
    if scale.ndim and scale.size > 1:
        shape = [1] * dimensions
        shape[attributes(node).get("axis", 1)] = -1
        return scale.reshape(shape), zero.reshape(shape), zero.dtype
    return scale.reshape(()), zero.reshape(()), zero.dtype


# Operators that reshape or permute.


def _reshape(node: NodeProto, inputs: Inputs) -> Step:
    x = _given(inputs, 0)
    wanted = [int(size) for size in _given(inputs, 1)]
    if not attributes(node).get("allowzero", 0):
        wanted = [size or x.shape[axis] for axis, size in enumerate(wanted)]
    return _reshaped(x, wanted)


def _flatten(node: NodeProto, inputs: Inputs) -> Step:
    x = _given(inputs, 0)
    axis = attributes(node).get("axis", 1) % max(x.ndim, 1)
    return _reshaped(x, [int(np.prod(x.shape[:axis])), -1])


def _squeeze(node: NodeProto, inputs: Inputs) -> Step:
    x = _given(inputs, 0)
    axes = _axes(node, inputs, x.ndim) or [axis for axis, size in enumerate(x.shape) if size == 1]
    return _reshaped(x, [size for axis, size in enumerate(x.shape) if axis not in axes])


def _unsqueeze(node: NodeProto, inputs: Inputs) -> Step:
    x = _given(inputs, 0)
    count = x.ndim + np.size(_given(inputs, 1))
    sizes = iter(x.shape)
    axes = _axes(node, inputs, count)
    return _reshaped(x, [1 if axis in axes else next(sizes) for axis in range(count)])


def _reshaped(x: Array, shape: Sequence[int]) -> Step:
    return Step(x.reshape(shape), [lambda g, _: g.reshape(len(g), *x.shape)])


def _transpose(node: NodeProto, inputs: Inputs) -> Step:
    x = _given(inputs, 0)
    order = list(attributes(node).get("perm", range(x.ndim)[::-1]))
    return Step(x.transpose(order), [lambda g, _: g.transpose(0, *(1 + place for place in np.argsort(order)))])


def _axes(node: NodeProto, inputs: Inputs, dimensions: int) -> list[int]:
    """The axes from the attribute or the second input, as non-negative numbers."""
    given = inputs[1] if len(inputs) > 1 else None
    named = attributes(node).get("axes", []) if given is None else given.reshape(-1)
    return [int(axis) % dimensions for axis in named]


# Arithmetic.


def _add(_node: NodeProto, inputs: Inputs) -> Step:
    a, b = _given(inputs, 0), _given(inputs, 1)
    return Step(_exact(a) + b, [lambda g, _: _folded(g, a), lambda g, _: _folded(g, b)])


def _sub(_node: NodeProto, inputs: Inputs) -> Step:
    a, b = _given(inputs, 0), _given(inputs, 1)
    return Step(_exact(a) - b, [lambda g, _: _folded(g, a), lambda g, _: -_folded(g, b)])


def _mul(_node: NodeProto, inputs: Inputs) -> Step:
    a, b = _given(inputs, 0), _given(inputs, 1)
    return Step(_exact(a) * b, [lambda g, _: _folded(g * b, a), lambda g, _: _folded(g * a, b)])


def _div(_node: NodeProto, inputs: Inputs) -> Step:
    a, b = _given(inputs, 0), _exact(_given(inputs, 1))
    return Step(a / b, [lambda g, _: _folded(g / b, a), lambda g, y: _folded(-g * y / b, b)])


def _folded(gradient: Floats, operand: Array) -> Floats:
    """The gradient by a broadcast operand: the sum over the broadcast axes."""
    extra = gradient.ndim - 1 - operand.ndim
    folded = gradient.sum(tuple(range(1, 1 + extra)))
    repeated = tuple(1 + axis for axis, size in enumerate(operand.shape) if size == 1 != folded.shape[1 + axis])
    return np.asarray(folded.sum(repeated, keepdims=True))


def _matmul(node: NodeProto, inputs: Inputs) -> Step:
    x, weights = _given(inputs, 0), _given(inputs, 1)
    if weights.ndim != 2:
        raise UnknownOperator(node, f"its weights should be a matrix, they are {weights.shape}")
    return Step(_times(x, weights), [lambda g, _: _times(g, weights.T)])


def _gemm(node: NodeProto, inputs: Inputs) -> Step:
    x, weights = _given(inputs, 0), _given(inputs, 1)
    bias = inputs[2] if len(inputs) > 2 else None
    given = attributes(node)
    if given.get("transA", 0):
        raise UnknownOperator(node, "it multiplies columns, one per image")
    weights = weights.T if given.get("transB", 0) else weights
    alpha = given.get("alpha", 1.0)
    product = alpha * _times(x, weights)
    value = product if bias is None else product + given.get("beta", 1.0) * _exact(bias)
    return Step(value, [lambda g, _: alpha * _times(g, weights.T)])


def _conv(node: NodeProto, inputs: Inputs) -> Step:
    """A 1x1 convolution of (N, channels, h, w)."""
    x, kernel = _given(inputs, 0), _given(inputs, 1)
    bias = inputs[2] if len(inputs) > 2 else None
    given = attributes(node)
    plain = kernel.shape[2:] == (1, 1) and given.get("group", 1) == 1 and set(given.get("strides", [1])) == {1}
    if not plain or any(given.get("pads", [0])):
        raise UnknownOperator(node, "only a plain 1x1 convolution is implemented")
    weights = kernel[:, :, 0, 0].astype(np.float64)  # (out, in)
    value = np.einsum("oc,nchw->nohw", weights, x)
    value = value if bias is None else value + bias.reshape(-1, 1, 1)
    return Step(value, [lambda g, _: np.einsum("oc,knohw->knchw", weights, g)])


def _times(rows: Array, matrix: Array) -> Floats:
    """rows @ matrix in float64, converting `BLOCK` rows of the matrix at a time."""
    found = np.zeros((*rows.shape[:-1], matrix.shape[1]))
    for start in range(0, len(matrix), BLOCK):
        part = slice(start, start + BLOCK)
        found += rows[..., part] @ matrix[part].astype(np.float64)
    return found


def _batch_normalization(node: NodeProto, inputs: Inputs) -> Step:
    x = _given(inputs, 0)
    given = attributes(node)
    if given.get("training_mode", 0):
        raise UnknownOperator(node, "it is set to training")
    along = (1, -1, *[1] * (x.ndim - 2))
    gamma, beta, mean, variance = (_exact(_given(inputs, place)).reshape(along) for place in range(1, 5))
    gain = gamma / np.sqrt(variance + given.get("epsilon", 1e-5))
    return Step((x - mean) * gain + beta, [lambda g, _: g * gain])


# Poolings.


def _reduce_mean(node: NodeProto, inputs: Inputs) -> Step:
    x = _given(inputs, 0)
    axes, kept, shape = _reduction(node, inputs, x)
    share = np.full(x.shape, 1 / np.prod([x.shape[axis] for axis in axes]))
    return Step(x.mean(axes).reshape(shape), [lambda g, _: g.reshape(-1, *kept) * share])


def _reduce_max(node: NodeProto, inputs: Inputs) -> Step:
    """The gradient goes to the largest cell; ties share it equally."""
    x = _given(inputs, 0)
    axes, kept, shape = _reduction(node, inputs, x)
    largest = (x == x.max(axes, keepdims=True)).astype(np.float64)
    largest /= largest.sum(axes, keepdims=True)
    return Step(x.max(axes).reshape(shape), [lambda g, _: g.reshape(-1, *kept) * largest])


def _reduction(node: NodeProto, inputs: Inputs, x: Array) -> tuple[tuple[int, ...], list[int], list[int]]:
    """The axes, the output's shape with these as 1, and the output's shape."""
    axes = tuple(_axes(node, inputs, x.ndim) or range(x.ndim))
    kept = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    flat = [size for axis, size in enumerate(x.shape) if axis not in axes]
    return axes, kept, kept if attributes(node).get("keepdims", 1) else flat


def _max_pool(node: NodeProto, inputs: Inputs) -> Step:
    """The gradient of each pooled cell goes to its largest cell, the first of several that tie."""
    x = _given(inputs, 0)
    windows, out = windows_of(node, x.shape[2:])  # (pooled cells, cells of a window)
    seen = np.where(windows >= 0, x.reshape(*x.shape[:2], -1)[..., windows], -np.inf)
    chosen = windows[np.arange(len(windows)), seen.argmax(-1)]  # (N, channels, pooled cells)

    def back(gradient: Floats, _output: Floats) -> Floats:
        cells = np.zeros((*gradient.shape[:3], x.shape[2] * x.shape[3]))
        pooled = gradient.reshape(*gradient.shape[:3], -1)
        k, n, c = np.ogrid[: len(gradient), : x.shape[0], : x.shape[1]]
        for place in range(len(windows)):  # windows may overlap, so a cell in two windows is added to twice
            cells[k, n, c, chosen[None, ..., place]] += pooled[..., place]
        return cells.reshape(len(gradient), *x.shape)

    return Step(seen.max(-1).reshape(*x.shape[:2], *out), [back])


def _average_pool(node: NodeProto, inputs: Inputs) -> Step:
    """Each cell of a window has the same weight; padding counts only if the node says so."""
    x = _given(inputs, 0)
    windows, out = windows_of(node, x.shape[2:])
    share = np.zeros((len(windows), x.shape[2] * x.shape[3]))
    for place, window in enumerate(windows):
        met = window[window >= 0]
        share[place, met] = 1 / (len(window) if attributes(node).get("count_include_pad", 0) else len(met))
    value = x.reshape(*x.shape[:2], -1) @ share.T

    def back(gradient: Floats, _output: Floats) -> Floats:
        return np.asarray((gradient.reshape(*gradient.shape[:3], -1) @ share).reshape(len(gradient), *x.shape))

    return Step(value.reshape(*x.shape[:2], *out), [back])


def windows_of(node: NodeProto, size: Sequence[int]) -> tuple[NDArray[np.int64], list[int]]:
    """The cell indices of each pooled cell's window, (pooled cells, cells of a window), −1 for padding; and the pooled
    height and width."""
    given = attributes(node)
    everything = kind(node).startswith("Global")
    kernel = list(size) if everything else list(given["kernel_shape"])
    strides = [1, 1] if everything else list(given.get("strides", [1, 1]))
    spacing = [1, 1] if everything else list(given.get("dilations", [1, 1]))
    reach = [(cells - 1) * step + 1 for cells, step in zip(kernel, spacing, strict=True)]
    begin, out = _extent({} if everything else given, size, reach, strides)
    room = [max(out[i] * strides[i] + reach[i], begin[i] + size[i]) for i in (0, 1)]
    number = np.full(room, -1)
    number[begin[0] : begin[0] + size[0], begin[1] : begin[1] + size[1]] = np.arange(size[0] * size[1]).reshape(size)
    windows = sliding_window_view(number, reach)[:: strides[0], :: strides[1], :: spacing[0], :: spacing[1]]
    return windows[: out[0], : out[1]].reshape(out[0] * out[1], -1), out


def _extent(
    given: Mapping[str, Any], size: Sequence[int], reach: Sequence[int], strides: Sequence[int]
) -> tuple[list[int], list[int]]:
    """The padding at the beginning, and the number of pooled cells, of height and width."""
    auto = given.get("auto_pad", b"NOTSET")
    pads = given.get("pads", [0, 0, 0, 0])
    begin, out = [], []
    for axis in (0, 1):
        if auto in (b"SAME_UPPER", b"SAME_LOWER"):
            cells = -(-size[axis] // strides[axis])
            total = max(0, (cells - 1) * strides[axis] + reach[axis] - size[axis])
            begin.append(total // 2 if auto == b"SAME_UPPER" else total - total // 2)
        else:
            room = size[axis] + pads[axis] + pads[axis + 2] - reach[axis]
            cells = (-(-room // strides[axis]) if given.get("ceil_mode", 0) else room // strides[axis]) + 1
            if (cells - 1) * strides[axis] >= size[axis] + pads[axis]:
                cells -= 1  # no window starts in the padding at the end
            begin.append(pads[axis])
        out.append(cells)
    return begin, out


def _given(inputs: Inputs, place: int) -> Array:
    """A mandatory input."""
    value = inputs[place]
    assert value is not None
    return value


def _exact(value: Array) -> Array:
    """Floats in float64; integers, which are shapes, unchanged."""
    return value.astype(np.float64) if value.dtype.kind == "f" else value


DOMAINS = ("", "ai.onnx")
OPERATORS: Mapping[str, Callable[[NodeProto, Inputs], Step]] = MappingProxyType(
    {
        "Add": _add,
        "AveragePool": _average_pool,
        "BatchNormalization": _batch_normalization,
        "Cast": _cast,
        "Clip": _clip,
        "Constant": _constant,
        "Conv": _conv,
        "DequantizeLinear": _dequantize,
        "Div": _div,
        "Dropout": _dropout,
        "Flatten": _flatten,
        "Gemm": _gemm,
        "GlobalAveragePool": _average_pool,
        "GlobalMaxPool": _max_pool,
        "Identity": _identity,
        "MatMul": _matmul,
        "MaxPool": _max_pool,
        "Mul": _mul,
        "QuantizeLinear": _quantize,
        "ReduceMax": _reduce_max,
        "ReduceMean": _reduce_mean,
        "Relu": _relu,
        "Reshape": _reshape,
        "Squeeze": _squeeze,
        "Sub": _sub,
        "Transpose": _transpose,
        "Unsqueeze": _unsqueeze,
    }
)
"""Every operator that the head supports, and those that compute constants."""
