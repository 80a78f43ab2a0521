"""Small real exports and their framework's own heatmaps: `make test-models ARGS=--small-exports` writes them.

`tests/zoo/test_small_exports.py` reads them and needs no framework. The heatmaps are the textbook's, written here a
second time: gradients by the framework, their mean over space, the weighted sum, ReLU.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from tests.support import ROOT
from tests.zoo import keras_networks, small_networks
from tests.zoo.torch_networks import exported
from tests.zoo.trial import DYNAMO, LEGACY
from whycam.export.preprocessing import PREPROCESSING, Like
from whycam.export.verify.synthetic_images import scenes

FOLDER = ROOT / "tests/data/exports"
SIZE, IMAGES = 64, 2
LIKE: Like = "plain"
"""Levels 0…1, which is what `whycam export --like` says of all of them."""
Floats = NDArray[np.float32]


class Small(NamedTuple):
    """A network whose layers stand in a row: those up to the feature map, and those behind it."""

    build: Callable[[], Any]
    exporter: str
    opset: int
    feature: int | str
    """The number of layers up to the feature map, or in Keras the name of the last of them."""


SMALL = {
    "torch-dynamo-residual": Small(lambda: small_networks.resnet_like(4), DYNAMO, 18, 3),
    "torch-legacy-residual": Small(lambda: small_networks.resnet_like(4), LEGACY, 9, 3),
    "torch-legacy-flattened": Small(lambda: small_networks.alexnet_like(6), LEGACY, 11, 8),
    "torch-dynamo-vgg": Small(lambda: small_networks.vgg_like(4), DYNAMO, 20, 14),
    "tf2onnx-flattened": Small(lambda: keras_networks.flattened(4), "tf2onnx", 13, "last_map"),
    "keras-flattened": Small(lambda: keras_networks.flattened(4), "keras", 15, "last_map"),
    "tf2onnx-nested": Small(lambda: keras_networks.nested(4), "tf2onnx", 17, "body"),
}


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    images = scenes(IMAGES, SIZE, SIZE)
    np.savez_compressed(FOLDER / "images.npz", images=images)
    inputs = PREPROCESSING[LIKE].apply(images)
    for name, small in SMALL.items():
        path = FOLDER / f"{name}.onnx"
        from_torch = small.exporter in (DYNAMO, LEGACY)
        maps, scores = (_from_torch if from_torch else _from_keras)(small, path, inputs)
        np.savez_compressed(path.with_suffix(".npz"), heatmaps=maps, scores=scores)
        _without_traces(path)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")


def _without_traces(path: Path) -> None:
    """Remove what PyTorch stores with each node: a stack trace, with the paths of this computer's files."""
    model = onnx.load(path)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.save(model, path)


def _from_torch(small: Small, path: Path, inputs: Floats) -> tuple[Floats, Floats]:
    """Write the network; its heatmaps (N, C, h, w) of every class, and its scores (N, C)."""
    import torch

    network = small.build().eval()
    exported(network, SIZE, path, small.exporter, small.opset)
    images = torch.from_numpy(np.ascontiguousarray(inputs.transpose(0, 3, 1, 2)))
    feature = network[: small.feature](images).detach().requires_grad_()
    scores = network[small.feature :](feature.clone()).softmax(1)
    maps = []
    for classes in scores.sum(0):  # an image's score depends on its own map only
        (gradient,) = torch.autograd.grad(classes, feature, retain_graph=True)
        maps.append((gradient.mean((2, 3), keepdim=True) * feature).sum(1).relu())
    return _normalised(torch.stack(maps, 1).detach().numpy()), scores.detach().numpy()


def _from_keras(small: Small, path: Path, inputs: Floats) -> tuple[Floats, Floats]:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(small_networks.SEED)
    network = small.build()
    network(inputs)
    _write(network, path, small)
    layers = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    place = [layer.name for layer in layers].index(small.feature) + 1
    feature = tf.constant(inputs)
    for layer in layers[:place]:
        feature = layer(feature, training=False)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(feature)
        scores = feature
        for layer in layers[place:]:
            scores = layer(scores, training=False)
        sums = tf.unstack(tf.reduce_sum(scores, 0))
    maps = []
    for each in sums:
        weights = tf.reduce_mean(tape.gradient(each, feature), (1, 2), keepdims=True)
        maps.append(tf.nn.relu(tf.reduce_sum(weights * feature, -1)))
    return _normalised(np.stack(maps, 1)), np.asarray(scores)


def _write(network: Any, path: Path, small: Small) -> None:
    if small.exporter == "keras":
        network.export(str(path), format="onnx", opset_version=small.opset, verbose=False)
        return
    import tensorflow as tf
    import tf2onnx

    image = tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32, name="image")
    function = tf.function(lambda images: network(images, training=False), input_signature=[image])
    tf2onnx.convert.from_function(function, [image], opset=small.opset, output_path=str(path))


def _normalised(maps: Floats) -> Floats:
    """All zero where there is no positive evidence."""
    peak = maps.max((2, 3), keepdims=True)
    return np.asarray(np.divide(maps, peak, out=np.zeros_like(maps), where=peak > 0))


if __name__ == "__main__":
    main()
