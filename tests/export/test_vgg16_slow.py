"""VGG16's export, on a small network of its kind: Keras to ONNX to a verified file, and loading weights."""

from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from whycam.export import pipeline
from whycam.export.head.grad_cam import append_cam
from whycam.export.networks import vgg16
from whycam.export.reverse.backward import UnsupportedLayer
from whycam.export.verify.agreement import Disagreement
from whycam.export.verify.autodiff import Question
from whycam.export.verify.keras_autodiff import KerasNetwork
from whycam.export.verify.synthetic_images import scenes
from whycam.models import catalog
from whycam.models.contract import Score
from whycam.stream.inference.explainer import BEST, Explainer

keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")
pytestmark = pytest.mark.export

SIZE, CLASSES = 48, 12


def small(classes: int = CLASSES) -> Any:
    """Convolutions, a 2x2 max pooling, a flattening and three dense layers, with Keras' own random weights."""
    layers = keras.layers
    tensor = image = keras.Input((SIZE, SIZE, 3))
    for number, width in enumerate((8, 16, 24), 1):
        tensor = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"block{number}_conv1")(tensor)
        tensor = layers.MaxPooling2D(2, name=f"block{number}_pool")(tensor)
    tensor = layers.Flatten(name="flatten")(tensor)
    tensor = layers.Dense(64, activation="relu", name="fc1")(tensor)
    tensor = layers.Dense(40, activation="relu", name="fc2")(tensor)
    return keras.Model(image, layers.Dense(classes, activation="softmax", name="predictions")(tensor))


@pytest.fixture(scope="module")
def network() -> Any:
    network = small()
    vgg16.calibrate(network)
    return network


def built(network: Any) -> vgg16.Vgg16:
    return vgg16.Vgg16(network, "random, seed 0", vgg16.digest(network), "Apache-2.0")


@pytest.mark.parametrize("score", ["probability", "logit"])
def test_a_network_becomes_a_verified_file(network: Any, score: Score, tmp_path: Path) -> None:
    path = tmp_path / "models" / "small.onnx"
    said: list[str] = []
    pipeline.write(built(network), score, path, say=said.append)
    assert [each.name for each in path.parent.iterdir()] == ["small.onnx"]
    contract = Explainer(path).contract
    assert (contract.input_size, contract.map_size, contract.fit) == ((SIZE, SIZE), (12, 12), "stretch")
    assert (contract.score, contract.feature) == (score, "block3_conv1")
    assert contract.weights_sha256 == vgg16.digest(network)
    assert contract.parity["maps"] == 160
    assert contract.parity["float64"] <= 1e-5
    assert contract.parity["autodiff_median"] <= 2e-5
    assert contract.parity["scores"] <= 1e-4
    assert contract.parity["empty"] < 80
    assert any("160 heatmaps of 32 images" in line for line in said)
    assert "tf2onnx" in contract.made_by


def test_the_scores_are_those_of_keras_on_blue_green_red(network: Any, tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    pipeline.write(built(network), "probability", path, images=scenes(4, SIZE, SIZE))
    images = scenes(5, SIZE, SIZE, seed=9)
    # Written out, so that an error in `prepared` is not on both sides: BGR, minus each colour's mean.
    turned = (images[..., ::-1] - np.array([103.939, 116.779, 123.68])).astype(np.float32)
    np.testing.assert_allclose(
        Explainer(path).explain(images, []).scores, network.predict(turned, verbose=0), atol=1e-5
    )


def test_the_only_transpose_is_before_the_first_convolution(network: Any) -> None:
    plain = vgg16.to_classifier(network)
    onnx.checker.check_model(plain, full_check=True)
    operators = [node.op_type for node in plain.graph.node]
    assert operators.count("Transpose") == 1
    assert operators[-7:] == ["Flatten", "Gemm", "Relu", "Gemm", "Relu", "Gemm", "Softmax"]


def test_random_weights_give_varied_classes_and_are_reproducible() -> None:
    first, second = small(), small()
    for network in (first, second):
        vgg16.calibrate(network)
    assert vgg16.digest(first) == vgg16.digest(second)
    best = first.predict(vgg16.prepared(scenes(32, SIZE, SIZE)), verbose=0).argmax(1)
    assert len(set(best.tolist())) >= 6


def test_half_precision_is_verified_with_the_weights_it_stores(tmp_path: Path) -> None:
    network = small()
    vgg16.calibrate(network)
    paths = [tmp_path / name for name in ("float.onnx", "half.onnx")]
    for path, half in zip(paths, (False, True), strict=True):
        pipeline.write(built(network), "probability", path, half=half)
    assert paths[1].stat().st_size < 0.6 * paths[0].stat().st_size
    contract = Explainer(paths[1]).contract
    assert contract.parity["float64"] <= 1e-5
    assert contract.parity["scores"] <= 1e-4
    assert contract.weights_source.endswith("in half precision")
    kernel = network.get_layer("fc1").get_weights()[0]
    np.testing.assert_array_equal(kernel, kernel.astype(np.float16).astype(np.float32))


def test_an_8_bit_model_is_compared_with_float32_and_refused_if_it_differs(
    network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whycam.export.precision import int8

    path = tmp_path / "int8.onnx"
    said: list[str] = []
    monkeypatch.setattr(int8, "WORST_CORRELATION", -1.0)  # a random network this small keeps little of its maps
    pipeline.write(built(network), "probability", path, int8=True, say=said.append)
    contract = Explainer(path).contract
    assert contract.parity["float64"] <= 1e-5
    assert "float32_correlation" in contract.parity
    assert contract.weights_source.endswith("in 8 bits")
    assert any("times as fast, heatmaps correlate" in line for line in said)
    monkeypatch.setattr(int8, "WORST_CORRELATION", 1.01)
    with pytest.raises(Disagreement, match="--calibrate-with"):
        pipeline.write(built(network), "probability", tmp_path / "other.onnx", int8=True)
    assert [each.name for each in tmp_path.iterdir()] == ["int8.onnx"]


@pytest.mark.timeout(600)  # an inner layer is differentiated in float64
@pytest.mark.parametrize("half", [False, True])
def test_several_methods_and_layers_are_verified_with_the_weights_it_stores(half: bool, tmp_path: Path) -> None:
    network = small()
    vgg16.calibrate(network)
    path = tmp_path / "several.onnx"
    methods, layers = ("grad-cam", "layer-cam", "signed"), ("12x12", "block2_conv1")
    images = scenes(2, SIZE, SIZE)
    pipeline.write(built(network), "probability", path, half=half, images=images, methods=methods, layers=layers)
    contract = Explainer(path).contract
    assert [(each.method, each.grid[0]) for each in contract.listed_maps()] == [
        (method, size) for method in methods for size in (12, 24)
    ]
    assert [each.layer for each in contract.listed_maps()] == ["block3_conv1", "block2_conv1"] * 3
    for each in contract.parity["maps"].values():
        assert each["autodiff_median"] <= 2e-5
    for each in contract.drawable_maps():
        assert Explainer(path, output=each.output, signed=True).explain(images, BEST).signed is not None
    assert contract.weights_source.endswith("in half precision") == half


def test_an_8_bit_model_has_several_maps_of_its_last_layer(
    network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind an inner layer there are convolutions in integers, which have no gradient."""
    from whycam.export.precision import int8

    monkeypatch.setattr(int8, "WORST_CORRELATION", -1.0)
    path, images = tmp_path / "int8.onnx", scenes(4, SIZE, SIZE)
    methods = ("grad-cam", "negative", "eigen-cam", "signed")
    pipeline.write(built(network), "probability", path, int8=True, images=images, methods=methods)
    contract = Explainer(path).contract
    assert [each.method for each in contract.listed_maps()] == list(methods)
    assert all(each["float64"] <= 1e-5 for each in contract.parity["maps"].values())
    assert "float32_correlation" in contract.parity
    assert contract.weights_source.endswith("in 8 bits")
    with pytest.raises(UnsupportedLayer, match="DequantizeLinear"):
        pipeline.write(built(network), "probability", tmp_path / "x.onnx", int8=True, images=images, layers=("24x24",))
    assert [each.name for each in tmp_path.iterdir()] == ["int8.onnx"]


def test_a_bad_agreement_fails_the_export_and_leaves_what_was_there(
    network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mislabelled(model: onnx.ModelProto, *, score: Score, **maps: Any) -> onnx.ModelProto:
        return append_cam(model, score="logit" if score == "probability" else "probability", **maps)

    monkeypatch.setattr(pipeline, "append_cam", mislabelled)
    path = tmp_path / "small.onnx"
    with pytest.raises(Disagreement):
        pipeline.write(built(network), "probability", path)
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"the model of yesterday")
    with pytest.raises(Disagreement):
        pipeline.write(built(network), "probability", path)
    assert path.read_bytes() == b"the model of yesterday"
    assert list(tmp_path.iterdir()) == [path]


def test_a_network_with_other_weights_does_not_agree(network: Any, tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    other = small()
    vgg16.calibrate(other, seed=1)
    plain = vgg16.to_classifier(network)
    made = pipeline._save(append_cam(plain), lambda feature: _contract(network, feature), path)
    with pytest.raises(Disagreement):
        pipeline._verified(path, made, scenes(4, SIZE, SIZE), lambda _: None, other)


def _contract(network: Any, feature: str) -> Any:
    return pipeline._contract(
        built(network), score="probability", labels=pipeline._labels(CLASSES), feature=feature, note=""
    )


def test_a_probability_of_one_has_no_reference(network: Any) -> None:
    sharp = small()
    sharp.set_weights(network.get_weights())
    kernel, bias = sharp.layers[-1].get_weights()
    sharp.layers[-1].set_weights([kernel * 1000, bias * 1000])
    inputs = vgg16.prepared(scenes(2, SIZE, SIZE))
    best = sharp.predict(inputs, verbose=0).argmax(1)[:, None]
    features = np.asarray(keras.Model(sharp.input, vgg16.feature_layer(sharp).output)(inputs)).transpose(0, 3, 1, 2)
    question = Question(inputs, features, best, "probability", "single-label", "probabilities")
    maps, of_logits = (
        KerasNetwork(sharp).autodiff(question._replace(score=score)).heatmaps for score in ("probability", "logit")
    )
    assert maps is not None
    assert of_logits is not None
    assert not np.isfinite(maps).any()
    assert np.isfinite(of_logits).any()


# Weights.

keras_copies = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
"""Keras' own warning when it writes weights with NumPy 2."""


def applications_layout(network: Any, path: Path) -> Path:
    """The layout of Keras' published files: one group per layer, array names as attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
        for layer in network.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}_{part}_1:0" for part in ("W", "b")][: len(layer.weights)]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, layer.get_weights(), strict=True):
                group.create_dataset(name, data=value)
    return path


@keras_copies
@pytest.mark.parametrize("name", ["w.weights.h5", "w.keras", "w_tf_kernels.h5"])
def test_weights_are_read_from_every_file_that_keras_writes(network: Any, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.endswith(".weights.h5"):
        network.save_weights(path)
    elif name.endswith(".keras"):
        network.save(path)
    else:
        applications_layout(network, path)
    loaded = small()
    assert vgg16.digest(loaded) != vgg16.digest(network)
    vgg16.load(loaded, path)
    assert vgg16.digest(loaded) == vgg16.digest(network)


@keras_copies
@pytest.mark.parametrize("name", ["w.weights.h5", "w.keras", "w_notop.h5"])
def test_weights_of_another_network_are_refused(network: Any, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    other = keras.Model(network.input, network.get_layer("block3_pool").output)
    if name.endswith(".weights.h5"):
        other.save_weights(path)
    elif name.endswith(".keras"):
        other.save(path)
    else:
        applications_layout(other, path)
    with pytest.raises(vgg16.WeightsError, match=f"{name} does not hold the weights of VGG16"):
        vgg16.load(small(), path)
    path.write_bytes(b"no weights at all")
    with pytest.raises(vgg16.WeightsError, match="does not hold the weights of VGG16"):
        vgg16.load(small(), path)


@keras_copies
def test_weights_for_other_classes_are_refused(network: Any, tmp_path: Path) -> None:
    path = tmp_path / "w.weights.h5"
    network.save_weights(path)
    with pytest.raises(vgg16.WeightsError, match="does not hold"):
        vgg16.load(small(classes=5), path)


def test_a_file_that_cannot_be_weights_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(vgg16.WeightsError, match=r"no file .*nowhere"):
        vgg16.build(tmp_path / "nowhere.h5")
    path = tmp_path / "weights.pth"
    path.write_bytes(b"")
    with pytest.raises(vgg16.WeightsError, match=r"weights\.pth is not a weights file .*\.weights\.h5"):
        vgg16.build(path)


def test_without_internet_the_error_says_what_to_download_and_how_to_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(weights: str) -> None:
        try:
            raise urllib.error.URLError("Name or service not known")
        except urllib.error.URLError:
            raise Exception("URL fetch failure")  # noqa: B904 - as Keras does it

    monkeypatch.setattr(keras.applications, "VGG16", offline)
    with pytest.raises(vgg16.WeightsError) as caught:
        vgg16.build("imagenet")
    text = str(caught.value)
    assert "Name or service not known" in text
    assert vgg16.WEIGHTS_URL in text
    assert "whycam export vgg16 --weights vgg16_weights_tf_dim_ordering_tf_kernels.h5" in text


def test_the_url_in_the_error_is_the_one_that_keras_uses() -> None:
    from keras.src.applications.vgg16 import WEIGHTS_PATH

    assert vgg16.WEIGHTS_URL == WEIGHTS_PATH


# The command.


def test_contradictory_arguments_are_refused(tmp_path: Path) -> None:
    for message, arguments in (
        ("--half or --int8", {"half": True, "int8": True}),
        ("--calibrate-with needs --int8", {"calibrate_with": tmp_path}),
        (r"ends in \.onnx", {"output": tmp_path / "model.h5"}),
        ("no folder", {"verify_with": tmp_path / "nowhere"}),
        ("no image in", {"verify_with": tmp_path}),
    ):
        with pytest.raises(ValueError, match=message):
            pipeline.export_vgg16("random", **arguments)


def test_images_to_verify_with_are_fitted_and_spread_over_the_folder(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    for number in range(70):
        cv2.imwrite(str(tmp_path / f"{number:03}.png"), np.full((20, 30, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    images = pipeline.read_images(tmp_path, (16, 16))
    assert images.shape == (64, 16, 16, 3)
    assert images[0].max() == 0
    assert images[-1].min() == 69


def test_vgg16_is_made_at_its_place_and_becomes_the_default(
    network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(vgg16, "build", lambda weights, say: built(network))
    said: list[str] = []
    path = pipeline.export_vgg16("random", say=said.append)
    assert path == catalog.vgg16().path
    assert path.is_relative_to(tmp_path)
    assert catalog.find() == path
    assert said[-1].startswith(f"{path}: ")
    assert "GB of memory" in said[-1]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_whole_of_vgg16(tmp_path: Path) -> None:
    path = pipeline.export_vgg16("random", output=tmp_path / "vgg16.onnx")
    assert path.stat().st_size <= 565e6
    explainer = Explainer(path)
    assert (explainer.contract.input_size, explainer.contract.map_size) == ((224, 224), (14, 14))
    assert explainer.contract.parity["float64"] <= 1e-5
    assert explainer.contract.parity["autodiff_median"] <= 2e-5
    images: NDArray[np.uint8] = scenes(1, 224, 224)
    found = explainer.explain(images, [*BEST, 954])
    assert found.classes[0, -1] == 954
    assert np.argsort(-found.scores[0])[:5].tolist() == found.classes[0, :5].tolist()
    for target in (1000, -1001):
        with pytest.raises(ValueError, match="classes 0 to 999"):
            explainer.explain(images, [target])
