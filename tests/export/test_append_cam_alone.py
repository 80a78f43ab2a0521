"""`append_cam` where nothing but onnx and numpy is installed, as docs/append-cam.md promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support import ROOT
from tests.support.models import plain_classifier
from whycam.export.head.grad_cam import append_cam
from whycam.stream.inference.explainer import evaluate

ALONE = """
import sys
from importlib.abc import MetaPathFinder

INSTALLED = {"whycam", "numpy", "onnx", "google", "ml_dtypes", "typing_extensions"}


class NothingElse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in INSTALLED | sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


sys.meta_path.insert(0, NothingElse())
import onnx
from whycam.export.head.grad_cam import append_cam

source, target, layer = sys.argv[1:]
onnx.save(append_cam(onnx.load(source), layer=layer or None), target)
"""


@pytest.mark.parametrize("layer", ["", "convolved"])
def test_the_head_is_the_same_with_onnx_and_numpy_only(layer: str, tmp_path: Path) -> None:
    plain = plain_classifier.classifier()
    source, target = tmp_path / "plain.onnx", tmp_path / "explained.onnx"
    onnx.save(plain, source)
    command = [sys.executable, "-c", ALONE, str(source), str(target), layer]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    assert onnx.load(target) == append_cam(plain, layer=layer or None)
    images = np.random.default_rng(0).normal(size=(2, 3, plain_classifier.SIZE, plain_classifier.SIZE))
    feeds = {plain.graph.input[0].name: images.astype(np.float32), "target": np.array([[-1, 0], [-1, 2]])}
    scores, heatmaps = evaluate(target.read_bytes(), feeds, ["scores", "heatmaps"])
    assert scores.shape[0] == 2
    assert heatmaps.max() == 1
