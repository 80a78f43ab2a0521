"""The pointing game (Zhang et al. 2018): does the hottest place lie on the object? With TorchRay's tolerance."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from whycam.stream.inference.preprocess import Rectangle
from whycam.stream.measure.network import Heat

TOLERANCE = 15
"""Pixels of the original image by which the hottest place may lie outside a box."""
COLUMNS = ("image", "class", "left", "top", "right", "bottom")


class Box(NamedTuple):
    """Where an object lies, in pixels of the upright image."""

    label: str
    """The class's name or number, as in the file."""
    left: float
    top: float
    right: float
    bottom: float


class BoxesError(ValueError):
    """A file of boxes cannot be read; says where and what was expected."""


def read_boxes(path: Path) -> Mapping[str, Sequence[Box]]:
    """The boxes of a CSV file with the columns `COLUMNS`, by the image's file name; raises `BoxesError`."""
    try:
        lines = list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BoxesError(f"{path} cannot be read ({error}). Give a CSV file in UTF-8.") from error
    if not lines or not set(COLUMNS) <= set(lines[0]):
        raise BoxesError(f"{path} should be a CSV file with a first line {','.join(COLUMNS)} and a line for each box.")
    found: dict[str, list[Box]] = {}
    for place, line in enumerate(lines, 2):
        try:
            left, top, right, bottom = (float(line[name]) for name in COLUMNS[2:])
        except (TypeError, ValueError):
            raise BoxesError(f"{path}, line {place}: left, top, right and bottom should be numbers.") from None
        if not (left < right and top < bottom):
            raise BoxesError(f"{path}, line {place}: left should be below right, and top below bottom.")
        found.setdefault(line["image"], []).append(Box(line["class"], left, top, right, bottom))
    return found


def hits(heat: Heat, seen: Rectangle, boxes: Sequence[Box]) -> bool:
    """Whether the hottest place lies in a box, or at most `TOLERANCE` pixels outside.

    `seen` is the part of the image that the network sees. A map without heat points nowhere.
    """
    if heat.max() <= 0:
        return False
    rows, columns = heat.shape
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    x = seen.x + (column + 0.5) * seen.width / columns
    y = seen.y + (row + 0.5) * seen.height / rows
    return any(
        np.hypot(max(box.left - x, 0, x - box.right), max(box.top - y, 0, y - box.bottom)) <= TOLERANCE for box in boxes
    )
