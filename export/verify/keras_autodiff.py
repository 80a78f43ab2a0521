"""Grad-CAM of a Keras network by TensorFlow's automatic differentiation, as in textbooks.

    gradient = tape.gradient(score of the class, feature map)
    heatmap = sum over channels of (mean over space of gradient) · map;  max(heatmap, 0) / max

Where a probability rounds to 1, the gradient is 0 and the last division 0/0: such maps are NaN.

Which tensor is the feature map is found by value, among the results of all layers. In a second pass a copy of it takes
its place there, and the scores are differentiated by that copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whycam.export.verify.autodiff import Autodiff, Layout, Output, Question, as_map, heatmap, layout_of
from whycam.models.contract import MULTI_LABEL, Task

BATCH = 4
Visit = Callable[[int, Any, Any], Any]
"""From a call's number, its layer and its result to what the network gets in place of the result."""


class KerasNetwork:
    """A Keras network on TensorFlow, which takes images [N, H, W, C]."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def autodiff(self, question: Question) -> Autodiff:
        """Differentiate by the feature map, if a layer's result is it, four images at a time."""
        found = self._find(question)
        batches = [question.part(slice(start, start + BATCH)) for start in range(0, len(question.inputs), BATCH)]
        if found is None:
            return Autodiff(None, (), np.concatenate([self._probabilities(batch) for batch in batches]))
        parts = [self._differentiated(batch, *found) for batch in batches]
        heatmaps, gates, scores = zip(*parts, strict=True)
        layers = [np.concatenate(each) for each in zip(*gates, strict=True)]
        return Autodiff(np.concatenate(heatmaps), layers, np.concatenate(scores))

    def _find(self, question: Question) -> tuple[int, Layout] | None:
        """The number of the last call whose result is the feature map, and the order of its axes."""
        few = question.part(slice(0, 2))
        found: list[tuple[int, Layout]] = []

        def look(place: int, _layer: Any, result: Any) -> Any:
            if len(getattr(result, "shape", ())) in (3, 4) and (layout := layout_of(np.asarray(result), few.features)):
                found.append((place, layout))
            return result

        with _watched(self._network, look):
            self._network(few.inputs, training=False)
        return found[-1] if found else None

    def _differentiated(
        self, question: Question, place: int, layout: Layout
    ) -> tuple[NDArray[np.floating], list[NDArray[np.bool_]], NDArray[np.floating]]:
        import keras
        import tensorflow as tf

        count = question.classes.shape[1]
        gates: list[NDArray[np.bool_]] = []
        leaves: list[Any] = []

        def replace(number: int, layer: Any, result: Any) -> Any:
            if number == place:
                # A row per class of each image, so that one backward pass, which reads VGG16's 500 MB, serves all.
                leaves.append(tf.repeat(tf.stop_gradient(result), count, axis=0))
                tape.watch(leaves[0])
                return leaves[0]
            if number > place and _is_relu(layer, keras):
                gates.append(np.asarray(result).reshape(len(result), -1)[::count] > 0)
            return result

        # Variables are not watched, because the gradient by the dense layers' 120 million weights is not needed.
        with tf.GradientTape(watch_accessed_variables=False) as tape, _watched(self._network, replace):
            with _without_activation(self._network) as linear:
                outputs = self._network(question.inputs, training=False)
            logits, scores = _scores(outputs, "logits" if linear else question.output, question.task)
            explained = logits if question.score == "logit" else scores
            chosen = tf.gather(explained, question.classes.reshape(-1), batch_dims=1)
        (leaf,) = leaves
        height, width = question.features.shape[2:]
        gradient, values = (
            as_map(np.asarray(each), layout, (height, width)) for each in (tape.gradient(chosen, leaf), leaf)
        )
        maps = heatmap(gradient, values)
        return maps.reshape(-1, count, *maps.shape[1:]), gates, np.asarray(scores)[::count]

    def _probabilities(self, question: Question) -> NDArray[np.floating]:
        outputs = self._network(question.inputs, training=False)
        return np.asarray(_scores(outputs, question.output, question.task)[1])


@contextmanager
def _watched(network: Any, visit: Visit) -> Iterator[None]:
    """Show the result of each call of a layer to `visit`, in order, and go on with what it returns."""
    number = 0
    layers = _layers(network)

    def watched(layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        def result(*args: Any, **options: Any) -> Any:
            nonlocal number
            found = call(*args, **options)
            number += 1
            return visit(number, layer, found)

        return result

    try:
        for layer in layers:
            object.__setattr__(layer, "call", watched(layer, layer.call))
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("call", None)


@contextmanager
def _without_activation(network: Any) -> Iterator[bool]:
    """Let a network end in its logits, if the last layer's activation made probabilities of them; whether it did."""
    import keras

    last = network
    while nested := getattr(last, "layers", None):
        last = nested[-1]
    activation = getattr(last, "activation", None)
    linear = activation in (keras.activations.softmax, keras.activations.sigmoid)
    if linear:
        last.activation = keras.activations.linear
    try:
        yield linear
    finally:
        if linear:
            last.activation = activation


def _layers(network: Any) -> list[Any]:
    """All layers and operations of a network, those of nested networks too, each once."""
    found: dict[int, Any] = {}
    waiting = list(getattr(network, "operations", None) or network.layers)
    while waiting:
        layer = waiting.pop()
        if id(layer) not in found:
            found[id(layer)] = layer
            waiting += getattr(layer, "operations", None) or getattr(layer, "layers", None) or []
    return list(found.values())


def _is_relu(layer: Any, keras: Any) -> bool:
    return type(layer).__name__ == "ReLU" or getattr(layer, "activation", None) is keras.activations.relu


def _scores(outputs: Any, output: Output, task: Task) -> tuple[Any, Any]:
    """What is explained as logit, and the probabilities (N, C)."""
    import tensorflow as tf

    numbers = tf.reshape(outputs, (len(outputs), -1))
    if output == "logits":
        if numbers.shape[1] == 1:  # of 'yes'; that of 'no' is 0
            numbers = tf.concat([tf.zeros_like(numbers), numbers], 1)
        return numbers, tf.sigmoid(numbers) if task == MULTI_LABEL else tf.nn.softmax(numbers)
    scores = tf.exp(numbers) if output == "log-probabilities" else numbers
    if scores.shape[1] == 1:
        scores = tf.concat([1 - scores, scores], 1)
    return scores, scores
