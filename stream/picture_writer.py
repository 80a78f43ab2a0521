"""Writes frames as picture files: one of them, or a folder of numbered ones."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import av

from stream.media import MediaError
from stream.picture import write_picture
from stream.planes import rgb_of


class PictureWriter:
    """Writes the one frame that it is given."""

    def __init__(self, path: Path, exif: bytes = b"") -> None:
        self._path = path
        self._exif = exif

    def write(self, frame: av.VideoFrame) -> None:
        """Write the picture; raises `PictureError`."""
        write_picture(self._path, rgb_of(frame), self._exif)

    def close(self) -> None:
        """Nothing is left to do."""

    def discard(self) -> None:
        """Nothing was left behind."""


class FolderWriter:
    """Writes frames as `PREFIX0001.jpg`, … into a folder; they move there when all are written.

    Those of an earlier run go, other files in the folder stay. Raises `MediaError` where it cannot be written.
    """

    def __init__(self, folder: Path, prefix: str = "result-") -> None:
        self._folder = folder
        self._prefix = prefix
        self._part = folder.with_name(folder.name + ".part")
        self._count = 0
        try:
            shutil.rmtree(self._part, ignore_errors=True)
            self._part.mkdir(parents=True)
        except OSError as error:
            raise MediaError(f"{folder} cannot be written ({error.strerror}).") from error

    def write(self, frame: av.VideoFrame) -> None:
        """Write the next picture."""
        self._count += 1
        write_picture(self._part / f"{self._prefix}{self._count:04d}.jpg", rgb_of(frame))

    def keep_first(self, count: int) -> None:
        """Forget those behind the first `count`."""
        for number in range(count + 1, self._count + 1):
            (self._part / f"{self._prefix}{number:04d}.jpg").unlink()
        self._count = min(self._count, count)

    def close(self) -> None:
        """Give the pictures their place; raises `MediaError` where there is none."""
        if not self._count:
            self.discard()
            raise MediaError(f"There is no frame for {self._folder}.")
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in numbered(self._folder, self._prefix):
            old.unlink()
        for new in sorted(self._part.iterdir()):
            os.replace(new, self._folder / new.name)
        self._part.rmdir()

    def discard(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            shutil.rmtree(self._part)


def numbered(folder: Path, prefix: str = "result-") -> list[Path]:
    """The pictures in a folder that a `FolderWriter` made."""
    name = re.compile(re.escape(prefix) + r"\d{4,}\.jpg")
    return [path for path in folder.iterdir() if name.fullmatch(path.name)] if folder.is_dir() else []
