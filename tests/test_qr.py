"""The code says the URL, in a terminal and as a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.qr import svg_qr, terminal_qr

URL = "https://192.168.178.123:8443/#aDM5yayTjIpEjaFqu2tsWQ"
HALVES = {" ": (False, False), "▀": (True, False), "▄": (False, True), "█": (True, True)}


def as_shown(text: str, scale: int = 6) -> NDArray[np.uint8]:
    """What a terminal shows: black ink on white, a character twice as high as wide."""
    rows = [[HALVES[character] for character in line] for line in text.splitlines()]
    ink = np.array([[pair[half] for pair in row] for row in rows for half in (0, 1)])
    return np.where(ink, 0, 255).astype(np.uint8).repeat(scale, 0).repeat(scale, 1)


def decoded(picture: NDArray[np.uint8]) -> str:
    return str(cv2.QRCodeDetector().detectAndDecode(picture)[0])


def test_the_terminals_code_says_the_url() -> None:
    assert decoded(as_shown(terminal_qr(URL))) == URL


def test_it_fits_a_small_terminal() -> None:
    lines = terminal_qr(URL).splitlines()
    assert len(lines) <= 20
    assert {len(line) for line in lines} == {len(lines[0])}
    assert len(lines[0]) <= 40


def test_the_picture_runs_no_script_and_asks_for_nothing() -> None:
    svg = svg_qr(URL)
    assert svg.startswith(b"<svg")
    assert b"viewBox" in svg
    assert not any(word in svg.lower() for word in (b"script", b"href", b"style"))
