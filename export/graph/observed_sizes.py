"""Finds the sizes of a model's tensors by running it, where shape inference fails.

Exporters write graphs that compute shapes at run time. The model is run with two numbers of images: a size that is the
same in both is fixed, any other depends on the number of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, shape_inference

from whycam.export.graph.evaluation import evaluated
from whycam.export.graph.onnx_graph import skeleton

BATCHES = (2, 3)
"""Numbers of images with which sizes are observed: what differs depends on N."""


def observe_sizes(model: ModelProto) -> None:
    """Declare the sizes of all tensors that shape inference leaves open; the model has one input and no head yet.

    Sizes stay open in a model that onnxruntime cannot run: it is refused where they are needed, with the node's name.
    """
    names = _open_tensors(model)
    if not names:
        return
    try:
        few, more = observed(model, names)
    except Exception:  # noqa: BLE001 - onnxruntime's exceptions have no common base class
        return
    for name, first, second in zip(names, few, more, strict=True):
        type_ = helper.np_dtype_to_tensor_dtype(first.dtype)
        shape = [_size(*pair) for pair in zip(first.shape, second.shape, strict=True)]
        model.graph.value_info.append(helper.make_tensor_value_info(name, type_, shape))


def observed(model: ModelProto, names: Sequence[str]) -> list[list[NDArray[Any]]]:
    """The values of a model's tensors for each number of `BATCHES` of images of noise.

    Raises `ValueError` for images of no fixed height and width, and what onnxruntime raises for a model that it cannot
    run.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    (image,) = [each for each in model.graph.input if each.name not in stored]
    sizes = [dim.dim_value for dim in image.type.tensor_type.shape.dim][1:]
    if not all(sizes):
        raise ValueError(f"The images have no fixed size: {sizes}.")
    dtype = helper.tensor_dtype_to_np_dtype(image.type.tensor_type.elem_type)
    values = np.random.default_rng(0).integers(0, 256, (max(BATCHES), *sizes)).astype(dtype)
    own = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend(ValueInfoProto(name=name) for name in names)
    opened = model.SerializeToString()
    del model.graph.output[:]
    model.graph.output.extend(own)
    return [evaluated(opened, {image.name: values[:count]}, names) for count in BATCHES]


def _open_tensors(model: ModelProto) -> list[str]:
    """The tensors with an unknown size, the number of images apart; integers, which are sizes, do not count."""
    inferred = shape_inference.infer_shapes(skeleton(model), data_prop=True).graph
    values = {value.name: value for value in (*inferred.value_info, *inferred.input, *inferred.output)}
    made = [name for node in model.graph.node for name in node.output if name]
    return [name for name in made if name not in values or _is_open(values[name])]


def _is_open(value: ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    if tensor.elem_type in (TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL):
        return False
    return not tensor.HasField("shape") or not all(dim.HasField("dim_value") for dim in list(tensor.shape.dim)[1:])


def _size(first: int, second: int) -> int | str | None:
    if first == second:
        return first
    return "N" if (first, second) == BATCHES else None
