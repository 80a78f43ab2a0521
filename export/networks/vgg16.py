"""Keras' VGG16 (Simonyan & Zisserman, 2015) as a plain ONNX classifier, and loading its weights.

tf2onnx takes 161 s and 18.6 GB for the whole network, nearly all of it for the dense layers' weights. Here it converts
only the convolutions; the five layers after them are appended with Keras' weights.
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

from whycam.export.graph.onnx_graph import Graph, rename
from whycam.export.networks.keras_to_onnx import to_onnx
from whycam.export.precision.half import rounded
from whycam.export.preprocess import take_images
from whycam.export.verify.synthetic_images import scenes
from whycam.models.catalog import sha256

MEAN_RGB = (123.68, 116.779, 103.939)
"""The mean that training subtracted from each colour, in levels of 0…255."""
WEIGHTS_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
WEIGHTS_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg16/{WEIGHTS_FILE}"
"""The URL from which Keras downloads the ImageNet weights, as in its source."""
SUFFIXES = (".weights.h5", ".h5", ".keras")
SPREAD = 2.5
"""Standard deviation of the logits of random weights: the best of 1000 classes then has a probability near 0.4."""
CALIBRATION_IMAGES, CALIBRATION_SEED = 8, 1000


class WeightsError(ValueError):
    """Weights cannot be downloaded or read, or belong to another network; the message says what to do."""


class Vgg16(NamedTuple):
    """A Keras VGG16 and where its weights come from."""

    network: Any
    source: str
    sha256: str
    """Of the weights' file, or without one of the weights, layer by layer."""
    licence: str


def build(weights: str | Path, say: Callable[[str], None] = lambda _: None) -> Vgg16:
    """VGG16 with `imagenet` or `random` weights, or with those of a file written by Keras.

    Raises `WeightsError` if they are not available.
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
    """The path of a weights file; raises `WeightsError` if it does not exist, before TensorFlow is loaded."""
    path = Path(weights).expanduser()
    if weights in ("imagenet", "random"):
        return path
    if not path.is_file():
        raise WeightsError(f"There is no file {path}. Give imagenet, random, or a file of VGG16's weights.")
    if not path.name.endswith(SUFFIXES):
        raise WeightsError(f"{path.name} is not a weights file of Keras; these end in {', '.join(SUFFIXES)}.")
    return path


def load(network: Any, path: Path) -> None:
    """Read a network's weights from .weights.h5, .h5 (also the older layout) or .keras; raises `WeightsError`."""
    import keras

    expected = f"{path.name} does not hold the weights of VGG16 with its dense layers and 1000 classes"
    layers = [layer for layer in network.layers if layer.weights]
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that a file lacks, and leaves them unchanged.
            warnings.simplefilter("error", UserWarning)
            if path.name.endswith(".keras"):
                # Not network.load_weights, which matches layers by position; a whole model has names and shapes.
                saved = keras.models.load_model(path, compile=False)
                network.set_weights([value for layer in layers for value in saved.get_layer(layer.name).get_weights()])
            else:
                network.load_weights(path)
    except (ValueError, KeyError, TypeError, OSError, UserWarning, zipfile.BadZipFile) as error:
        reason = textwrap.shorten(str(error), 200, placeholder=" …")
        hint = " (a file named 'notop' lacks the dense layers)" if "notop" in path.name else ""
        raise WeightsError(f"{expected}{hint}. Keras says: {reason}") from error


def calibrate(network: Any, *, seed: int = 0) -> None:
    """Give a network random weights with which its scores differ between images.

    Over some synthetic scenes, every channel of every layer gets mean 0 and standard deviation 1, and the logits get
    the deviation `SPREAD`. Otherwise a random VGG16 has the same few best classes for every image, and a check of its
    heatmaps proves little.
    """
    import keras

    random = np.random.default_rng(seed)
    height, width = network.input_shape[1:3]
    values = keras.ops.convert_to_tensor(prepared(scenes(CALIBRATION_IMAGES, height, width, seed=CALIBRATION_SEED)))
    for layer in network.layers[1:]:
        if not layer.weights:
            values = layer(values)
            continue
        kernel = random.standard_normal(layer.kernel.shape, np.float32)
        convolves = kernel.ndim == 4
        values = keras.ops.conv(values, kernel, padding="same") if convolves else keras.ops.matmul(values, kernel)
        mean, variance = keras.ops.moments(values, axes=(0, 1, 2) if convolves else (0,))
        # A dense unit has one value per image, too few to measure its deviation.
        spread = np.asarray(variance) if convolves else np.mean(variance, keepdims=True)
        deviation = np.sqrt(spread + 1e-12) / (1 if layer is not network.layers[-1] else SPREAD)
        kernel /= deviation
        bias = -np.asarray(mean) / deviation
        layer.set_weights([kernel, bias])
        values = keras.ops.relu(values / deviation + bias)


def round_to_half(network: Any) -> None:
    """Round a network's weights to half precision, so that it is the network that the file stores."""
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
    """RGB images (N, H, W, 3) as input of the Keras network: BGR, minus the mean."""
    import keras

    return np.asarray(keras.applications.vgg16.preprocess_input(images.astype(np.float32)))


def feature_layer(network: Any) -> Any:
    """The last convolution, whose output is the feature map: block5_conv3, [N, 14, 14, 512]."""
    return [layer for layer in network.layers if len(layer.weights) and layer.kernel.ndim == 4][-1]


def to_classifier(network: Any) -> ModelProto:
    """The network as a plain classifier: `image`, uint8 RGB [N, 224, 224, 3], to probabilities [N, 1000].

    The Keras network should be like VGG16: a chain of convolutions, a 2x2 max pooling, a flattening, and dense layers
    with ReLU and a softmax at the end.
    """
    import keras

    last = feature_layer(network)
    model = to_onnx(keras.Model(network.input, last.output), plain=True)
    gc.collect()  # tf2onnx leaves its graphs, with their weights, in reference cycles
    _take_rgb(model)
    feature = _channels_first(model, last.name)
    _name_layers(model, [layer.name for layer in network.layers if layer.weights and layer.kernel.ndim == 4])
    model = take_images(model, mean=MEAN_RGB, scale=[1])
    _append_dense(model, feature, network.layers[network.layers.index(last) + 1 :], last.output.shape[1:])
    return model


def _with_imagenet_weights() -> Any:
    import keras

    try:
        return keras.applications.VGG16(weights="imagenet")
    except Exception as error:  # Keras raises a plain Exception while it handles a network error
        if not isinstance(error.__context__, OSError):
            raise
        raise WeightsError(
            f"Keras could not download VGG16's weights ({error.__context__}). On a computer with internet, download "
            f"{WEIGHTS_URL} and give the file: whycam export vgg16 --weights {WEIGHTS_FILE}"
        ) from error


def _take_rgb(model: ModelProto) -> None:
    """Reverse the first kernel's input channels to RGB, because the network was trained on BGR."""
    graph = Graph(model)
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    kernel = graph.constant(first.input[1])  # (out, in, h, w)
    stored = next(tensor for tensor in model.graph.initializer if tensor.name == first.input[1])
    assert kernel is not None
    stored.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(kernel[:, ::-1]), stored.name))


def _channels_first(model: ModelProto, name: str) -> str:
    """Remove the last Transpose, with which tf2onnx restores Keras' order of axes; returns the map's name."""
    last = Graph(model).producer(model.graph.output[0].name)
    if last is None or last.op_type != "Transpose":
        raise ValueError(f"tf2onnx's graph should end in a Transpose, it ends in {last.op_type if last else None}.")
    model.graph.node.remove(last)
    rename(model, last.input[0], name)
    return name


def _name_layers(model: ModelProto, names: list[str]) -> None:
    """Call the outputs of the convolutions as Keras does, so that `--layer block3_conv3` finds them."""
    outputs = [node.output[0] for node in model.graph.node if node.op_type == "Relu"]
    for output, name in zip(outputs, names, strict=True):
        if output != name:
            rename(model, output, name)


def _append_dense(model: ModelProto, feature: str, layers: list[Any], shape: tuple[int, int, int]) -> None:
    """Append pooling, flattening and dense layers to a map [N, channels, h, w]; its Keras shape is (h, w, channels)."""
    pool, flatten, *dense = layers
    kinds = [type(layer).__name__ for layer in layers]
    if kinds != ["MaxPooling2D", "Flatten", *["Dense"] * len(dense)] or pool.pool_size != (2, 2):
        raise ValueError(f"After the convolutions should come MaxPooling2D (2x2), Flatten and Dense, not {kinds}.")
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
    """Fill a graph's tensor in place, because each copy of the first layer would take 400 MB of memory."""
    tensor.name, tensor.data_type = name, TensorProto.FLOAT
    tensor.dims.extend(shape)
    tensor.raw_data = value.astype("<f4", copy=False).tobytes()
