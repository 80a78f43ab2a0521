"""A CAM method is one function in the head's table and one in the check's; a file is checked by the one it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto

from tests.support.models import tiny_models
from whycam.export.graph.onnx_graph import Graph
from whycam.export.head import methods
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.tail import find_feature
from whycam.export.save import save
from whycam.export.verify import methods as definitions
from whycam.export.verify.agreement import Agreement, Disagreement, compare
from whycam.models.contract import METHOD, WHOLE, MapSpec
from whycam.stream.inference.explainer import Explainer

ABOUT = tiny_models.contract([f"class {number}" for number in range(10)], "probability", "stretch", "tiny")


def for_alone(graph: Graph, alpha: str, features: str) -> str:
    """Grad-CAM without the channels with negative weights."""
    return graph.add("Relu", [graph.add("MatMul", [graph.add("Relu", [alpha]), features])])


def for_alone_defined(gradient: definitions.Floats, features: definitions.Floats) -> definitions.Floats:
    weights = np.clip(gradient.sum((3, 4)) / np.prod(features.shape[2:]), 0, None)  # (K, N, channels)
    heat = (weights.swapaxes(0, 1)[..., None, None] * features[:, None]).sum(2)
    return np.where(heat > 0, heat, 0)


@pytest.fixture
def plain() -> ModelProto:
    return tiny_models.classifier(classes=10)


def written(model: ModelProto, path: Path) -> Path:
    save(model, replace(ABOUT, feature=find_feature(model).tensor), path)
    return path


def read_method(path: Path) -> str:
    return Explainer(path).contract.drawn_map().method


def checked(path: Path) -> Agreement:
    agreement = compare(path, tiny_models.images(4))
    agreement.check()
    return agreement


def test_both_tables_have_the_same_methods() -> None:
    assert set(methods.METHODS) == set(definitions.DEFINITIONS)


def test_another_method_is_drawn_and_checked_by_its_definition(
    plain: ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "METHODS", {**methods.METHODS, "for-alone": for_alone})
    model = append_cam(plain, method="for-alone")
    path = written(model, tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="'for-alone' has no definition"):
        checked(path)
    monkeypatch.setitem(definitions.DEFINITIONS, "for-alone", for_alone_defined)
    agreement = checked(path)
    assert agreement.empty < agreement.maps
    assert read_method(path) == "for-alone"
    monkeypatch.setitem(definitions.DEFINITIONS, "for-alone", definitions.grad_cam)
    with pytest.raises(Disagreement, match="Heatmaps differ from for-alone"):
        checked(path)


@pytest.mark.parametrize(("made", "listed"), [("for-alone", METHOD), (METHOD, "for-alone")])
def test_a_file_that_names_another_method_is_not_written(
    plain: ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str, listed: str
) -> None:
    monkeypatch.setattr(methods, "METHODS", {**methods.METHODS, "for-alone": for_alone})
    model = append_cam(plain, method=made)
    feature = find_feature(model)
    spec = MapSpec("heatmaps", feature.tensor, listed, (feature.height, feature.width), WHOLE)
    with pytest.raises(ValueError, match=f"made by {made} and cover .*, the contract says {listed}"):
        save(model, replace(ABOUT, feature=feature.tensor, maps=(spec,)), tmp_path / "wrong.onnx")


def test_the_error_for_an_unknown_method_lists_the_known_ones(plain: ModelProto) -> None:
    with pytest.raises(ValueError, match=r"no CAM method 'cam'\. Choose one of grad-cam"):
        append_cam(plain, method="cam")
