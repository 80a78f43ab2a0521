"""The session of one model: what it accepts, what it answers, and what it says of a file that is no model."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.models import tiny_models
from whycam.models.contract import ContractError
from whycam.stream.inference.explainer import BEST, Explainer, RuntimeMissing


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(tiny_models.model(tmp_path_factory.mktemp("models") / "tiny.onnx"))


def test_an_explanation_has_the_shapes_and_types_of_the_contract(explainer: Explainer) -> None:
    found = explainer.explain(tiny_models.pictures(3), BEST)
    arrays = (found.scores, found.classes, found.heatmaps, found.evidence)
    assert [array.shape for array in arrays] == [(3, 10), (3, 5), (3, 5, 8, 8), (3, 5)]
    assert [array.dtype.name for array in arrays] == ["float32", "int64", "float32", "float32"]
    np.testing.assert_allclose(found.scores.sum(1), 1, atol=1e-6)
    assert found.heatmaps.min() >= 0
    assert found.heatmaps.max() == 1


def test_ranks_are_resolved_best_first(explainer: Explainer) -> None:
    found = explainer.explain(tiny_models.pictures(2), range(-1, -11, -1))
    np.testing.assert_array_equal(found.classes, np.argsort(-found.scores, axis=1))


def test_a_class_by_number_and_by_rank_has_one_heatmap(explainer: Explainer) -> None:
    pictures = tiny_models.pictures(1)
    by_rank = explainer.explain(pictures, [-1, -2])
    by_number = explainer.explain(pictures, by_rank.classes)
    np.testing.assert_array_equal(by_rank.heatmaps, by_number.heatmaps)


def test_no_classes_asked_for_are_scores_alone(explainer: Explainer) -> None:
    found = explainer.explain(tiny_models.pictures(2), [])
    assert found.scores.shape == (2, 10)
    assert found.heatmaps.shape == (2, 0, 8, 8)


def test_a_batch_answers_as_each_picture_alone(explainer: Explainer) -> None:
    pictures = tiny_models.pictures(3)
    together = explainer.explain(pictures, [-1, 4])
    for row in range(3):
        alone = explainer.explain(pictures[row : row + 1], [-1, 4])
        np.testing.assert_array_equal(alone.classes, together[row : row + 1].classes)
        np.testing.assert_allclose(alone.heatmaps, together[row : row + 1].heatmaps, atol=1e-6)
    assert len(together) == 3
    assert len(together[:2]) == 2


@pytest.mark.parametrize("target", [10, -11, 1000])
def test_a_target_out_of_range_is_refused_before_the_model_runs(explainer: Explainer, target: int) -> None:
    with pytest.raises(ValueError, match=f"classes 0 to 9.*not {target}"):
        explainer.explain(tiny_models.pictures(1), [-1, target])


@pytest.mark.parametrize("shape", [(3, 2), (1, 2, 2), ()])
def test_targets_of_another_shape_are_refused(explainer: Explainer, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="Targets should be"):
        explainer.explain(tiny_models.pictures(2), np.zeros(shape, np.int64))


@pytest.mark.parametrize("shape", [(32, 32, 3), (1, 3, 32, 32), (1, 31, 32, 3), (1, 32, 32, 4)])
def test_pictures_of_another_shape_are_refused(explainer: Explainer, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"takes uint8 pictures \(N, 32, 32, 3\)"):
        explainer.explain(np.zeros(shape, np.uint8), [-1])


def test_pictures_of_another_type_are_refused(explainer: Explainer) -> None:
    with pytest.raises(ValueError, match="float32"):
        explainer.explain(tiny_models.pictures(1).astype(np.float32), [-1])


def test_pictures_need_not_lie_in_one_piece(explainer: Explainer) -> None:
    pictures = tiny_models.pictures(1)
    mirrored = pictures[:, :, ::-1]
    np.testing.assert_array_equal(
        explainer.explain(mirrored, [-1]).scores, explainer.explain(mirrored.copy(), [-1]).scores
    )


def test_it_says_what_really_runs_the_model(explainer: Explainer) -> None:
    assert explainer.providers[-1] == "CPUExecutionProvider"


def test_a_missing_file_is_told(tmp_path: Path) -> None:
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
