"""Real exports of every exporter become explainable, and their heatmaps are those of their framework."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.command import run
from tests.zoo.small_exports import FOLDER, LIKE, SMALL
from whycam.stream.inference.explainer import evaluate


@pytest.mark.parametrize("name", SMALL)
def test_an_export_shows_the_heatmaps_of_its_framework(name: str, tmp_path: Path) -> None:
    done = run("export", str(FOLDER / f"{name}.onnx"), "--like", LIKE, "-o", "made.onnx", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    with np.load(FOLDER / "images.npz") as shown, np.load(FOLDER / f"{name}.npz") as stored:
        images, heatmaps, scores = shown["images"], stored["heatmaps"], stored["scores"]
    classes = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    feeds = {"image": images, "target": np.ascontiguousarray(classes, np.int64)}
    found = evaluate((tmp_path / "made.onnx").read_bytes(), feeds, ["heatmaps", "scores"])
    np.testing.assert_allclose(found[0], heatmaps, atol=2e-5)
    np.testing.assert_allclose(found[1], scores, atol=1e-5)
    assert (heatmaps.max((2, 3)) == 1).mean() > 0.5  # those without evidence would agree for no reason


@pytest.mark.parametrize("name", SMALL)
def test_an_export_is_of_the_opset_that_it_stands_for(name: str) -> None:
    (entry,) = [each for each in onnx.load(FOLDER / f"{name}.onnx").opset_import if each.domain in ("", "ai.onnx")]
    assert entry.version == SMALL[name].opset


def test_the_exports_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 500_000
