"""A CAM method is one function in the head's table and one in the check's; a file is checked by the one it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto

from tests.support.models import tiny_models
from whycam.export.head import methods
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.onnx_graph import Graph
from whycam.export.head.tail import find_feature
from whycam.export.save import save
from whycam.export.verify import methods as definitions
from whycam.export.verify.agreement import Agreement, Disagreement, compare
from whycam.models.contract import METHOD, WHOLE, MapSpec

LABELS = tuple(f"class {number}" for number in range(10))


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


def written(model: ModelProto, method: str, path: Path) -> Path:
    feature = find_feature(model)
    about = tiny_models.contract(LABELS, "probability", "stretch", "tiny")
    spec = MapSpec("heatmaps", feature.tensor, method, (feature.height, feature.width), WHOLE)
    save(model, replace(about, feature=feature.tensor, maps=(spec,)), path)
    return path


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
    path = written(model, "for-alone", tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="'for-alone' has no definition"):
        checked(path)
    monkeypatch.setitem(definitions.DEFINITIONS, "for-alone", for_alone_defined)
    agreement = checked(path)
    assert agreement.empty < agreement.maps
    with pytest.raises(Disagreement):
        checked(written(model, METHOD, tmp_path / "wrong.onnx"))
    with pytest.raises(Disagreement):
        checked(written(append_cam(plain), "for-alone", tmp_path / "wrong.onnx"))


def test_the_error_for_an_unknown_method_lists_the_known_ones(plain: ModelProto) -> None:
    with pytest.raises(ValueError, match=r"no CAM method 'cam'\. Choose one of grad-cam"):
        append_cam(plain, method="cam")
