"""Prunes a serialized ONNX model to some of its outputs, so that onnxruntime computes only what these need.

onnxruntime runs every node of a graph, whichever outputs are requested. The run time does not depend on onnx, so this
module parses only part of a model's protobuf: a graph's nodes, weights and outputs, and the names of each node's
inputs (also in the branches of an If and the body of a Loop) and outputs. Everything else is copied unchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

# Field numbers of onnx.proto3.
GRAPH_OF_MODEL = 7
NODE, INITIALIZER, INPUT, OUTPUT = 1, 5, 11, 12  # of a graph
NODE_INPUT, NODE_OUTPUT, NODE_ATTRIBUTE = 1, 2, 5
ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS = 6, 11
NAME_OF_VALUE = 1  # of an input or an output
NAME_OF_INITIALIZER = 8

DEEPEST = 100
"""Nested graphs. Protobuf itself reads 100 nested messages, and a graph takes three."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # protobuf's wire types


class Field(NamedTuple):
    """A field of a protobuf message: its number, its payload, and the whole field with number and length."""

    number: int
    content: memoryview
    whole: memoryview


def keep_outputs(model: bytes, outputs: Collection[str]) -> bytes:
    """The model with these outputs and the nodes and weights they need; raises `ValueError` for malformed bytes.

    An input with a default is removed if no remaining node reads it. An input without one stays.
    """
    view = memoryview(model)
    return b"".join(
        _message(GRAPH_OF_MODEL, _pruned(field.content, outputs)) if field.number == GRAPH_OF_MODEL else field.whole
        for field in _fields(view)
    )


def _pruned(graph: memoryview, outputs: Collection[str]) -> bytes:
    fields = list(_fields(graph))
    wanted, needed = set(outputs), set()
    stored = {
        name for field in fields if field.number == INITIALIZER for name in _texts(field.content, NAME_OF_INITIALIZER)
    }
    # Nodes are in topological order, so a pass from the last to the first finds every node that is needed.
    for place, field in reversed(list(enumerate(fields))):
        if field.number == NODE and not wanted.isdisjoint(_texts(field.content, NODE_OUTPUT)):
            needed.add(place)
            wanted.update(_read_by(field.content))
    kept = []
    for place, field in enumerate(fields):
        if field.number == NODE:
            keep = place in needed
        elif field.number == INITIALIZER:
            keep = not wanted.isdisjoint(_texts(field.content, NAME_OF_INITIALIZER))
        elif field.number == OUTPUT:
            keep = not set(outputs).isdisjoint(_texts(field.content, NAME_OF_VALUE))
        elif field.number == INPUT:
            keep = not (stored - wanted).intersection(_texts(field.content, NAME_OF_VALUE))
        else:
            keep = True
        if keep:
            kept.append(field.whole)
    return b"".join(kept)


def _read_by(node: memoryview, depth: int = 0) -> Iterator[str]:
    """The tensors that a node reads, including those in its subgraphs."""
    if depth > DEEPEST:
        raise ValueError(f"A protobuf message has more than {DEEPEST} nested graphs.")
    yield from _texts(node, NODE_INPUT)
    for attribute in _fields(node):
        if attribute.number == NODE_ATTRIBUTE:
            for graph in _fields(attribute.content):
                if graph.number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
                    for inner in _fields(graph.content):
                        if inner.number == NODE:
                            yield from _read_by(inner.content, depth + 1)
                        elif inner.number == OUTPUT:
                            yield from _texts(inner.content, NAME_OF_VALUE)


def _texts(message: memoryview, number: int) -> list[str]:
    return [str(field.content, "utf-8") for field in _fields(message) if field.number == number]


def _fields(message: memoryview) -> Iterator[Field]:
    """The fields of a protobuf message in order; raises `ValueError` if the message is malformed."""
    place = 0
    while place < len(message):
        start = place
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == BYTES:
            length, place = _varint(message, place)
        elif kind == VARINT:
            length = _varint(message, place)[1] - place
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"A protobuf message has no valid field at byte {start}.")
        if place + length > len(message):
            raise ValueError(f"The field at byte {start} of a protobuf message is longer than the message.")
        yield Field(number, message[place : place + length], message[start : place + length])
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A varint (7 bits a byte) and the offset after it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("A number in a protobuf message has no end.")


def _message(number: int, content: bytes) -> bytes:
    return _number(number << 3 | BYTES) + _number(len(content)) + content


def _number(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
