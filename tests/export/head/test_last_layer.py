"""A last layer that a run may replace: the same maps as before, and exact ones for any other classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.support.models import tiny_models
from tests.support.models.dense_tail_models import DenseTail
from whycam.export.graph.onnx_graph import skeleton
from whycam.export.head.ends import as_two_classes
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.last_layer import FixedClasses, opened
from whycam.export.precision.half import store_half
from whycam.export.save import save
from whycam.export.verify.agreement import Disagreement, compare
from whycam.export.verify.other_classes import check_other_classes, random_sets
from whycam.models.class_set import ClassSet
from whycam.models.contract import Contract, LastLayer, Score, Task
from whycam.stream.inference.explainer import BEST, Explainer, evaluate

EVERY = ("grad-cam", "hirescam", "grad-cam++", "xgrad-cam", "layer-cam", "eigen-cam", "negative", "signed")
OF_PIXELS = {"layer": "convolved", "method": ["grad-cam", "integrated-gradients", "input-x-gradient"]}


def written(model: ModelProto, path: Path, score: Score = "probability") -> Contract:
    labels = [f"class {number}" for number in range(10)]
    return save(model, tiny_models.contract(labels, score, "stretch", "tiny"), path)


def outputs(model: ModelProto, further: dict[str, NDArray[Any]] | None = None) -> dict[str, NDArray[Any]]:
    """Of one image, with targets by rank and by number."""
    names = [each.name for each in model.graph.output]
    feeds: dict[str, NDArray[Any]] = {
        "image": tiny_models.images(1),
        "target": np.array([[-1, -2, 1]], np.int64),
        **(further or {}),
    }
    return dict(zip(names, evaluate(model.SerializeToString(), feeds, names, batch=10_000), strict=True))


def stored(model: ModelProto, name: str) -> NDArray[Any]:
    return np.asarray(numpy_helper.to_array(next(each for each in model.graph.initializer if each.name == name)))


@pytest.mark.parametrize("dense", ["MatMul", "Gemm", "GemmT", "Conv"])
@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize("wanted", [{}, {"layer": [None, "convolved"], "method": EVERY}, OF_PIXELS])
def test_with_its_own_classes_a_file_gives_what_it_gave_before(
    dense: tiny_models.Dense, score: Score, wanted: dict[str, Any]
) -> None:
    plain = tiny_models.classifier(dense=dense)
    before = outputs(append_cam(plain, score=score, **wanted))
    model = append_cam(plain, score=score, replaceable=True, **wanted)
    onnx.checker.check_model(skeleton(model), full_check=True)
    layer = opened(model)
    assert layer is not None
    now = outputs(model)
    assert set(now) == {*before, layer.embedding}
    for name, values in before.items():
        np.testing.assert_allclose(now[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("dense", ["MatMul", "Gemm", "GemmT", "Conv"])
@pytest.mark.parametrize(("task", "softmax"), [("single-label", True), ("single-label", False), ("multi-label", False)])
def test_scores_and_maps_of_other_classes_are_those_of_float64(
    dense: tiny_models.Dense, task: Task, softmax: bool, tmp_path: Path
) -> None:
    plain = tiny_models.classifier(dense=dense, softmax=softmax)
    path = tmp_path / "tiny.onnx"
    contract = written(append_cam(plain, task=task, method=("grad-cam", "signed"), replaceable=True), path)
    found = check_other_classes(path, contract, tiny_models.images(3))
    assert found.counts == (3, 17)
    assert found.maps == 2 * 2 * 9
    assert found.float64 < 5e-6
    assert found.scores < 1e-6


@pytest.mark.parametrize(
    ("score", "layer", "methods"),
    [("logit", None, ("grad-cam", "signed")), ("probability", "feature", ("grad-cam", "grad-cam++", "signed"))],
)
def test_maps_by_the_closed_form_and_by_the_reverse_pass_are_exact_for_other_classes(
    score: Score, layer: str | None, methods: tuple[str, ...], tmp_path: Path
) -> None:
    model = append_cam(DenseTail().model(), score=score, layer=layer, method=methods, replaceable=True)
    path = tmp_path / "tiny.onnx"
    found = check_other_classes(path, written(model, path, score), tiny_models.images(3))
    assert found.maps == 2 * len(methods) * 9
    assert found.float64 < 1e-5


def test_a_dense_layer_on_the_flattened_map_is_not_folded(tmp_path: Path) -> None:
    """Its weights, summed over the map's cells, would be those of the first classes for ever."""
    random = np.random.default_rng(1)
    plain = tiny_models.classifier()
    keep = [node for node in plain.graph.node if node.op_type not in ("GlobalAveragePool", "Reshape")]
    place = next(index for index, node in enumerate(keep) if node.op_type == "Gemm")
    keep.insert(place, helper.make_node("Flatten", ["feature"], ["vector"], "flat"))
    del plain.graph.node[:]
    plain.graph.node.extend(keep)
    weights = next(each for each in plain.graph.initializer if each.name == "weights")
    weights.CopyFrom(numpy_helper.from_array(random.normal(0, 0.1, (1024, 10)).astype(np.float32), "weights"))
    before = outputs(append_cam(plain))
    path = tmp_path / "flat.onnx"
    model = append_cam(plain, replaceable=True)
    contract = written(model, path)
    for name, values in before.items():
        np.testing.assert_allclose(outputs(model)[name], values, rtol=1e-5, atol=1e-6)
    assert check_other_classes(path, contract, tiny_models.images(3)).float64 < 5e-6


def test_the_check_sees_a_head_that_holds_the_first_classes_weights(tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    model = append_cam(tiny_models.classifier(), replaceable=True)
    layer = opened(model)
    assert layer is not None
    model.graph.initializer.append(numpy_helper.from_array(stored(model, layer.weights), "fixed"))
    head = [node for node in model.graph.node if node.op_type == "Gemm" and node.name != "whycam/last_layer"]
    for node in head:
        node.input[1] = "fixed"
    assert head
    contract = written(model, path)
    (same_count,) = random_sets(path, layer, (10,))
    with pytest.raises(Disagreement, match=r"in float64|other heatmaps"):
        compare(path, tiny_models.images(3), (-1, -2, -3), class_set=same_count).check()
    assert contract.last_layer == layer


def test_two_classes_of_one_number_are_learned_on_the_vector_before_it(tmp_path: Path) -> None:
    plain = tiny_models.classifier(classes=2)
    head = next(node for node in plain.graph.node if node.op_type == "Gemm")
    for name in ("weights", "bias"):
        tensor = next(each for each in plain.graph.initializer if each.name == name)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[..., :1].copy(), name))
    head.output[0] = "number"
    softmax = next(node for node in plain.graph.node if node.op_type == "Softmax")
    plain.graph.node.remove(softmax)
    plain.graph.node.append(helper.make_node("Sigmoid", ["number"], ["probabilities"], "sigmoid"))
    plain.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    assert as_two_classes(plain)
    before = outputs_of_two(append_cam(plain))
    model = append_cam(plain, replaceable=True)
    now = outputs_of_two(model)
    layer = opened(model)
    assert layer == LastLayer("vector", "whycam/last_layer/weights", "whycam/last_layer/bias", 16)
    for name in before:
        np.testing.assert_allclose(now[name], before[name], rtol=1e-5, atol=1e-6)


def outputs_of_two(model: ModelProto) -> dict[str, NDArray[Any]]:
    feeds: dict[str, NDArray[Any]] = {"image": tiny_models.images(2), "target": np.array([[0, 1], [-1, -2]], np.int64)}
    names = ["scores", "classes", "heatmaps", "evidence"]
    return dict(zip(names, evaluate(model.SerializeToString(), feeds, names), strict=True))


def test_a_half_precision_files_last_layer_is_stored_in_float32_with_the_same_numbers() -> None:
    half = store_half(tiny_models.classifier(classes=300))
    assert any(node.op_type == "Cast" and node.output[0] == "weights" for node in half.graph.node)
    model = append_cam(half, replaceable=True)
    layer = opened(model)
    assert layer is not None
    weights = stored(model, layer.weights)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, stored(half, "whycam/half/weights").astype(np.float32))
    assert "whycam/half/weights" not in {each.name for each in model.graph.initializer}
    assert not any(node.output[0] == "weights" for node in model.graph.node)


def test_a_layer_without_a_bias_gets_one_of_zeros() -> None:
    plain = tiny_models.classifier()
    del next(node for node in plain.graph.node if node.op_type == "Gemm").input[2]
    before = outputs(append_cam(plain))
    model = append_cam(plain, replaceable=True)
    layer = opened(model)
    assert layer is not None
    np.testing.assert_array_equal(stored(model, layer.bias), np.zeros(10, np.float32))
    np.testing.assert_allclose(outputs(model)["scores"], before["scores"], atol=1e-6)


def test_a_file_takes_a_class_set_and_then_its_own_classes_again(tmp_path: Path) -> None:
    path = tiny_models.model(tmp_path / "tiny.onnx", replaceable=True)
    explainer = Explainer(path)
    layer = explainer.contract.last_layer
    assert layer is not None
    images = tiny_models.images(2)
    own = explainer.explain(images, BEST)
    assert own.embedding is not None
    assert own.embedding.shape == (2, layer.width)
    weights = np.random.default_rng(3).normal(size=(layer.width, 3)).astype(np.float32)
    three = ClassSet(("a", "b", "c"), weights, np.zeros(3, np.float32))
    found = explainer.explain(images, (-1, -2), three)
    assert found.scores.shape == (2, 3)
    assert found.heatmaps.shape == (2, 2, 8, 8)
    np.testing.assert_array_equal(explainer.explain(images, BEST).scores, own.scores)


def refused(plain: ModelProto, operator: str, *inputs: str, **attributes: Any) -> ModelProto:
    """The classifier with another operator on its logits, before the softmax."""
    node = helper.make_node(operator, ["logits", *inputs], ["changed"], "odd", **attributes)
    place = next(index for index, each in enumerate(plain.graph.node) if each.op_type == "Softmax")
    plain.graph.node[place].input[0] = "changed"
    plain.graph.node.insert(place, node)
    return plain


def scaled() -> ModelProto:
    plain = tiny_models.classifier()
    plain.graph.initializer.append(numpy_helper.from_array(np.linspace(1, 2, 10).astype(np.float32), "factors"))
    return refused(plain, "Mul", "factors")


def read_twice() -> ModelProto:
    """The shape of the logits is that of the probabilities, which are flat before."""
    plain = tiny_models.classifier()
    plain.graph.node[-1].output[0] = "made"
    plain.graph.node.append(helper.make_node("Shape", ["logits"], ["size"], "size"))
    plain.graph.node.append(helper.make_node("Reshape", ["made", "size"], ["probabilities"], "shaped"))
    return plain


def read_by_nobody() -> ModelProto:
    plain = tiny_models.classifier()
    plain.graph.node.append(helper.make_node("Neg", ["logits"], ["negated"], "negated"))
    return plain


def quantized() -> ModelProto:
    plain = tiny_models.classifier()
    weights = next(each for each in plain.graph.initializer if each.name == "weights")
    weights.CopyFrom(numpy_helper.from_array(np.ones((16, 10), np.int8), "integers"))
    plain.graph.initializer.append(numpy_helper.from_array(np.float32(0.1), "scale"))
    plain.graph.node.insert(0, helper.make_node("DequantizeLinear", ["integers", "scale"], ["weights"], "dequantize"))
    return plain


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (scaled, "not one plain dense layer, because its logits come from Mul 'odd'"),
        (lambda: refused(tiny_models.classifier(), "Relu"), "because its logits come from Relu 'odd'"),
        (read_twice, "Shape 'size' reads the output of its last layer too"),
        (quantized, "in 8 bits"),
    ],
)
def test_a_network_whose_last_layer_cannot_be_replaced_says_why(made: Any, why: str) -> None:
    plain = made()
    with pytest.raises(FixedClasses, match=why):
        append_cam(plain, replaceable=True)
    assert opened(append_cam(plain, layer="feature")) is None


def test_what_no_output_depends_on_is_left_out() -> None:
    model = append_cam(read_by_nobody(), replaceable=True)
    assert opened(model)
    assert "negated" not in {node.name for node in model.graph.node}


def test_what_is_declared_takes_any_number_of_classes() -> None:
    model = append_cam(tiny_models.classifier(), replaceable=True)
    sizes = {
        each.name: [dim.dim_param or dim.dim_value for dim in each.type.tensor_type.shape.dim]
        for each in (*model.graph.input, *model.graph.output)
    }
    assert sizes["whycam/last_layer/weights"] == [16, "C"]
    assert sizes["whycam/last_layer/bias"] == ["C"]
    assert sizes["scores"] == ["N", "C"]
    assert sizes["vector"] == ["N", 16]
    assert all(each.type.tensor_type.elem_type == TensorProto.FLOAT for each in model.graph.input[2:])
