"""Writes a pooling whose one window covers the whole map as a global pooling.

Hugging Face's EfficientNet has an average of 1280 x 1280 cells over 7 x 7. onnxruntime and PyTorch take it over the
cells that there are; onnx's own reference, by which an export is checked, does not.
"""

from __future__ import annotations

from onnx import ModelProto

from whycam.export.graph.onnx_graph import Graph, attribute, kind

GLOBAL = {"AveragePool": "GlobalAveragePool", "MaxPool": "GlobalMaxPool"}


def name_global_pools(model: ModelProto) -> None:
    """Change such poolings of a model, in place; one with pads stays."""
    graph = Graph(model)
    for node in model.graph.node:
        if kind(node) not in GLOBAL or len([name for name in node.output if name]) != 1:
            continue
        shape, pooled = graph.shape(node.input[0]), graph.shape(node.output[0])
        if shape is None or pooled is None or len(shape) != 4 or list(pooled[2:]) != [1, 1]:
            continue
        padded = any(attribute(node, "pads", [])) or attribute(node, "auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
        dilated = any(each > 1 for each in attribute(node, "dilations", []))
        covers = all(map(_reaches, attribute(node, "kernel_shape"), shape[2:]))
        if covers and not padded and not dilated:
            node.op_type = GLOBAL[node.op_type]
            del node.attribute[:]


def _reaches(window: int, side: int | None) -> bool:
    return side is not None and window >= side
