"""Networks from Keras: Keras Applications' by their names, and in every file that Keras writes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.zoo.trial import TF2ONNX, Trial, Tried, by_name, from_file, writing
from whycam.export.exporter import Wanted
from whycam.export.preprocessing import PREPROCESSING, Like

APPLICATIONS = (
    "VGG16",
    "VGG19",
    "ResNet50",
    "ResNet50V2",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "Xception",
    "InceptionV3",
    "DenseNet121",
    "NASNetMobile",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "ConvNeXtTiny",
)
SIZE = 96
SEED = 0
FILES = {"Keras' export to ONNX": "network.onnx", ".keras": "network.keras", ".h5": "network.h5", "SavedModel": "saved"}
"""What a user has, and how the file is called."""
Build = Callable[[], Any]


def trials() -> list[Trial]:
    """All of them."""
    found = by_name("Keras Applications", "keras", {name: name for name in APPLICATIONS}, TF2ONNX)
    networks: dict[str, tuple[Build, Like]] = {
        "MobileNet, a quarter as wide": (mobile_net, "keras-tf"),
        "small, flattened": (flattened, "plain"),
        "small, Sequential in Sequential": (nested, "plain"),
    }
    found += [
        Trial("Keras' files", shown, kind, partial(_saved, build, like, kind))
        for shown, (build, like) in networks.items()
        for kind in FILES
    ]
    return [*found, Trial("Keras' files", "Teachable Machine's structure", ".h5, labels.txt", _teachable_machine)]


def mobile_net() -> Any:
    """MobileNet of 96x96 images, five classes."""
    import keras

    return keras.applications.MobileNet((SIZE, SIZE, 3), alpha=0.25, weights=None, classes=5)


def flattened(width: int = 8, size: int = 64) -> Any:
    """Three convolutions, a flattened map, and two dense layers with a softmax."""
    import keras
    from keras import layers

    image = keras.Input((size, size, 3))
    maps = image
    for step in (1, 2, 4):
        name = "last_map" if step == 4 else None
        maps = layers.Conv2D(step * width, 3, padding="same", activation="relu", name=name)(maps)
        maps = layers.MaxPooling2D()(maps)
    hidden = layers.Dense(4 * width, activation="relu")(layers.Dropout(0.5)(layers.Flatten()(maps)))
    return keras.Model(image, layers.Dense(5, activation="softmax")(hidden))


def nested(width: int = 8, size: int = 64) -> Any:
    """A Sequential of convolutions in a Sequential of a classifier, as in tutorials of transfer learning."""
    import keras
    from keras import layers

    inner = [keras.Input((size, size, 3))]
    for step in (1, 2, 4):
        inner += [layers.Conv2D(step * width, 3, strides=2, use_bias=False), layers.BatchNormalization()]
        inner += [layers.ReLU()]
    body = keras.Sequential(inner, name="body")
    end = layers.Dense(5, activation="softmax")
    return keras.Sequential([keras.Input((size, size, 3)), body, layers.GlobalAveragePooling2D(), end])


def _saved(build: Build, like: Like, kind: str, folder: Path) -> Tried:
    import keras

    from whycam.export.verify.keras_autodiff import KerasNetwork

    keras.utils.set_random_seed(SEED)
    network, path = build(), folder / FILES[kind]
    network(np.zeros((1, *network.input_shape[1:]), np.float32))  # Keras does not export one that was never called
    with writing("Keras"):
        if kind in (".keras", ".h5"):
            network.save(path)
        else:
            options = {"format": "onnx"} if path.suffix == ".onnx" else {}
            network.export(str(path), verbose=False, **options)
    return from_file(path, KerasNetwork(network), Wanted(preprocessing=PREPROCESSING[like]))


def _teachable_machine(folder: Path) -> Tried:
    import keras
    from keras import layers

    from whycam.export.verify.keras_autodiff import KerasNetwork

    keras.utils.set_random_seed(SEED)
    mobile = keras.applications.MobileNet((224, 224, 3), alpha=0.35, weights=None, include_top=False)
    body = keras.Sequential([mobile, layers.GlobalAveragePooling2D()])
    head = [layers.Dense(100, activation="relu"), layers.Dense(3, activation="softmax", use_bias=False)]
    network = keras.Sequential([keras.Input((224, 224, 3)), body, keras.Sequential(head)])
    network.save(folder / "keras_model.h5")
    labels = folder / "labels.txt"
    labels.write_text("0 cat\n1 dog\n2 bird\n", encoding="utf-8")
    wanted = Wanted(labels=labels, preprocessing=PREPROCESSING["teachable-machine"])
    return from_file(folder / "keras_model.h5", KerasNetwork(network), wanted)
