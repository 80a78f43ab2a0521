"""Prunes a serialized ONNX model to some of its outputs, so that onnxruntime computes only what these need.

onnxruntime runs every node of a graph, whichever outputs are requested.
"""

from __future__ import annotations

from collections.abc import Collection

from whycam.models.onnx_bytes import (
    GRAPH_OF_MODEL,
    INITIALIZER,
    INPUT,
    NAME_OF_INITIALIZER,
    NAME_OF_VALUE,
    NODE,
    OUTPUT,
    fields,
    message,
    needed,
    texts,
)


def keep_outputs(model: bytes, outputs: Collection[str]) -> bytes:
    """The model with these outputs and the nodes and weights they need; raises `ValueError` for malformed bytes.

    An input with a default is removed if no remaining node reads it. An input without one stays.
    """
    view = memoryview(model)
    return b"".join(
        message(GRAPH_OF_MODEL, _pruned(field.content, outputs)) if field.number == GRAPH_OF_MODEL else field.whole
        for field in fields(view)
    )


def _pruned(graph: memoryview, outputs: Collection[str]) -> bytes:
    parts = list(fields(graph))
    stored = {
        name for field in parts if field.number == INITIALIZER for name in texts(field.content, NAME_OF_INITIALIZER)
    }
    places, wanted = needed(parts, outputs)
    kept = []
    for place, field in enumerate(parts):
        if field.number == NODE:
            keep = place in places
        elif field.number == INITIALIZER:
            keep = not wanted.isdisjoint(texts(field.content, NAME_OF_INITIALIZER))
        elif field.number == OUTPUT:
            keep = not set(outputs).isdisjoint(texts(field.content, NAME_OF_VALUE))
        elif field.number == INPUT:
            keep = not (stored - wanted).intersection(texts(field.content, NAME_OF_VALUE))
        else:
            keep = True
        if keep:
            kept.append(field.whole)
    return b"".join(kept)
