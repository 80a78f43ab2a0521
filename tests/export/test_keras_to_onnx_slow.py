"""Keras to ONNX to heatmaps, against TensorFlow's automatic differentiation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from whycam.export.graph.onnx_graph import tidy
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.tail import find_feature
from whycam.export.networks import keras_to_onnx
from whycam.export.networks.keras_to_onnx import to_onnx
from whycam.export.preprocess import take_images
from whycam.export.save import save
from whycam.export.verify.agreement import Disagreement, compare
from whycam.export.verify.autodiff import Autodiff
from whycam.export.verify.synthetic_images import scenes
from whycam.models.contract import Contract, Score
from whycam.stream.inference.explainer import BEST, Explainer, evaluate

keras = pytest.importorskip("keras")
tensorflow = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.export

SIZE, CLASSES = 48, 12
MEAN, SCALE = (120.0, 115.0, 105.0), (60.0, 58.0, 62.0)


@pytest.fixture(scope="module")
def network() -> Any:
    """A small functional Keras classifier with every layer type of EfficientNet-Lite."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3))
    tensor = layers.Conv2D(16, 3, 2, padding="same", use_bias=False)(image)
    tensor = layers.ReLU(6.0)(layers.BatchNormalization()(tensor))
    shortcut = tensor
    tensor = layers.DepthwiseConv2D(5, padding="same", use_bias=False)(tensor)
    tensor = layers.Add()([layers.ReLU(6.0)(layers.BatchNormalization()(tensor)), shortcut])
    tensor = layers.Conv2D(24, 3, 2, padding="same", activation="relu", name="last")(tensor)
    tensor = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(tensor))
    # Large weights, so that the classes differ between images and the probabilities are not all near 1/12.
    spread = keras.initializers.RandomNormal(stddev=3.0, seed=2)
    network = keras.Model(image, layers.Dense(CLASSES, activation="softmax", kernel_initializer=spread)(tensor))
    random = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            shape = layer.get_weights()[0].shape
            layer.set_weights(
                [random.uniform(low, high, shape) for low, high in ((0.5, 2), (-1, 1), (-1, 1), (0.5, 2))]
            )
    return network


@pytest.fixture(scope="module")
def plain(network: Any) -> onnx.ModelProto:
    return take_images(to_onnx(network), mean=MEAN, scale=SCALE)


def contract(model: onnx.ModelProto, score: Score) -> Contract:
    feature = find_feature(model)
    return Contract(
        name="small",
        labels=tuple(f"class {number}" for number in range(CLASSES)),
        fit="stretch",
        score=score,
        feature=feature.tensor,
        weights_source="random",
        weights_sha256="0" * 64,
        licence="Apache-2.0",
        made_by="a test",
    )


def explainable(plain: onnx.ModelProto, score: Score, path: Path) -> Path:
    model = append_cam(plain, score=score)
    save(model, contract(model, score), path)
    return path


def prepared(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray((images - np.array(MEAN)) / np.array(SCALE), np.float32)


def by_gradient_tape(
    network: Any, images: NDArray[np.uint8], classes: NDArray[np.int64], score: Score
) -> NDArray[np.float32]:
    """Grad-CAM as in textbooks: heatmaps (N, K, h, w)."""
    dense = network.layers[-1]
    body = keras.Model(network.input, [network.get_layer("last").output, dense.input])
    maps = []
    for column in range(classes.shape[1]):
        with tensorflow.GradientTape() as tape:
            feature, _ = body(prepared(images))
            tape.watch(feature)
            logits = tensorflow.reduce_mean(feature, (1, 2)) @ dense.kernel + dense.bias
            scores = tensorflow.nn.softmax(logits) if score == "probability" else logits
            chosen = tensorflow.gather(scores, classes[:, column], axis=1, batch_dims=1)
        alpha = tensorflow.reduce_mean(tape.gradient(chosen, feature), (1, 2), keepdims=True)
        heat = tensorflow.nn.relu(tensorflow.reduce_sum(alpha * feature, -1)).numpy()
        peak = heat.max((1, 2), keepdims=True)
        maps.append(np.divide(heat, peak, out=np.zeros_like(heat), where=peak > 0))
    return np.stack(maps, 1)


def test_the_scores_are_those_of_keras(network: Any, plain: onnx.ModelProto, tmp_path: Path) -> None:
    images = scenes(4, SIZE, SIZE)
    found = Explainer(explainable(plain, "probability", tmp_path / "small.onnx")).explain(images, [])
    np.testing.assert_allclose(found.scores, network.predict(prepared(images), verbose=0), atol=1e-5)


@pytest.mark.parametrize("score", ["probability", "logit"])
def test_the_heatmaps_are_those_of_float64_and_of_gradient_tape(
    network: Any, plain: onnx.ModelProto, score: Score, tmp_path: Path
) -> None:
    path = explainable(plain, score, tmp_path / "small.onnx")
    images = scenes(6, SIZE, SIZE)

    def autodiff(classes: NDArray[np.int64], _features: NDArray[np.float32]) -> Autodiff:
        return Autodiff(by_gradient_tape(network, images, classes, score))

    agreement = compare(path, images, autodiff=autodiff)
    assert agreement.maps == 30
    assert agreement.empty < 15
    assert agreement.float64 <= 1e-5
    assert agreement.autodiff is not None
    assert agreement.autodiff <= 1e-4
    agreement.check()


def test_wrong_heatmaps_do_not_pass(plain: onnx.ModelProto, tmp_path: Path) -> None:
    path = explainable(plain, "probability", tmp_path / "small.onnx")
    images = scenes(2, SIZE, SIZE)
    upside_down = Explainer(path).explain(images, BEST).heatmaps[:, :, ::-1]
    with pytest.raises(Disagreement, match="autodiff"):
        compare(path, images, autodiff=lambda *_: Autodiff(upside_down)).check()


def test_the_same_network_always_makes_the_same_file(network: Any) -> None:
    assert to_onnx(network).SerializeToString() == to_onnx(network).SerializeToString()


def test_the_graph_is_plain_onnx(plain: onnx.ModelProto) -> None:
    onnx.checker.check_model(plain, full_check=True)
    assert [(entry.domain, entry.version) for entry in plain.opset_import] == [("", 17)]
    assert "BatchNormalization" not in {node.op_type for node in plain.graph.node}


def test_the_graph_is_that_of_tf2onnx_s_own_function(network: Any) -> None:
    """So `make bundled-model` makes the file that is in the repository."""
    import tf2onnx

    signature = [tensorflow.TensorSpec(network.inputs[0].shape, tensorflow.float32, name="picture")]
    model, _ = tf2onnx.convert.from_keras(network, signature, opset=17)
    assert tidy(model).graph == to_onnx(network).graph


def test_large_matrices_are_stored_as_they_are(monkeypatch: pytest.MonkeyPatch, network: Any) -> None:
    as_constants = to_onnx(network)
    monkeypatch.setattr(keras_to_onnx, "LARGE", 100)  # the dense layer has 288 weights
    images = prepared(scenes(2, SIZE, SIZE))
    names = [as_constants.graph.output[0].name]
    for model in (as_constants, to_onnx(network)):
        (scores,) = evaluate(model.SerializeToString(), {"picture": images}, names)
        np.testing.assert_allclose(scores, network.predict(images, verbose=0), atol=1e-6)
    assert [each.name for each in to_onnx(network).graph.input] == ["picture"]


def test_a_constant_that_a_layer_keeps_outside_its_variables_is_stored() -> None:
    """Keras' Normalization keeps its mean as a tensor, which TensorFlow captures: tf2onnx makes it an input."""
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    scaled = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0])(image)
    network = keras.Model(image, layers.GlobalMaxPooling2D()(layers.Conv2D(4, 3)(scaled)))
    model = to_onnx(network)
    assert [each.name for each in model.graph.input] == ["picture"]
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    (found,) = evaluate(model.SerializeToString(), {"picture": images}, [model.graph.output[0].name])
    np.testing.assert_allclose(found, network.predict(images, verbose=0), atol=1e-5)


def test_a_sequential_network_is_converted_too() -> None:
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalMaxPooling2D()])
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    model = to_onnx(network)
    (found,) = evaluate(model.SerializeToString(), {"picture": images}, [model.graph.output[0].name])
    np.testing.assert_allclose(found, network.predict(images, verbose=0), atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
def test_what_keras_makes_of_tensorflows_own_functions_is_converted(activation: str) -> None:
    """It compiles a grouped convolution by XLA, and has Erfc in GELU."""
    keras.utils.set_random_seed(4)
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3))
    tensor = layers.Conv2D(12, 3, padding="same", groups=4)(layers.Conv2D(8, 3, 2, activation=activation)(image))
    network = keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(tensor)))
    model = to_onnx(network)
    assert {node.domain for node in model.graph.node} == {""}
    images = np.random.default_rng(0).uniform(0, 1, (3, SIZE, SIZE, 3)).astype(np.float32)
    (scores,) = evaluate(model.SerializeToString(), {model.graph.input[0].name: images}, [model.graph.output[0].name])
    np.testing.assert_allclose(scores, network(images).numpy(), atol=1e-5)
