"""Preprocessing inside the graph: from uint8 RGB to the network's input."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from tests.support.models import tiny_models
from whycam.export.preprocess import take_images
from whycam.stream.inference.explainer import evaluate


def network(shape: list[str | int]) -> ModelProto:
    """A network that returns its input."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["given"], ["taken"])],
        "echo",
        [helper.make_tensor_value_info("given", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("taken", TensorProto.FLOAT, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize(("mean", "scale"), [([127], [128]), ([123.7, 116.3, 103.5], [58.4, 57.1, 57.4])])
def test_levels_become_the_networks_input(channels_first: bool, mean: list[float], scale: list[float]) -> None:
    model = take_images(network(["N", 3, 32, 32] if channels_first else ["N", 32, 32, 3]), mean=mean, scale=scale)
    checker.check_model(model, full_check=True)
    images = tiny_models.images(2)
    (taken,) = evaluate(model.SerializeToString(), {"image": images}, ["taken"])
    expected = (images - np.array(mean)) / np.array(scale)
    np.testing.assert_allclose(taken, expected.transpose(0, 3, 1, 2) if channels_first else expected, atol=1e-6)


def test_the_image_has_its_size_and_a_dynamic_batch() -> None:
    model = take_images(network(["N", 3, 20, 30]), mean=[0], scale=[255])
    (image,) = model.graph.input
    shape = [dim.dim_value or dim.dim_param for dim in image.type.tensor_type.shape.dim]
    assert (image.name, image.type.tensor_type.elem_type, shape) == ("image", TensorProto.UINT8, ["N", 20, 30, 3])


@pytest.mark.parametrize("shape", [["N", 32, 32, 4], ["N", "H", "W", 3], ["N", 3072]])
def test_a_network_with_another_input_is_refused(shape: list[str | int]) -> None:
    with pytest.raises(ValueError, match=r"\[N, H, W, 3\] or \[N, 3, H, W\]"):
        take_images(network(shape), mean=[0], scale=[1])


def test_a_networks_own_input_may_be_called_image() -> None:
    plain = network(["N", 32, 32, 3])
    plain.graph.input[0].name = plain.graph.node[0].input[0] = "image"
    model = take_images(plain, mean=[0], scale=[1])
    (taken,) = evaluate(model.SerializeToString(), {"image": tiny_models.images(1)}, ["taken"])
    np.testing.assert_array_equal(taken, tiny_models.images(1))


def test_a_batch_fixed_to_one_becomes_free_where_the_graph_allows_it() -> None:
    model = take_images(network([1, 32, 32, 3]), mean=[0], scale=[1])
    (taken,) = evaluate(model.SerializeToString(), {"image": tiny_models.images(3)}, ["taken"])
    np.testing.assert_array_equal(taken, tiny_models.images(3))
    assert model.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "N"


@pytest.mark.parametrize("shape", [[1, 3072], [1, -1], [-1, 6144]])
def test_a_network_that_computes_one_image_only_is_refused(shape: list[int]) -> None:
    plain = network([1, 32, 32, 3])
    plain.graph.node[0].output[0] = "same"
    plain.graph.node.append(helper.make_node("Reshape", ["same", "shape"], ["taken"]))
    plain.graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), "shape"))
    with pytest.raises(ValueError, match="one image at a time: its batch is fixed to 1"):
        take_images(plain, mean=[0], scale=[1])


def test_the_refusal_of_a_fixed_batch_names_its_size(capfd: pytest.CaptureFixture[str]) -> None:
    plain = network([4, 32, 32, 3])
    plain.graph.node[0].output[0] = "same"
    plain.graph.node.append(helper.make_node("Reshape", ["same", "shape"], ["taken"]))
    plain.graph.initializer.append(numpy_helper.from_array(np.array([4, 3072], np.int64), "shape"))
    with pytest.raises(ValueError, match="computes 4 images at a time: its batch is fixed to 4"):
        take_images(plain, mean=[0], scale=[1])
    assert capfd.readouterr().err == ""  # onnxruntime has its say in the sentence
