"""The execution providers to request from onnxruntime, and the reason if a requested one is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import platformdirs

Device = Literal["auto", "cpu", "cuda", "tensorrt", "coreml", "openvino"]
DEVICES: tuple[Device, ...] = get_args(Device)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
COREML = "CoreMLExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"
_PROVIDERS: dict[Device, tuple[str, ...]] = {
    "auto": (CUDA, COREML, OPENVINO, CPU),
    "cpu": (CPU,),
    "cuda": (CUDA, CPU),
    # CUDA runs what TensorRT cannot.
    "tensorrt": (TENSORRT, CUDA, CPU),
    "coreml": (COREML, CPU),
    "openvino": (OPENVINO, CPU),
}

_PACKAGES = {
    CUDA: "'whycam[gpu]'",
    TENSORRT: "'whycam[gpu]'",
    COREML: "onnxruntime",  # its macOS builds have it
    OPENVINO: "onnxruntime-openvino",
}


def providers(device: Device, available: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """The providers to request, best first, with options; only those that the installed onnxruntime has."""
    return [(name, _options(name)) for name in _PROVIDERS[device] if name in available]


def _options(provider: str) -> dict[str, str]:
    # By default these compute with less than float32 precision, and heatmaps would differ from those of automatic
    # differentiation.
    if provider == CUDA:
        # The search for the fastest convolution pays, because a stream's shapes never change.
        return {"cudnn_conv_algo_search": "EXHAUSTIVE", "use_tf32": "0"}
    if provider == TENSORRT:
        return {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(_engines())}
    if provider == COREML:
        return {"ModelFormat": "MLProgram"}  # the default format has half precision on a GPU
    if provider == OPENVINO:
        return {"device_type": "CPU", "precision": "FP32"}
    return {}


def prepare_tensorrt() -> None:
    """Prepare what TensorRT's options do not cover; to be called before its session is opened."""
    _engines().mkdir(parents=True, exist_ok=True)  # it creates only the last folder of a path
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")  # as `use_tf32` for CUDA


def _engines() -> Path:
    """The cache folder of TensorRT's engines, each of which takes a minute or more to build."""
    return platformdirs.user_cache_path("whycam", appauthor=False) / "tensorrt"


def why_not(device: Device, real: Sequence[str], available: Sequence[str]) -> str | None:
    """One sentence if the model does not run on the requested device; None if it does.

    `real` are the session's providers, `available` those that onnxruntime was built with.
    """
    first = _PROVIDERS[device][0]
    if device == "auto":
        wanted = next(name for name in _PROVIDERS[device] if name in available)
        if wanted not in real:
            return _not_loaded(wanted, real)
        if wanted == CPU and shutil.which("nvidia-smi"):
            return (
                "This computer has an NVIDIA GPU that is not used: "
                "pip uninstall onnxruntime, then pip install 'whycam[gpu]'."
            )
        return None
    if first in real:
        return None
    if first in available:
        return _not_loaded(first, real)
    return (
        f"The installed onnxruntime has no {first} (it has {', '.join(available)}), so whycam continues with "
        f"{_instead(real)}. To have it: pip uninstall onnxruntime, then pip install {_PACKAGES[first]}."
    )


def _not_loaded(provider: str, real: Sequence[str]) -> str:
    if provider not in (CUDA, TENSORRT):
        advice = f"pip install --force-reinstall {_PACKAGES[provider]}"
    elif not shutil.which("nvidia-smi"):
        advice = "there is no NVIDIA driver (`nvidia-smi`) on this computer"
    elif provider == TENSORRT:
        advice = "its own libraries (libnvinfer) should be on the library path"
    else:
        advice = "`nvidia-smi` should show a GPU and CUDA 13 or newer"
    return f"onnxruntime could not load {provider}, so whycam continues with {_instead(real)}: {advice}."


def _instead(real: Sequence[str]) -> str:
    return "the processor" if real[0] == CPU else real[0].removesuffix("ExecutionProvider")
