"""The session of one model: what it accepts, what it returns, and its errors for a file that is no model."""

from __future__ import annotations

import json
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.support.models import tiny_models
from whycam.models.contract import ContractError
from whycam.stream.inference import explainer as explainer_module
from whycam.stream.inference.explainer import BEST, Explainer, RuntimeMissing


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(tiny_models.model(tmp_path_factory.mktemp("models") / "tiny.onnx"))


def test_an_explanation_has_the_shapes_and_types_of_the_contract(explainer: Explainer) -> None:
    found = explainer.explain(tiny_models.images(3), BEST)
    arrays = (found.scores, found.classes, found.heatmaps, found.evidence)
    assert [array.shape for array in arrays] == [(3, 10), (3, 5), (3, 5, 8, 8), (3, 5)]
    assert [array.dtype.name for array in arrays] == ["float32", "int64", "float32", "float32"]
    np.testing.assert_allclose(found.scores.sum(1), 1, atol=1e-6)
    assert found.heatmaps.min() >= 0
    assert found.heatmaps.max() == 1


def test_ranks_are_resolved_best_first(explainer: Explainer) -> None:
    found = explainer.explain(tiny_models.images(2), range(-1, -11, -1))
    np.testing.assert_array_equal(found.classes, np.argsort(-found.scores, axis=1))


def test_a_class_by_number_and_by_rank_has_one_heatmap(explainer: Explainer) -> None:
    images = tiny_models.images(1)
    by_rank = explainer.explain(images, [-1, -2])
    by_number = explainer.explain(images, by_rank.classes)
    np.testing.assert_array_equal(by_rank.heatmaps, by_number.heatmaps)


def more(path: Path) -> Path:
    """The same model with another output, and its larger weights in a separate file."""
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Identity", ["scores"], ["again"]))
    model.graph.output.append(helper.make_tensor_value_info("again", TensorProto.FLOAT, ["N", 10]))
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=600)
    return path


def test_external_weights_are_found_when_the_graph_is_pruned(
    explainer: Explainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = more(tiny_models.model(tmp_path / "tiny.onnx"))
    assert path.with_name("weights.bin").stat().st_size > 600
    expected = explainer.explain(tiny_models.images(2), BEST).heatmaps
    np.testing.assert_array_equal(Explainer(path).explain(tiny_models.images(2), BEST).heatmaps, expected)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(Explainer(Path(path.name)).explain(tiny_models.images(2), BEST).heatmaps, expected)


@pytest.mark.parametrize(("described", "sessions"), [(True, 1), (False, 2)])
def test_a_pruned_model_is_open_only_once_at_a_time(
    described: bool, sessions: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And only its pruned graph, if the file says what is in it, not onnxruntime."""
    if not described:
        monkeypatch.setattr(explainer_module, "_described", lambda *_: None)
    opened: list[weakref.ref[Any]] = []
    alive: list[int] = []
    real = explainer_module._open

    def seen(*given: Any) -> Any:
        alive.append(sum(each() is not None for each in opened))
        session = real(*given)
        opened.append(weakref.ref(session))
        return session

    monkeypatch.setattr(explainer_module, "_open", seen)
    Explainer(more(tiny_models.model(tmp_path / "tiny.onnx")))
    assert alive == [0] * sessions


@pytest.mark.parametrize(("output", "words"), [("heatmaps", "must be dynamic"), ("scores", "scores 10 classes")])
def test_sizes_that_onnxruntime_infers_count_in_a_file_of_several_maps(output: str, words: str, tmp_path: Path) -> None:
    """Whatever the file says of them."""
    path = more(tiny_models.model(tmp_path / "tiny.onnx"))
    model = onnx.load(path)
    if output == "heatmaps":
        made = next(node for node in model.graph.node if output in node.output)
        made.output[:] = ["any heatmaps"]
        ends = [np.array(each, np.int64) for each in ([0, 0], [1, 1], [0, 1])]
        model.graph.initializer.extend(numpy_helper.from_array(each, f"end{n}") for n, each in enumerate(ends))
        model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 8, 8], np.int64), "one"))
        model.graph.node.append(helper.make_node("Slice", ["any heatmaps", "end0", "end1", "end2"], ["first"]))
        model.graph.node.append(helper.make_node("Reshape", ["first", "one"], ["heatmaps"]))
    else:
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "C"
        labels = next(each for each in model.metadata_props if each.key == "whycam.labels")
        labels.value = json.dumps(["a", "b", "c"])
    onnx.save(model, path)
    with pytest.raises(ContractError, match=words):
        Explainer(path)


def test_a_file_with_an_open_number_of_classes_must_fit_its_labels(tmp_path: Path) -> None:
    path = tiny_models.model(tmp_path / "tiny.onnx")
    model = onnx.load(path)
    for node in model.graph.node:
        node.output[:] = ["all scores" if name == "scores" else name for name in node.output]
    chosen = np.arange(10) < 9  # the number of classes after a Compress is not known before it runs
    model.graph.initializer.append(numpy_helper.from_array(chosen, "chosen"))
    model.graph.node.append(helper.make_node("Compress", ["all scores", "chosen"], ["scores"], axis=1))
    next(each for each in model.graph.output if each.name == "scores").type.tensor_type.shape.dim[1].dim_param = "C"
    onnx.save(model, path)
    opened = Explainer(path)
    with pytest.raises(ContractError, match=r"scores 9 classes and names 10\. Export it with its own labels"):
        opened.explain(tiny_models.images(1), [0])


def test_without_targets_there_are_only_scores(explainer: Explainer) -> None:
    found = explainer.explain(tiny_models.images(2), [])
    assert found.scores.shape == (2, 10)
    assert found.heatmaps.shape == (2, 0, 8, 8)


def test_a_batch_answers_as_each_image_alone(explainer: Explainer) -> None:
    images = tiny_models.images(3)
    together = explainer.explain(images, [-1, 4])
    for row in range(3):
        alone = explainer.explain(images[row : row + 1], [-1, 4])
        np.testing.assert_array_equal(alone.classes, together[row : row + 1].classes)
        np.testing.assert_allclose(alone.heatmaps, together[row : row + 1].heatmaps, atol=1e-6)
    assert len(together) == 3
    assert len(together[:2]) == 2


@pytest.mark.parametrize("target", [10, -11, 1000])
def test_a_target_out_of_range_is_refused_before_the_model_runs(explainer: Explainer, target: int) -> None:
    with pytest.raises(ValueError, match=f"classes 0 to 9.*not {target}"):
        explainer.explain(tiny_models.images(1), [-1, target])


@pytest.mark.parametrize("shape", [(3, 2), (1, 2, 2), ()])
def test_targets_of_another_shape_are_refused(explainer: Explainer, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="Targets should be"):
        explainer.explain(tiny_models.images(2), np.zeros(shape, np.int64))


@pytest.mark.parametrize("shape", [(32, 32, 3), (1, 3, 32, 32), (1, 31, 32, 3), (1, 32, 32, 4)])
def test_images_of_another_shape_are_refused(explainer: Explainer, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"takes uint8 images \(N, 32, 32, 3\)"):
        explainer.explain(np.zeros(shape, np.uint8), [-1])


def test_images_of_another_type_are_refused(explainer: Explainer) -> None:
    with pytest.raises(ValueError, match="float32"):
        explainer.explain(tiny_models.images(1).astype(np.float32), [-1])


def test_images_need_not_be_contiguous(explainer: Explainer) -> None:
    images = tiny_models.images(1)
    mirrored = images[:, :, ::-1]
    np.testing.assert_array_equal(
        explainer.explain(mirrored, [-1]).scores, explainer.explain(mirrored.copy(), [-1]).scores
    )


def test_the_providers_are_those_that_really_run_the_model(explainer: Explainer) -> None:
    assert explainer.providers[-1] == "CPUExecutionProvider"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"no model file .*nowhere\.onnx"):
        Explainer(tmp_path / "nowhere.onnx")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    whole = tiny_models.model(tmp_path / "tiny.onnx").read_bytes()
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ContractError, match=r"cut\.onnx is not an ONNX model"):
        Explainer(cut)


@pytest.mark.parametrize("content", [b"", b"<!doctype html><title>404</title>", bytes(range(256)) * 8])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ContractError, match=r"model\.onnx"):
        Explainer(path)


def test_a_model_without_a_head_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.onnx"
    onnx.save(tiny_models.classifier(), path)
    with pytest.raises(ContractError, match=r"plain\.onnx: .*not explainable"):
        Explainer(path)


def test_a_model_whose_labels_do_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="scores 10 classes and names 2"):
        Explainer(tiny_models.model(tmp_path / "tiny.onnx", labels=["cat", "dog"]))


def test_without_onnxruntime_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, explainer: Explainer
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeMissing, match=r"whycam\[cpu\].*whycam\[gpu\]"):
        Explainer(explainer.path)


def teachable_but(path: Path, **changes: Any) -> Path:
    """A model whose last layer can be replaced, with other metadata about it."""
    model = onnx.load(tiny_models.model(path, replaceable=True))
    props = {entry.key: entry.value for entry in model.metadata_props}
    props["whycam.last_layer"] = json.dumps(json.loads(props["whycam.last_layer"]) | changes)
    helper.set_model_props(model, props)
    onnx.save(model, path)
    return path


def fix_inputs(path: Path, *, shape: list[int | str] | None) -> Path:
    """The same file whose last layer's weights are an input of this shape, or no input."""
    model = onnx.load(path)
    weights = next(each for each in model.graph.input if each.name.endswith("weights"))
    if shape is None:
        model.graph.input.remove(weights)
    else:
        weights.CopyFrom(helper.make_tensor_value_info(weights.name, TensorProto.FLOAT, shape))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("changes", "shape", "said"),
    [
        ({"weights": "elsewhere"}, [16, "C"], "an input 'elsewhere' with a default.*it is not there"),
        ({"bias": "image"}, [16, "C"], "an input 'image' with a default.*it is not there"),
        ({"transposed": True}, [16, "C"], r"\['C', 16\].*it is tensor\(float\) \[16, 'C'\]"),
        ({}, [16, 10], r"it is tensor\(float\) \[16, 10\]"),
        ({}, None, "it is not there"),
    ],
)
def test_the_inputs_of_a_replaceable_last_layer_must_be_there(
    changes: dict[str, Any], shape: list[int | str] | None, said: str, tmp_path: Path
) -> None:
    path = teachable_but(tmp_path / "tiny.onnx")
    Explainer(path)
    with pytest.raises(ContractError, match=said):
        Explainer(fix_inputs(teachable_but(path, **changes), shape=shape))
