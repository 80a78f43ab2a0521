"""Reads and writes the parts of a serialized ONNX model that the run time needs, which does not depend on onnx.

Of a model's protobuf these are a graph's nodes, weights and outputs, and the names of each node's inputs (also in the
branches of an If and the body of a Loop) and outputs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
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


def needed(graph: Sequence[Field], outputs: Collection[str]) -> tuple[set[int], set[str]]:
    """The places of a graph's nodes that compute these tensors, and the names of all tensors that they read."""
    wanted, places = set(outputs), set()
    # Nodes are in topological order, so a pass from the last to the first finds every node that is needed.
    for place, field in reversed(list(enumerate(graph))):
        if field.number == NODE and not wanted.isdisjoint(texts(field.content, NODE_OUTPUT)):
            places.add(place)
            wanted.update(read_by(field.content))
    return places, wanted


def read_by(node: memoryview, depth: int = 0) -> Iterator[str]:
    """The tensors that a node reads, including those in its subgraphs."""
    if depth > DEEPEST:
        raise ValueError(f"A protobuf message has more than {DEEPEST} nested graphs.")
    yield from texts(node, NODE_INPUT)
    for attribute in fields(node):
        if attribute.number == NODE_ATTRIBUTE:
            for graph in fields(attribute.content):
                if graph.number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
                    for inner in fields(graph.content):
                        if inner.number == NODE:
                            yield from read_by(inner.content, depth + 1)
                        elif inner.number == OUTPUT:
                            yield from texts(inner.content, NAME_OF_VALUE)


def texts(content: memoryview, number: int) -> list[str]:
    """The strings in a message's fields of this number."""
    return [str(field.content, "utf-8") for field in fields(content) if field.number == number]


def numbers(content: memoryview, number: int) -> list[int]:
    """The integers in a message's fields of this number, packed or not."""
    found = []
    for field in fields(content):
        if field.number == number:
            place = 0
            while place < len(field.content):
                value, place = _varint(field.content, place)
                found.append(value)
    return found


def fields(content: memoryview) -> Iterator[Field]:
    """The fields of a protobuf message in order; raises `ValueError` if the message is malformed."""
    place = 0
    while place < len(content):
        start = place
        key, place = _varint(content, place)
        number, kind = key >> 3, key & 7
        if kind == BYTES:
            length, place = _varint(content, place)
        elif kind == VARINT:
            length = _varint(content, place)[1] - place
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"A protobuf message has no valid field at byte {start}.")
        if place + length > len(content):
            raise ValueError(f"The field at byte {start} of a protobuf message is longer than the message.")
        yield Field(number, content[place : place + length], content[start : place + length])
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


def message(number: int, content: bytes) -> bytes:
    """A field with a message, written."""
    return _number(number << 3 | BYTES) + _number(len(content)) + content


def _number(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
