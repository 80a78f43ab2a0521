"""Stores a model's weights in half precision: a file of half the size that still computes in float32."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from export.graph import PREFIX

SMALLEST = 2048
"""Weights with fewer entries (biases, scales, thin kernels) stay as they are: there is nothing to gain."""


def store_half(model: ModelProto) -> ModelProto:
    """A copy whose float32 weights are stored as float16 and cast to float32 when the model is loaded.

    Raises `ValueError` for a weight beyond what half precision holds (65504).
    """
    ready = ModelProto()
    ready.CopyFrom(model)
    graph = ready.graph
    casts = []
    for tensor in graph.initializer:
        value = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or value.size < SMALLEST:
            continue
        if np.abs(value).max() > np.finfo(np.float16).max:
            raise ValueError(f"The weights '{tensor.name}' hold values beyond half precision; store them in float32.")
        name, stored = tensor.name, f"{PREFIX}half/{tensor.name}"
        tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [name], f"{PREFIX}float/{name}", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return ready
