"""A CAM by definition, in float64: the gradient at every cell of the feature map, by backpropagation.

It shares no code with the head, neither the search for the tail nor a rule. It reads the feature map's name from the
model file, evaluates the graph between the map and the logits operator by operator (`operators`), and propagates back
through all of it, poolings and flattening included, to every cell.

The forward pass's decisions (which cell was the largest, which unit was clipped, which value was beyond an 8-bit
integer) are taken from the network's own activations: in another calculation, a unit within float32's rounding of zero
may be on the other side, and then every map changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from whycam.export.verify.methods import definition_of
from whycam.export.verify.operators import OPERATORS, Array, Floats, Step, apply, attributes, kind
from whycam.models.contract import METHOD, SIGNED, Score

Activations = Mapping[str, Array]

CLIPPING = ("Clip", "Relu")
"""Operators whose output shows which units are clipped."""
CHOOSING = ("GlobalMaxPool", "MaxPool", "QuantizeLinear", "ReduceMax")
"""Operators whose input shows which cell they chose or which value they clipped."""
SHAPING = ("Reshape", "Squeeze", "Unsqueeze")
"""Operators whose second input is a shape or axes, without a gradient."""
CHANNELS_SECOND = ("AveragePool", "BatchNormalization", "Conv", "GlobalAveragePool", "GlobalMaxPool", "MaxPool")
"""Operators whose channels are the second axis of input and output by definition."""
BEHIND_ACTIVATION = ("DequantizeLinear", "Dropout", "Flatten", "Identity", "QuantizeLinear", *SHAPING)
"""Operators allowed between the softmax or sigmoid and the output `scores`."""


class Evaluated(NamedTuple):
    """An evaluated node: its gradient function, and the output that the network itself had."""

    node: NodeProto
    step: Step
    output: Array


class Defined(NamedTuple):
    """Heatmaps by definition, and how exactly float32 can hold them."""

    maps: Floats
    """(N, K, h, w), 0…1; signed maps as they are."""
    cancelled: Floats
    """(N, K), 1 or more: the sum of the terms' absolute values, as a multiple of the map's maximum, which is what is
    left of them. Float32's rounding of the terms grows by this in the map."""


class Reference:
    """The part of an explainable model between its feature map and its logits, and a CAM through it.

    `feature` is the map's tensor and `grid` its height and width, as named in the model's contract; by default those of
    `heatmaps`. Raises `ValueError` if the model has no such
    tensor, or if its scores do not depend on it through a softmax or a sigmoid.
    """

    def __init__(self, model: ModelProto, feature: str, grid: tuple[int, int] | None = None) -> None:
        self.feature = feature
        heatmaps = next(output for output in model.graph.output if output.name == "heatmaps")
        self._grid = grid or tuple(size.dim_value for size in heatmaps.type.tensor_type.shape.dim)[2:]
        self._producers = {output: node for node in model.graph.node for output in node.output}
        self._stored = {tensor.name: tensor for tensor in model.graph.initializer}
        self._changing = _followers(model, {each.name for each in model.graph.input} - set(self._stored))
        if feature not in self._producers:
            raise ValueError(f"The model's metadata names the feature map '{feature}'; its graph has no such tensor.")
        self.logits, self._independent = self._find_logits()
        self._nodes = self._between(model)
        self._moving = {feature} | {output for node in self._nodes for output in node.output}

    @property
    def needed(self) -> list[str]:
        """The tensors whose values, recorded in a run of the network, the other methods need."""
        names = [self.feature, self.logits]
        for node in self._nodes:
            names += [name for name in _carriers(node) if name in self._changing - self._moving]
            names += node.output[:1] if kind(node) in CLIPPING or self._shaped_by_batch(node) else ()
            names += node.input[:1] if kind(node) in CHOOSING else ()
        return list(dict.fromkeys(names))

    @property
    def covers(self) -> bool:
        """Whether every operator between map and logits has its derivative in `export.verify.operators`.

        Not where images are moved from the first axis: their activations are recorded a few images at a time.
        """
        known = all(kind(node) in OPERATORS for node in self._nodes)
        plain = all(self._is_plain(node) for node in self._nodes if kind(node) == "Conv")
        return known and plain and not any(self._moves_images(node) for node in self._nodes)

    @property
    def rounds(self) -> bool:
        """Whether values are rounded to integers between map and logits, as in an 8-bit network."""
        return any(kind(node) == "QuantizeLinear" for node in self._nodes)

    def gates(self, seen: Activations) -> list[NDArray[np.bool_]]:
        """The entries that pass each ReLU and Clip, (N, width), in forward order."""
        gates = []
        for node, step, output in self._evaluate(seen):
            if kind(node) in CLIPPING:
                passed = step.back[0](np.ones((1, *output.shape)), output)
                gates.append(passed.reshape(len(output), -1) > 0)
        return gates

    def deviation(self, seen: Activations) -> float:
        """The largest difference of a recorded tensor from its float64 value, relative to the tensor's maximum.

        Each tensor is evaluated from the recorded ones before it.
        """
        worst = 0.0
        for _, step, output in self._evaluate(seen):
            largest = max(float(np.abs(output).max(initial=0)), float(np.finfo(np.float32).tiny))
            worst = max(worst, float(np.abs(output - step.value).max(initial=0)) / largest)
        return worst

    def heatmaps(self, seen: Activations, classes: NDArray[np.int64], score: Score, method: str = METHOD) -> Floats:
        """The heatmaps (N, K, h, w) of classes (N, K) on the activations `seen` for N images; 0…1, if not signed."""
        return self.defined(seen, classes, score, method).maps

    def defined(self, seen: Activations, classes: NDArray[np.int64], score: Score, method: str = METHOD) -> Defined:
        """The heatmaps of classes (N, K) on the activations `seen` for N images.

        Raises `ValueError` for a method that has no definition in `export.verify.methods`.
        """
        definition = definition_of(method)
        logits = seen[self.logits].astype(np.float64)
        of_logit = self._independent or method == SIGNED
        seed = by_logits(logits.reshape(len(classes), -1), classes, "logit" if of_logit else score)
        gradient = self._back(seen, seed.swapaxes(0, 1).reshape(-1, *logits.shape))  # (K, N, …)
        maps = seen[self.feature].astype(np.float64)
        if self._channels_last(maps):
            gradient = gradient.transpose(0, 1, 4, 2, 3)
        maps = self.channels_first(maps)
        heat, terms = definition(gradient, maps), definition(np.abs(gradient), np.abs(maps))
        peak, most = np.abs(heat).max((2, 3)), terms.max((2, 3))
        cancelled = np.divide(most, peak, out=np.ones_like(peak), where=peak > 0)
        return Defined(heat if method == SIGNED else normalised(heat), cancelled)

    def channels_first(self, maps: Array) -> Array:
        """The feature map as (N, channels, h, w)."""
        return maps.transpose(0, 3, 1, 2) if self._channels_last(maps) else maps

    def _back(self, seen: Activations, seed: Floats) -> Floats:
        """The gradient by the feature map, (K, N, …), from that by the logits."""
        gradients = {self.logits: seed}
        for node, step, output in reversed(self._evaluate(seen)):
            gradient = gradients.pop(node.output[0])
            for place, name in enumerate(_carriers(node)):
                if name in self._moving:
                    found = step.back[place](gradient, output)
                    gradients[name] = gradients[name] + found if name in gradients else found
        return gradients[self.feature]

    def _evaluate(self, seen: Activations) -> list[Evaluated]:
        """Evaluate every node; a recorded tensor replaces the evaluated one as input of the nodes after it."""
        values: dict[str, Array] = {name: np.asarray(value, np.float64) for name, value in seen.items()}
        done = []
        for node in self._nodes:
            names = node.input[:1] if self._shaped_by_batch(node) else node.input
            inputs = [values[name] if name in values else self._constant(name) for name in names]
            if len(inputs) < len(node.input):
                inputs.append(np.array(values[node.output[0]].shape))
            step = apply(node, inputs)
            done.append(Evaluated(node, step, values.setdefault(node.output[0], step.value)))
        return done

    def _constant(self, name: str) -> Array | None:
        """The value of a constant tensor; None for an omitted input."""
        if name in self._stored:
            return np.asarray(numpy_helper.to_array(self._stored[name]))
        if not name:
            return None
        node = self._producers[name]
        return apply(node, [self._constant(each) for each in node.input]).value

    def _shaped_by_batch(self, node: NodeProto) -> bool:
        """Whether a node's shape is computed from the batch size, as tf2onnx writes it."""
        return kind(node) in SHAPING and len(node.input) > 1 and node.input[1] in self._changing

    def _is_plain(self, node: NodeProto) -> bool:
        """Whether a convolution is a dense layer of each cell: 1x1, in one group, without strides and padding."""
        given = attributes(node)
        kernel = given.get("kernel_shape") or self._kernel(node.input[1])
        alone = given.get("group", 1) == 1 and not any(given.get("pads", [0]))
        return alone and set(kernel) == {1} == set(given.get("strides", [1]))

    def _kernel(self, weights: str) -> list[int]:
        """Height and width of a kernel, which a convolution need not say; empty if they are not known."""
        producer = self._producers.get(weights)
        if producer is not None and kind(producer) == "DequantizeLinear":
            weights = producer.input[0]
        return list(self._stored[weights].dims)[2:] if weights in self._stored else []

    def _moves_images(self, node: NodeProto) -> bool:
        """Whether the first axis of a node's output is another one than the images'."""
        if kind(node) == "Transpose":
            return int(attributes(node).get("perm", [1])[0]) != 0
        if kind(node) == "Reshape" and node.input[1] in self._stored:
            return int(np.ravel(numpy_helper.to_array(self._stored[node.input[1]]))[0]) not in (0, -1)
        return False

    # Searches in the graph.

    def _find_logits(self) -> tuple[str, bool]:
        """The logits, and whether each is the log-odds of its own score: a sigmoid's, not a softmax's."""
        node = self._producers.get("scores")
        while node is not None and kind(node) in BEHIND_ACTIVATION:
            node = self._producers.get(node.input[0])
        if node is None or kind(node) not in ("Softmax", "Sigmoid"):
            found = f"{node.op_type} '{node.name}'" if node else "nothing"
            raise ValueError(f"A model's scores should come from a Softmax or a Sigmoid, these come from {found}.")
        return str(node.input[0]), kind(node) == "Sigmoid"

    def _between(self, model: ModelProto) -> list[NodeProto]:
        """The nodes on any path from the feature map to the logits, in topological order."""
        behind = _followers(model, {self.feature}, _carriers) - {self.feature}
        wanted, nodes = {self.logits}, []
        for node in reversed(model.graph.node):
            if not wanted.isdisjoint(node.output) and not behind.isdisjoint(node.output):
                wanted.update(_carriers(node))
                nodes.append(node)
        if not nodes and self.logits != self.feature:
            raise ValueError(f"The logits '{self.logits}' do not depend on the feature map '{self.feature}'.")
        return nodes[::-1]

    def _channels_last(self, maps: Array) -> bool:
        """Whether a map's channels are its last axis, from the heatmaps' size or the operator that computed it."""
        if maps.ndim != 4 or self._grid not in (maps.shape[1:3], maps.shape[2:]):
            raise ValueError(
                f"The heatmaps are {self._grid}; the feature map '{self.feature}' is {maps.shape[1:]} an image, which "
                "has no such height and width."
            )
        if maps.shape[1:3] != maps.shape[2:]:
            return self._grid == maps.shape[1:3]
        place, tensor = [0, 1, 2, 3], self.feature
        while (node := self._producers.get(tensor)) is not None and kind(node) not in CHANNELS_SECOND:
            if kind(node) == "Transpose":
                place = [list(attributes(node)["perm"])[axis] for axis in place]
            tensor = next((name for name in node.input if name in self._changing), "")
        if node is None:
            raise ValueError(f"The channel axis of the feature map '{self.feature}' cannot be determined.")
        return place.index(1) == 3


def normalised(heat: NDArray[Any]) -> Floats:
    """Maps divided by their maximum; all zero if the maximum is 0."""
    peak = heat.max(axis=(-2, -1), keepdims=True)
    shown = np.zeros(heat.shape)
    np.divide(heat, peak, out=shown, where=peak > 0)
    return shown


def _followers(
    model: ModelProto, tensors: set[str], read: Callable[[NodeProto], Sequence[str]] = lambda node: node.input
) -> set[str]:
    """These tensors and all that are computed from them; `read` selects the inputs of a node that count."""
    found = set(tensors)
    for node in model.graph.node:
        if not found.isdisjoint(read(node)):
            found.update(node.output)
    return found


def _carriers(node: NodeProto) -> list[str]:
    """A node's inputs that may have a gradient."""
    return list(node.input[:1] if kind(node) in SHAPING else node.input)


def by_logits(logits: Floats, classes: NDArray[np.int64], score: Score) -> Floats:
    """The gradient by the logits (N, C) of what is explained of classes (N, K): (N, K, C)."""
    return (_log_odds if score == "probability" else _logit)(logits, classes)


def _logit(logits: Floats, classes: NDArray[np.int64]) -> Floats:
    """∂z_c/∂z = e_c, (N, K, C)."""
    seed: Floats = np.eye(logits.shape[1])[classes]
    return seed


def _log_odds(logits: Floats, classes: NDArray[np.int64]) -> Floats:
    """∂ log(p_c / (1 − p_c)) / ∂z = e_c − softmax of the other classes, (N, K, C)."""
    seed = _logit(logits, classes)
    for n, k in np.ndindex(classes.shape):
        others = logits[n].copy()
        others[classes[n, k]] = -np.inf
        powers = np.exp(others - others.max())
        seed[n, k] -= powers / powers.sum()
    return seed
