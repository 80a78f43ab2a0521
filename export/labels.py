"""The names of a classifier's classes: from a file, from the model's own metadata, or numbers."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnx import ModelProto

from whycam.models import catalog

IMAGENET = Path(catalog.__file__).parent / "imagenet-labels.txt"
METADATA = ("names", "id2label", "labels", "classes")
"""Keys of a model's properties that hold its labels: YOLO's, Hugging Face's, and what people write."""


def find_labels(
    model: ModelProto, count: int, given: Path | None, stated: tuple[tuple[str, ...], str] | None = None
) -> tuple[tuple[str, ...], str]:
    """The labels of `count` classes, and where they come from, as a sentence.

    `stated` are those of the network's framework, and where it has them. Raises `ValueError` for a file that cannot be
    read, or that does not name as many classes.
    """
    if given is not None:
        labels = read_labels(given)
        if len(labels) != count:
            raise ValueError(f"{given} names {len(labels)} classes, the network scores {count}.")
        return labels, f"Labels: from {given}"
    if stated is not None and len(stated[0]) == count:
        return stated[0], f"Labels: from {stated[1]}"
    properties = {entry.key: entry.value for entry in model.metadata_props}
    for key in METADATA:
        labels = listed(_literal(properties.get(key, "")))
        if len(labels) == count:
            return labels, f"Labels: the model's own ('{key}')"
    if count == 1000:
        return tuple(IMAGENET.read_text("utf-8").splitlines()), "Labels: ImageNet's, because there are 1000 classes"
    numbers = tuple(f"class {number}" for number in range(count))
    return numbers, "Labels: numbers, because none are known. Name them with --labels FILE (a line for each class)."


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels in a file: a line each, a JSON list or object, or the last column of a CSV; raises `ValueError`."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} cannot be read as a list of labels ({error}). Give a text, JSON or CSV file."
        ) from error
    if path.suffix.lower() == ".json":
        try:
            labels = listed(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is not JSON ({error}).") from error
    elif path.suffix.lower() == ".csv":
        rows = [row for row in csv.reader(text.splitlines()) if row]
        numbered = rows[1:] if rows and len(rows[0]) > 1 and not rows[0][0].strip().isdigit() else rows
        labels = tuple(row[-1].strip() for row in numbered)
    else:
        labels = _without_numbers([line.strip() for line in text.splitlines() if line.strip()])
    if len(labels) < 2:
        raise ValueError(f"{path} should name 2 or more classes, it names {len(labels)}.")
    return labels


def _without_numbers(lines: Sequence[str]) -> tuple[str, ...]:
    """Lines without their number, if each begins with its own, as Teachable Machine writes them: '0 cat'."""
    parts = [line.split(maxsplit=1) for line in lines]
    if all(len(part) == 2 and part[0] == str(number) for number, part in enumerate(parts)):
        return tuple(part[1] for part in parts)
    return tuple(lines)


def listed(value: Any) -> tuple[str, ...]:
    """A list's entries, or an object's in the order of its numbers, also where it is one of a configuration."""
    if isinstance(value, Mapping):
        if isinstance(value.get("id2label"), Mapping):
            value = value["id2label"]
        by_label = all(type(number) is int for number in value.values())  # as Keras' class_indices: {"cat": 0}
        try:
            numbers = sorted(
                (int(label), str(key)) if by_label else (int(key), str(label)) for key, label in value.items()
            )
        except ValueError:
            return ()
        return tuple(label for _, label in numbers) if [n for n, _ in numbers] == list(range(len(numbers))) else ()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(str(each) for each in value)
    return ()


def _literal(text: str) -> Any:
    """JSON, or a Python literal as YOLO writes it; None for other text."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None
