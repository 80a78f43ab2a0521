"""Taught model files: they run like their source with the class set, by themselves, and can be taught again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from tests.support.models import tiny_models
from whycam.models.catalog import sha256
from whycam.models.class_set import ClassSet
from whycam.models.contract import ContractError
from whycam.models.taught_model import TAUGHT, SourceChanged, write_taught
from whycam.stream.inference.explainer import Explainer

ABOUT = {"examples": {"cup": 20, "plant": 31, "pen": 18}, "date": "2026-11-30", "accuracy": 0.94}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.model(tmp_path_factory.mktemp("models") / "tiny.onnx", replaceable=True)


def class_set(*labels: str, width: int = 16, seed: int = 0) -> ClassSet:
    random = np.random.default_rng(seed)
    weights, bias = random.normal(0, 0.7, (width, len(labels))), random.normal(0, 0.1, len(labels))
    return ClassSet(labels, weights.astype(np.float32), bias.astype(np.float32))


THREE = class_set("cup", "plant", "pen")
MANY = class_set(*(f"thing {number}" for number in range(14)), seed=1)


@pytest.mark.parametrize("learned", [THREE, MANY], ids=["fewer", "more"])
def test_a_taught_file_gives_what_its_source_gives_with_the_class_set(
    learned: ClassSet, source: Path, tmp_path: Path
) -> None:
    path = tmp_path / "kitchen.onnx"
    write_taught(source, learned, "kitchen", ABOUT, path)
    images, targets = tiny_models.images(3), (-1, -2, 0)
    overridden = Explainer(source).explain(images, targets, learned)
    taught = Explainer(path)
    found = taught.explain(images, targets)
    assert (taught.contract.name, taught.contract.labels) == ("kitchen", learned.labels)
    for name in ("scores", "classes", "heatmaps", "evidence", "embedding"):
        np.testing.assert_allclose(getattr(found, name), getattr(overridden, name), atol=1e-6, err_msg=name)


def test_classes_of_another_file_are_refused(source: Path, tmp_path: Path) -> None:
    path, known = tmp_path / "kitchen.onnx", sha256(source)
    write_taught(source, THREE, "kitchen", ABOUT, path, learned_with=known)
    path.unlink()
    other = tmp_path / "other.onnx"
    other.write_bytes(tiny_models.with_other_weights(source.read_bytes()))
    with pytest.raises(SourceChanged, match=r"other\.onnx is not the file any more"):
        write_taught(other, THREE, "kitchen", ABOUT, path, learned_with=known)
    assert not path.exists()


def test_plain_onnxruntime_needs_no_weights_for_it(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "kitchen.onnx"
    write_taught(source, MANY, "kitchen", ABOUT, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["image", "target"]
    images, targets = tiny_models.images(2), np.array([[-1, 13], [-1, 0]], np.int64)
    scores, maps = session.run(["scores", "heatmaps"], {"image": images, "target": targets})
    overridden = Explainer(source).explain(images, targets, MANY)
    np.testing.assert_allclose(scores, overridden.scores, atol=1e-6)
    np.testing.assert_allclose(maps, overridden.heatmaps, atol=1e-6)


def test_a_taught_file_can_be_taught_again(source: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    write_taught(source, MANY, "first", ABOUT, first)
    write_taught(first, THREE, "second", ABOUT, second)
    images = tiny_models.images(2)
    by_first, by_second = Explainer(first).explain(images, (-1,), THREE), Explainer(second).explain(images, (-1,))
    np.testing.assert_array_equal(by_first.scores, by_second.scores)
    np.testing.assert_array_equal(Explainer(second).explain(images, (-1,), MANY).heatmaps.shape, (2, 1, 8, 8))


def test_its_metadata_says_what_it_was_made_of(source: Path, tmp_path: Path) -> None:
    known = onnx.load(source)
    entry = known.metadata_props.add()
    entry.key, entry.value = "whycam.parity", json.dumps({"pictures": 8, "float64": 1e-6})
    with_parity, path = tmp_path / "with_parity.onnx", tmp_path / "kitchen.onnx"
    onnx.helper.set_model_props(known, {each.key: each.value for each in known.metadata_props})
    onnx.save(known, with_parity)
    write_taught(with_parity, THREE, "kitchen", ABOUT, path)
    props = {each.key: each.value for each in onnx.load(path).metadata_props}
    assert json.loads(props[TAUGHT]) == ABOUT
    assert json.loads(props["whycam.labels"]) == ["cup", "plant", "pen"]
    assert json.loads(props["whycam.parity"]) == {"of": "tiny", "pictures": 8, "float64": 1e-6}
    assert props["whycam.last_layer"]


def test_transposed_weights_are_stored_as_the_file_has_them(tmp_path: Path) -> None:
    from whycam.export.head.grad_cam import append_cam
    from whycam.export.save import save

    labels = [f"class {number}" for number in range(10)]
    source, path = tmp_path / "source.onnx", tmp_path / "taught.onnx"
    model = append_cam(tiny_models.classifier(dense="GemmT"), replaceable=True)
    save(model, tiny_models.contract(labels, "probability", "stretch", "tiny"), source)
    write_taught(source, THREE, "taught", {}, path)
    images = tiny_models.images(2)
    layer = Explainer(path).contract.last_layer
    assert layer is not None
    assert layer.transposed
    found, expected = Explainer(path).explain(images, (-1,)), Explainer(source).explain(images, (-1,), THREE)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)


def refusal(error: type[Exception], source: Path, learned: ClassSet, path: Path) -> str:
    with pytest.raises(error) as found:
        write_taught(source, learned, "kitchen", ABOUT, path)
    assert sorted(path.parent.glob("*.partial")) == []
    return str(found.value)


def test_what_cannot_be_taught_is_refused_and_leaves_no_file(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "kitchen.onnx"
    fixed = tiny_models.model(tmp_path / "fixed.onnx")
    assert "cannot be replaced" in refusal(ContractError, fixed, THREE, path)
    assert "vectors of 9 numbers, those of the model have 16" in refusal(
        ValueError, source, class_set("a", "b", width=9), path
    )
    assert "another name" in refusal(ValueError, source, THREE, source)
    (tmp_path / "damaged.onnx").write_bytes(b"no model")
    assert "damaged" in refusal(ContractError, tmp_path / "damaged.onnx", THREE, path)
    assert not path.exists()


def test_about_that_is_no_json_leaves_no_file(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "kitchen.onnx"
    values: NDArray[np.float32] = np.zeros(2, np.float32)
    with pytest.raises(TypeError):
        write_taught(source, THREE, "kitchen", {"accuracy": values}, path)
    assert list(tmp_path.iterdir()) == []
