"""The activations of a model file: values of tensors inside its graph, read in a run of the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto, external_data_helper

from whycam.stream.inference.explainer import evaluate

Activations = dict[str, NDArray[np.float32]]
BATCH = 4
"""Images per run: VGG16's first layers take 60 MB for each."""


def observe(
    model: ModelProto, tensors: Sequence[str], images: NDArray[np.uint8], targets: NDArray[np.int64]
) -> Activations:
    """The values of tensors inside an explainable model, by name, for images and targets (N, K)."""
    return evaluated(with_outputs(model, tensors), tensors, images, targets)


def with_outputs(model: ModelProto, tensors: Sequence[str]) -> bytes:
    """A model, serialized, with further tensors as outputs; raises `ValueError` if its weights are not loaded."""
    outputs = {output.name for output in model.graph.output}
    if any(external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer):
        raise ValueError("The model's weights are in a separate file and not loaded. Open it with onnx.load(path).")
    added = [name for name in dict.fromkeys(tensors) if name not in outputs]
    model.graph.output.extend(ValueInfoProto(name=name) for name in added)  # onnxruntime infers their types
    opened: bytes = model.SerializeToString()
    del model.graph.output[len(outputs) :]
    return opened


def evaluated(
    opened: bytes, tensors: Sequence[str], images: NDArray[np.uint8], targets: NDArray[np.int64]
) -> Activations:
    """The values of outputs by name, a few images at a time."""
    values = evaluate(opened, {"image": images, "target": targets}, list(tensors), batch=BATCH)
    return dict(zip(tensors, values, strict=True))
