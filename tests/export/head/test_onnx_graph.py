"""Lookup in an ONNX graph: constants in every form in which weights are stored, and shapes without the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper, shape_inference

from tests.support.models import plain_classifier, tiny_models
from tests.support.models.dense_tail_models import DenseTail
from whycam.export.graph.onnx_graph import Graph, skeleton
from whycam.export.head.grad_cam import append_cam
from whycam.export.precision.half import rounded, store_half

RANDOM = np.random.default_rng(0)
VALUE = RANDOM.normal(size=(6, 4)).astype(np.float32)


def graph_of(nodes: list[onnx.NodeProto], constants: dict[str, NDArray[Any]]) -> Graph:
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "constants",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    return Graph(model)


def test_weights_are_found_in_every_form_they_are_stored_in() -> None:
    product = helper.make_node("MatMul", ["x", "w"], ["y"], "product")
    scale, zero = RANDOM.uniform(0.01, 0.1, 4).astype(np.float32), np.array([1, -2, 3, 0], np.int8)
    integers = RANDOM.integers(-100, 100, (6, 4)).astype(np.int8)
    dequantize = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=1)
    forms: list[tuple[list[onnx.NodeProto], dict[str, NDArray[Any]], NDArray[Any]]] = [
        ([], {"w": VALUE}, VALUE),
        ([helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(VALUE))], {}, VALUE),
        ([helper.make_node("Identity", ["v"], ["w"])], {"v": VALUE}, VALUE),
        (
            [helper.make_node("Cast", ["v"], ["w"], to=TensorProto.FLOAT)],
            {"v": VALUE.astype(np.float16)},
            VALUE.astype(np.float16).astype(np.float32),
        ),
        ([dequantize], {"q": integers, "s": scale, "z": zero}, (integers - zero.astype(np.float32)) * scale),
    ]
    for nodes, constants, expected in forms:
        graph = graph_of([*nodes, product], constants)
        found = graph.constant("w")
        assert found is not None
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert graph.fixed("w")
        assert graph.moving(graph.model.graph.node[-1]) == ["x"]


def test_a_constant_may_be_written_as_a_list_of_numbers() -> None:
    axes = helper.make_node("Constant", [], ["axes"], value_ints=[1, 2])
    ratio = helper.make_node("Constant", [], ["ratio"], value_float=0.5)
    graph = graph_of([axes, ratio], {})
    for name, value in (("axes", [1, 2]), ("ratio", 0.5)):
        found = graph.constant(name)
        assert found is not None
        assert found.tolist() == value
    assert graph.constant("x") is None
    assert not graph.fixed("x")


def names_and_sizes(model: ModelProto) -> dict[str, list[int]]:
    inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    return {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in inferred.value_info}


@pytest.mark.parametrize("tail", [DenseTail(), DenseTail(flattening="tf2onnx", norm="Mul"), DenseTail(pooling="none")])
def test_a_skeleton_has_the_same_shapes_without_the_weights(tail: DenseTail) -> None:
    model = tail.model()
    bare = skeleton(model)
    onnx.checker.check_model(bare, full_check=True)
    assert names_and_sizes(bare) == names_and_sizes(model)
    assert bare.ByteSize() < model.ByteSize()
    assert "w1" not in {tensor.name for tensor in bare.graph.initializer}


def test_small_weights_and_those_beyond_half_precision_are_not_stored_in_it() -> None:
    small = np.full(100, 0.1, np.float32)
    assert rounded(small) is small
    large = np.full(4000, 0.1, np.float32)
    assert (rounded(large) != large).all()
    np.testing.assert_allclose(rounded(large), large, rtol=2**-11)
    with pytest.raises(ValueError, match="65504"):
        rounded(large * 1e6)


def test_the_weights_of_a_file_in_half_precision_are_the_rounded_ones() -> None:
    plain = tiny_models.classifier(classes=200)
    graph, half = Graph(plain), Graph(store_half(plain))
    weights, stored = graph.constant("weights"), half.constant("weights")
    assert weights is not None
    np.testing.assert_array_equal(stored, rounded(weights))
    assert half.shape("weights") == [16, 200]


def test_what_an_exporter_wrote_of_its_computer_is_not_kept() -> None:
    """PyTorch's dynamo exporter stores a stack trace, with the paths of its files, with each node."""
    plain = plain_classifier.classifier()
    for node in plain.graph.node:
        node.doc_string = "/home/me/secret.py"
        node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/me/secret.py")
    assert b"secret" not in append_cam(plain).SerializeToString()
