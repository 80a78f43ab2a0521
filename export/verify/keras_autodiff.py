"""Grad-CAM of a Keras network by TensorFlow's automatic differentiation, as in textbooks.

    gradient = tape.gradient(score of the class, feature map)
    heatmap = sum over channels of (mean over space of gradient) · map;  max(heatmap, 0) / max

Where a probability rounds to 1, the gradient is 0 and the last division 0/0: such maps are NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whycam.export.verify.autodiff import (
    Differentiated,
    Layout,
    Output,
    Question,
    Visit,
    Watched,
    as_map,
    heatmap,
    of_explained,
)
from whycam.models.contract import MULTI_LABEL, Task


class KerasNetwork(Watched):
    """A Keras network on TensorFlow, which takes images [N, H, W, C]."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def differentiated(self, question: Question, place: int, layout: Layout) -> Differentiated:
        """As `Watched` says; the calls are those of layers."""
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
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            with _without_activation(self._network) as linear:
                outputs = self.run(question.inputs, replace)
            logits, scores = self.scores(outputs, "logits" if linear else question.output, question.task)
            explained = logits if question.score == "logit" else scores
            chosen = tf.gather(explained, question.classes.reshape(-1), batch_dims=1)
        (leaf,) = leaves
        height, width = question.features.shape[2:]
        gradient, values = (
            as_map(np.asarray(each), layout, (height, width)) for each in (tape.gradient(chosen, leaf), leaf)
        )
        maps = heatmap(of_explained(gradient, np.asarray(chosen), question), values, question.method)
        return maps.reshape(-1, count, *maps.shape[1:]), gates, np.asarray(scores)[::count]

    def run(self, inputs: NDArray[np.float32], visit: Visit) -> Any:
        """Watch the results of all layers, those of nested networks too."""
        with _watched(self._network, visit):
            return self._network(inputs, training=False)

    def has_logits(self, output: Output) -> bool:
        """Those before the last layer's activation, too."""
        with _without_activation(self._network) as linear:
            return linear or output == "logits"

    def array(self, result: Any) -> NDArray[np.floating]:
        """Of a tensor of TensorFlow."""
        return np.asarray(result)

    def scores(self, outputs: Any, output: Output, task: Task) -> tuple[Any, Any]:
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
