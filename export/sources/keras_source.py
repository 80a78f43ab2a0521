"""A classifier from Keras or TensorFlow: a saved network, a SavedModel, or one of Keras Applications by its name."""

from __future__ import annotations

import logging
import os
import re
import sys
import textwrap
import warnings
import zipfile
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from whycam.export.networks.keras_to_onnx import function_to_onnx, to_onnx
from whycam.export.preprocessing import PREPROCESSING, Preprocessing
from whycam.export.requirements import check_needs
from whycam.export.sources.classifier import Classifier, Stated
from whycam.export.sources.onnx_source import plain_name
from whycam.export.sources.weights import RANDOM, WeightsMissing, digest
from whycam.export.verify.keras_autodiff import KerasNetwork
from whycam.models.catalog import sha256

NEEDS = ("keras", "tensorflow", "tf2onnx")
LICENCE = "that of Keras Applications' weights"
SEED = 0


def from_keras(source: Path) -> Classifier:
    """The network that Keras saved as .keras or .h5; raises `ValueError` for a file that cannot be read."""
    if not source.is_file():
        raise ValueError(f"There is no file {source}.")
    _prepare()
    network = _loaded(source)
    levels = Stated(PREPROCESSING["levels"], "the network scales them itself") if _scales(network) else None
    return Classifier(
        model=to_onnx(network),
        name=plain_name(source.stem),
        origin=source.name,
        sha256=sha256(source),
        made_by=_made_by(),
        preprocessing=levels,
        framework=KerasNetwork(network),
    )


def from_saved_model(source: Path) -> Classifier:
    """The network in a folder that TensorFlow saved; raises `ValueError` for one without a signature for serving."""
    _prepare()
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(source)
    except Exception as error:  # TensorFlow raises its own and Python's
        raise ValueError(f"{source} is not a SavedModel, or it is damaged. ({_short(error)})") from error
    if "serving_default" not in loaded.signatures:
        raise ValueError(f"{source} has no signature 'serving_default'. Save the network with model.export(…).")
    served = loaded.signatures["serving_default"]
    inputs = served.structured_input_signature[1]
    if len(inputs) != 1 or len(served.structured_outputs) != 1:
        raise ValueError(f"A classifier has one input and one output; {source} has {sorted(inputs)}.")
    ((name, image),) = inputs.items()
    model = function_to_onnx(lambda picture: next(iter(served(**{name: picture}).values())), image.shape, image.dtype)
    return Classifier(
        model=model,
        name=plain_name(source.name),
        origin=source.name,
        sha256=digest(np.asarray(value) for value in served.variables),
        made_by=_made_by(),
    )


def from_applications(name: str, weights: str, size: tuple[int, int] | None) -> Classifier:
    """A network of Keras Applications by its name, with its ImageNet weights, `random` ones, or those of a file.

    Raises `ValueError` for a name that Keras does not have, and `WeightsMissing` for weights that cannot be downloaded
    or do not fit.
    """
    _prepare()
    import keras

    build, module = _application(name)
    keras.utils.set_random_seed(SEED)
    network = _built(build, name, weights, size)
    where = Path(weights)
    return Classifier(
        model=to_onnx(network),
        name=plain_name(name),
        origin=f"Keras Applications' {name}, {where.name if where.is_file() else weights} weights",
        sha256=sha256(where) if where.is_file() else digest(network.get_weights()),
        made_by=_made_by(),
        licence=LICENCE if weights != RANDOM and not where.is_file() else "that of the weights",
        size=(224, 224),  # of networks that leave it open; the others have their own
        preprocessing=Stated(_preprocessing(module), f"keras.applications' {module.__name__.rpartition('.')[2]}"),
        framework=KerasNetwork(network),
    )


def _prepare() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides TensorFlow's notes on the processor
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its faster convolutions double the rounding error
    check_needs(*NEEDS)
    logging.getLogger("tf2onnx").setLevel(
        logging.CRITICAL
    )  # where an optimizer fails, it prints the traceback and goes on


def _loaded(source: Path) -> Any:
    import keras

    class DepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc, unused-ignore]
        """Ignores `groups`, which Keras 2 wrote and Keras 3 refuses, as in Teachable Machine's files."""

        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("groups", None)
            super().__init__(*args, **options)

    try:
        network = keras.models.load_model(source, compile=False, custom_objects={"DepthwiseConv2D": DepthwiseConv2D})
    except (ValueError, TypeError, KeyError, OSError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{source} cannot be read as a Keras network: {_short(error)} Code of your own has to be converted where "
            "it is: model.export('mine.onnx', format='onnx')."
        ) from error
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ValueError(f"A classifier has one input and one output; {source.name} has other numbers of them.")
    return network


def _application(name: str) -> tuple[Any, ModuleType]:
    """The function that builds a network, and the module with its preprocessing."""
    import keras

    functions = [value for key, value in vars(keras.applications).items() if key[:1].isupper() and callable(value)]
    builders = {function.__name__.lower(): function for function in functions}
    if name.lower() not in builders:
        from difflib import get_close_matches

        near = get_close_matches(name.lower(), builders, n=3)
        known = [builders[each].__name__ for each in near or list(builders)[:5]]
        raise ValueError(f"Keras Applications has no '{name}'. Did you mean {' or '.join(known)}?")
    build = builders[name.lower()]
    return build, sys.modules[build.__module__]


def _built(build: Any, name: str, weights: str, size: tuple[int, int] | None) -> Any:
    shape = None if size is None else (*size, 3)
    if Path(weights).is_file():
        return _with_file(build, weights, shape)
    try:
        return build(weights=None if weights == RANDOM else "imagenet", input_shape=shape)
    except Exception as error:  # Keras raises a plain Exception while it handles a network error
        if not isinstance(error.__context__, OSError):
            raise
        url = (re.findall(r"https?://\S+?(?=[:,)]?(?:\s|$))", str(error)) or ["the file"])[0]
        raise WeightsMissing(
            f"Keras could not download the weights of {name} ({error.__context__}). On a computer with internet, "
            f"download {url} and give the file: whycam export keras:{name} --weights {Path(url).name}"
        ) from error


def _with_file(build: Any, weights: str, shape: tuple[int, int, int] | None) -> Any:
    try:
        network = build(weights=None, input_shape=shape)
        with warnings.catch_warnings():
            # Keras only warns of layers that a file lacks, and leaves them with random weights.
            warnings.simplefilter("error", UserWarning)
            network.load_weights(weights)
    except (ValueError, TypeError, KeyError, OSError, UserWarning, zipfile.BadZipFile) as error:
        raise WeightsMissing(
            f"{Path(weights).name} does not hold this network's weights. A whole network of your own is given as it "
            f"is: whycam export FILE.keras. Keras says: {_short(error)}"
        ) from error
    return network


def _preprocessing(module: ModuleType) -> Preprocessing:
    """What a module's `preprocess_input` computes, found by asking it: it is linear, with the colours in some order."""

    def asked(*colours: float) -> Any:
        return np.asarray(module.preprocess_input(np.array(colours, np.float32).reshape(1, 1, 1, 3).copy())).reshape(3)

    zero = asked(0, 0, 0)
    slopes = np.array([asked(*row) - zero for row in 255 * np.eye(3)]) / 255  # (colour, channel)
    order = [int(np.argmax(np.abs(row))) for row in slopes]
    gains = np.array([slopes[colour, order[colour]] for colour in range(3)], np.float64)
    shifts = np.array([zero[order[colour]] for colour in range(3)], np.float64)
    red, green, blue = (float(round(each, 4)) + 0.0 for each in -shifts / gains)  # + 0.0: no −0
    std_red, std_green, std_blue = (float(round(each, 4)) for each in 1 / gains)
    return Preprocessing((red, green, blue), (std_red, std_green, std_blue), 1, bgr=order == [2, 1, 0])


def _scales(network: Any) -> bool:
    """Whether a network has a layer that scales the image's levels before its first weights."""
    for layer in getattr(network, "layers", []):
        if type(layer).__name__ in ("Rescaling", "Normalization"):
            return True
        if getattr(layer, "layers", None):
            return _scales(layer)
        if layer.weights:
            return False
    return False


def _made_by() -> str:
    return ", ".join(f"{package} {metadata.version(package)}" for package in ("keras", "tf2onnx", "onnx"))


def _short(error: BaseException) -> str:
    return textwrap.shorten(str(error), 200, placeholder=" …")
