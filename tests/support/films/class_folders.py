"""Folders of pictures and films of coloured squares, to teach their colours from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from whycam.stream.media.image import write_image
from whycam.stream.video.planes import Bytes

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (230, 20, 20),
    "green": (20, 230, 20),
    "blue": (20, 20, 230),
    "yellow": (230, 230, 20),
}
SIZE = 64
"""Height and width of a picture, in pixels."""
SIDE = 16
"""Of the square."""


def square(colour: str, number: int = 0, at: tuple[int, int] | None = None) -> Bytes:
    """A grey picture with a square, at another place for each number; `at` is its upper left corner (y, x)."""
    random = np.random.default_rng(number)
    picture = np.full((SIZE, SIZE, 3), 90 + number % 7, np.uint8)
    y, x = at or random.integers(0, SIZE - SIDE, 2)
    picture[y : y + SIDE, x : x + SIDE] = COLOURS[colour]
    return picture


def film(path: Path, colours: Sequence[str], first: int = 0) -> Path:
    """A film of one square a frame; the container is that of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=Fraction(30), options={"crf": "10"})
        assert isinstance(stream, VideoStream)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number, colour in enumerate(colours):
            frame = av.VideoFrame.from_ndarray(square(colour, first + number), "rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def pictures(folder: Path, colour: str, count: int, first: int = 0) -> list[Path]:
    """Photographs, whose names are not numbered like a film's frames."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{colour}{chr(ord('a') + number)}.png" for number in range(count)]
    for number, path in enumerate(paths):
        write_image(path, square(colour, first + number))
    return paths


def colours_folder(folder: Path) -> Path:
    """Two classes: `red` of five pictures, `green` of two films."""
    pictures(folder / "red", "red", 5)
    film(folder / "green" / "one.mp4", ["green"] * 7, 50)
    film(folder / "green" / "two.mp4", ["green"] * 7, 80)
    return folder
