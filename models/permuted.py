"""A serialized ONNX model in which the weights before one of its tensors are permuted."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from whycam.models.onnx_bytes import (
    GRAPH_OF_MODEL,
    INITIALIZER,
    NAME_OF_INITIALIZER,
    Field,
    fields,
    message,
    needed,
    numbers,
    read_by,
    texts,
)

DIMS, ELEMENT_TYPE, FLOAT_DATA, RAW_DATA = 1, 2, 4, 9  # field numbers of a tensor in onnx.proto3
ITEM_BYTES = {1: 4, 2: 1, 3: 1, 10: 2, 11: 8, 16: 2}
"""Of the element types that weights have: float32, uint8, int8, float16, float64 and bfloat16."""


def permute_weights(model: bytes, before: str, *, most: int | None = None, seed: int = 0) -> bytes:
    """The model with the elements of each weight that the tensor `before` depends on in random order.

    Weights are stored tensors with two axes or more, apart from those of size 1; biases and scales stay. `most`: only
    the nearest ones, in the graph's order. Raises `ValueError` for malformed bytes, and if no weight was found.
    """
    changed = 0
    parts: list[bytes | memoryview] = []
    for field in fields(memoryview(model)):
        if field.number != GRAPH_OF_MODEL:
            parts.append(field.whole)
            continue
        graph = list(fields(field.content))
        names = _weights(graph, before)
        chosen = set(names if most is None else names[len(names) - min(most, len(names)) :])
        changed += len(chosen)
        written = (_permuted(each, seed) if _name(each) in chosen else each.whole for each in graph)
        parts.append(message(GRAPH_OF_MODEL, b"".join(written)))
    if not changed:
        raise ValueError(f"The model has no weights before '{before}'.")
    return b"".join(parts)


def _weights(graph: Sequence[Field], before: str) -> list[str]:
    """The names of the weights that a tensor depends on, in the order in which nodes read them."""
    places, wanted = needed(graph, [before])
    stored = {_name(field): field.content for field in graph if field.number == INITIALIZER}
    found = []
    for place in sorted(places):
        for name in read_by(graph[place].content):
            content = stored.get(name)
            if content is None or name not in wanted or name in found:
                continue
            (kind,) = numbers(content, ELEMENT_TYPE) or [0]
            if kind in ITEM_BYTES and sum(dim > 1 for dim in numbers(content, DIMS)) >= 2:
                found.append(name)
    return found


def _name(field: Field) -> str:
    """Of a stored tensor; empty for other parts of a graph."""
    return next(iter(texts(field.content, NAME_OF_INITIALIZER)), "") if field.number == INITIALIZER else ""


def _permuted(field: Field, seed: int) -> bytes:
    (kind,) = numbers(field.content, ELEMENT_TYPE)
    random = np.random.default_rng([seed, zlib.crc32(_name(field).encode())])
    parts: list[bytes | memoryview] = []
    for part in fields(field.content):
        if part.number in (RAW_DATA, FLOAT_DATA):
            items = np.frombuffer(part.content, f"V{ITEM_BYTES[kind]}")
            parts.append(message(part.number, random.permutation(items).tobytes()))
        else:
            parts.append(part.whole)
    return message(INITIALIZER, b"".join(parts))
