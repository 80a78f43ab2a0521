"""Brings a model to an opset in which the head can be written: older ones are converted, newer ones stay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, defs, helper, version_converter

from whycam.export.graph.evaluation import evaluated
from whycam.export.graph.onnx_graph import DOMAINS
from whycam.models.contract import OPSET

OLDEST, NEWEST = 7, min(28, defs.onnx_opset_version())
"""Up to 28 the operators of head and reverse pass are tried; what the installed onnx does not know, it cannot check."""
SAFE = 13
"""From here on, onnx converts upwards without changing what an operator means; below, the outputs are compared."""
IMAGES = 4
TOLERANCE = 1e-4


def converted(model: ModelProto) -> ModelProto:
    """A copy of a model with one input, in opset 17 or in its own newer one.

    Raises `ValueError` for an opset that is not supported, and where conversion fails or changes what is computed.
    """
    opset = max((entry.version for entry in model.opset_import if entry.domain in DOMAINS), default=0)
    if not OLDEST <= opset <= NEWEST:
        raise ValueError(f"The model has opset {opset}; export it with opset {OLDEST} to {NEWEST}.")
    if opset >= OPSET:
        ready = ModelProto()
        ready.CopyFrom(model)
        return ready
    try:
        ready = version_converter.convert_version(model, OPSET)
    except Exception as error:  # onnx raises what its C++ code threw
        raise ValueError(
            f"The model has opset {opset} and cannot be converted to {OPSET}. Export it with opset {SAFE} or newer. "
            f"(onnx: {str(error).splitlines()[0]})"
        ) from error
    if opset < SAFE:
        _compare(model, ready, opset)
    return ready


def _compare(before: ModelProto, after: ModelProto, opset: int) -> None:
    feeds = _samples(before)
    names = [output.name for output in before.graph.output]
    values = zip(
        evaluated(before.SerializeToString(), feeds, names, batch=1),
        evaluated(after.SerializeToString(), feeds, names, batch=1),
        strict=True,
    )
    if not all(a.shape == b.shape and np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE) for a, b in values):
        raise ValueError(
            f"Converted from opset {opset} to {OPSET}, the model computes something else. Export it with opset {SAFE} "
            "or newer."
        )


def _samples(model: ModelProto) -> dict[str, NDArray[np.generic]]:
    """Random values for the model's input; sizes that are not fixed are 1 for the batch and 32 elsewhere."""
    stored = {tensor.name for tensor in model.graph.initializer}
    (given,) = [each for each in model.graph.input if each.name not in stored]
    sizes = [dim.dim_value or 32 for dim in given.type.tensor_type.shape.dim][1:]
    random = np.random.default_rng(0)
    kind = given.type.tensor_type.elem_type
    if kind == TensorProto.UINT8:
        return {given.name: random.integers(0, 256, (IMAGES, *sizes)).astype(np.uint8)}
    return {given.name: random.normal(size=(IMAGES, *sizes)).astype(helper.tensor_dtype_to_np_dtype(kind))}
