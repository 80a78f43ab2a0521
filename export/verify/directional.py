"""Grad-CAM at any layer by differences in float64: no derivative of any operator is written down here.

A cell of Grad-CAM's map before the ReLU is itself a directional derivative. With α_k the mean over the layer's M cells
of ∂y/∂A_k,

    Σ_k α_k A_k(i, j) = d/dε y(A + ε·D),   D_k = A_k(i, j) / M in every cell

so that two evaluations of the network behind the layer, by onnx's own reference implementation in float64, give that
cell for all classes: y is the logit, or the log-odds, whose gradient by the logits is known. The layer's values, and
what else enters the network behind it, are the network's own activations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from whycam.export.verify.double import DoubleGraph
from whycam.export.verify.reference import by_logits
from whycam.models.contract import Score

Floats = NDArray[np.float64]
STEP = 1e-7
"""ε / M: every cell of the layer changes by this part of the cell that is looked at."""
CELLS = 12
"""Cells that are checked on all images, beside the hottest of each map."""
BEHIND_SCORES = ("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
ACTIVATIONS = ("Softmax", "Sigmoid")


class Compared(NamedTuple):
    """How a file's maps differ from differences in float64, as parts of each map's maximum."""

    each: Floats
    """(N, K): the largest difference of each map, over the cells that were checked."""
    deviation: float
    """The largest difference of a logit, relative to the largest."""


class Directional:
    """The part of an explainable model behind a layer; `grid` is the height and width of its heatmaps."""

    def __init__(self, model: ModelProto, feature: str, grid: tuple[int, int]) -> None:
        self.feature = feature
        self._grid = grid
        self._producers = {output: node for node in model.graph.node for output in node.output}
        self.logits, self._independent = self._find_logits()
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

    def compare(self, seen: Mapping[str, NDArray[Any]], score: Score) -> Compared:
        """Compare `seen`'s heatmaps (N, K, h, w) of its classes, with its evidence (N, K)."""
        maps = seen["heatmaps"].astype(np.float64) * seen["evidence"].astype(np.float64)[..., None, None]
        classes = seen["classes"].astype(np.int64)
        feeds = {name: seen[name] for name in self._outside} | {self.feature: seen[self.feature].astype(np.float64)}
        values = self.channels_first(feeds[self.feature])
        (logits,) = self._behind(feeds, [self.logits])
        seed = by_logits(logits.reshape(len(classes), -1), classes, "logit" if self._independent else score)
        step = STEP * self._grid[0] * self._grid[1]
        found: list[tuple[tuple[int, int], Floats]] = []
        for cell in self._chosen(maps):
            moved = step * self._direction(values[:, :, cell[0], cell[1]], feeds[self.feature])
            up, down = (
                self._behind(feeds | {self.feature: feeds[self.feature] + sign * moved}, [self.logits])[0]
                for sign in (1, -1)
            )
            slope = (up - down).reshape(len(classes), -1) / (2 * step)
            found.append((cell, np.einsum("nkc,nc->nk", seed, slope)))
        exact = np.stack([each for _, each in found], -1)  # (N, K, cells)
        theirs = np.stack([maps[..., row, column] for (row, column), _ in found], -1)
        largest = np.maximum(np.abs(exact).max(-1), np.finfo(np.float64).tiny)
        each = np.abs(np.maximum(exact, 0) - theirs).max(-1) / np.maximum(largest, theirs.max(-1))
        apart = np.abs(logits - seen[self.logits]).max() / max(np.abs(logits).max(), np.finfo(np.float64).tiny)
        return Compared(each, float(apart))

    def _chosen(self, maps: Floats) -> list[tuple[int, int]]:
        """The hottest cell of each map, and some more, the same on every call."""
        height, width = self._grid
        hottest = {int(each) for each in maps.reshape(-1, height * width).argmax(1)}
        others = np.random.default_rng(0).permutation(height * width)[:CELLS]
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
            nodes.append(node)
            wanted.update(name for name in node.input if name)
        constants = [stored[name] for name in wanted if name in stored]
        inputs = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in (self.feature, *outside)]
        outputs = [helper.make_tensor_value_info(self.logits, TensorProto.DOUBLE, None)]
        graph = helper.make_graph(nodes[::-1], "behind", inputs, outputs, constants)
        part = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
        return DoubleGraph(part), outside
