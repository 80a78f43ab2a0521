"""Stores a model's weights in half precision: a file of half the size that still computes in float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from whycam.export.graph.onnx_graph import PREFIX

SMALLEST = 2048
"""Weights with fewer entries (biases, scales, thin kernels) stay in float32, because little would be gained."""


def rounded(value: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights rounded as in a half-precision file; raises `ValueError` for values beyond 65504."""
    if value.size < SMALLEST:
        return value
    if np.abs(value).max() > np.finfo(np.float16).max:
        raise ValueError("The weights have values beyond half precision (65504); store them in float32.")
    return value.astype(np.float16).astype(np.float32)


def store_half(model: ModelProto) -> ModelProto:
    """A copy of a plain classifier whose float32 weights are stored as float16 and cast to float32 on loading.

    Call it before the head is appended, so that the head's constants are made from the stored weights. Raises
    `ValueError` for a weight beyond half precision (65504), and for a model that already has a head.
    """
    if any(output.name == "heatmaps" for output in model.graph.output):
        raise ValueError("This model has a CAM head. Store the classifier in half precision, then append the head.")
    ready = ModelProto()
    ready.CopyFrom(model)
    graph = ready.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or int(np.prod(tensor.dims)) < SMALLEST:
            continue
        value = rounded(numpy_helper.to_array(tensor)).astype(np.float16)
        name, stored = tensor.name, f"{PREFIX}half/{tensor.name}"
        tensor.CopyFrom(numpy_helper.from_array(value, stored))
        casts.append(helper.make_node("Cast", [stored], [name], f"{PREFIX}float/{name}", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return ready
