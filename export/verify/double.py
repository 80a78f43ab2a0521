"""Evaluates an ONNX graph in float64, with onnx's own reference implementation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, ModelProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from whycam.export.verify.max_pool import KeptMaxPool

SMALLER = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
"""Types that become float64."""


class Erf(OpRun):  # type: ignore[misc, unused-ignore]
    """As onnx's, which computes in float32 whatever it is given."""

    def _run(self, x: NDArray[Any]) -> tuple[NDArray[np.float64]]:
        return (_erf(x),)


class Gelu(OpRun):  # type: ignore[misc, unused-ignore]
    """As onnx's, in float64."""

    def _run(self, x: NDArray[Any], approximate: str = "none") -> tuple[NDArray[np.float64]]:
        if approximate == "tanh":
            return (np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),)
        return (np.asarray(0.5 * x * (1 + _erf(x / math.sqrt(2)))),)


def _erf(x: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x), np.float64)


class DoubleGraph:
    """A graph whose floating-point inputs, constants and casts are float64."""

    def __init__(self, model: ModelProto) -> None:
        self._run = ReferenceEvaluator(in_double(model), new_ops=[Erf, Gelu, KeptMaxPool])

    def __call__(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """The outputs for feeds by input name; those of floating-point numbers are made float64."""
        ready = {
            name: value.astype(np.float64) if np.issubdtype(value.dtype, np.floating) else value
            for name, value in feeds.items()
        }
        return [np.asarray(value) for value in self._run.run(list(outputs), ready)]


def in_double(model: ModelProto) -> ModelProto:
    """A copy of a model in float64."""
    double = ModelProto()
    double.CopyFrom(model)
    graph = double.graph
    del graph.value_info[:]
    for tensor in graph.initializer:
        _widen(tensor)
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in SMALLER:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                _widen(attribute.t)
            if attribute.name in ("to", "dtype") and attribute.i in SMALLER:
                attribute.i = TensorProto.DOUBLE
    return double


def _widen(tensor: TensorProto) -> None:
    if tensor.data_type in SMALLER:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
