"""What a graph is, in sixteen letters, so that a test can hold it as it was."""

from __future__ import annotations

import hashlib

import onnx
from onnx import ModelProto, numpy_helper


def graph_digest(model: ModelProto) -> str:
    """Of all nodes, weights, inputs and outputs by name, in order."""
    found = hashlib.sha256()
    for node in model.graph.node:
        given = sorted(onnx.printer.to_text(node).split())
        found.update(repr((node.name, list(node.input), list(node.output), given)).encode())
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor)
        found.update(repr((tensor.name, str(value.dtype), value.shape)).encode() + value.tobytes())
    found.update(repr([each.name for each in (*model.graph.input, *model.graph.output)]).encode())
    return found.hexdigest()[:16]
