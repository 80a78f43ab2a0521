"""Runs a graph with onnxruntime, or, where only onnx is installed, with onnx's own slow reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import load_model_from_string
from onnx.reference import ReferenceEvaluator


def evaluated(
    model: bytes, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str], *, batch: int | None = None
) -> list[NDArray[Any]]:
    """Outputs of any ONNX graph, on the processor; at most `batch` rows of the feeds at a time."""
    try:
        from whycam.stream.inference.explainer import evaluate

        return evaluate(model, feeds, outputs, batch=batch)
    except ImportError:
        pass
    reference = ReferenceEvaluator(load_model_from_string(model))
    count = max((len(feed) for feed in feeds.values()), default=1)
    step = batch or max(count, 1)
    parts = [
        reference.run(list(outputs), {name: feed[start : start + step] for name, feed in feeds.items()})
        for start in range(0, count, step)
    ]
    return [np.concatenate(part) if len(parts) > 1 else np.asarray(part[0]) for part in zip(*parts, strict=True)]
