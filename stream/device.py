"""Where a model runs: the execution providers to ask onnxruntime for, and in words why a wanted one is not there."""

from __future__ import annotations

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
_PROVIDERS: dict[Device, tuple[str, ...]] = {
    "auto": (CUDA, "CoreMLExecutionProvider", "OpenVINOExecutionProvider", CPU),
    "cpu": (CPU,),
    "cuda": (CUDA, CPU),
    # What TensorRT cannot run falls to CUDA.
    "tensorrt": (TENSORRT, CUDA, CPU),
    "coreml": ("CoreMLExecutionProvider", CPU),
    "openvino": ("OpenVINOExecutionProvider", CPU),
}


def providers(device: Device, available: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """The providers to ask for, best first, with their options; only those that this onnxruntime was built with."""
    return [(name, _options(name)) for name in _PROVIDERS[device] if name in available]


def _options(provider: str) -> dict[str, str]:
    if provider == CUDA:
        # A stream's shapes never change, so the search for the fastest convolution pays. TF32 has a mantissa of ten
        # bits: with it a heatmap would no longer be equal to automatic differentiation.
        return {"cudnn_conv_algo_search": "EXHAUSTIVE", "use_tf32": "0"}
    if provider == TENSORRT:
        cache = Path(platformdirs.user_cache_path("whycam")) / "tensorrt"  # an engine takes a minute to build
        return {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(cache)}
    return {}


def why_not(device: Device, real: Sequence[str], available: Sequence[str]) -> str | None:
    """One sentence where the model does not run on what was wanted; None where it does.

    `real` are the session's providers, `available` those that onnxruntime was built with.
    """
    first = _PROVIDERS[device][0]
    if device == "auto":
        if real[0] == CPU and CUDA not in available and shutil.which("nvidia-smi"):
            return (
                "This computer has an NVIDIA GPU that is not used: "
                "pip uninstall onnxruntime, then pip install 'whycam[gpu]'."
            )
        return _not_loaded(CUDA) if CUDA in available and CUDA not in real else None
    if first in real:
        return None
    if first not in available:
        package = "'whycam[gpu]'" if device in ("cuda", "tensorrt") else f"an onnxruntime built with {device}"
        return (
            f"The installed onnxruntime has no {first} (it has {', '.join(available)}): "
            f"pip uninstall onnxruntime, then pip install {package}."
        )
    return _not_loaded(first)


def _not_loaded(provider: str) -> str:
    advice = "`nvidia-smi` should show a GPU and CUDA 13 or newer"
    if not shutil.which("nvidia-smi"):
        advice = "there is no NVIDIA driver (`nvidia-smi`) on this computer"
    return f"onnxruntime could not load {provider}, the model runs on the processor: {advice}."
