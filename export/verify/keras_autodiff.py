"""Grad-CAM of a Keras network by TensorFlow's automatic differentiation, as in textbooks.

    gradient = tape.gradient(score of the class, last convolution's output)
    heatmap = mean over channels of (mean over space of gradient) · output;  max(heatmap, 0) / max

Where a probability rounds to 1, the gradient is 0 and the last division 0/0: such maps are NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from whycam.export.verify.agreement import Autodiff
from whycam.models.contract import Score

BATCH = 4


def autodiff(
    network: Any, feature: Any, inputs: NDArray[np.float32], classes: NDArray[np.int64], score: Score
) -> Autodiff:
    """Heatmaps of classes (N, K) at the output of the layer `feature`, for a network's inputs (N, H, W, 3).

    After that layer the network should be a chain of layers that ends in a Dense with softmax.
    """
    import keras
    import tensorflow as tf

    body = keras.Model(network.input, feature.output)
    *tail, last = network.layers[network.layers.index(feature) + 1 :]
    count = classes.shape[1]
    heatmaps, gates, scores = [], [], []
    for start in range(0, len(inputs), BATCH):
        part = slice(start, start + BATCH)
        # A row per class of each image, so that one backward pass, which reads VGG16's 500 MB, serves all.
        outputs = tf.repeat(body(inputs[part]), count, axis=0)
        # Variables are not watched, because the gradient by the dense layers' 120 million weights is not needed.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(outputs)
            values, passed = outputs, []
            for layer in tail:
                values = layer(values)
                if getattr(layer, "activation", None) is keras.activations.relu:
                    passed.append(values.numpy()[::count] > 0)
            logits = values @ last.kernel + last.bias
            probabilities = tf.nn.softmax(logits)
            explained = probabilities if score == "probability" else logits
            chosen = tf.gather(explained, classes[part].reshape(-1), batch_dims=1)
        maps = _heatmap(tape.gradient(chosen, outputs), outputs)
        heatmaps.append(maps.reshape(-1, count, *maps.shape[1:]))
        gates.append(passed)
        scores.append(probabilities.numpy()[::count])
    layers = [np.concatenate(each) for each in zip(*gates, strict=True)]
    return Autodiff(np.concatenate(heatmaps), layers, np.concatenate(scores))


def _heatmap(gradient: Any, outputs: Any) -> NDArray[np.float32]:
    """Normalised maps (rows, h, w); rows are independent, so the gradient of their sum holds each row's gradient."""
    weights = np.asarray(gradient).mean((1, 2), keepdims=True)  # (rows, 1, 1, channels)
    heat = np.maximum((weights * np.asarray(outputs)).mean(-1), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(heat / heat.max((1, 2), keepdims=True))
