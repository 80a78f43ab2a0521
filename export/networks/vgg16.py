"""Keras' VGG16 (Simonyan & Zisserman, 2015) as a plain ONNX classifier, and the weights it may have.

tf2onnx takes 161 s and 18.6 GB for the whole network, nearly all of it for the dense layers' weights. Here it converts
the convolutions, and the five layers behind them are appended from Keras' own weights.
"""

from __future__ import annotations

import gc
import hashlib
import textwrap
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from whycam.export.head.onnx_graph import Graph, rename
from whycam.export.networks.keras_to_onnx import to_onnx
from whycam.export.precision.half import rounded
from whycam.export.preprocess import take_images
from whycam.export.verify.synthetic_images import scenes
from whycam.models.catalog import sha256

MEAN_RGB = (123.68, 116.779, 103.939)
"""What the network's training subtracted from each colour, in levels of 0…255."""
WEIGHTS_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
WEIGHTS_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg16/{WEIGHTS_FILE}"
"""Where Keras fetches the ImageNet weights, as its own source has it."""
SUFFIXES = (".weights.h5", ".h5", ".keras")
SPREAD = 2.5
"""Standard deviation of the logits of random weights: the best of 1000 classes then has a probability near 0.4."""
CALIBRATION_PICTURES, CALIBRATION_SEED = 8, 1000


class WeightsError(ValueError):
    """Weights cannot be fetched or read, or are another network's: says what to do."""


class Vgg16(NamedTuple):
    """A Keras VGG16 and where its weights come from."""

    network: Any
    source: str
    sha256: str
    """Of the weights' file, or of the weights themselves, layer by layer, where there is none."""
    licence: str


def build(weights: str | Path, say: Callable[[str], None] = lambda _: None) -> Vgg16:
    """VGG16 with `imagenet` weights, with `random` ones, or with those of a file that Keras has written.

    Raises `WeightsError` where they cannot be had.
    """
    import keras

    if weights == "imagenet":
        say("Keras fetches the ImageNet weights (553 MB) unless it has them.")
        network = _with_imagenet_weights()
        return Vgg16(network, "Keras Applications, VGG16, ImageNet", digest(network), "CC-BY-4.0")
    path = check(weights)
    network = keras.applications.VGG16(weights=None)
    if weights == "random":
        calibrate(network)
        return Vgg16(network, "random, seed 0", digest(network), "Apache-2.0")
    load(network, path)
    return Vgg16(network, path.name, sha256(path), f"as {path.name}")


def check(weights: str | Path) -> Path:
    """Where a file of weights lies; raises `WeightsError` where there is none, before anybody waits for TensorFlow."""
    path = Path(weights).expanduser()
    if weights in ("imagenet", "random"):
        return path
    if not path.is_file():
        raise WeightsError(f"There is no file {path}. Give imagenet, random, or a file of VGG16's weights.")
    if not path.name.endswith(SUFFIXES):
        raise WeightsError(f"{path.name} is no weights file that Keras writes; they end in {', '.join(SUFFIXES)}.")
    return path


def load(network: Any, path: Path) -> None:
    """Read a network's weights from .weights.h5, .h5 (also the older layout) or .keras; raises `WeightsError`."""
    import keras

    expected = f"{path.name} does not hold the weights of VGG16 with its dense layers and 1000 classes"
    layers = [layer for layer in network.layers if layer.weights]
    try:
        with warnings.catch_warnings():
            # Keras warns of layers that a file lacks, and leaves them as they are.
            warnings.simplefilter("error", UserWarning)
            if path.name.endswith(".keras"):
                # Not network.load_weights, which finds layers by place only: a whole model names and shapes its own.
                saved = keras.models.load_model(path, compile=False)
                network.set_weights([value for layer in layers for value in saved.get_layer(layer.name).get_weights()])
            else:
                network.load_weights(path)
    except (ValueError, KeyError, TypeError, OSError, UserWarning, zipfile.BadZipFile) as error:
        reason = textwrap.shorten(str(error), 200, placeholder=" …")
        hint = " (a file named 'notop' lacks the dense layers)" if "notop" in path.name else ""
        raise WeightsError(f"{expected}{hint}. Keras says: {reason}") from error


def calibrate(network: Any, *, seed: int = 0) -> None:
    """Give a network random weights under which it tells images apart.

    Every channel of every layer gets mean 0 and deviation 1 over some synthetic scenes, the logits `SPREAD`. Without
    that, a random VGG16 has the same few best classes for every image, and a check of its heatmaps checks little.
    """
    import keras

    random = np.random.default_rng(seed)
    height, width = network.input_shape[1:3]
    values = keras.ops.convert_to_tensor(prepared(scenes(CALIBRATION_PICTURES, height, width, seed=CALIBRATION_SEED)))
    for layer in network.layers[1:]:
        if not layer.weights:
            values = layer(values)
            continue
        kernel = random.standard_normal(layer.kernel.shape, np.float32)
        convolves = kernel.ndim == 4
        values = keras.ops.conv(values, kernel, padding="same") if convolves else keras.ops.matmul(values, kernel)
        mean, variance = keras.ops.moments(values, axes=(0, 1, 2) if convolves else (0,))
        # A dense unit has one value an image, too few to measure each one's deviation by.
        spread = np.asarray(variance) if convolves else np.mean(variance, keepdims=True)
        deviation = np.sqrt(spread + 1e-12) / (1 if layer is not network.layers[-1] else SPREAD)
        kernel /= deviation
        bias = -np.asarray(mean) / deviation
        layer.set_weights([kernel, bias])
        values = keras.ops.relu(values / deviation + bias)


def round_to_half(network: Any) -> None:
    """Round a network's weights to what a file in half precision holds, so that both are one network."""
    for layer in network.layers:
        if layer.weights:
            layer.set_weights([rounded(value) for value in layer.get_weights()])


def digest(network: Any) -> str:
    """The SHA-256 of a network's weights, layer by layer, in hexadecimal."""
    found = hashlib.sha256()
    for layer in network.layers:
        for value in layer.get_weights():
            found.update(np.ascontiguousarray(value).data)
    return found.hexdigest()


def prepared(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """RGB images (N, H, W, 3) as the Keras network takes them: blue first, less the mean."""
    import keras

    return np.asarray(keras.applications.vgg16.preprocess_input(images.astype(np.float32)))


def feature_layer(network: Any) -> Any:
    """The last convolution, whose output is the feature map; block5_conv3, [N, 14, 14, 512]."""
    return [layer for layer in network.layers if len(layer.weights) and layer.kernel.ndim == 4][-1]


def to_classifier(network: Any) -> ModelProto:
    """The network as a plain classifier: `image`, uint8 RGB [N, 224, 224, 3], to probabilities [N, 1000].

    Any Keras network will do that, like VGG16, has a chain of convolutions, a 2x2 max pooling, a flattening, and dense
    layers with ReLU and a softmax at the end.
    """
    import keras

    last = feature_layer(network)
    model = to_onnx(keras.Model(network.input, last.output), plain=True)
    gc.collect()  # tf2onnx leaves its graphs, with their weights, in cycles
    _take_rgb(model)
    feature = _channels_first(model, last.name)
    model = take_images(model, mean=MEAN_RGB, scale=[1])
    _append_dense(model, feature, network.layers[network.layers.index(last) + 1 :], last.output.shape[1:])
    return model


def _with_imagenet_weights() -> Any:
    import keras

    try:
        return keras.applications.VGG16(weights="imagenet")
    except Exception as error:  # Keras raises a plain Exception, in the course of an error of the network
        if not isinstance(error.__context__, OSError):
            raise
        raise WeightsError(
            f"Keras could not fetch VGG16's weights ({error.__context__}). On a computer with internet, fetch "
            f"{WEIGHTS_URL} and give the file: whycam export vgg16 --weights {WEIGHTS_FILE}"
        ) from error


def _take_rgb(model: ModelProto) -> None:
    """Turn the first kernel, so that it takes red first: the network was trained on blue, green, red."""
    graph = Graph(model)
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    kernel = graph.constant(first.input[1])  # (out, in, h, w)
    stored = next(tensor for tensor in model.graph.initializer if tensor.name == first.input[1])
    assert kernel is not None
    stored.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(kernel[:, ::-1]), stored.name))


def _channels_first(model: ModelProto, name: str) -> str:
    """Take the last Transpose away, with which tf2onnx returns to Keras' order of axes; returns the map's name."""
    last = Graph(model).producer(model.graph.output[0].name)
    if last is None or last.op_type != "Transpose":
        raise ValueError(f"tf2onnx was expected to end in a Transpose, it ends in {last.op_type if last else None}.")
    model.graph.node.remove(last)
    rename(model, last.input[0], name)
    return name


def _append_dense(model: ModelProto, feature: str, layers: list[Any], shape: tuple[int, int, int]) -> None:
    """Pooling, flattening and dense layers behind a map [N, channels, h, w], whose Keras shape is (h, w, channels)."""
    pool, flatten, *dense = layers
    kinds = [type(layer).__name__ for layer in layers]
    if kinds != ["MaxPooling2D", "Flatten", *["Dense"] * len(dense)] or pool.pool_size != (2, 2):
        raise ValueError(f"Behind the convolutions are expected MaxPooling2D (2x2), Flatten and Dense, not {kinds}.")
    graph = model.graph
    nodes = [
        helper.make_node("MaxPool", [feature], [pool.name], pool.name, kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", [pool.name], [flatten.name], flatten.name, axis=1),
    ]
    height, width, channels = shape[0] // 2, shape[1] // 2, shape[2]
    tensor = flatten.name
    for place, layer in enumerate(dense):
        names = f"{layer.name}/kernel", f"{layer.name}/bias"
        kernel, bias = layer.get_weights()
        _store(graph.initializer.add(), names[1], bias.shape, bias)
        if place == 0:
            # Rows in the order of the ONNX map, so that it needs no Transpose: (h, w, channels) to (channels, h, w).
            rows = kernel.reshape(height, width, channels, -1).transpose(2, 0, 1, 3)
            _store(graph.initializer.add(), names[0], kernel.shape, rows)
        else:
            _store(graph.initializer.add(), names[0], kernel.shape, kernel)
        final = layer is dense[-1]
        product, result = ("logits", "probabilities") if final else (f"{layer.name}/dense", layer.name)
        nodes.append(helper.make_node("Gemm", [tensor, *names], [product], product))
        if final:
            nodes.append(helper.make_node("Softmax", [product], [result], result, axis=-1))
        else:
            nodes.append(helper.make_node("Relu", [product], [result], result))
        tensor = result
    graph.node.extend(nodes)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, ["N", len(bias)]))


def _store(tensor: TensorProto, name: str, shape: tuple[int, ...], value: NDArray[np.float32]) -> None:
    """Fill a tensor of a graph in place: each copy on the way would take 400 MB of memory for the first layer."""
    tensor.name, tensor.data_type = name, TensorProto.FLOAT
    tensor.dims.extend(shape)
    tensor.raw_data = value.astype("<f4", copy=False).tobytes()
