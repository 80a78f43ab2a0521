"""Makes a network of half or double precision, or of several, compute in float32, as the head does.

Half-precision weights stay as they are and are cast when the file is loaded, so the file does not grow.
"""

from __future__ import annotations

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from whycam.export.graph.onnx_graph import PREFIX, attribute, skeleton
from whycam.export.precision.half import SMALLEST

HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
OTHERS = (*HALVES, TensorProto.DOUBLE)
"""Types of floating-point numbers that become float32."""
FLOATS = (*OTHERS, TensorProto.FLOAT)


def in_single(model: ModelProto) -> ModelProto | None:
    """A copy of a plain classifier that computes in float32 alone; None if it does already."""
    if not any(tensor.data_type in OTHERS for tensor in model.graph.initializer) and not _casts(model):
        return None
    ready = ModelProto()
    ready.CopyFrom(model)
    graph = ready.graph
    _leave_out_casts(ready)
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in OTHERS:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for each in node.attribute:
            _in_single(node, each)
    read = []
    for tensor in graph.initializer:
        if tensor.data_type not in OTHERS:
            continue
        if tensor.data_type in HALVES and int(np.prod(tensor.dims)) >= SMALLEST:
            name = tensor.name
            tensor.name = f"{PREFIX}half/{name}"
            read.append(helper.make_node("Cast", [tensor.name], [name], f"{PREFIX}float/{name}", to=TensorProto.FLOAT))
        else:
            tensor.CopyFrom(_single(tensor))
    nodes = [*read, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return ready


def _leave_out_casts(model: ModelProto) -> None:
    """Make an Identity of each Cast from a floating-point type to another, as behind the softmax of a file in half
    precision that keeps its outputs in float32."""
    inferred = shape_inference.infer_shapes(skeleton(model)).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    floating = {each.name for each in values if each.type.tensor_type.elem_type in FLOATS}
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in floating and attribute(node, "to") in FLOATS:
            node.op_type = "Identity"
            del node.attribute[:]


def _casts(model: ModelProto) -> bool:
    return any(attribute(node, "to") in OTHERS for node in model.graph.node if node.op_type == "Cast")


def _in_single(node: NodeProto, given: AttributeProto) -> None:
    if given.type == AttributeProto.GRAPH:
        raise ValueError(
            f"The network computes in half or double precision within a {node.op_type}, which cannot be converted. "
            "Export it in float32."
        )
    if given.type == AttributeProto.TENSOR and given.t.data_type in OTHERS:
        given.t.CopyFrom(_single(given.t))
    if given.name in ("to", "dtype") and given.i in OTHERS:
        given.i = TensorProto.FLOAT


def _single(tensor: TensorProto) -> TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)
