"""What an ONNX file says of itself: its metadata, inputs and outputs, read without opening its graph.

onnxruntime prepares a graph for running before it says what is in it. A file may hold many maps, of which one is drawn.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from whycam.models.contract import Tensor
from whycam.models.onnx_bytes import (
    GRAPH_OF_MODEL,
    INITIALIZER,
    INPUT,
    NAME_OF_INITIALIZER,
    NAME_OF_VALUE,
    OUTPUT,
    fields,
    numbers,
    texts,
)

# Field numbers of onnx.proto3.
METADATA_OF_MODEL = 14
KEY, VALUE = 1, 2  # of an entry of the metadata
TYPE_OF_VALUE, TENSOR_TYPE, ELEMENT_TYPE, SHAPE = 2, 1, 1, 2
DIMENSION, SIZE, SYMBOL = 1, 1, 2
TYPES = {1: "float", 2: "uint8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "double"}
"""onnxruntime's names of element types."""


class Described(NamedTuple):
    """What a file says of itself."""

    metadata: dict[str, str]
    inputs: list[Tensor]
    """Those without a default."""
    outputs: list[Tensor]


def describe(path: Path) -> Described:
    """What the file says; raises `ValueError` if it is malformed or says no type of a tensor, and `OSError`."""
    with path.open("rb") as file:  # the mapping ends with the last part of it that is referenced
        return _described(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))


def _described(model: memoryview) -> Described:
    metadata: dict[str, str] = {}
    found: dict[int, list[Tensor]] = {INPUT: [], OUTPUT: []}
    stored: set[str] = set()
    for field in fields(model):
        if field.number == METADATA_OF_MODEL:
            (key,), value = texts(field.content, KEY), texts(field.content, VALUE)
            metadata[key] = value[0] if value else ""
        elif field.number == GRAPH_OF_MODEL:
            for part in fields(field.content):
                if part.number in found:
                    found[part.number].append(_tensor(part.content))
                elif part.number == INITIALIZER:
                    stored.update(texts(part.content, NAME_OF_INITIALIZER))
    return Described(metadata, [each for each in found[INPUT] if each.name not in stored], found[OUTPUT])


def _tensor(value: memoryview) -> Tensor:
    (name,) = texts(value, NAME_OF_VALUE)
    (kind,) = (each for outer in _inside(value, TYPE_OF_VALUE) for each in _inside(outer, TENSOR_TYPE))
    (element,), (shape,) = numbers(kind, ELEMENT_TYPE), _inside(kind, SHAPE)
    if element not in TYPES:
        raise ValueError(f"'{name}' has the element type {element}.")
    return Tensor(name, f"tensor({TYPES[element]})", [_size(each) for each in _inside(shape, DIMENSION)])


def _size(dimension: memoryview) -> int | str | None:
    found: list[int | str] = [*numbers(dimension, SIZE), *texts(dimension, SYMBOL)]
    return found[0] if found else None


def _inside(content: memoryview, number: int) -> Iterator[memoryview]:
    return (field.content for field in fields(content) if field.number == number)
