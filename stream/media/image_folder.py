"""Images as the frames of a film: a single one, or a folder in natural order (2 before 10)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from whycam.stream.media.image import ENDINGS, ImageError, open_image, read_image
from whycam.stream.media.losses import Losses, MediaError, listed
from whycam.stream.video.planes import rgb_frame

RATE = Fraction(25)
"""Assumed frames per second."""


class SingleImage:
    """An image file as a film of one frame."""

    frames = 1
    time_base = 1 / RATE

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name
        self.losses = Losses()

    def read(self) -> Iterator[av.VideoFrame]:
        """The image as an rgb24 frame; raises `ImageError`."""
        image = open_image(self._path)
        self.losses.notes += image.notes
        yield rgb_frame(image.rgb, 0, self.time_base)


class ImageFolder:
    """The images of a folder as a film; raises `MediaError` if there is none."""

    time_base = 1 / RATE

    def __init__(self, path: Path) -> None:
        try:
            files = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
        except OSError as error:
            raise MediaError(f"{path} cannot be read ({error.strerror}).") from error
        self.images = sorted((file for file in files if file.suffix.lower() in ENDINGS), key=_by_number)
        self.name = path.name
        self.losses = Losses()
        if not self.images:
            others = ", ".join(sorted({file.suffix.lower() or "no ending" for file in files})) or "nothing"
            raise MediaError(f"{path} is a folder without images (found: {others}). Give a film, or {path / '*'}.")

    @property
    def frames(self) -> int:
        """Number of images."""
        return len(self.images)

    def read(self) -> Iterator[av.VideoFrame]:
        """Each image as an rgb24 frame; one that cannot be read is replaced by the one before it.

        Raises `MediaError` if none can be read.
        """
        last: Path | None = None
        for number, path in enumerate(self.images):
            try:
                rgb = read_image(path)
            except ImageError:
                self.losses.unread.append(path.name)
                if last is None:
                    self.losses.lost += 1
                    continue
                self.losses.concealed += 1
                rgb = read_image(last)
            else:
                last = path
            yield rgb_frame(rgb, number, self.time_base)
        if last is None:
            raise MediaError(f"{self.name} has no image that can be read: {listed(self.losses.unread)}.")


def _by_number(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts frame 2 before frame 10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", path.name.lower())]
