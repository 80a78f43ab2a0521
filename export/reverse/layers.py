"""The layers of a network that can be explained: where they lie in the graph, their cells, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from onnx import NodeProto

from whycam.export.graph.feature import CHANNELS_FIRST, Feature
from whycam.export.graph.onnx_graph import Graph, attribute, kind
from whycam.export.graph.sizes import Dims, Sizes, UnknownSize
from whycam.export.reverse.backward import Backward, Gradient, UnsupportedLayer
from whycam.export.reverse.summed import Cells, cell_sum
from whycam.export.reverse.walk import Walk
from whycam.models.contract import HEATMAPS

MAX_PREFIX = 8
"""Tokens before those of the grid."""
NORMS = ("LayerNormalization",)
CHANNELS_LAST = ("Gemm", "LayerNormalization", "MatMul")
"""Operators whose channels are their last axis by definition."""
MOVES_AXES = ("Transpose",)


class Candidate(NamedTuple):
    """A layer that can be explained."""

    feature: Feature
    norm: bool
    """Whether it is the output of a normalisation, not a place through which the whole network goes."""
    cost: float
    """The estimated time with heatmaps of one class, relative to the network alone."""


def find_layer(graph: Graph, sizes: Sizes, name: str) -> Feature:
    """A layer by its tensor's name, its node's, or its grid's size ('14x14': the last of that size).

    Raises `UnsupportedLayer` for one that is not there or has no cells.
    """
    made = {output for node in graph.model.graph.node for output in node.output}
    if name not in made:
        by_node = [node.output[0] for node in graph.model.graph.node if node.name == name]
        by_grid = [each.feature.tensor for each in candidates(graph, sizes) if _grid(each.feature) == name.lower()]
        if not by_node + by_grid:
            raise UnsupportedLayer(None, f"it has no layer '{name}'; --list-layers prints those that it has")
        name = (by_node or by_grid)[-1]
    feature = _feature(graph, sizes, name)
    if feature is None:
        raise UnsupportedLayer(graph.producer(name), f"its output {_shown(sizes.of(name))} has no height and width")
    if any(kind(node) == "InstanceNormalization" for node in graph.model.graph.node if node.input[:1] == [name]):
        raise UnsupportedLayer(graph.producer(name), "the normalisation behind it makes the mean gradient 0")
    return feature


def candidates(graph: Graph, sizes: Sizes, logits: str | None = None) -> list[Candidate]:
    """The layers with cells through which the whole network goes, and its normalisations, in the graph's order."""
    target = logits or graph.model.graph.output[0].name
    work = _work(graph, sizes)
    whole = sum(work.values()) or 1.0
    found = []
    done = 0.0
    cuts = set(_cuts(graph, sizes.image, target))
    for node in graph.model.graph.node:
        done += work.get(id(node), 0.0)
        tensor = node.output[0]
        if tensor not in cuts and kind(node) not in NORMS:
            continue
        feature = _feature(graph, sizes, tensor)
        if feature is not None:
            found.append(Candidate(feature, tensor not in cuts, 1 + (whole - done) / whole))
    return found


def grid_of(graph: Graph, tensor: str, output: str = HEATMAPS) -> Feature | None:
    """The layer of a map of an explainable model, if its axes are the map's; None for tokens and others."""
    dims = graph.shape(tensor)
    heat = next((each for each in graph.model.graph.output if each.name == output), None)
    if dims is None or len(dims) != 4 or None in dims[1:] or heat is None:
        return None
    rows, columns = (dim.dim_value for dim in heat.type.tensor_type.shape.dim[2:])
    own = tuple(size or -1 for size in dims)
    last = channels_are_last(graph, tensor, own, rows / columns)
    if own[1:3] != (rows, columns) and own[2:] != (rows, columns):
        return None
    return Feature(tensor, own[3 if last else 1], rows, columns, channels_last=last)


def channel_sums(b: Backward, feature: Feature, logits: str, seed: Gradient) -> str:
    """The gradient summed over a layer's cells, (N, K, channels), given that by the logits."""
    dims = b.sizes.of(feature.tensor)
    cells = _cells(feature, dims)
    walk = Walk(b, feature.tensor, logits, cells)
    gradient = walk.back(seed)
    sums = walk.sums + ([cell_sum(b, gradient, dims, cells)] if gradient is not None else [])
    total = sums[0]
    for each in sums[1:]:
        total = b.plus(total, each)
    return b.add("Transpose", b.full(total, (dims[0], feature.channels)).tensor, perm=[1, 0, 2])


def full_gradient(b: Backward, feature: Feature, source: str, logits: str, seed: Gradient) -> Gradient:
    """The gradient by every entry of `source`, which has a layer's axes, [K, N, …], given that by the logits."""
    gradient = Walk(b, source, logits).back(seed)
    assert gradient is not None  # only the rules for sums leave nothing, and they need cells
    return b.full(gradient, b.sizes.of(feature.tensor))


def by_cell(b: Backward, feature: Feature, gradient: Gradient) -> str:
    """A gradient [K, N, …] by a layer as (N, K, channels, cells), without the tokens before its grid."""
    tensor, dims = gradient
    if feature.skip:
        tensor = b.add("Slice", tensor, b.integers(feature.skip), b.integers(dims[1]), b.integers(2))
    if len(dims) == 3:
        return b.add("Transpose", tensor, perm=[1, 0, 3, 2])
    moved = b.add("Transpose", tensor, perm=[1, 0, 4, 2, 3] if feature.channels_last else [1, 0, 2, 3, 4])
    return b.add("Reshape", moved, b.integers(0, 0, feature.channels, feature.height * feature.width))


def _cells(feature: Feature, dims: Dims) -> Cells:
    if len(dims) == 3:
        return Cells(2, (1,), feature.skip)
    return Cells(3, (1, 2)) if feature.channels_last else Cells(1, (2, 3))


def _grid(feature: Feature) -> str:
    return f"{feature.height}x{feature.width}"


def _shown(dims: Dims) -> str:
    return "[" + ", ".join("N" if size == -1 else str(size) for size in dims) + "]"


def _feature(graph: Graph, sizes: Sizes, tensor: str) -> Feature | None:
    """A tensor as a feature map; None if it has no grid of two cells or more."""
    try:
        dims, image = sizes.of(tensor), sizes.of(sizes.image)
    except UnknownSize:
        return None
    height, width = image[1:3] if image[3] in (1, 3) else image[2:4]
    if len(dims) == 3 and dims[0] == -1 and min(dims[1:]) > 1:
        found = _tokens(dims[1], height, width)
        return Feature(tensor, dims[2], *found[:2], channels_last=True, skip=found[2]) if found else None
    if len(dims) != 4 or dims[0] != -1 or min(dims[1:]) < 1:
        return None
    last = channels_are_last(graph, tensor, dims, height / width)
    rows, columns, channels = dims[1:] if last else (*dims[2:], dims[1])
    return Feature(tensor, channels, rows, columns, channels_last=last) if rows * columns > 1 else None


def _tokens(count: int, height: int, width: int) -> tuple[int, int, int] | None:
    """Height and width of a grid of the image's shape, and the tokens before it, for a number of tokens."""
    for skip in range(MAX_PREFIX + 1):
        rows = round(float(np.sqrt((count - skip) * height / width)))
        if rows and (count - skip) % rows == 0 and rows * width == (count - skip) // rows * height and count - skip > 1:
            return rows, (count - skip) // rows, skip
    return None


def channels_are_last(graph: Graph, tensor: str, dims: Dims, aspect: float) -> bool:
    """Whether a map's channels are its last axis: from the image's shape, or from the operator that computed it."""
    first, last = (abs(a / b - aspect) < 1e-6 for a, b in (dims[2:4], dims[1:3]))
    if first != last:
        return last
    axis = {0: 0, 1: 1, 2: 2, 3: 3}
    while (node := graph.producer(tensor)) is not None:
        if kind(node) in CHANNELS_FIRST:
            return axis[1] == 3
        if kind(node) in CHANNELS_LAST:
            return axis[3] == 3
        if kind(node) in MOVES_AXES:
            order = list(attribute(node, "perm"))
            axis = {old: axis[new] for new, old in enumerate(order)}
        tensor = next(iter(graph.moving(node)), "")
    return False


def _cuts(graph: Graph, image: str, target: str) -> Iterator[str]:
    """The tensors through which every path from the image to the target goes, in the graph's order."""
    below = {image}
    for node in graph.model.graph.node:
        if kind(node) != "Shape" and any(name in below for name in node.input):
            below.update(name for name in node.output if name)
    above, live = {target}, []
    for node in reversed(graph.model.graph.node):
        if any(name in above and name in below for name in node.output):
            live.append(node)
            above.update(name for name in node.input if name in below)
    live.reverse()
    uses: dict[str, int] = {}
    for node in live:
        for name in set(node.input) & below:
            uses[name] = uses.get(name, 0) + 1
    open_ = {image}
    for node in live:
        for name in set(node.input) & open_:
            uses[name] -= 1
            if not uses[name]:
                open_.discard(name)
        open_.update(name for name in node.output if name in above)
        if len(open_) == 1:
            yield next(iter(open_))


def _work(graph: Graph, sizes: Sizes) -> dict[int, float]:
    """Multiplications of each node for one image, by the node's id: of convolutions and matrix products."""
    found = {}
    for node in graph.model.graph.node:
        if kind(node) in ("Conv", "Gemm", "MatMul"):
            try:
                found[id(node)] = _products(node, sizes)
            except UnknownSize:
                continue
    return found


def _products(node: NodeProto, sizes: Sizes) -> float:
    out, weights = sizes.of(node.output[0]), sizes.of(node.input[1])
    depth = int(np.prod(weights[1:])) if node.op_type == "Conv" else abs(sizes.of(node.input[0])[-1])
    return float(np.prod(np.abs(out))) * depth
