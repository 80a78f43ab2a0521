"""The CAM head against Grad-CAM written out in NumPy's float64, on the same activations."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper, version_converter

from tests.support.models import tiny_models
from whycam.export.head.covered import UnsupportedTail
from whycam.export.head.grad_cam import append_cam
from whycam.export.precision.half import store_half
from whycam.models.contract import OPSET, Score, Tensor, read_contract
from whycam.stream.inference.explainer import evaluate

SCORES = get_args(Score)
FINE = 1e-5


def explain(model: ModelProto, images: NDArray[np.uint8], targets: list[Any]) -> dict[str, NDArray[Any]]:
    """All outputs of an explainable graph, and its feature map."""
    opened = ModelProto()
    opened.CopyFrom(model)
    opened.graph.output.append(helper.make_tensor_value_info("feature", onnx.TensorProto.FLOAT, None))
    target = np.broadcast_to(np.array(targets, np.int64), (len(images), len(targets)))
    names = ["scores", "classes", "heatmaps", "evidence", "feature"]
    return dict(
        zip(names, evaluate(opened.SerializeToString(), {"image": images, "target": target}, names), strict=True)
    )


def weights_of(model: ModelProto) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The dense layer's weights [channels, classes] and bias, in float64."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    node = next(node for node in model.graph.node if node.name == "dense")
    weights = stored[node.input[1]].astype(np.float64)
    if node.op_type == "Conv":
        weights = weights[:, :, 0, 0].T
    elif any(each.name == "transB" and each.i for each in node.attribute):
        weights = weights.T
    return weights, stored["bias"].astype(np.float64)


def grad_cam(
    feature: NDArray[np.float32],
    weights: NDArray[np.float64],
    bias: NDArray[np.float64],
    classes: NDArray[np.int64],
    score: str,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Logits (N, C), maps before normalisation (N, K, h, w) and heatmaps, by Grad-CAM's equations."""
    maps = feature.astype(np.float64)
    logits = maps.mean((2, 3)) @ weights + bias
    raw = np.zeros((*classes.shape, *maps.shape[2:]))
    for n, k in np.ndindex(classes.shape):
        seed = np.zeros(weights.shape[1])
        seed[classes[n, k]] = 1
        if score == "probability":
            others = logits[n].copy()
            others[classes[n, k]] = -np.inf
            seed -= softmax(others)
        alpha = weights @ seed / maps[0, 0].size
        raw[n, k] = np.maximum(np.tensordot(alpha, maps[n], 1), 0)
    peak = raw.max((2, 3), keepdims=True)
    return logits, raw, np.divide(raw, peak, out=np.zeros_like(raw), where=peak > 0)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def check(plain: ModelProto, score: Score, *, batch: int = 3, targets: tuple[int, ...] = (-1, -2, 4)) -> None:
    model = append_cam(plain, score=score)
    onnx.checker.check_model(model, full_check=True)
    found = explain(model, tiny_models.images(batch, seed=7), list(targets))
    logits, raw, heatmaps = grad_cam(found["feature"], *weights_of(plain), found["classes"], score)
    order = np.argsort(-logits, axis=1)
    resolved = [[order[n, -1 - t] if t < 0 else t for t in targets] for n in range(batch)]
    np.testing.assert_array_equal(found["classes"], np.array(resolved, np.int64).reshape(batch, len(targets)))
    np.testing.assert_allclose(found["scores"], softmax(logits), atol=1e-6)
    np.testing.assert_allclose(found["heatmaps"], heatmaps, atol=FINE)
    np.testing.assert_allclose(found["evidence"], raw.max((2, 3)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("layout", get_args(tiny_models.Layout))
@pytest.mark.parametrize("pooling", get_args(tiny_models.Pooling))
@pytest.mark.parametrize("dense", get_args(tiny_models.Dense))
def test_heatmaps_agree_with_float64_for_every_form_of_the_tail(
    score: Score, layout: tiny_models.Layout, pooling: tiny_models.Pooling, dense: tiny_models.Dense
) -> None:
    check(tiny_models.classifier(layout=layout, pooling=pooling, dense=dense), score)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("targets", [(), (-1,), (-1, -2, -3, -4, -5), (-10, -1, 0, 9)])
def test_any_number_of_images_and_of_classes_is_explained(score: Score, batch: int, targets: tuple[int, ...]) -> None:
    check(tiny_models.classifier(), score, batch=batch, targets=targets)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("dense", get_args(tiny_models.Dense))
def test_a_model_that_ends_in_logits_still_scores_in_probabilities(score: Score, dense: tiny_models.Dense) -> None:
    check(tiny_models.classifier(softmax=False, dense=dense), score)


def test_each_image_may_have_its_own_targets() -> None:
    model = append_cam(tiny_models.classifier())
    images = tiny_models.images(2)
    target = np.array([[3, -1], [-2, 5]], np.int64)
    classes, heatmaps = evaluate(
        model.SerializeToString(), {"image": images, "target": target}, ["classes", "heatmaps"]
    )
    for row in range(2):
        alone = explain(model, images[row : row + 1], list(target[row]))
        np.testing.assert_array_equal(classes[row], alone["classes"][0])
        np.testing.assert_allclose(heatmaps[row], alone["heatmaps"][0], atol=1e-6)


def test_a_probability_that_rounds_to_one_keeps_its_heatmap() -> None:
    plain = tiny_models.classifier(sharpness=30)
    found = explain(append_cam(plain), tiny_models.images(4), [-1])
    best = found["scores"].max(1)
    assert (best * (1 - best) == 0).any(), "automatic differentiation's factor should be 0, or the test proves nothing"
    _, _, heatmaps = grad_cam(found["feature"], *weights_of(plain), found["classes"], "probability")
    np.testing.assert_allclose(found["heatmaps"], heatmaps, atol=FINE)
    assert (heatmaps[best == 1].max((1, 2, 3)) == 1).all()


@pytest.mark.parametrize("score", SCORES)
def test_a_map_without_positive_evidence_is_zero_and_not_nan(score: Score) -> None:
    weights = np.full((16, 4), -1, np.float32)
    weights[:, 0] = 1  # all evidence is for class 0, and against the others
    found = explain(append_cam(tiny_models.classifier(weights=weights), score=score), tiny_models.images(2), [0, 1, 2])
    assert (found["evidence"][:, 0] > 0).all()
    assert (found["heatmaps"][:, 1:] == 0).all()
    assert (found["evidence"][:, 1:] == 0).all()
    assert all(np.isfinite(found[name]).all() for name in ("scores", "heatmaps", "evidence"))


@pytest.mark.parametrize("score", SCORES)
def test_an_empty_feature_map_explains_nothing_and_is_not_nan(score: Score) -> None:
    kernel = np.full((8, 3, 4, 4), -1, np.float32)
    weights = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
    model = append_cam(tiny_models.classifier(kernel=kernel, weights=weights, mean=0), score=score)
    found = explain(model, np.full((1, 32, 32, 3), 200, np.uint8), [-1, -2])
    assert found["heatmaps"].shape == (1, 2, 8, 8)
    assert (found["heatmaps"] == 0).all()
    assert (found["evidence"] == 0).all()


@pytest.mark.parametrize("score", SCORES)
def test_a_softmax_may_come_before_the_last_flattening(score: Score) -> None:
    plain = tiny_models.classifier(dense="Conv", softmax=False)  # ... Conv -> points (N, C, 1, 1) -> Reshape -> logits
    place, flatten = next(each for each in enumerate(plain.graph.node) if each[1].input[0] == "points")
    flatten.input[0] = "soft"
    plain.graph.node.insert(place, helper.make_node("Softmax", ["points"], ["soft"], "softmax", axis=1))
    check(plain, score)
    plain.graph.node[place].attribute[0].i = 2
    with pytest.raises(UnsupportedTail, match=r"Softmax 'softmax'.*over the classes"):
        append_cam(plain)


def test_two_classes_are_enough() -> None:
    for score in SCORES:
        check(tiny_models.classifier(classes=2), score, targets=(-1, -2, 0, 1))


def test_weights_stored_in_half_precision_are_the_ones_explained() -> None:
    plain = tiny_models.classifier(classes=200)
    model = append_cam(store_half(plain))
    onnx.checker.check_model(model, full_check=True)
    assert len(model.SerializeToString()) < 0.8 * len(append_cam(plain).SerializeToString())
    found = explain(model, tiny_models.images(2), [-1, 7])
    weights, bias = weights_of(plain)
    rounded = weights.astype(np.float16).astype(np.float64)
    logits, _, heatmaps = grad_cam(found["feature"], rounded, bias, found["classes"], "probability")
    np.testing.assert_allclose(found["scores"], softmax(logits), atol=1e-6)
    np.testing.assert_allclose(found["heatmaps"], heatmaps, atol=FINE)


def between(plain: ModelProto, *nodes: onnx.NodeProto, **constants: NDArray[Any]) -> ModelProto:
    """The classifier with nodes inserted between logits and softmax: from 'logits' to 'changed'."""
    place = next(place for place, node in enumerate(plain.graph.node) if node.op_type == "Softmax")
    plain.graph.node[place].input[0] = "changed"
    for offset, node in enumerate(nodes):
        plain.graph.node.insert(place + offset, node)
    for name, value in constants.items():
        plain.graph.initializer.append(numpy_helper.from_array(value, name))
    return plain


RANDOM = np.random.default_rng(3)
FACTORS = RANDOM.uniform(0.5, 2, 10).astype(np.float32)
MIX = RANDOM.normal(size=(10, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("operator", "inputs", "constant", "matrix", "shift"),
    [
        ("Mul", ["logits", "c"], FACTORS, np.diag(FACTORS), 0),
        ("Mul", ["c", "logits"], FACTORS[None], np.diag(FACTORS), 0),
        ("Div", ["logits", "c"], np.array(2, np.float32), np.eye(10) / 2, 0),
        ("Add", ["c", "logits"], FACTORS, np.eye(10), FACTORS),
        ("Sub", ["logits", "c"], FACTORS, np.eye(10), -FACTORS),
        ("Sub", ["c", "logits"], FACTORS, -np.eye(10), FACTORS),
        ("MatMul", ["logits", "c"], MIX, MIX, 0),
        ("Identity", ["logits"], FACTORS, np.eye(10), 0),
        ("Dropout", ["logits"], FACTORS, np.eye(10), 0),
        ("Flatten", ["logits"], FACTORS, np.eye(10), 0),
    ],
)
def test_the_walk_goes_back_through(
    operator: str, inputs: list[str], constant: NDArray[np.float32], matrix: NDArray[Any], shift: Any
) -> None:
    plain = tiny_models.classifier()
    weights, bias = weights_of(plain)
    changed = between(plain, helper.make_node(operator, inputs, ["changed"], "between"), c=constant)
    if operator == "MatMul":
        changed.graph.output[0].type.tensor_type.shape.dim[1].dim_value = constant.shape[1]
    for score in SCORES:
        found = explain(append_cam(changed, score=score), tiny_models.images(2), [-1, -2, 3])
        logits, _, heatmaps = grad_cam(
            found["feature"], weights @ matrix, bias @ matrix + shift, found["classes"], score
        )
        np.testing.assert_allclose(found["scores"], softmax(logits), atol=1e-6)
        np.testing.assert_allclose(found["heatmaps"], heatmaps, atol=FINE)


@pytest.mark.parametrize(
    ("operator", "inputs"),
    [("Sigmoid", ["logits"]), ("LogSoftmax", ["logits"]), ("Mul", ["logits", "logits"]), ("Div", ["c", "logits"])],
)
def test_any_other_tail_is_refused_by_operator_and_node(operator: str, inputs: list[str]) -> None:
    changed = between(
        tiny_models.classifier(), helper.make_node(operator, inputs, ["changed"], "the culprit"), c=FACTORS
    )
    with pytest.raises(UnsupportedTail, match=f"{operator} 'the culprit'") as caught:
        append_cam(changed)
    assert (caught.value.operator, caught.value.node) == (operator, "the culprit")


def test_a_pooling_over_channels_is_refused() -> None:
    plain = tiny_models.classifier(pooling="ReduceMean")
    pool = next(node for node in plain.graph.node if node.name == "pool")
    next(each for each in pool.attribute if each.name == "axes").ints[:] = [1, 3]
    for tensor in plain.graph.initializer:
        if tensor.name == "shape":
            tensor.CopyFrom(numpy_helper.from_array(np.array([-1, 8], np.int64), "shape"))
        if tensor.name == "weights":
            tensor.CopyFrom(numpy_helper.from_array(np.ones((8, 10), np.float32), "weights"))
    with pytest.raises(UnsupportedTail, match=r"ReduceMean 'pool'.*axes \[1, 3\]"):
        append_cam(plain)


def test_only_stock_operators_are_used_and_none_is_a_gradient() -> None:
    for score in SCORES:
        model = append_cam(tiny_models.classifier(), score=score)
        assert {node.domain for node in model.graph.node} == {""}
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
        assert model.ir_version == 8
        assert not [node for node in model.graph.node if "Grad" in node.op_type]


def test_the_graph_satisfies_the_contract() -> None:
    model = append_cam(tiny_models.classifier(classes=7))
    names = {onnx.TensorProto.FLOAT: "tensor(float)", onnx.TensorProto.INT64: "tensor(int64)", 2: "tensor(uint8)"}

    def tensors(values: Any) -> list[Tensor]:
        return [
            Tensor(
                value.name,
                names[value.type.tensor_type.elem_type],
                [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim],
            )
            for value in values
        ]

    metadata = tiny_models.contract(
        [f"class {number}" for number in range(7)], "probability", "stretch", "tiny"
    ).metadata()
    contract = read_contract(metadata, tensors(model.graph.input), tensors(model.graph.output))
    assert (contract.input_size, contract.map_size) == ((32, 32), (8, 8))


def test_a_network_may_use_the_names_of_the_contract() -> None:
    plain = tiny_models.classifier()
    for old, new in (("probabilities", "scores"), ("vector", "target"), ("mean", "heatmaps")):
        for node in plain.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]
        for value in plain.graph.output:
            value.name = new if value.name == old else value.name
    check(plain, "probability")


def test_the_given_classifier_is_unchanged() -> None:
    plain = tiny_models.classifier()
    before = plain.SerializeToString()
    append_cam(plain)
    assert plain.SerializeToString() == before


@pytest.mark.parametrize("version", [7, 9, 11, 13, 16, 18, 20, 21, 23, 24, 26, 28])
@pytest.mark.parametrize("pooling", get_args(tiny_models.Pooling))
def test_every_opset_gives_the_same_maps(version: int, pooling: tiny_models.Pooling) -> None:
    plain = tiny_models.classifier(pooling=pooling)
    plain.opset_import[0].version = version
    for node in plain.graph.node:
        if node.op_type == "ReduceMean" and version >= 18:
            axes = next(each for each in node.attribute if each.name == "axes")
            plain.graph.initializer.append(numpy_helper.from_array(np.array(axes.ints, np.int64), "axes"))
            node.attribute.remove(axes)
            node.input.append("axes")
    check(plain, "probability")
    assert append_cam(plain).opset_import[0].version == max(version, 17)


def test_a_log_softmax_at_the_end_counts_as_logits() -> None:
    plain = tiny_models.classifier()
    next(node for node in plain.graph.node if node.op_type == "Softmax").op_type = "LogSoftmax"
    model = append_cam(plain)
    images = tiny_models.images(3)
    found, expected = (explain(each, images, [-1, 2]) for each in (model, append_cam(tiny_models.classifier())))
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)
    check(plain, "probability")


@pytest.mark.parametrize("version", [6, 29])
def test_an_opset_that_is_too_old_or_too_new_is_refused(version: int) -> None:
    plain = tiny_models.classifier()
    plain.opset_import[0].version = version
    with pytest.raises(ValueError, match=f"opset {version}; export it with opset 7 to 28"):
        append_cam(plain)


def test_a_conversion_that_changes_the_outputs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = tiny_models.classifier()
    plain.opset_import[0].version = 11
    convert = version_converter.convert_version

    def wrong(model: ModelProto, version: int) -> ModelProto:
        made = convert(model, version)
        next(node for node in made.graph.node if node.op_type == "Relu").op_type = "Identity"
        return made

    monkeypatch.setattr(version_converter, "convert_version", wrong)
    with pytest.raises(ValueError, match="the model computes something else"):
        append_cam(plain)


def test_a_model_that_is_not_a_classifier_is_refused() -> None:
    with pytest.raises(ValueError, match="one input"):
        append_cam(append_cam(tiny_models.classifier()))
    several = tiny_models.classifier()
    several.graph.output.append(helper.make_tensor_value_info("feature", onnx.TensorProto.FLOAT, None))
    with pytest.raises(ValueError, match=r"one output.*2"):
        append_cam(several)
    fixed = tiny_models.classifier()
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(ValueError, match="batch"):
        append_cam(fixed)
    with pytest.raises(ValueError, match="2 or more classes"):
        append_cam(tiny_models.classifier(classes=1))


def test_the_bright_spot_model_looks_at_the_bright_spot(tmp_path: Path) -> None:
    from whycam.stream.inference.explainer import Explainer

    explainer = Explainer(tiny_models.bright_spot(tmp_path / "spot.onnx"))
    images = np.full((3, 32, 32, 3), 60, np.uint8)
    for colour in range(3):
        images[colour, 8:16, 20:24, colour] = 255
    found = explainer.explain(images, [-1])
    assert found.classes[:, 0].tolist() == [0, 1, 2]
    assert (found.scores.max(1) > 0.9).all()
    expected = np.zeros((8, 8))
    expected[2:4, 5] = 1
    np.testing.assert_allclose(found.heatmaps[:, 0], np.broadcast_to(expected, (3, 8, 8)), atol=1e-6)
