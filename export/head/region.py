"""Which part of the network's input a feature map covers: its grid, traced through the graph from the image.

A cell of the map is drawn as a rectangle of the image, so a network that crops, pads or cuts on its way would be drawn
shifted. Each operator is one small rule on the grid's left and upper edge and on the size of its cells.

A convolution with stride s and a kernel k that pads both sides alike places its cells up to s/2 off: where sizes are
even, the padding at one end is not used. As everybody draws CAMs, that is not counted: a grid lies centred on what its
windows cover. A larger shift counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from onnx import ModelProto, NodeProto

from whycam.export.graph.feature import Feature
from whycam.export.graph.onnx_graph import Graph, argument, attribute, kind
from whycam.export.head.ends import find_ends
from whycam.export.head.tail import find_tail
from whycam.models.contract import WHOLE, Region

SEEN = 0.25
"""Of a cell: a smaller shift is not drawn."""
IMAGE = "image"


class MisplacedMap(ValueError):
    """A feature map whose cells have no place in the image that can be drawn: names the node where that is so."""

    def __init__(self, node: NodeProto | None, reason: str) -> None:
        where = f"{node.op_type} '{node.name or node.output[0]}'" if node else "the network's input"
        super().__init__(f"The heatmap cannot be placed on the image, because of {where}: {reason}.")


@dataclass(frozen=True, slots=True)
class Axis:
    """A tensor's cells along the image's height or width, in pixels of the image."""

    number: int
    """Of the tensor's axes."""
    start: float
    """Where the first cell begins."""
    step: float
    """How long a cell is."""
    size: int
    """Cells."""
    pads: tuple[int, int] = (0, 0)
    """Cells of padding that an operator before a window has added at both ends: they belong to the window's own."""

    @property
    def end(self) -> float:
        """Where the last cell ends."""
        return self.start + self.step * self.size

    def padded(self) -> Axis:
        """With the padding as cells."""
        before, after = self.pads
        return replace(self, start=self.start - before * self.step, size=self.size + before + after, pads=(0, 0))


Grid = tuple[Axis, Axis]
"""Height and width of a tensor that has a place in the image."""


def find_region(model: ModelProto) -> Region | None:
    """The part of `image` that the heatmaps of an explainable model cover: left, top, right, bottom, 0…1 and beyond.

    None where the graph has operators through which no place can be followed. Raises `MisplacedMap` for a map that is
    mirrored, turned, or put together of different places.
    """
    graph = Graph(model)
    return region_of(graph, find_tail(graph, find_ends(graph))[0])


def region_of(graph: Graph, feature: Feature) -> Region | None:
    """As `find_region`, of a feature map."""
    sizes = (graph.shape(IMAGE) or [None] * 4)[1:3]
    grid = _traced(graph).get(feature.tensor)
    if grid is None:
        _check_no_vector(graph, feature.tensor)
    if grid is None or None in sizes:
        return None
    vertical, horizontal = (axis.padded() for axis in grid)
    if (vertical.number, horizontal.number) != ((1, 2) if feature.channels_last else (2, 3)):
        raise MisplacedMap(graph.producer(feature.tensor), "its height and width are exchanged")
    edges: list[tuple[float, float]] = []
    for axis, size in zip((horizontal, vertical), reversed(sizes), strict=True):
        assert size is not None
        near = abs(axis.start) <= SEEN * axis.step and abs(axis.end - size) <= SEEN * axis.step
        edges.append((0.0, 1.0) if near else (round(axis.start / size, 6), round(axis.end / size, 6)))
    (left, right), (top, bottom) = edges
    return WHOLE if (left, top, right, bottom) == WHOLE else (left, top, right, bottom)


def _check_no_vector(graph: Graph, tensor: str) -> None:
    """Raise `MisplacedMap` for a map that is a vector in the shape of one: its cells are no places."""
    while (node := graph.producer(tensor)) is not None and kind(node) in (*ALONE, *TOGETHER, "Transpose", "Reshape"):
        if kind(node) == "Reshape" and len(graph.shape(node.input[0]) or [0] * 4) <= 2:
            raise MisplacedMap(node, "it arranges the numbers of a vector like a map")
        tensor = next(iter(graph.moving(node)), "")


def _traced(graph: Graph) -> dict[str, Grid]:
    """The grid of each tensor that has one."""
    height, width = (graph.shape(IMAGE) or [None] * 4)[1:3]
    if height is None or width is None:
        return {}
    grids: dict[str, Grid] = {IMAGE: (Axis(1, 0.0, 1.0, height), Axis(2, 0.0, 1.0, width))}
    for node in graph.model.graph.node:
        given = [grids[name] for name in node.input if name in grids]
        rule = RULES.get(kind(node))
        if given and rule is not None and (grid := rule(graph, node, given)) is not None:
            grids[node.output[0]] = grid
    return grids


# One rule an operator: from the grids of its inputs that have one to that of its output.


def _same(_graph: Graph, _node: NodeProto, given: Sequence[Grid]) -> Grid:
    return given[0]


def _joined(_graph: Graph, node: NodeProto, given: Sequence[Grid]) -> Grid:
    """Branches that meet cover the same place; what has one cell only, such as a gate, covers none."""
    grids = [(one.padded(), other.padded()) for one, other in given]
    largest = max(grids, key=lambda grid: grid[0].size * grid[1].size)
    for grid in grids:
        for axis, its in zip(grid, largest, strict=True):
            if axis.size == its.size and abs(axis.start - its.start) > its.step / 2:
                raise MisplacedMap(
                    node, f"its inputs cover different places of the image, {axis.start:g} and {its.start:g} pixels on"
                )
    return largest


def _transposed(_graph: Graph, node: NodeProto, given: Sequence[Grid]) -> Grid | None:
    order = list(attribute(node, "perm", []))
    if not order:
        return None
    first, second = given[0]
    return replace(first, number=order.index(first.number)), replace(second, number=order.index(second.number))


def _window(graph: Graph, node: NodeProto, given: Sequence[Grid]) -> Grid | None:
    """A convolution or pooling over the last two axes."""
    output = graph.shape(node.output[0]) or []
    kernel = [size or 0 for size in attribute(node, "kernel_shape") or (graph.shape(node.input[1]) or [])[2:]]
    if {axis.number for axis in given[0]} != {2, 3} or len(kernel) != 2 or len(output) != 4:
        return None
    strides, dilations = attribute(node, "strides", [1, 1]), attribute(node, "dilations", [1, 1])
    pads = attribute(node, "pads", [0, 0, 0, 0])
    made = []
    for axis in given[0]:
        place = axis.number - 2
        stride, reach = strides[place], dilations[place] * (kernel[place] - 1) + 1
        cells = output[axis.number]
        if cells is None:
            return None
        centred = (axis.size - cells * stride) / 2
        before = pads[place] + axis.pads[0]
        exact = (reach - stride) / 2 - before
        if attribute(node, "auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            exact = centred
        shift = centred if abs(exact - centred) <= stride / 2 else exact
        made.append(Axis(axis.number, axis.start + shift * axis.step, axis.step * stride, cells))
    return made[0], made[1]


def _padded(graph: Graph, node: NodeProto, given: Sequence[Grid]) -> Grid | None:
    pads = graph.constant(node.input[1])
    axes = graph.constant(name) if (name := argument(node, 3)) else None
    if pads is None or (argument(node, 3) and axes is None):
        return None
    count = len(pads) // 2
    places = list(range(count)) if axes is None else [int(axis) % 4 for axis in np.ravel(axes)]
    by_axis = {axis: (int(pads[i]), int(pads[i + count])) for i, axis in enumerate(places)}
    first, second = (
        replace(
            axis,
            pads=(
                axis.pads[0] + by_axis.get(axis.number, (0, 0))[0],
                axis.pads[1] + by_axis.get(axis.number, (0, 0))[1],
            ),
        )
        for axis in given[0]
    )
    return first, second


def _sliced(graph: Graph, node: NodeProto, given: Sequence[Grid]) -> Grid | None:
    starts, ends = (graph.constant(node.input[place]) for place in (1, 2))
    shape, output = graph.shape(node.input[0]), graph.shape(node.output[0])
    if starts is None or ends is None or shape is None or output is None:
        return None
    axes = graph.constant(name) if (name := argument(node, 3)) else np.arange(len(starts))
    steps = graph.constant(name) if (name := argument(node, 4)) else np.ones(len(starts), np.int64)
    if axes is None or steps is None:
        return None
    cut = {int(a) % len(shape): (int(s), int(t)) for a, s, t in zip(axes, starts, steps, strict=True)}
    made = []
    for axis in (each.padded() for each in given[0]):
        begin, stride = cut.get(axis.number, (0, 1))
        if stride < 0:
            raise MisplacedMap(node, "it mirrors the image, and the heatmap would be drawn mirrored")
        begin = min(begin + axis.size if begin < 0 else begin, axis.size)
        size = output[axis.number] if axis.number < len(output) else None
        if size is None:
            return None
        made.append(Axis(axis.number, axis.start + begin * axis.step, axis.step * stride, size))
    return made[0], made[1]


def _resized(graph: Graph, node: NodeProto, given: Sequence[Grid]) -> Grid | None:
    """The same place with other cells."""
    output = graph.shape(node.output[0])
    if output is None or attribute(node, "coordinate_transformation_mode", b"") == b"tf_crop_and_resize":
        return None
    made = []
    for axis in (each.padded() for each in given[0]):
        size = output[axis.number] if axis.number < len(output) else None
        if not size:
            return None
        made.append(Axis(axis.number, axis.start, axis.step * axis.size / size, size))
    return made[0], made[1]


def _reshaped(graph: Graph, node: NodeProto, given: Sequence[Grid]) -> Grid | None:
    """A Reshape that divides or joins channels only, as a channel shuffle does: height and width stay side by side."""
    before, after = graph.shape(node.input[0]), graph.shape(node.output[0])
    vertical, horizontal = (axis.padded() for axis in given[0])
    if before is None or after is None or horizontal.number != vertical.number + 1:
        return None
    from_end = len(before) - vertical.number
    place = len(after) - from_end if from_end == 2 else vertical.number  # [N, C, H, W], or [N, H, W, C]
    if place < 1 or after[place : place + 2] != [vertical.size, horizontal.size]:
        return None
    return replace(vertical, number=place), replace(horizontal, number=place + 1)


def _mixed(_graph: Graph, node: NodeProto, given: Sequence[Grid]) -> Grid | None:
    """An operator on the channels of [N, H, W, C]: a dense layer, or their order."""
    axes = [axis.number for axis in given[0]]
    return given[0] if axes == [1, 2] and attribute(node, "axis", 3) in (3, -1) else None


Rule = Callable[[Graph, NodeProto, Sequence[Grid]], Grid | None]
ALONE = (
    "Cast", "Identity", "Dropout", "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Clip", "Sigmoid",
    "HardSigmoid", "HardSwish", "Mish", "Softplus", "Softsign", "Tanh", "Erf", "Exp", "Log", "Sqrt", "Neg", "Abs",
    "BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization", "LRN",
    "QuantizeLinear", "DequantizeLinear", "Softmax", "LogSoftmax",
)  # fmt: skip
"""Operators whose output has a value for each of their first input, in its place."""
TOGETHER = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Pow", "Where", "Concat")
RULES: Mapping[str, Rule] = MappingProxyType(
    dict.fromkeys(ALONE, _same)
    | dict.fromkeys(TOGETHER, _joined)
    | dict.fromkeys(("Conv", "MaxPool", "AveragePool", "LpPool"), _window)
    | dict.fromkeys(("Resize", "Upsample", "ConvTranspose"), _resized)
    | {
        "MatMul": _mixed,
        "Gather": _mixed,
        "Transpose": _transposed,
        "Pad": _padded,
        "Slice": _sliced,
        "Reshape": _reshaped,
    }
)
