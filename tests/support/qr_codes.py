"""Reads QR codes from a terminal and from an image."""

from __future__ import annotations

import numpy as np
import zxingcpp
from numpy.typing import NDArray

HALVES = {" ": (False, False), "▀": (True, False), "▄": (False, True), "█": (True, True)}


def as_shown(text: str, scale: int = 6) -> NDArray[np.uint8]:
    """A terminal's text as an image: black on white, characters twice as high as wide."""
    rows = [[HALVES[character] for character in line] for line in text.splitlines()]
    ink = np.array([[pair[half] for pair in row] for row in rows for half in (0, 1)])
    return np.where(ink, 0, 255).astype(np.uint8).repeat(scale, 0).repeat(scale, 1)


def decoded(picture: NDArray[np.uint8]) -> str:
    """The text of the one code in an image; empty if there is none."""
    found = zxingcpp.read_barcode(picture)
    return found.text if found else ""
