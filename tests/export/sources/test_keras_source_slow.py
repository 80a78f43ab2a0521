"""Classifiers from Keras' files, a SavedModel and Keras Applications, against TensorFlow's differentiation."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whycam.export.exporter import Wanted, export
from whycam.export.preprocessing import PREPROCESSING
from whycam.export.sources.classifier import Classifier
from whycam.export.sources.find_source import find_source
from whycam.export.sources.weights import WeightsMissing
from whycam.export.verify.agreement import Agreement
from whycam.export.verify.synthetic_images import scenes
from whycam.stream.inference.explainer import Explainer

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
from whycam.export.sources import keras_source  # noqa: E402 - needs both

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras' own, with NumPy 2
]
SIZE = 40


def convolutions(name: str = "body") -> Any:
    layers = keras.layers
    tensor = image = keras.Input((SIZE, SIZE, 3))
    tensor = layers.Conv2D(8, 3, 2, padding="same", activation="relu")(tensor)
    tensor = layers.DepthwiseConv2D(3, padding="same", activation="relu")(tensor)
    tensor = layers.Conv2D(16, 3, 2, padding="same", activation="relu")(tensor)
    return keras.Model(image, tensor, name=name)


def teachable(*, scaled: bool = False) -> Any:
    """Nested as Teachable Machine's files: Sequential[Sequential[body, pooling], Sequential[dense, dense]]."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    spread = keras.initializers.RandomNormal(stddev=1.0, seed=2)
    body = keras.Sequential([convolutions(), layers.GlobalAveragePooling2D()])
    head = keras.Sequential(
        [
            layers.Dense(20, activation="relu", kernel_initializer=spread),
            layers.Dense(3, activation="softmax", use_bias=False, kernel_initializer=spread),
        ]
    )
    return keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), *([layers.Rescaling(1 / 127.5, offset=-1)] if scaled else []), body, head]
    )


def exported(source: Classifier, folder: Path, wanted: Wanted | None = None) -> tuple[Agreement, Path]:
    path = folder / "out.onnx"
    return export(source, wanted or Wanted(), path, lambda _: None), path


def compared(agreement: Agreement) -> None:
    """Keras' own maps and scores were asked, and are the same."""
    assert agreement.autodiff_median is not None
    assert agreement.autodiff_median < 1e-5
    assert agreement.scores is not None
    assert agreement.scores < 1e-5


def test_a_file_of_teachable_machine_is_explained(tmp_path: Path) -> None:
    """Keras 2 wrote `groups` into depthwise convolutions, which Keras 3 refuses."""
    import h5py

    path = tmp_path / "keras_model.h5"
    teachable().save(path)
    with h5py.File(path, "r+") as file:
        text = file.attrs["model_config"]
        old = json.loads(text)
        spoilt = json.dumps(old).replace('"depth_multiplier": 1', '"groups": 1, "depth_multiplier": 1')
        assert spoilt != json.dumps(old)
        file.attrs["model_config"] = spoilt
    (tmp_path / "labels.txt").write_text("0 cup\n1 pan\n2 jar\n")
    wanted = Wanted(labels=tmp_path / "labels.txt", preprocessing=PREPROCESSING["teachable-machine"])
    agreement, out = exported(find_source(str(path)), tmp_path, wanted)
    compared(agreement)
    explainer = Explainer(out)
    assert explainer.contract.labels == ("cup", "pan", "jar")
    images = scenes(3, SIZE, SIZE)
    expected = teachable().predict((images / 127.5 - 1).astype(np.float32), verbose=0)
    np.testing.assert_allclose(explainer.explain(images, []).scores, expected, atol=1e-5)


def test_a_network_that_scales_the_image_itself_gets_its_levels(tmp_path: Path) -> None:
    teachable(scaled=True).save(tmp_path / "mine.keras")
    source = find_source(str(tmp_path / "mine.keras"))
    assert source.preprocessing is not None
    assert source.preprocessing.value == PREPROCESSING["levels"]
    agreement, out = exported(source, tmp_path)
    compared(agreement)
    images = scenes(3, SIZE, SIZE)
    expected = teachable(scaled=True).predict(images.astype(np.float32), verbose=0)
    np.testing.assert_allclose(Explainer(out).explain(images, []).scores, expected, atol=1e-5)


def test_a_saved_model_is_explained(tmp_path: Path) -> None:
    network = teachable(scaled=True)
    network.export(tmp_path / "mine", verbose=False)
    agreement, out = exported(
        find_source(str(tmp_path / "mine")), tmp_path, Wanted(preprocessing=PREPROCESSING["levels"])
    )
    assert agreement.float64 < 1e-5
    images = scenes(3, SIZE, SIZE)
    expected = network.predict(images.astype(np.float32), verbose=0)
    np.testing.assert_allclose(Explainer(out).explain(images, []).scores, expected, atol=1e-5)


@pytest.mark.parametrize(("units", "labels"), [(1, ("no", "yes")), (4, ())])
def test_sigmoids_are_asked_of_keras_as_they_are(tmp_path: Path, units: int, labels: tuple[str, ...]) -> None:
    keras.utils.set_random_seed(5)
    body = convolutions()
    tensor = keras.layers.GlobalMaxPooling2D()(body.output)
    network = keras.Model(body.input, keras.layers.Dense(units, activation="sigmoid")(tensor))
    network.save(tmp_path / "mine.keras")
    agreement, out = exported(find_source(str(tmp_path / "mine.keras")), tmp_path)
    compared(agreement)
    contract = Explainer(out).contract
    assert contract.task == ("single-label" if units == 1 else "multi-label")
    assert contract.labels == (labels or tuple(f"class {number}" for number in range(4)))


@pytest.mark.parametrize(
    ("module", "like"),
    [("vgg16", "keras-caffe"), ("mobilenet", "keras-tf"), ("densenet", "torch"), ("efficientnet", "levels")],
)
def test_the_preprocessing_of_an_application_is_found_by_asking_it(module: str, like: Any) -> None:
    found = keras_source._preprocessing(getattr(keras.applications, module))
    images = scenes(2, 16, 16)
    expected = np.asarray(getattr(keras.applications, module).preprocess_input(images.astype(np.float32)))
    np.testing.assert_allclose(found.apply(images), expected, atol=1e-3 * np.abs(expected).max())
    np.testing.assert_allclose(
        found.apply(images), PREPROCESSING[like].apply(images), atol=1e-3 * np.abs(expected).max()
    )


def test_an_application_by_its_name_is_explained(tmp_path: Path) -> None:
    agreement, out = exported(find_source("keras:mobilenet", "random", (96, 96)), tmp_path)
    compared(agreement)
    contract = Explainer(out).contract
    assert (contract.name, contract.input_size) == ("mobilenet", (96, 96))
    assert "random weights" in contract.weights_source


def test_an_unknown_application_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no 'ResNet5'\. Did you mean .*ResNet50"):
        find_source("keras:ResNet5", "random")


def test_weights_that_cannot_be_downloaded_are_named_with_their_file(monkeypatch: pytest.MonkeyPatch) -> None:
    from keras.src.utils import file_utils

    def offline(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(file_utils, "urlretrieve", offline)
    monkeypatch.setattr(file_utils.os.path, "exists", lambda _: False)
    with pytest.raises(WeightsMissing) as caught:
        find_source("keras:MobileNet")
    text = str(caught.value)
    assert "Name or service not known" in text
    assert "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/mobilenet_1_0_224_tf.h5 and" in text
    assert "whycam export keras:MobileNet --weights mobilenet_1_0_224_tf.h5" in text


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    teachable().save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(WeightsMissing, match=r"other.weights.h5 does not hold this network's weights"):
        find_source("keras:MobileNet", str(tmp_path / "other.weights.h5"))


@pytest.mark.parametrize("name", ["damaged.keras", "damaged.h5"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"nothing that Keras wrote")
    with pytest.raises(ValueError, match="cannot be read as a Keras network"):
        find_source(str(tmp_path / name))


def test_a_damaged_saved_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is not a SavedModel"):
        find_source(str(tmp_path))


@pytest.mark.parametrize("method", ["hirescam", "grad-cam++", "eigen-cam"])
def test_another_method_is_compared_with_keras(method: str, tmp_path: Path) -> None:
    """Of Grad-CAM++, whose map depends on the scale of what is explained, the gradient of the log-odds is compared."""
    teachable().save(tmp_path / "mine.keras")
    source = find_source(str(tmp_path / "mine.keras"))
    agreement, _ = exported(
        source, tmp_path, Wanted(preprocessing=PREPROCESSING["teachable-machine"], methods=(method,))
    )
    compared(agreement)
    assert agreement.method == method


def test_the_signed_map_is_compared_with_the_logits_behind_a_softmax(tmp_path: Path) -> None:
    """Keras gives probabilities, and the logits where its last layer's activation is left out."""
    teachable().save(tmp_path / "mine.keras")
    wanted = Wanted(preprocessing=PREPROCESSING["teachable-machine"], methods=("grad-cam", "signed"))
    _, out = exported(find_source(str(tmp_path / "mine.keras")), tmp_path, wanted)
    parity = Explainer(out).contract.parity["maps"]["heatmaps_2"]
    assert parity["autodiff_median"] < 1e-5
