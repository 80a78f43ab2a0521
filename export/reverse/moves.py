"""Operators that move entries, and compute none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from whycam.export.graph.sizes import Dims
from whycam.export.reverse.backward import Backward, Gradient, UnsupportedLayer, flag
from whycam.export.reverse.rule import Part, Rule


def _same(b: Backward, node: NodeProto, _place: int, gradient: Gradient) -> Gradient:
    """The same entries in the same order."""
    if node.op_type == "Dropout" and len(node.input) > 2 and np.any(b.constant(node.input[2], node)):
        raise UnsupportedLayer(node, "it is set to training; export the network for inference")
    return b.reshape(b.full(gradient, b.sizes.of(node.output[0])), b.sizes.of(node.input[0]))


def _transpose(b: Backward, node: NodeProto, _place: int, gradient: Gradient) -> Gradient:
    order = flag(node, "perm") or list(range(len(gradient.dims)))[::-1]
    return b.transposed(gradient, [int(axis) for axis in np.argsort(order)])


def _expand(b: Backward, node: NodeProto, _place: int, gradient: Gradient) -> Gradient:
    return b.unbroadcast(gradient, b.sizes.of(node.output[0]), b.sizes.of(node.input[0]))


def _concat(b: Backward, node: NodeProto, place: int, gradient: Gradient) -> Gradient:
    own, axis = b.sizes.of(node.input[place]), flag(node, "axis") % len(gradient.dims)
    start = sum(b.sizes.of(name)[axis] for name in node.input[:place])
    dims = tuple(own[axis] if at == axis else size for at, size in enumerate(gradient.dims))
    if gradient.dims[axis] == 1:
        return b.full(gradient, dims)
    ends = b.integers(start), b.integers(start + own[axis]), b.integers(axis + 1)
    return Gradient(b.once("Slice", gradient.tensor, *ends), dims)


def _gather(b: Backward, node: NodeProto, place: int, gradient: Gradient) -> Gradient | Part:
    if place:
        raise UnsupportedLayer(node, "its indices depend on the image")
    own = b.sizes.of(node.input[0])
    if all(each is not None and _in_order(each) for each in b.sizes.by_batch(node.input[1])) and len(own) == 1:
        return b.reshape(b.full(gradient, b.sizes.of(node.output[0])), own)  # how PyTorch writes a view: all, in order
    index = b.constant(node.input[1], node).astype(np.int64)
    axis = flag(node, "axis", 0) % len(own)
    picked = np.where(index < 0, index + own[axis], index).ravel().tolist()
    whole = b.full(gradient, b.sizes.of(node.output[0]))
    flat = b.reshape(whole, (*own[:axis], len(picked), *own[axis + 1 :]))
    if picked == list(range(picked[0], picked[0] + len(picked))):
        return Part(flat, axis, picked[0])
    return _put_back(b, flat, own, axis, picked)


def _in_order(index: NDArray[Any]) -> bool:
    return bool(np.array_equal(index.ravel(), np.arange(index.size)))


def _put_back(b: Backward, gradient: Gradient, dims: Dims, axis: int, picked: Sequence[int]) -> Gradient:
    """Undo picking entries along an axis: in any order, several times or never."""
    wide = tuple(dims[axis] if at == axis else size for at, size in enumerate(gradient.dims))
    if len(set(picked)) == len(picked):
        at = np.full(dims[axis], len(picked))  # those that were not picked get the zero behind the last
        at[list(picked)] = np.arange(len(picked))
        padded = b.padded(gradient, {axis: (0, 1)})
        return Gradient(b.add("Gather", padded.tensor, b.integers(*at), axis=axis + 1), wide)
    order = [at for at in range(len(dims)) if at != axis] + [axis]
    moved = b.transposed(gradient, order)
    product = b.add("MatMul", moved.tensor, b.store(np.eye(dims[axis])[list(picked)]))
    last = (*moved.dims[:-1], dims[axis])
    return b.transposed(Gradient(product, last), [int(at) for at in np.argsort(order)])


def _slice(b: Backward, node: NodeProto, _place: int, gradient: Gradient) -> Gradient | Part:
    own = b.sizes.of(node.input[0])
    starts, ends, axes, steps = [*node.input[1:], "", ""][:4]
    begin, end = (b.constant(name, node).ravel().tolist() for name in (starts, ends))
    along = b.constant(axes, node).ravel().tolist() if axes else list(range(len(begin)))
    step = b.constant(steps, node).ravel().tolist() if steps else [1] * len(begin)
    cuts = []
    for axis, first, last, by in zip(along, begin, end, step, strict=True):
        size = own[axis % len(own)]
        if size < 0:
            if (first, by) == (0, 1) and last >= 1 << 31:
                continue  # all images
            raise UnsupportedLayer(node, "it selects among images")
        entries = range(*slice(first, last if last > -(1 << 31) else None, by).indices(size))
        if len(entries) != size or entries.step != 1:
            cuts.append((axis % len(own), entries))
    gradient = b.full(gradient, b.sizes.of(node.output[0]))
    if len(cuts) == 1 and cuts[0][1].step == 1:
        return Part(gradient, cuts[0][0], cuts[0][1].start)
    for axis, entries in cuts:
        if entries.step == 1:
            gradient = b.padded(gradient, {axis: (entries.start, own[axis] - entries.stop)})
        else:
            gradient = _put_back(b, gradient, own, axis, list(entries))
    return gradient


def _pad(b: Backward, node: NodeProto, place: int, gradient: Gradient) -> Gradient:
    if place or flag(node, "mode", "constant") != "constant":
        raise UnsupportedLayer(node, "it should pad with constants")
    own = b.sizes.of(node.input[0])
    given = b.constant(node.input[1], node).ravel().tolist()
    axes = [*node.input, "", ""][3]
    along = [int(a) % len(own) for a in b.constant(axes, node).ravel()] if axes else list(range(len(own)))
    before, behind = given[: len(along)], given[len(along) :]
    cut = [place for place, _ in enumerate(along) if before[place] or behind[place]]
    if min(given) < 0 or any(own[along[place]] < 0 for place in cut):
        raise UnsupportedLayer(node, "it pads images, or cuts")
    gradient = b.full(gradient, b.sizes.of(node.output[0]))
    if not cut:
        return gradient
    begin = b.integers(*(before[place] for place in cut))
    end = b.integers(*(before[place] + own[along[place]] for place in cut))
    return Gradient(b.add("Slice", gradient.tensor, begin, end, b.integers(*(along[place] + 1 for place in cut))), own)


def _depth_to_space(b: Backward, node: NodeProto, _place: int, gradient: Gradient) -> Gradient:
    block, own, out = flag(node, "blocksize"), b.sizes.of(node.input[0]), b.sizes.of(node.output[0])
    order = [0, 1, 3, 5, 2, 4] if flag(node, "mode", "DCR") == "CRD" else [0, 3, 5, 1, 2, 4]
    six = b.reshape(b.full(gradient, out), (out[0], out[1], own[2], block, own[3], block))
    return b.reshape(b.transposed(six, order), own)


SAME = ("Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
MOVE_RULES: Mapping[str, Rule] = MappingProxyType(
    dict.fromkeys(SAME, _same)
    | {
        "Concat": _concat,
        "DepthToSpace": _depth_to_space,
        "Expand": _expand,
        "Gather": _gather,
        "Pad": _pad,
        "Slice": _slice,
        "Transpose": _transpose,
    }
)
