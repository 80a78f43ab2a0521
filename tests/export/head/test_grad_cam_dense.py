"""The CAM head of classifiers with dense tails like VGG16's, against central differences in NumPy's float64."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.support.models import tiny_models
from tests.support.models.dense_tail_models import Dense, DenseTail, Flattening, Gate, Norm, Pooling, grad_cam
from whycam.export.head.covered import UnsupportedTail
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.tail import find_feature
from whycam.export.precision.half import store_half
from whycam.export.save import save
from whycam.export.verify.activations import observe
from whycam.export.verify.agreement import compare
from whycam.export.verify.reference import Reference
from whycam.models.contract import OPSET, Score
from whycam.stream.inference.explainer import Explainer, evaluate

SCORES = get_args(Score)
TARGETS = (-1, -2, 4)
OUTPUTS = ["scores", "classes", "heatmaps", "evidence"]


def explain(model: ModelProto, images: NDArray[np.uint8], targets: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """All outputs, and the feature map, which is called 'feature' in every network here."""
    target = np.broadcast_to(np.array(targets, np.int64), (len(images), len(targets)))
    opened = ModelProto()
    opened.CopyFrom(model)
    opened.graph.output.append(helper.make_tensor_value_info("feature", TensorProto.FLOAT, None))
    names = [*OUTPUTS, "feature"]
    values = evaluate(opened.SerializeToString(), {"image": images, "target": target}, names)
    return dict(zip(names, values, strict=True))


def check(tail: DenseTail, score: Score = "probability", *, targets: tuple[int, ...] = TARGETS, seed: int = 7) -> None:
    model = append_cam(tail.model(), score=score)
    onnx.checker.check_model(model, full_check=True)
    found = explain(model, tiny_models.images(3, seed=seed), targets)
    logits = tail.logits(found["feature"].astype(np.float64))
    order = np.argsort(-logits, axis=1)
    resolved = [[order[n, -1 - t] if t < 0 else t for t in targets] for n in range(3)]
    np.testing.assert_array_equal(found["classes"], np.array(resolved).reshape(3, len(targets)))
    powers = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(found["scores"], powers / powers.sum(1, keepdims=True), atol=1e-6)
    raw, exact = grad_cam(tail.logits, found["feature"], found["classes"], score)
    np.testing.assert_allclose(found["heatmaps"], exact, atol=1e-5)
    np.testing.assert_allclose(found["evidence"], raw.max((2, 3)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("flattening", get_args(Flattening))
@pytest.mark.parametrize("dense", get_args(Dense))
@pytest.mark.parametrize("norm", get_args(Norm))
def test_heatmaps_agree_with_float64_for_every_form_of_the_tail(
    score: Score, flattening: Flattening, dense: Dense, norm: Norm
) -> None:
    check(DenseTail(flattening=flattening, dense=dense, norm=norm), score)


@pytest.mark.parametrize("pooling", get_args(Pooling))
@pytest.mark.parametrize("flattening", get_args(Flattening))
def test_poolings_need_no_operator_in_the_head(pooling: Pooling, flattening: Flattening) -> None:
    check(DenseTail(pooling=pooling, flattening=flattening))


@pytest.mark.parametrize("gate", get_args(Gate))
@pytest.mark.parametrize("norm", get_args(Norm))
def test_gates_pass_the_gradient_of_unclipped_entries(gate: Gate, norm: Norm) -> None:
    check(DenseTail(gate=gate, norm=norm))


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("dropout", [False, True])
def test_a_network_may_end_in_logits_and_contain_dropout(score: Score, dropout: bool) -> None:
    check(DenseTail(softmax=False, dropout=dropout), score)


@pytest.mark.parametrize("flattening", get_args(Flattening))
def test_operators_between_flattening_and_first_dense_layer_are_supported(flattening: Flattening) -> None:
    check(DenseTail(flattening=flattening, flat_norm=True))
    check(DenseTail(flattening=flattening, flat_relu=True))
    check(DenseTail(flattening=flattening, flat_norm=True, flat_relu=True))


@pytest.mark.parametrize("targets", [(), (-1,), (-10, -1, 0, 9)])
def test_any_number_of_classes_is_explained(targets: tuple[int, ...]) -> None:
    check(DenseTail(), targets=targets)


def test_a_probability_that_rounds_to_one_keeps_its_heatmap() -> None:
    tail = DenseTail(sharpness=60)
    check(tail, targets=(-1,))
    best = explain(append_cam(tail.model()), tiny_models.images(3, seed=7), (-1,))
    assert (best["scores"].max(1) == 1).all(), "or the test proves nothing"
    assert (best["heatmaps"].max((2, 3)) == 1).any()


def test_where_every_gate_is_closed_nothing_is_explained() -> None:
    found = explain(append_cam(DenseTail(shift=-1000).model()), tiny_models.images(2), TARGETS)
    assert (found["heatmaps"] == 0).all()
    assert (found["evidence"] == 0).all()


@pytest.mark.parametrize("pooling", ["MaxPool", "overlapping", "padded", "AveragePool"])
def test_ties_for_the_largest_cell_do_not_matter(pooling: Pooling) -> None:
    tail = DenseTail(pooling=pooling, flattening="NHWC")
    model = append_cam(tail.model())
    image = np.full((1, 32, 32, 3), (200, 90, 30), np.uint8)
    found = explain(model, image, TARGETS)
    assert np.ptp(found["feature"], axis=(2, 3)).max() == 0, "every window should tie, or the test proves nothing"
    _, exact = grad_cam(tail.logits, found["feature"], found["classes"], "probability")
    np.testing.assert_allclose(found["heatmaps"], exact, atol=1e-5)
    assert (found["heatmaps"] == 1).any()


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    "tail",
    [DenseTail(pooling=pooling, flattening="NHWC", norm="Mul") for pooling in get_args(Pooling)]
    + [DenseTail(flat_norm=True, flat_relu=True, norm="BatchNormalization", gate="Clip", dense="MatMul")]
    + [DenseTail(flattening="tf2onnx", dense="GemmT")],
)
def test_the_checks_backpropagation_is_correct(tail: DenseTail, score: Score) -> None:
    model = append_cam(tail.model(), score=score)
    reference = Reference(model, "feature")
    images = tiny_models.images(3, seed=7)
    classes = np.broadcast_to(np.array([0, 4, 9], np.int64), (3, 3))
    seen = observe(model, reference.needed, images, classes)
    _, exact = grad_cam(tail.logits, seen["feature"], classes, score)
    np.testing.assert_allclose(reference.heatmaps(seen, classes, score), exact, atol=5e-6)  # from float32 logits
    assert reference.deviation(seen) < 1e-5


@pytest.mark.parametrize("dense", get_args(Dense))
def test_the_file_grows_by_the_summed_weights_of_one_layer_only(dense: Dense) -> None:
    tail = DenseTail(dense=dense)
    plain = tail.model()
    model = append_cam(plain)
    added = {tensor.name: tensor for tensor in model.graph.initializer} | {}
    for tensor in plain.graph.initializer:
        del added[tensor.name]
    sizes = sorted(int(np.prod(tensor.dims)) for tensor in added.values())
    assert sizes[-1] == 12 * 6  # the first layer, [96, 12], summed over its 16 cells
    assert sum(sizes[:-1]) < 40
    shared = [name for node in model.graph.node for name in node.input if name in ("w2", "w2t", "w3", "w3t")]
    assert len(shared) == 4, "the forward pass and the head each read both"


def test_weights_stored_in_half_precision_are_the_ones_explained() -> None:
    tail = DenseTail(pooling="none")  # the first layer's 384x12 weights are the only ones large enough
    found = explain(append_cam(store_half(tail.model())), tiny_models.images(2), TARGETS)

    class Rounded(DenseTail):
        def constants(self) -> dict[str, NDArray[np.float32]]:
            own = super().constants()
            return own | {"w1": own["w1"].astype(np.float16).astype(np.float32)}

    _, exact = grad_cam(Rounded(pooling="none").logits, found["feature"], found["classes"], "probability")
    np.testing.assert_allclose(found["heatmaps"], exact, atol=1e-5)
    with pytest.raises(ValueError, match="then append the head"):
        store_half(append_cam(tail.model()))


def test_an_older_opset_is_converted() -> None:
    model = DenseTail(flattening="tf2onnx", norm="Mul").model()
    model.opset_import[0].version = 13
    converted = append_cam(model)
    assert converted.opset_import[0].version == OPSET
    found = explain(converted, tiny_models.images(2), TARGETS)
    tail = DenseTail(flattening="tf2onnx", norm="Mul")
    _, exact = grad_cam(tail.logits, found["feature"], found["classes"], "probability")
    np.testing.assert_allclose(found["heatmaps"], exact, atol=1e-5)


def change(model: ModelProto, operator: str, **attributes: Any) -> ModelProto:
    """Set attributes of the last node with an operator."""
    node = [node for node in model.graph.node if node.op_type == operator][-1]
    kept = [each for each in node.attribute if each.name not in attributes]
    del node.attribute[:]
    node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in attributes.items())])
    return model


def test_the_error_for_an_unsupported_operator_names_it_and_its_node() -> None:
    counting = change(DenseTail(pooling="AveragePool").model(), "AveragePool", count_include_pad=1)
    with pytest.raises(UnsupportedTail, match=r"AveragePool .*counts padding"):
        append_cam(counting)
    training = change(DenseTail(norm="BatchNormalization").model(), "BatchNormalization", training_mode=1)
    next(node for node in training.graph.node if node.op_type == "BatchNormalization").output.extend(["m", "v"])
    with pytest.raises(UnsupportedTail, match=r"BatchNormalization .*training"):
        append_cam(training)
    for operator in ("Sigmoid", "Elu", "Tanh"):
        other = DenseTail().model()
        [node for node in other.graph.node if node.op_type == "Relu"][-1].op_type = operator
        with pytest.raises(UnsupportedTail, match=f"{operator} .*no rule"):
            append_cam(other)


@pytest.mark.parametrize("training", [False, True])
def test_a_dropout_with_training_off_is_supported(training: bool) -> None:
    model = DenseTail(dropout=True).model()
    next(node for node in model.graph.node if node.op_type == "Dropout").input.append("training")
    model.graph.initializer.append(numpy_helper.from_array(np.array(training), "training"))
    if training:
        with pytest.raises(UnsupportedTail, match=r"Dropout .*training"):
            append_cam(model)
    else:
        append_cam(model)


@pytest.mark.parametrize("flattening", get_args(Flattening))
def test_a_map_that_is_clipped_after_its_pooling_is_the_pooled_one(flattening: Flattening, tmp_path: Path) -> None:
    model = DenseTail(flattening=flattening).model()
    place, pool = next(each for each in enumerate(model.graph.node) if each[1].op_type == "MaxPool")
    model.graph.node.insert(place + 1, helper.make_node("Relu", ["large"], [pool.output[0]], "late"))
    pool.output[0] = "large"
    ready = append_cam(model)
    feature = find_feature(ready)
    assert feature.flattened is not None
    assert (feature.height, feature.width, feature.flattened.cells) == (4, 4, 16)
    path = tmp_path / "late.onnx"
    about = tiny_models.contract([f"{n}" for n in range(10)], "probability", "stretch", "late")
    save(ready, replace(about, feature=feature.tensor), path)
    compare(path, tiny_models.images(3)).check()
    save(ready, about, path)
    with pytest.raises(ValueError, match=r"'feature' is \(6, 8, 8\) an image"):
        compare(path, tiny_models.images(3))


def test_a_map_that_is_padded_before_it_is_pooled_is_refused() -> None:
    model = DenseTail().model()
    place, pool = next(each for each in enumerate(model.graph.node) if each[1].op_type == "MaxPool")
    pool.input[0] = "padded"
    pads = numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64), "pads")
    model.graph.initializer.append(pads)
    model.graph.node.insert(place, helper.make_node("Pad", ["feature", "pads"], ["padded"], "frame"))
    with pytest.raises(UnsupportedTail, match=r"Pad 'frame'.*cover its padding"):
        append_cam(model)


def test_channels_flattened_between_height_and_width_are_refused() -> None:
    model = change(DenseTail(flattening="NHWC").model(), "Transpose", perm=[0, 2, 1, 3])
    with pytest.raises(UnsupportedTail, match="channels are axis 2"):
        append_cam(model)


def test_a_map_of_unknown_layout_is_refused() -> None:
    model = DenseTail(pooling="none").model()
    place, relu = next(each for each in enumerate(model.graph.node) if each[1].op_type == "Relu")
    relu.input[0] = "folded"
    shape = numpy_helper.from_array(np.array([-1, 6, 8, 8], np.int64), "grid")
    model.graph.initializer.append(shape)
    model.graph.node.insert(
        place, helper.make_node("Reshape", [model.graph.node[place - 1].output[0], "grid"], ["folded"])
    )
    with pytest.raises(UnsupportedTail, match="channels, height and width"):
        append_cam(model)


def test_the_example_in_the_documentation_makes_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "model.md").read_text("utf-8")
    example = page.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    onnx.save(DenseTail(classes=2).network(), "classifier.onnx")
    exec(example, {})
    assert Explainer(Path("mine.onnx")).contract.labels == ("cat", "dog")
    compare(Path("mine.onnx"), tiny_models.images(2), (-1, -2)).check()
