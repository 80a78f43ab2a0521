"""A file for which nobody chooses a method has the graph that it had before there were methods to choose."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import onnx
import pytest
from onnx import ModelProto, numpy_helper

from tests.support.models import tiny_models
from tests.support.models.dense_tail_models import DenseTail
from whycam.export.head.grad_cam import append_cam


def digest(model: ModelProto) -> str:
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


@pytest.mark.parametrize(
    ("made", "before"),
    [
        (lambda: append_cam(tiny_models.classifier(classes=10)), "6acf423102f51936"),
        (lambda: append_cam(tiny_models.classifier(classes=10), score="logit"), "e3c126f214adda1c"),
        (lambda: append_cam(DenseTail(pooling="overlapping").model()), "f50f836bc308b25e"),
        (lambda: append_cam(DenseTail().model(), layer="feature"), "64e6e0467f11880c"),
    ],
)
def test_the_default_graph_is_as_it_was(made: Callable[[], ModelProto], before: str) -> None:
    assert digest(made()) == before
