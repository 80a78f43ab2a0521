"""Small networks by both exporters of PyTorch, in many opsets, precisions and with other ends, and in 8 bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.zoo import small_networks
from tests.zoo.torch_networks import exported
from tests.zoo.trial import DYNAMO, LEGACY, Trial, Tried, from_file
from whycam.export.exporter import AskedTask, Wanted
from whycam.export.preprocessing import PREPROCESSING
from whycam.export.sources.find_source import find_source
from whycam.export.verify.synthetic_images import scenes

SIZE = 64
OPSETS = {LEGACY: (9, 11, 13, 17, 18, 20), DYNAMO: (9, 11, 13, 17, 18, 20, 23)}
"""The last is the newest that each exporter writes."""
CALIBRATION = 16
Build = Callable[[], Any]
NETWORKS: dict[str, Build] = {
    "AlexNet-like": small_networks.alexnet_like,
    "ResNet-like": small_networks.resnet_like,
}
BITS = {
    "QDQ": {},
    "QDQ, activations kept": {"QDQKeepRemovableActivations": True},
    "QDQ, symmetric": {"ActivationSymmetric": True},
    "QOperator": {},
    "dynamic": {},
}
"""Ways of onnxruntime.quantization, with their extra options."""


def trials() -> list[Trial]:
    """All of them."""
    opsets = "PyTorch's exporters and opsets"
    found = [
        Trial(opsets, shown, exporter, partial(_by_opset, build, exporter, opset), opset)
        for shown, build in NETWORKS.items()
        for exporter, asked in OPSETS.items()
        for opset in asked
    ]
    found += [Trial(opsets, shown, ".pt2", partial(_program, build, "float32")) for shown, build in NETWORKS.items()]
    precisions = "Half and double precision"
    for shown, build in NETWORKS.items():
        found += [Trial(precisions, f"{shown}, half", kind, partial(_half, build, kind)) for kind in (DYNAMO, LEGACY)]
        found += [
            Trial(precisions, f"{shown}, {name}", ".pt2", partial(_program, build, kind))
            for name, kind in (("half", "float16"), ("double", "float64"))
        ]
    found += [
        Trial("Other ends", "Sigmoid of 5 classes", LEGACY, partial(_end, 5, "Sigmoid", None)),
        Trial("Other ends", "logits of 5 classes, --task multi-label", DYNAMO, partial(_end, 5, "", "multi-label")),
        Trial("Other ends", "Softmax of 5 classes", DYNAMO, partial(_end, 5, "Softmax", None)),
        Trial("Other ends", "LogSoftmax of 5 classes", LEGACY, partial(_end, 5, "LogSoftmax", None)),
        Trial("Other ends", "Sigmoid of one number", DYNAMO, partial(_end, 1, "Sigmoid", None)),
        Trial("Other ends", "one logit, --task yes-no", LEGACY, partial(_end, 1, "", "yes-no")),
        Trial("Other ends", "one number, nothing said", LEGACY, partial(_end, 1, "", None)),
    ]
    plain = {"AlexNet-like": small_networks.alexnet_like, "VGG-like": small_networks.vgg_like}
    found += [
        Trial("8 bits, by onnxruntime.quantization", shown, way, partial(_quantized, build, way))
        for shown, build in plain.items()
        for way in BITS
    ]
    return found


def _by_opset(build: Build, exporter: str, opset: int, folder: Path) -> Tried:
    return exported(build(), SIZE, folder / "network.onnx", exporter, opset)


def _program(build: Build, precision: str, folder: Path) -> Tried:
    import torch

    kind = getattr(torch, precision)
    images = (torch.zeros(2, 3, SIZE, SIZE, dtype=kind),)
    shapes = ({0: torch.export.Dim("N", max=1024)},)
    torch.export.save(torch.export.export(build().to(kind), images, dynamic_shapes=shapes), folder / "network.pt2")
    return Tried(find_source(str(folder / "network.pt2")))


def _half(build: Build, exporter: str, folder: Path) -> Tried:
    """Without the framework: exporters fold batch normalization into weights, which half precision then rounds."""
    path = folder / "network.onnx"
    exported(build().half(), SIZE, path, exporter)
    return from_file(path)


def _end(classes: int, end: str, task: AskedTask | None, folder: Path) -> Tried:
    import torch

    options = {} if end in ("", "Sigmoid") else {"dim": 1}
    last = getattr(torch.nn, end)(**options) if end else None
    network = small_networks.resnet_like(classes=classes, end=last)
    exporter = DYNAMO if end == "Softmax" or task == "multi-label" or (classes == 1 and end) else LEGACY
    return exported(network, SIZE, folder / "network.onnx", exporter, wanted=Wanted(task=task))


def _quantized(build: Build, way: str, folder: Path) -> Tried:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static

    plain, made = folder / "plain.onnx", folder / "network.onnx"
    exported(build(), SIZE, plain, LEGACY, 13)
    if way == "dynamic":
        quantize_dynamic(plain, made)
        return from_file(made)
    images = PREPROCESSING["imagenet"].apply(scenes(CALIBRATION, SIZE, SIZE, seed=1)).transpose(0, 3, 1, 2)
    rows = iter(np.split(np.ascontiguousarray(images), CALIBRATION))

    class Images(CalibrationDataReader):  # type: ignore[misc, unused-ignore]
        """One image at a time."""

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            row = next(rows, None)
            return None if row is None else {"image": row}

    form = QuantFormat.QOperator if way == "QOperator" else QuantFormat.QDQ
    quantize_static(plain, made, Images(), quant_format=form, extra_options=BITS[way])
    return from_file(made)
