"""The Keras EfficientNet-Lite0: its structure, and that it loads exactly the published weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from whycam.export.networks import efficientnet_lite

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.export


def published(network: Any) -> dict[str, NDArray[np.float32]]:
    """Random weights under PyTorch's names and in its shapes, as the package publishes them."""
    random = np.random.default_rng(0)

    def made(shape: tuple[int, ...]) -> NDArray[np.float32]:
        return random.uniform(0.1, 1, shape).astype(np.float32)

    state = {}
    for name, convolution, norm in efficientnet_lite.layer_names():
        height, width, *channels = network.get_layer(name).get_weights()[0].shape
        # Keras: (h, w, in, out), depthwise (h, w, channels, 1). PyTorch: (out, in, h, w) and (channels, 1, h, w).
        depthwise = name.endswith("_depthwise")
        out, into = (channels[0], 1) if depthwise else (channels[1], channels[0])
        state[f"{convolution}.weight"] = made((out, into, height, width))
        state |= {f"{norm}.{part}": made((out,)) for part in ("weight", "bias", "running_mean", "running_var")}
        state[f"{norm}.num_batches_tracked"] = np.array(0)
    return state | {"_fc.weight": made((1000, 1280)), "_fc.bias": made((1000,))}


@pytest.fixture(scope="module")
def network() -> Any:
    return efficientnet_lite.build()


def test_it_has_the_size_of_efficientnet_lite0(network: Any) -> None:
    assert network.count_params() == 4_694_024  # 4 652 008 trained ones, and BatchNorm's 42 016 statistics
    assert network.input_shape == (None, 224, 224, 3)
    assert network.output_shape == (None, 1000)
    assert network.get_layer(efficientnet_lite.FEATURE_LAYER).output.shape == (None, 7, 7, 1280)


def test_it_is_padded_and_normalised_as_in_tensorflow(network: Any) -> None:
    kinds = keras.layers
    convolutions = [each for each in network.layers if isinstance(each, kinds.Conv2D | kinds.DepthwiseConv2D)]
    assert len(convolutions) == 49
    assert {each.padding for each in convolutions} == {"same"}
    assert not any(each.use_bias for each in convolutions)
    assert {each.epsilon for each in network.layers if isinstance(each, kinds.BatchNormalization)} == {1e-3}
    assert {each.max_value for each in network.layers if isinstance(each, kinds.ReLU)} == {6.0}
    assert sum(isinstance(each, kinds.Add) for each in network.layers) == 9


def test_every_weight_is_loaded_into_its_layer(network: Any) -> None:
    state = published(network)
    loaded = efficientnet_lite.build(state)
    kernel = loaded.get_layer("block3_expand").get_weights()[0]
    np.testing.assert_array_equal(kernel[0, 0, 5, 7], state["_blocks.3._expand_conv.weight"][7, 5, 0, 0])
    kernel = loaded.get_layer("block3_depthwise").get_weights()[0]
    np.testing.assert_array_equal(kernel[1, 2, 9, 0], state["_blocks.3._depthwise_conv.weight"][9, 0, 1, 2])
    norm = loaded.get_layer("block0_depthwise_bn").get_weights()
    for part, values in zip(("weight", "bias", "running_mean", "running_var"), norm, strict=True):
        np.testing.assert_array_equal(values, state[f"_blocks.0._bn1.{part}"])
    np.testing.assert_array_equal(loaded.get_layer("scores").get_weights()[0], state["_fc.weight"].T)


def test_a_missing_or_a_surplus_weight_is_named(network: Any) -> None:
    state = published(network)
    with pytest.raises(ValueError, match=r"_blocks\.16\.extra"):
        efficientnet_lite.build(state | {"_blocks.16.extra": np.zeros(1, np.float32)})
    del state["_conv_head.weight"]
    with pytest.raises(ValueError, match=r"no '_conv_head\.weight'"):
        efficientnet_lite.build(state)
