"""Which execution providers are requested, and the message if a requested one is missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.models import tiny_models
from whycam.models.contract import OUTPUTS
from whycam.stream.inference import providers as module
from whycam.stream.inference.explainer import BEST, Explainer, _Bound, checked_targets
from whycam.stream.inference.providers import (
    COREML,
    CPU,
    CUDA,
    OPENVINO,
    TENSORRT,
    prepare_tensorrt,
    providers,
    why_not,
)

ALL = [TENSORRT, CUDA, "AzureExecutionProvider", CPU]


def names(device: module.Device, available: list[str]) -> list[str]:
    return [name for name, _ in providers(device, available)]


def test_auto_uses_the_gpu_if_there_is_one_but_never_tensorrt() -> None:
    assert names("auto", ALL) == [CUDA, CPU]
    assert names("auto", ["AzureExecutionProvider", CPU]) == [CPU]
    assert names("auto", [COREML, CPU]) == [COREML, CPU]
    assert names("auto", [OPENVINO, CPU]) == [OPENVINO, CPU]


def test_tensorrt_falls_back_to_cuda_and_cuda_to_the_cpu() -> None:
    assert names("tensorrt", ALL) == [TENSORRT, CUDA, CPU]
    assert names("cuda", ALL) == [CUDA, CPU]
    assert names("cpu", ALL) == [CPU]


def test_cuda_computes_in_full_float32() -> None:
    ((_, options), _) = providers("cuda", ALL)
    assert options["use_tf32"] == "0"
    assert options["cudnn_conv_algo_search"] == "EXHAUSTIVE"


def test_no_device_computes_in_fewer_bits() -> None:
    options = {name: providers("auto", [name, CPU])[0][1] for name in (COREML, OPENVINO)}
    assert options[COREML]["ModelFormat"] == "MLProgram"
    assert options[OPENVINO]["precision"] == "FP32"


def test_the_folder_of_tensorrts_engines_is_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, **_: tmp_path / "not yet" / name)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "")  # so that monkeypatch restores it
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE")
    prepare_tensorrt()
    ((_, options), *_) = providers("tensorrt", ALL)
    assert Path(options["trt_engine_cache_path"]).is_dir()
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"


def test_there_is_no_message_if_the_model_runs_as_requested() -> None:
    assert why_not("cuda", [CUDA, CPU], ALL) is None
    assert why_not("cpu", [CPU], ALL) is None
    assert why_not("auto", [CUDA, CPU], ALL) is None


def test_a_device_that_is_missing_or_does_not_load_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda _: None)  # type: ignore[attr-defined]
    missing = why_not("cuda", [CPU], [CPU]) or ""
    assert "whycam[gpu]" in missing
    assert "continues with the processor" in missing
    assert "no NVIDIA driver" in (why_not("cuda", [CPU], ALL) or "")
    assert "no NVIDIA driver" in (why_not("auto", [CPU], ALL) or "")
    assert why_not("auto", [CPU], [CPU]) is None
    assert "onnxruntime-openvino" in (why_not("openvino", [CPU], [CPU]) or "")
    for provider in (OPENVINO, COREML):  # not with an NVIDIA driver
        said = why_not("auto", [CPU], [provider, CPU]) or ""
        assert f"load {provider}, so whycam continues with the processor: pip install" in said
    monkeypatch.setattr(module.shutil, "which", lambda _: "/usr/bin/nvidia-smi")  # type: ignore[attr-defined]
    assert "not used" in (why_not("auto", [CPU], [CPU]) or "")
    assert "CUDA 13" in (why_not("cuda", [CPU], ALL) or "")
    assert "continues with CUDA: its own libraries" in (why_not("tensorrt", [CUDA, CPU], ALL) or "")


def test_an_explainer_without_a_gpu_runs_on_the_cpu_and_says_why(tmp_path: Path) -> None:
    explainer = Explainer(tiny_models.model(tmp_path / "tiny.onnx"), device="cuda")
    assert explainer.providers == [CPU]
    assert explainer.device_problem


def test_buffers_bound_once_give_the_same_outputs_for_every_shape(tmp_path: Path) -> None:
    """On a GPU all runs use them; here the same code binds CPU buffers."""
    explainer = Explainer(tiny_models.model(tmp_path / "tiny.onnx"))
    plain, bound = explainer._run, _Bound(explainer._session, "cpu", tuple(OUTPUTS))
    for count, targets in ((1, BEST), (3, (-1,)), (1, BEST), (2, ()), (3, (4,))):
        images = tiny_models.images(count, seed=count + len(targets))
        target = checked_targets(explainer.contract, targets, count)
        feeds: dict[str, NDArray[Any]] = {"image": images, "target": target}
        for got, expected in zip(bound(feeds), plain(feeds), strict=True):
            np.testing.assert_array_equal(got, expected)
    assert len(bound._bindings) == 3
