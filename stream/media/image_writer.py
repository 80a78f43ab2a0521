"""Writes frames as image files: a single one, or a folder of numbered ones."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import av

from whycam.stream.media.image import write_image
from whycam.stream.media.losses import MediaError
from whycam.stream.video.planes import rgb_of


class ImageWriter:
    """Writes a single frame."""

    def __init__(self, path: Path, metadata: bytes = b"") -> None:
        self._path = path
        self._metadata = metadata

    def write(self, frame: av.VideoFrame) -> None:
        """Write the image; raises `ImageError`."""
        write_image(self._path, rgb_of(frame), self._metadata, is_result=True)

    def skip(self, frame: av.VideoFrame) -> None:
        """Does nothing: a single image is never resumed."""

    def close(self) -> None:
        """Does nothing: `write` completes the file."""

    def discard(self) -> None:
        """Does nothing: `write` leaves no partial file."""


class FolderWriter:
    """Writes frames as `PREFIX0001.jpg`, … into a folder; they are moved there when all are written.

    `names` gives the files other names, by pts: those of photographs. Images of an earlier run are deleted, other files
    in the folder stay. `skip` takes over the first of them from `kept`, where `kept_images` found them. Raises
    `MediaError` if the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        prefix: str = "result-",
        *,
        names: Mapping[int, str] | None = None,
        kept: Path | None = None,
        is_result: bool = True,
    ) -> None:
        self._folder = folder
        self._prefix = prefix
        self._names = names or {}
        self._is_result = is_result
        self._kept = kept
        self._part = _part(folder)
        self._resumed = kept == self._part
        self._written: list[str] = []
        if folder.exists() and not folder.is_dir():
            raise MediaError(f"{folder} is a file; the images need a folder. Give another name.")
        try:
            if not self._resumed:
                shutil.rmtree(self._part, ignore_errors=True)
                self._part.mkdir(parents=True)
        except OSError as error:
            raise MediaError(f"{folder} cannot be written ({error.strerror}).") from error

    def write(self, frame: av.VideoFrame) -> None:
        """Write the next image."""
        write_image(self._part / self._next(frame), rgb_of(frame), is_result=self._is_result)

    def skip(self, frame: av.VideoFrame) -> None:
        """Take over the next image, `frame` of the source, from those that were kept."""
        assert self._kept is not None
        name = self._next(frame)
        if not self._resumed:
            shutil.copy2(self._kept / name, self._part)

    def _next(self, frame: av.VideoFrame) -> str:
        number = len(self._written) + 1
        name = _numbered(self._prefix, number) if frame.pts is None else self._names.get(frame.pts)
        self._written.append(name or _numbered(self._prefix, number))
        return self._written[-1]

    def keep_first(self, count: int) -> None:
        """Delete all but the first `count` images."""
        for name in self._written[count:]:
            (self._part / name).unlink()
        del self._written[count:]

    def close(self) -> None:
        """Move the images into the folder; raises `MediaError` if there is none."""
        if not self._written:
            self.discard()
            raise MediaError(f"There is no frame for {self._folder}.")
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in [*numbered(self._folder, self._prefix), *(self._folder / name for name in self._names.values())]:
            old.unlink(missing_ok=True)
        for name in self._written:
            os.replace(self._part / name, self._folder / name)
        shutil.rmtree(self._part)  # may contain a partial image of a killed run

    def discard(self) -> None:
        """Remove what was written, except images that existed before."""
        if not self._resumed:
            shutil.rmtree(self._part, ignore_errors=True)


def kept_images(folder: Path, names: Iterable[str] | None = None) -> tuple[Path, int]:
    """The folder with the images of an earlier run, killed or stopped, and their number up to the first gap.

    `names` are those of all images in order; None: they are numbered.
    """
    where = _part(folder) if _part(folder).is_dir() else folder
    count = 0
    for name in names if names is not None else (_numbered("result-", number) for number in itertools.count(1)):
        if not (where / name).is_file():
            break
        count += 1
    return where, count


def _part(folder: Path) -> Path:
    return folder.with_name(folder.name + ".part")


def _numbered(prefix: str, number: int) -> str:
    return f"{prefix}{number:04d}.jpg"


def numbered(folder: Path, prefix: str = "result-") -> list[Path]:
    """The numbered images in a folder that a `FolderWriter` made."""
    name = re.compile(re.escape(prefix) + r"\d{4,}\.jpg")
    return [path for path in folder.iterdir() if name.fullmatch(path.name)] if folder.is_dir() else []
