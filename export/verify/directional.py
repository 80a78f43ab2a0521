"""Grad-CAM at any layer by differences in float64: no derivative of any operator is written down here.

A cell of Grad-CAM's map before the ReLU is itself a directional derivative. With α_k the mean over the layer's M cells
of ∂y/∂A_k,

    Σ_k α_k A_k(i, j) = d/dε y(A + ε·D),   D_k = A_k(i, j) / M in every cell

so that two evaluations of the network behind the layer, by onnx's own reference implementation in float64, give that
cell for all classes: y is the logit, or the log-odds, whose gradient by the logits is known. The layer's values, and
what else enters the network behind it, are the network's own activations.

Of a method that reads the gradient g at each cell, the file names g. Its product with a random direction D,
Σ g·D = d/dε y(A + ε·D), is compared with differences in the same way, for directions in single cells and in all; then
the map is compared with its definition from g and A.

A max pooling behind the layer keeps the choice that it makes at A: the zeros of a ReLU tie, and there it has no
derivative but that of a choice (see `export.verify.max_pool`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from whycam.export.verify.double import DoubleGraph
from whycam.export.verify.max_pool import CHOOSE, OPSET, chosen_by, keeping, kept_by
from whycam.export.verify.methods import ON_A_WAY, WITHOUT_GRADIENT, definition_of
from whycam.export.verify.reference import by_logits
from whycam.models.contract import SIGNED, MapSpec, Score

Floats = NDArray[np.float64]
Cell = tuple[int, int]
STEP = 1e-7
"""ε / M: every cell of the layer changes by this part of the cell that is looked at."""
GRADIENT_STEP = 1e-6
"""ε for a random direction of deviation 1, as a part of the layer's: a single cell changes the score little."""
CELLS = 12
"""Cells that are checked on all images, beside the hottest of each map."""
EVERYWHERE = 4
"""Random directions in all cells at once; one for a way of sixteen points, each of which needs the whole network."""
FEW_CELLS = 4
"""Cells in which the gradient is checked, beside as many of the hottest: the map follows from it in all cells."""
QUADRATURE = np.polynomial.legendre.leggauss(16)
"""Points between −1 and 1 for the way from zeros to the input, and their weights, which sum to 2."""
SWITCHED = 3e-6
"""The difference of the slopes to both sides, as a part of the largest, at which a unit must have switched."""
BEHIND_SCORES = ("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
ACTIVATIONS = ("Softmax", "Sigmoid")
TIMES_VALUES = ("hirescam", "layer-cam", "xgrad-cam", "input-x-gradient", "integrated-gradients")
"""Methods that multiply the gradient by the layer's values. Where these are 0 the gradient does not count, and behind a
ReLU there may be none: in a window of zeros a max pooling has no derivative."""
MEANS: Mapping[str, float] = {"grad-cam": 1.0, "negative": -1.0, SIGNED: 1.0}
"""Methods that need the gradient's mean only, and by what Σ α_k A_k is multiplied before its positive part is taken; of
`SIGNED`, the negative part counts too."""


class Compared(NamedTuple):
    """How a file's maps differ from differences in float64, as parts of each map's maximum."""

    each: Floats
    """(N, K): the largest difference of each map, over the cells that were checked."""
    deviation: float
    """The largest difference of a logit, relative to the largest."""


class Point(NamedTuple):
    """Where the network behind a layer is evaluated."""

    outside: Mapping[str, NDArray[Any]]
    """What else enters it, by name."""
    layer: Floats
    """The layer's values, in its own axes."""
    logits: Floats
    """(N, C)"""
    seed: Floats
    """The gradient by the logits of what is explained, (N, K, C)."""
    kept: Mapping[str, NDArray[np.int64]]
    """What each max pooling behind the layer chooses here, by the name of its input for it."""


class Directional:
    """The part of an explainable model behind a layer; `grid` is the height and width of its heatmaps."""

    def __init__(self, model: ModelProto, feature: str, grid: tuple[int, int]) -> None:
        self.feature = feature
        self._grid = grid
        self._producers = {output: node for node in model.graph.node for output in node.output}
        self.logits, self._independent = self._find_logits()
        self._pooled: list[str] = []
        self._behind, self._outside = self._part(model)

    @property
    def needed(self) -> list[str]:
        """The tensors whose values, from one run of the network on all images, `compare` needs."""
        return [self.feature, self.logits, *self._outside]

    def channels_first(self, values: NDArray[Any]) -> NDArray[Any]:
        """The layer (N, channels, h, w), (N, h, w, channels) or (N, tokens, channels) as (N, channels, h, w)."""
        height, width = self._grid
        if values.ndim == 3:
            cells = values[:, values.shape[1] - height * width :]
            return cells.reshape(len(values), height, width, -1).transpose(0, 3, 1, 2)
        return values if self._channels_are_second(values) else values.transpose(0, 3, 1, 2)

    def compare(self, seen: Mapping[str, NDArray[Any]], score: Score, spec: MapSpec) -> Compared:
        """Compare `seen`'s maps (N, K, h, w) of its classes, with their maxima (N, K) if they are normalised.

        Raises `ValueError` for a method that has no definition in `export.verify.methods`.
        """
        maps, raw = seen[spec.output].astype(np.float64), spec.method == SIGNED
        if not raw:
            maps *= seen[spec.maxima].astype(np.float64)[..., None, None]
        classes, independent = seen["classes"].astype(np.int64), self._independent or raw
        outside = {name: seen[name] for name in self._outside}
        at = self._point(outside, seen[self.feature].astype(np.float64), classes, "logit" if independent else score)
        apart = np.abs(at.logits - seen[self.logits].reshape(at.logits.shape)).max()
        deviation = float(apart / max(np.abs(at.logits).max(), np.finfo(np.float64).tiny))
        if spec.method in MEANS:
            return Compared(self._of_means(maps, at, MEANS[spec.method], raw=raw), deviation)
        values = self.channels_first(at.layer)
        gradient = np.zeros((*classes.shape, *values.shape[1:]))
        if spec.method not in WITHOUT_GRADIENT:
            gradient = seen[spec.gradient].astype(np.float64).reshape(gradient.shape)
        heat = definition_of(spec.method)(gradient.swapaxes(0, 1), values)
        each = np.abs(heat - maps).max((2, 3)) / np.maximum(_largest(heat), _largest(maps))
        if spec.method in WITHOUT_GRADIENT:
            return Compared(each, deviation)
        way = self._way(at, classes, "logit" if independent else score) if spec.method in ON_A_WAY else [(1.0, at)]
        few = FEW_CELLS if len(way) == 1 else 1
        cells = self._chosen(maps, few, few)
        counts = values != 0 if spec.method in TIMES_VALUES else np.ones(values.shape, np.bool_)
        directions = _directions(counts, cells, maps.shape[2:], EVERYWHERE if len(way) == 1 else 1)
        return Compared(np.maximum(each, self._of_gradient(gradient, way, at, directions)), deviation)

    def _way(self, at: Point, classes: NDArray[np.int64], score: Score) -> list[tuple[float, Point]]:
        """The points between zeros and the input, with their weights."""
        points, weights = QUADRATURE
        return [
            (weight / 2, self._point(at.outside, (place + 1) / 2 * at.layer, classes, score))
            for place, weight in zip(points, weights, strict=True)
        ]

    def _point(
        self, outside: Mapping[str, NDArray[Any]], layer: Floats, classes: NDArray[np.int64], score: Score
    ) -> Point:
        kept = [kept_by(each) for each in self._pooled]
        feeds = {**outside, self.feature: layer, **dict.fromkeys(kept, CHOOSE)}
        logits, *chosen = self._behind(feeds, [self.logits, *map(chosen_by, self._pooled)])
        rows = logits.reshape(len(classes), -1)
        return Point(outside, layer, rows, by_logits(rows, classes, score), dict(zip(kept, chosen, strict=True)))

    def _of_means(self, maps: Floats, at: Point, sign: float, *, raw: bool) -> Floats:
        """How far maps are from the positive part of sign · Σ α_k A_k, in the cells that are looked at: (N, K).

        `raw` maps have the negative part too.
        """
        values = self.channels_first(at.layer)
        step = STEP * self._grid[0] * self._grid[1]
        cells = self._chosen(np.abs(maps), CELLS)
        found = []
        for row, column in cells:
            up, down = self._moved(at, self._direction(values[:, :, row, column], at.layer), step)
            found.append(np.einsum("nkc,nc->nk", at.seed, (up - down) / (2 * step)))
        exact = sign * np.stack(found, -1)  # (N, K, cells)
        theirs = np.stack([maps[..., row, column] for row, column in cells], -1)
        largest = np.maximum(np.abs(exact).max(-1), np.finfo(np.float64).tiny)
        apart = np.abs((exact if raw else np.maximum(exact, 0)) - theirs).max(-1)
        return np.asarray(apart / np.maximum(largest, np.abs(theirs).max(-1)))

    def _of_gradient(
        self, gradient: Floats, way: Sequence[tuple[float, Point]], at: Point, directions: Sequence[Floats]
    ) -> Floats:
        """How far the gradient (N, K, channels, h, w) is from differences, as a part of its own size: (N, K).

        It is the mean of those at the points of `way`, by their weights.
        """
        size = GRADIENT_STEP * max(float(np.sqrt((at.layer**2).mean())), np.finfo(np.float64).tiny)
        worst = np.zeros(gradient.shape[:2])
        for direction in directions:
            own = self._in_own_axes(direction, at.layer)
            exact = np.sum([weight * self._slope(point, own, size) for weight, point in way], 0)
            theirs = np.einsum("nkchw,nchw->nk", gradient, direction)
            local = np.sqrt(np.einsum("nkchw,nchw->nk", gradient**2, direction**2))
            usual = np.sqrt((gradient**2).mean((2, 3, 4))) * np.sqrt((direction**2).sum((1, 2, 3)))[:, None]
            largest = np.maximum(np.maximum(local, usual), np.finfo(np.float64).tiny)
            worst = np.maximum(worst, np.abs(theirs - exact) / largest)
        return worst

    def _slope(self, at: Point, direction: Floats, step: float) -> Floats:
        """d/dε of what is explained of each class along a direction of the layer, (N, K).

        Where the slopes to both sides differ, a unit switches between them, or they are rounding noise: then other
        steps are tried, and the one with which they differ least counts.
        """
        best, least = np.zeros(at.seed.shape[:2]), np.full(at.seed.shape[:2], np.inf)
        for smaller in (0.1, 1, 0.01):
            up, down = self._moved(at, direction, step * smaller)
            slopes = [
                np.einsum("nkc,nc->nk", at.seed, each) / (step * smaller) for each in (up - at.logits, at.logits - down)
            ]
            mean, apart = (slopes[0] + slopes[1]) / 2, np.abs(slopes[0] - slopes[1])
            best, least = np.where(apart < least, mean, best), np.minimum(apart, least)
            if (least <= SWITCHED * np.abs(best).max(initial=0)).all():
                break
        return best

    def _moved(self, at: Point, direction: Floats, step: float) -> tuple[Floats, Floats]:
        """The logits (N, C) with the layer a step up and a step down along a direction."""
        up, down = (
            self._behind({**at.outside, **at.kept, self.feature: at.layer + sign * step * direction}, [self.logits])[0]
            for sign in (1, -1)
        )
        return up.reshape(at.logits.shape), down.reshape(at.logits.shape)

    def _chosen(self, maps: Floats, count: int, most: int | None = None) -> list[Cell]:
        """The hottest cell of each map, or of `most` of them, and some more, the same on every call."""
        height, width = maps.shape[2:]
        hottest = {int(each) for each in maps.reshape(-1, height * width).argmax(1)[:most]}
        others = np.random.default_rng(0).permutation(height * width)[:count]
        return [(place // width, place % width) for place in sorted(hottest | {int(each) for each in others})]

    def _direction(self, channels: Floats, layer: Floats) -> Floats:
        """D in the layer's own axes, for each image's values (N, channels) at a cell."""
        height, width = self._grid
        share = channels / (height * width)
        if layer.ndim == 3:
            direction = np.zeros(layer.shape)
            direction[:, layer.shape[1] - height * width :] = share[:, None]
            return direction
        last = self.channels_first(layer) is not layer
        return np.broadcast_to(share[:, None, None] if last else share[:, :, None, None], layer.shape)

    def _in_own_axes(self, direction: Floats, layer: Floats) -> Floats:
        """A direction (N, channels, h, w) in the layer's own axes."""
        if layer.ndim == 3:
            own = np.zeros(layer.shape)
            flat = direction.reshape(*direction.shape[:2], -1).transpose(0, 2, 1)
            own[:, layer.shape[1] - flat.shape[1] :] = flat
            return own
        return direction if self.channels_first(layer) is layer else direction.transpose(0, 2, 3, 1)

    def _channels_are_second(self, values: NDArray[Any]) -> bool:
        """Whether a layer's channels are its second axis: from the grid, or from the operator that computed it."""
        fits = values.shape[2:] == self._grid, values.shape[1:3] == self._grid
        if fits != (True, True):
            return fits[0]
        order, tensor = [0, 1, 2, 3], self.feature
        while (node := self._producers.get(tensor)) is not None:
            if node.op_type in ("Conv", "BatchNormalization", "MaxPool", "AveragePool", "ConvTranspose"):
                return order.index(1) == 1
            if node.op_type in ("LayerNormalization", "MatMul", "Gemm"):
                return order.index(3) == 1
            if node.op_type == "Transpose":
                perm = list(next(each.ints for each in node.attribute if each.name == "perm"))
                order = [order[axis] for axis in perm]
            tensor = node.input[0]
        return True

    def _find_logits(self) -> tuple[str, bool]:
        """The logits, and whether each is the log-odds of its own score."""
        node = self._producers.get("scores")
        while node is not None and node.op_type in BEHIND_SCORES:
            node = self._producers.get(node.input[0])
        if node is None or node.op_type not in ACTIVATIONS:
            raise ValueError("A model's scores should come from a Softmax or a Sigmoid.")
        return str(node.input[0]), node.op_type == "Sigmoid"

    def _part(self, model: ModelProto) -> tuple[DoubleGraph, list[str]]:
        """The network behind the layer as a graph of its own, and the tensors that enter it from elsewhere."""
        behind = {self.feature}
        for node in model.graph.node:
            if not behind.isdisjoint(node.input):
                behind.update(node.output)
        stored = {tensor.name: tensor for tensor in model.graph.initializer}
        given = {each.name for each in model.graph.input} - set(stored)
        moving = set(given)
        for node in model.graph.node:
            if not moving.isdisjoint(node.input):
                moving.update(node.output)
        nodes, wanted, outside, constants = [], {self.logits}, [], []
        for node in reversed(model.graph.node):
            if wanted.isdisjoint(node.output) or self.feature in node.output:
                continue
            if behind.isdisjoint(node.output) and not moving.isdisjoint(node.output):
                outside += [name for name in node.output if name in wanted]
                continue
            pool = keeping(node)
            self._pooled += [pool.output[0]] if pool else []
            nodes.append(pool or node)
            wanted.update(name for name in node.input if name)
        constants = [stored[name] for name in wanted if name in stored]
        named = [self.feature, *outside, *map(kept_by, self._pooled)]
        inputs = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in named]
        outputs = [helper.make_tensor_value_info(self.logits, TensorProto.DOUBLE, None)]
        graph = helper.make_graph(nodes[::-1], "behind", inputs, outputs, constants)
        part = helper.make_model(graph, opset_imports=[*model.opset_import, OPSET], ir_version=model.ir_version)
        return DoubleGraph(part), outside


def _directions(counts: NDArray[np.bool_], cells: Sequence[Cell], grid: Cell, everywhere: int) -> list[Floats]:
    """Random directions (N, channels, h, w): in all cells at once, and in single ones, or blocks of pixels.

    They are 0 where an entry does not count.
    """
    random = np.random.default_rng(1)
    shape = counts.shape
    found = [random.normal(size=shape) for _ in range(everywhere)]
    tall, wide = -(-shape[2] // grid[0]), -(-shape[3] // grid[1])
    for row, column in cells:
        block = np.zeros(shape)
        part = (..., slice(row * tall, (row + 1) * tall), slice(column * wide, (column + 1) * wide))
        block[part] = random.normal(size=block[part].shape)
        found.append(block)
    return [np.asarray(each * counts) for each in found]


def _largest(maps: Floats) -> Floats:
    return np.asarray(np.maximum(maps.max((2, 3)), np.finfo(np.float64).tiny))
