"""A model pruned to some of its outputs, read back by onnx itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.support.models import tiny_models
from whycam.models import onnx_bytes
from whycam.models.contract import OUTPUTS
from whycam.models.pruning import keep_outputs
from whycam.stream.inference.explainer import BEST, Explainer, evaluate

DAMAGED = [
    b"\x3a\x05a",
    b"\x3a",
    b"\xff" * 11,
    b"\x3b\x00",
    b"\x3d\x00\x00",
    b"\x39\x00\x00\x00\x00",
    b"\x08" + b"\xff" * 10 + b"\x01",  # a number of 11 bytes
]


def with_more(model: ModelProto) -> ModelProto:
    """The model with an output that raises when computed, and one that reads a tensor only inside a branch."""
    constants = {"one": np.array([1.0], np.float32), "yes": np.array(True), "aside": np.ones((2000,), np.float32)}
    branch = helper.make_graph(
        [helper.make_node("Mul", ["probabilities of all", "one"], ["chosen"])],
        "branch",
        [],
        [helper.make_tensor_value_info("chosen", TensorProto.FLOAT, ["N", 10])],
    )
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.node.extend(
        [
            helper.make_node("Shape", ["image"], ["far"]),
            helper.make_node("Gather", ["one", "far"], ["raises"]),
            helper.make_node("Identity", ["scores"], ["probabilities of all"]),
            helper.make_node("If", ["yes"], ["inside"], then_branch=branch, else_branch=branch),
            helper.make_node("Mul", ["aside", "one"], ["weighty"]),
        ]
    )
    for name, shape in {"raises": [4], "inside": ["N", 10], "weighty": [2000]}.items():
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tiny_models.model(tmp_path / "tiny.onnx")
    onnx.save(with_more(onnx.load(found)), found)
    return found


def test_an_output_that_is_not_requested_is_not_computed(path: Path, tmp_path: Path) -> None:
    plain = tiny_models.model(tmp_path / "plain.onnx")
    feeds = {"image": tiny_models.images(1), "target": np.array([[-1]])}
    with pytest.raises(Exception, match="Gather"):
        evaluate(path.read_bytes(), feeds, list(OUTPUTS))  # onnxruntime computes all outputs, requested or not
    found, expected = (Explainer(each).explain(tiny_models.images(2), BEST) for each in (path, plain))
    for ours, theirs in zip(
        (found.scores, found.classes, found.heatmaps, found.evidence),
        (expected.scores, expected.classes, expected.heatmaps, expected.evidence),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_only_nodes_and_weights_that_the_outputs_need_remain(path: Path, tmp_path: Path) -> None:
    cut = onnx.load_model_from_string(keep_outputs(path.read_bytes(), OUTPUTS))
    onnx.checker.check_model(cut, full_check=True)
    plain = onnx.load(tiny_models.model(tmp_path / "plain.onnx"))
    assert [node.output[0] for node in cut.graph.node] == [node.output[0] for node in plain.graph.node]
    assert {each.name for each in cut.graph.initializer} == {each.name for each in plain.graph.initializer}
    assert cut.metadata_props == plain.metadata_props
    assert list(cut.graph.input) == list(plain.graph.input)


def test_what_a_branch_reads_is_kept(path: Path) -> None:
    cut = onnx.load_model_from_string(keep_outputs(path.read_bytes(), ["inside"]))
    onnx.checker.check_model(cut)
    kinds = [node.op_type for node in cut.graph.node]
    assert "If" in kinds
    assert not {"Gather", "TopK"} & set(kinds)
    feeds = {"image": tiny_models.images(1), "target": np.array([[-1]])}
    values = evaluate(cut.SerializeToString(), feeds, ["inside"])
    assert values[0].sum() == pytest.approx(1, abs=1e-5)


def with_gain(model: ModelProto) -> ModelProto:
    """The model with an additional output, and an input with a default that only this output reads."""
    model.graph.input.append(helper.make_tensor_value_info("gain", TensorProto.FLOAT, [1]))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), "gain"))
    model.graph.node.append(helper.make_node("Mul", ["scores", "gain"], ["more"]))
    model.graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["N", 10]))
    return model


def test_an_input_that_only_a_removed_output_reads_is_removed(tmp_path: Path) -> None:
    path = tiny_models.model(tmp_path / "tiny.onnx")
    expected = Explainer(path).explain(tiny_models.images(2), BEST)
    onnx.save(with_gain(onnx.load(path)), path)
    found = Explainer(path).explain(tiny_models.images(2), BEST)
    np.testing.assert_array_equal(found.heatmaps, expected.heatmaps)
    cut = onnx.load_model_from_string(keep_outputs(path.read_bytes(), ["more"]))
    assert [each.name for each in cut.graph.input] == ["image", "target", "gain"]
    assert "gain" in {each.name for each in cut.graph.initializer}


def test_an_outer_tensor_that_a_branch_returns_is_kept(tmp_path: Path) -> None:
    model = onnx.load(tiny_models.model(tmp_path / "tiny.onnx"))
    branch = helper.make_graph([], "branch", [], [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.append(helper.make_node("If", ["yes"], ["inside"], then_branch=branch, else_branch=branch))
    model.graph.output.append(helper.make_tensor_value_info("inside", TensorProto.FLOAT, ["N", 10]))
    cut = onnx.load_model_from_string(keep_outputs(model.SerializeToString(), ["inside"]))
    assert "scores" in {name for node in cut.graph.node for name in node.output}


def test_tensors_read_by_each_of_several_subgraphs_are_kept() -> None:
    reads = [helper.make_graph([helper.make_node("Neg", [name], ["y"])], name, [], []) for name in ("first", "second")]
    node = helper.make_node("Choose", [], ["out"], domain="com.example", graphs=reads)
    makers = [helper.make_node("Neg", ["x"], [name]) for name in ("first", "second", "third")]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    whole = helper.make_model(helper.make_graph([*makers, node], "g", [], [out])).SerializeToString()
    cut = onnx.load_model_from_string(keep_outputs(whole, ["out"]))
    assert [node.output[0] for node in cut.graph.node] == ["first", "second", "out"]


def test_too_deeply_nested_graphs_are_refused() -> None:
    def message(number: int, content: bytes) -> bytes:
        return onnx_bytes.message(number, content)

    def nested(depth: int) -> bytes:
        graph = b""
        for _ in range(depth):
            graph = message(1, message(5, message(6, graph)))  # a node's attribute that is a graph
        return message(7, message(1, message(2, b"scores") + message(5, message(6, graph))))

    assert keep_outputs(nested(30), OUTPUTS) == nested(30)
    for depth in (200, 3000):
        with pytest.raises(ValueError, match="100 nested graphs"):
            keep_outputs(nested(depth), OUTPUTS)


def test_fields_of_every_wire_type_are_copied(tmp_path: Path) -> None:
    whole = tiny_models.model(tmp_path / "tiny.onnx").read_bytes()
    others = b"\x99\x06" + b"\xff" * 8 + b"\x9d\x06" + b"\xff" * 4 + b"\x98\x06" + b"\xff" * 9 + b"\x01"
    assert keep_outputs(others + whole, OUTPUTS).startswith(others)


def test_keeping_all_outputs_changes_nothing(tmp_path: Path) -> None:
    whole = tiny_models.model(tmp_path / "tiny.onnx").read_bytes()
    assert onnx.load_model_from_string(keep_outputs(whole, OUTPUTS)) == onnx.load_model_from_string(whole)


@pytest.mark.parametrize("model", DAMAGED)
def test_malformed_bytes_are_refused(model: bytes) -> None:
    with pytest.raises(ValueError, match="protobuf message"):
        keep_outputs(model, OUTPUTS)
