"""Programs of PyTorch in every precision become explainable; `make test-models` has PyTorch, `make test` has not."""

from __future__ import annotations

from pathlib import Path

import pytest

from whycam.export.exporter import Wanted, export
from whycam.export.head.methods import METHODS
from whycam.export.sources.find_source import find_source
from whycam.models.contract import SIGNED, Score
from whycam.stream.inference.explainer import Explainer

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-models")
SIZE = 32


def program(path: Path, precision: str) -> Path:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.BatchNorm2d(8), torch.nn.ReLU()]
    layers += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 5)]
    kind = getattr(torch, precision)
    network = torch.nn.Sequential(*layers).eval().to(kind)
    images = torch.zeros(2, 3, SIZE, SIZE, dtype=kind)
    batch = {0: torch.export.Dim("N", max=64)}
    torch.export.save(torch.export.export(network, (images,), dynamic_shapes=(batch,)), path)
    return path


@pytest.mark.filterwarnings("ignore")  # PyTorch's own
@pytest.mark.parametrize(("precision", "asked"), [("float32", True), ("float64", True), ("float16", False)])
def test_a_program_is_compared_with_its_own_differentiation(precision: str, asked: bool, tmp_path: Path) -> None:
    """Half precision rounds more coarsely than the maps may differ, so float64 on the file's activations is all."""
    source = find_source(str(program(tmp_path / "mine.pt2", precision)))
    agreement = export(source, Wanted(name="mine"), tmp_path / "made.onnx", lambda _: None)
    assert (agreement.autodiff_median is not None) == asked
    agreement.check()


@pytest.mark.filterwarnings("ignore")  # PyTorch's own
@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].source == "layer" and name != SIGNED])
def test_every_method_is_compared_with_its_own_differentiation(method: str, score: Score, tmp_path: Path) -> None:
    """Of Grad-CAM++ too, whose maps of a probability are those of its log-odds."""
    source = find_source(str(program(tmp_path / "mine.pt2", "float32")))
    wanted = Wanted(name="mine", methods=(method,), score=score)
    agreement = export(source, wanted, tmp_path / "made.onnx", lambda _: None)
    assert agreement.autodiff_median is not None
    assert agreement.method == method


@pytest.mark.filterwarnings("ignore")  # PyTorch's own
@pytest.mark.parametrize("score", ["probability", "logit"])
def test_the_signed_map_is_compared_with_the_differentiated_logit(score: Score, tmp_path: Path) -> None:
    source = find_source(str(program(tmp_path / "mine.pt2", "float32")))
    wanted = Wanted(name="mine", methods=("grad-cam", SIGNED), score=score)
    export(source, wanted, tmp_path / "made.onnx", lambda _: None)
    parity = Explainer(tmp_path / "made.onnx").contract.parity["maps"]["heatmaps_2"]
    assert parity["autodiff_median"] < 1e-5
