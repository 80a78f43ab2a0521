"""The check of a model file: it passes correct heatmaps and refuses wrong ones."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from tests.support.models import plain_classifier, tiny_models
from tests.support.models.dense_tail_models import DenseTail, Floats
from tests.support.models.dense_tail_models import grad_cam as central_differences
from whycam.export.graph.onnx_graph import Graph
from whycam.export.head import closed_form, grad_cam
from whycam.export.head.covered import GATE, SCALE
from whycam.export.head.ends import find_ends
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.tail import find_feature, find_tail
from whycam.export.preprocess import take_images
from whycam.export.save import save
from whycam.export.verify import activations, directional, double, max_pool, methods, operators, placement, reference
from whycam.export.verify import agreement as verify
from whycam.export.verify.activations import observe
from whycam.export.verify.agreement import Agreement, Disagreement, compare
from whycam.export.verify.autodiff import Autodiff, heatmap
from whycam.export.verify.reference import Reference
from whycam.export.verify.synthetic_images import scenes
from whycam.models.contract import Score
from whycam.stream.inference.explainer import BEST, Explainer, evaluate
from whycam.stream.inference.explanation import Explanation

LABELS = [f"class {number}" for number in range(10)]


@pytest.mark.parametrize("score", get_args(Score))
@pytest.mark.parametrize("layout", get_args(tiny_models.Layout))
@pytest.mark.parametrize("dense", get_args(tiny_models.Dense))
def test_a_right_head_agrees_with_backpropagation(
    score: Score, layout: tiny_models.Layout, dense: tiny_models.Dense, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.onnx"
    model = append_cam(tiny_models.classifier(layout=layout, dense=dense), score=score)
    save(model, tiny_models.contract(LABELS, score, "stretch", "tiny"), path)
    agreement = compare(path, tiny_models.images(3), BEST)
    assert (agreement.images, agreement.maps, agreement.autodiff) == (3, 15, None)
    assert agreement.float64 <= 1e-5
    agreement.check()


def cancelling(path: Path) -> Path:
    """A network of 64 channels that are multiples of one, with weights that leave an 800th of them for class 0."""
    model = plain_classifier.classifier()
    random = np.random.default_rng(0)
    gains, weights = random.uniform(0.5, 1.5, 64), random.normal(0, 1, (64, 3))
    weights[-1, 0] -= (gains @ weights[:, 0] - np.abs(gains @ np.abs(weights[:, 0])) / 800) / gains[-1]
    stored = {"kernel": np.broadcast_to(gains[:, None, None, None] / 48, (64, 3, 4, 4)), "weights": weights}
    del model.graph.initializer[:]
    model.graph.initializer.extend(numpy_helper.from_array(np.float32(value), name) for name, value in stored.items())
    plain = take_images(model, mean=[0], scale=[255])
    save(append_cam(plain, score="logit"), tiny_models.contract(LABELS[:3], "logit", "stretch", "rest"), path)
    return path


def test_a_map_is_as_exact_as_what_float32_holds_of_its_terms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, images = cancelling(tmp_path / "rest.onnx"), scenes(4, plain_classifier.SIZE, plain_classifier.SIZE)
    exact = Reference(onnx.load(path), "feature")
    classes = np.zeros((4, 1), np.int64)
    seen = observe(onnx.load(path), [*exact.needed, "heatmaps"], images, classes)
    maps, cancelled = exact.defined(seen, classes, "logit")
    assert np.abs(seen["heatmaps"] - maps).max() > verify.TOLERANCE
    assert (cancelled > 400).all()
    compare(path, images, [0]).check()
    assert (exact.defined(seen, classes + 1, "logit").cancelled < 100).all()
    monkeypatch.setattr(verify, "MAX_CANCELLED", 1)  # beyond it a map is rounding noise
    with pytest.raises(Disagreement, match="float64"):
        compare(path, images, [0]).check()


def test_a_head_with_other_weights_does_not_pass(tmp_path: Path) -> None:
    path = tiny_models.model(tmp_path / "tiny.onnx")
    model = onnx.load(path)
    gemm = [node for node in model.graph.node if node.op_type == "Gemm" and node.name != "dense"]
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == gemm[0].input[1])
    other = numpy_helper.from_array(numpy_helper.to_array(weights)[::-1].copy(), "other")
    model.graph.initializer.append(other)
    gemm[0].input[1] = "other"
    onnx.save(model, path)
    with pytest.raises(Disagreement, match="float64"):
        compare(path, tiny_models.images(2)).check()


class Otherwise(Explainer):
    """Inverts the non-zero cells of a map; most cells are 0 and stay so."""

    def explain(self, *given: Any) -> Explanation:
        found = super().explain(*given)
        return replace(found, heatmaps=np.where(found.heatmaps > 0, 1 - found.heatmaps, 0))


@pytest.mark.parametrize("seed", range(3))
def test_the_check_covers_the_drawn_heatmaps(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_models.model(tmp_path / "tiny.onnx")
    compare(path, tiny_models.images(4, seed=seed)).check()
    monkeypatch.setattr(verify, "Explainer", Otherwise)
    with pytest.raises(Disagreement, match="gives other heatmaps"):
        compare(path, tiny_models.images(4, seed=seed))


def test_maps_that_are_empty_in_both_are_not_compared() -> None:
    drawn = np.zeros((2, 4, 3, 3), np.float32)
    drawn[0, 0] = drawn[0, 1] = drawn[1, 2] = 1
    seen = drawn.copy()
    seen[0, 0, 1, 1] = seen[1, 2, 0, 0] = 0
    assert verify._median_difference(drawn, drawn) == 0
    assert verify._median_difference(drawn * 0, drawn * 0) == 0
    assert verify._median_difference(drawn, seen) == 1, "in two of the three non-empty maps"


def test_no_images_or_no_targets_are_refused(tmp_path: Path) -> None:
    path = tiny_models.model(tmp_path / "tiny.onnx")
    for images, targets in ((2, []), (0, [0])):
        with pytest.raises(ValueError, match="one image or more, and one target or more"):
            compare(path, tiny_models.images(2)[:images], targets)


def test_external_weights_are_loaded_or_requested(tmp_path: Path) -> None:
    path = beside(tiny_models.model(tmp_path / "tiny.onnx"))
    compare(path, tiny_models.images(2)).check()
    model = onnx.load(path, load_external_data=False)
    with pytest.raises(ValueError, match=r"weights are in a separate file.*onnx\.load\(path\)"):
        observe(model, ["scores"], tiny_models.images(1), np.array([[0]]))


def beside(path: Path) -> Path:
    """The same model with its larger weights in a separate file."""
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=600)
    assert path.with_name("weights.bin").stat().st_size > 600
    return path


def test_a_head_of_the_other_score_does_not_pass(tmp_path: Path) -> None:
    path = tmp_path / "mislabelled.onnx"
    save(
        append_cam(tiny_models.classifier(), score="logit"),
        tiny_models.contract(LABELS, "probability", "stretch", "tiny"),
        path,
    )
    with pytest.raises(Disagreement, match="float64"):
        compare(path, tiny_models.images(2)).check()


def test_weights_summed_in_the_wrong_order_do_not_pass(tmp_path: Path) -> None:
    path = dense(tmp_path / "dense.onnx")
    compare(path, tiny_models.images(2)).check()
    model = onnx.load(path)
    product = next(node for node in model.graph.node if node.op_type == "MatMul")
    summed = next(tensor for tensor in model.graph.initializer if tensor.name == product.input[1])
    weights = numpy_helper.to_array(next(tensor for tensor in model.graph.initializer if tensor.name == "w1"))
    # As if the map had been flattened channels last: [cells, channels, out] instead of [channels, cells, out].
    wrong = weights.reshape(16, 6, 12).sum(0).T
    summed.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(wrong), summed.name))
    onnx.save(model, path)
    with pytest.raises(Disagreement, match="float64"):
        compare(path, tiny_models.images(2)).check()


def test_a_head_that_ignores_a_gate_does_not_pass(tmp_path: Path) -> None:
    path = dense(tmp_path / "dense.onnx")
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "Sign":
            node.op_type = "Exp"  # exp(0) is 1, so clipped units pass
    onnx.save(model, path)
    with pytest.raises(Disagreement, match="float64"):
        compare(path, tiny_models.images(2)).check()


RICH = DenseTail(
    norm="BatchNormalization", gate="Clip", flat_norm=True, flat_relu=True, dropout=True, flattening="NHWC"
)
"""A tail with every kind of operator whose derivative is not 1."""


@pytest.mark.parametrize("which", range(6))
def test_a_walk_that_forgets_an_operator_does_not_pass(
    which: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tail = find_tail(graph := Graph(RICH.model()), find_ends(graph))
    places = [place for place, node in enumerate(tail) if node.op_type in GATE | SCALE | {"Sub"}]
    assert [tail[place].op_type for place in places] == ["Relu", "BatchNormalization", "Clip", "Relu", "Sub", "Mul"]

    def find_less(*given: Any) -> tuple[Any, list[NodeProto]]:
        feature, tail = find_tail(*given)
        return feature, [node for place, node in enumerate(tail) if place != places[which]]

    path = dense(tmp_path / "right.onnx", RICH)
    compare(path, tiny_models.images(4)).check()
    monkeypatch.setattr(grad_cam, "find_tail", find_less)
    with pytest.raises(Disagreement, match="float64"):
        compare(dense(tmp_path / "wrong.onnx", RICH), tiny_models.images(4)).check()


class Square(DenseTail):
    """Two dense layers with square weights, which a faulty walk may transpose unnoticed."""

    def constants(self) -> dict[str, NDArray[np.float32]]:
        own, random = super().constants(), np.random.default_rng(1)
        wide = {name: random.normal(0, 0.4, shape) for name, shape in (("w2", (12, 12)), ("b2", 12), ("w3", (12, 10)))}
        return own | {name: value.astype(np.float32) for name, value in wide.items()}


def test_a_walk_that_forgets_a_transposition_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dense(tmp_path / "right.onnx", Square())
    compare(path, tiny_models.images(4)).check()
    product = closed_form._product

    def untransposed(graph: Graph, gradient: Any, weights: str, width: int, *, transpose: bool) -> str:
        return product(graph, gradient, weights, width, transpose=transpose and gradient.width != width)

    monkeypatch.setattr(closed_form, "_product", untransposed)
    with pytest.raises(Disagreement, match="float64"):
        compare(dense(tmp_path / "wrong.onnx", Square()), tiny_models.images(4)).check()


def test_activations_that_differ_from_the_layers_do_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dense(tmp_path / "dense.onnx")
    evaluated = activations.evaluated

    def otherwise(*given: Any) -> dict[str, NDArray[np.float32]]:
        seen = evaluated(*given)
        logits = Reference(onnx.load(path), "feature").logits
        if logits not in seen:  # where patches are shown to the feature map
            return seen
        return seen | {logits: seen[logits] + 0.01 * np.abs(seen[logits]).max()}  # one shift for all: no map changes

    monkeypatch.setattr(verify, "evaluated", otherwise)
    with pytest.raises(Disagreement, match="layers after the feature map"):
        compare(path, tiny_models.images(2)).check()


def test_the_check_shares_no_code_with_what_it_checks() -> None:
    for module in (reference, operators, methods, placement, directional, double, max_pool):
        tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
        named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        ours = {name for name in named if name and name.partition(".")[0] in ("whycam", "tests")}
        own = {f"whycam.export.verify.{name}" for name in ("double", "max_pool", "methods", "operators", "reference")}
        assert ours <= own | {"whycam.models.contract"}


def test_the_layout_of_a_map_as_wide_as_it_has_channels_comes_from_its_producer(tmp_path: Path) -> None:
    for layout in get_args(tiny_models.Layout):
        plain = tiny_models.classifier(channels=8, layout=layout, pooling="ReduceMean")
        place, pool = next(each for each in enumerate(plain.graph.node) if each[1].op_type == "ReduceMean")
        plain.graph.node.insert(place, helper.make_node("Relu", [pool.input[0]], ["late"], "late"))
        pool.input[0] = "late"
        model = append_cam(plain)
        path, feature = tmp_path / f"{layout}.onnx", find_feature(model)
        assert (feature.channels, feature.height, feature.channels_last) == (8, 8, layout == "NHWC")
        save(
            model, replace(tiny_models.contract(LABELS, "probability", "stretch", "cube"), feature=feature.tensor), path
        )
        compare(path, tiny_models.images(3)).check()


def test_the_inputs_of_choosing_operators_are_recorded() -> None:
    model = append_cam(DenseTail(pooling="overlapping").model())
    node = next(node for node in model.graph.node if node.op_type == "Gemm")
    for operator in ("QuantizeLinear", "DequantizeLinear"):
        made = helper.make_node(operator, [node.input[0], "s", "z"], [operator])
        model.graph.node.insert(list(model.graph.node).index(node), made)
        node = next(each for each in model.graph.node if each.op_type == "Gemm")  # insert moves the later nodes
        node.input[0] = operator
    for name, value in (("s", np.float32(0.02)), ("z", np.int8(-128))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    needed = Reference(model, "feature").needed
    choosing = [each for each in model.graph.node if each.op_type in ("MaxPool", "QuantizeLinear")]
    assert [each.op_type for each in choosing] == ["MaxPool", "QuantizeLinear"]
    assert {each.input[0] for each in choosing} <= set(needed)


def test_the_gradients_of_two_branches_are_summed() -> None:
    """A dense layer with a branch around it, which the head refuses and the reference supports."""
    tail = DenseTail()
    model = tail.network()
    second = next(node for node in model.graph.node if node.input[1:2] == ["w2"])
    w = np.random.default_rng(1).normal(0, 0.4, (12, 12)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(w, "branch"))
    place = list(model.graph.node).index(second)
    model.graph.node.insert(place, helper.make_node("Add", [second.input[0], "aside"], ["joined"]))
    model.graph.node.insert(place, helper.make_node("MatMul", [second.input[0], "branch"], ["aside"]))
    second = next(node for node in model.graph.node if node.input[1:2] == ["w2"])
    second.input[0] = "joined"
    model.graph.node[-1].output[0] = model.graph.output[0].name = "scores"
    heatmaps = helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["N", "K", 8, 8])

    c = {name: value.astype(np.float64) for name, value in tail.constants().items()}

    def logits(feature: Floats) -> Floats:
        x = np.maximum(tail.pooled(feature).reshape(len(feature), -1) @ c["w1"] + c["b1"], 0)
        x = np.maximum((x + x @ w.astype(np.float64)) @ c["w2"] + c["b2"], 0)
        return np.asarray(x @ c["w3"] + c["b3"])

    declared = ModelProto()
    declared.CopyFrom(model)
    declared.graph.output.append(heatmaps)
    exact = Reference(declared, "feature")
    model.graph.output.extend(ValueInfoProto(name=name) for name in exact.needed)
    feeds = {"input": np.random.default_rng(2).normal(0, 1, (3, 3, 32, 32)).astype(np.float32)}
    seen = dict(zip(exact.needed, evaluate(model.SerializeToString(), feeds, exact.needed), strict=True))
    assert exact.deviation(seen) < 1e-5
    classes = np.array([[0, 4], [2, 9], [1, 1]])
    _, expected = central_differences(logits, seen["feature"], classes, "logit")
    assert expected.any()
    np.testing.assert_allclose(exact.heatmaps(seen, classes, "logit"), expected, atol=1e-5)


def test_a_file_that_names_a_wrong_feature_map_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    about = replace(tiny_models.contract(LABELS, "probability", "stretch", "tiny"), feature="elsewhere")
    save(append_cam(tiny_models.classifier()), about, path)
    with pytest.raises(ValueError, match="'elsewhere'; its graph has no such tensor"):
        compare(path, tiny_models.images(2))
    model = append_cam(DenseTail(flattening="tf2onnx").model())
    for node in model.graph.node:
        if node.op_type in ("Shape", "Gather", "Slice"):  # the shape of a Reshape is computed from these
            save(model, replace(about, feature=node.output[0]), path)
            with pytest.raises(ValueError, match="do not depend on the feature map"):
                compare(path, tiny_models.images(2))
    save(append_cam(tiny_models.classifier()), replace(about, feature="classes"), path)
    with pytest.raises(ValueError, match="do not depend on the feature map 'classes'"):
        compare(path, tiny_models.images(2))


def dense(path: Path, tail: DenseTail | None = None) -> Path:
    save(
        append_cam((tail or DenseTail()).model()), tiny_models.contract(LABELS, "probability", "stretch", "dense"), path
    )
    return path


def test_the_heatmaps_of_autodiff_are_compared(tmp_path: Path) -> None:
    path = tiny_models.model(tmp_path / "tiny.onnx")
    found = Explainer(path).explain(tiny_models.images(2), BEST)
    agreement = compare(path, tiny_models.images(2), autodiff=lambda *_: Autodiff(found.heatmaps, scores=found.scores))
    assert (agreement.autodiff, agreement.autodiff_median, agreement.scores) == (0, 0, 0)
    assert (agreement.flipped, agreement.saturated) == (0, 0)
    agreement.check()
    with pytest.raises(Disagreement, match="autodiff"):
        compare(path, tiny_models.images(2), autodiff=lambda *_: Autodiff(found.heatmaps[:, :, :, ::-1])).check()
    with pytest.raises(Disagreement, match="Probabilities"):
        compare(
            path, tiny_models.images(2), autodiff=lambda *_: Autodiff(found.heatmaps, scores=found.scores[::-1])
        ).check()


def test_flipped_gates_and_saturated_references_are_counted_and_not_compared(tmp_path: Path) -> None:
    path = dense(tmp_path / "dense.onnx")
    images = tiny_models.images(3)
    found = Explainer(path).explain(images, BEST)
    model = onnx.load(path)
    exact = Reference(model, "feature")
    gates = exact.gates(observe(model, exact.needed, images, found.classes))
    assert [each.shape for each in gates] == [(3, 12), (3, 9)]
    theirs = found.heatmaps.copy()
    theirs[0] = 1 - theirs[0]  # every map of the image with a flipped gate
    gates[1][0, 4] = ~gates[1][0, 4]
    theirs[1, 0] = np.nan  # for a probability of 1
    agreement = compare(path, images, autodiff=lambda *_: Autodiff(theirs, gates))
    assert (agreement.flipped, agreement.saturated, agreement.autodiff) == (5, 1, 0)
    agreement.check()
    assert "5 with a flipped gate, 1 saturated" in str(agreement)


def test_a_difference_that_is_nan_does_not_pass() -> None:
    agreement = Agreement(images=1, maps=1, empty=0, float64=0.0, autodiff=0.0, autodiff_median=0.0, scores=0.0)
    agreement.check()
    nan = float("nan")
    for broken in (
        replace(agreement, float64=nan),
        replace(agreement, autodiff_median=nan),
        replace(agreement, scores=nan),
    ):
        with pytest.raises(Disagreement):
            broken.check()


def test_the_agreement_goes_into_the_file_as_numbers() -> None:
    agreement = Agreement(images=8, maps=40, empty=1, float64=1.23456e-6)
    assert agreement.metadata() == {"pictures": 8, "maps": 40, "empty": 1, "float64": 1.23e-6}


def test_scenes_are_the_same_for_the_same_seed_and_differ_between_seeds() -> None:
    first = scenes(2, 40, 60, seed=3)
    assert (first.shape, first.dtype.name) == ((2, 40, 60, 3), "uint8")
    np.testing.assert_array_equal(first, scenes(2, 40, 60, seed=3))
    assert (first != scenes(2, 40, 60, seed=4)).any()
    assert (first[0] != first[1]).any()
    assert first.std() > 20


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_framework_s_gradient_of_many_cells_is_averaged_exactly(layout: str) -> None:
    """A global pooling gives thousands of cells the same gradient, whose sum in float32 is off by 1e-4 of it."""
    random = np.random.default_rng(0)
    features = random.uniform(0, 1, (2, 16, 60, 62)).astype(np.float32)
    weights = random.normal(size=(2, 16)).astype(np.float32) / np.float32(60 * 62)
    gradient = np.ascontiguousarray(np.broadcast_to(weights[:, :, None, None], features.shape))
    if layout == "NHWC":
        gradient = np.ascontiguousarray(gradient.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    exact = np.maximum(np.einsum("nk,nkhw->nhw", weights.astype(np.float64), features.astype(np.float64)), 0)
    found = heatmap(gradient, features)
    np.testing.assert_allclose(found, exact / exact.max((1, 2), keepdims=True), atol=1e-7)
