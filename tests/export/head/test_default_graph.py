"""A file for which nobody chooses a method has the graph that it had before there were methods to choose."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from onnx import ModelProto

from tests.support.models import tiny_models
from tests.support.models.dense_tail_models import DenseTail
from tests.support.models.graph_digest import graph_digest
from whycam.export.head.grad_cam import append_cam


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
    assert graph_digest(made()) == before
