"""Images as the frames of a film: a single one, or a folder in natural order (2 before 10)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av

from whycam.stream.media.image import ENDINGS, ImageError, heic_advice, open_image
from whycam.stream.media.images.mark import is_marked_image
from whycam.stream.media.losses import Losses, MediaError, listed, plural
from whycam.stream.video.planes import rgb_frame

NOTES = 3
"""Images of a folder that are named for the same change, such as that they were stretched; more are counted."""
MIN_STRETCH = 10
"""Fewer images in a row may be photographs of different things."""
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
        frame = rgb_frame(image.rgb, 0, self.time_base)
        del image  # as large as the frame
        yield frame


class ImageFolder:
    """The images of a folder: the frames of a film, or photographs. Raises `MediaError` if there is none.

    Results of whycam among them are left out, unless all are results.
    """

    time_base = 1 / RATE

    def __init__(self, path: Path) -> None:
        try:
            files = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
        except OSError as error:
            raise MediaError(f"{path} cannot be read ({error.strerror}).") from error
        images = sorted((file for file in files if file.suffix.lower() in ENDINGS), key=by_number)
        self.name = path.name
        self.losses = Losses()
        if not images:
            others = ", ".join(sorted({file.suffix.lower() or "no ending" for file in files})) or "nothing"
            raise MediaError(f"{path} is a folder without images (found: {others}). Give a film, or {path / '*'}.")
        results = [image for image in images if is_marked_image(image)]
        if 0 < len(results) < len(images):
            images = [image for image in images if image not in results]
            self.losses.notes.append(f"Left out as results of whycam: {listed([image.name for image in results])}.")
        self.images = images
        self.photographs = {} if is_sequence(images) else dict(enumerate(image.name for image in images))
        """The photographs' names by pts; empty for the frames of a film."""

    @property
    def frames(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def results(self) -> dict[int, str]:
        """Names of the photographs' results by pts; empty for the frames of a film, whose results are numbered."""
        return dict(zip(self.photographs, result_names(self.images), strict=False))

    def read(self) -> Iterator[av.VideoFrame]:
        """Each image as an rgb24 frame; an unreadable one of a film is replaced by the one before, a photograph is not.

        Raises `MediaError` if none can be read.
        """
        last: Path | None = None
        unread: list[Path] = []
        notes = Counter[str]()
        for number, path in enumerate(self.images):
            try:
                image = open_image(path)
            except ImageError:
                unread.append(path)
                self.losses.unread.append(path.name)
                if last is None or self.photographs:
                    self.losses.lost += 1
                    continue
                self.losses.concealed += 1
                image = open_image(last)
            else:
                self._note(image.notes, path.name, notes)
                last = path
            yield rgb_frame(image.rgb, number, self.time_base)
        more = sum(count - NOTES for count in notes.values() if count > NOTES)
        if more:
            self.losses.notes.append(f"Such changes were made to {plural(more, 'further image')} of it.")
        advice = heic_advice(unread)
        if last is None:
            names = listed(self.losses.unread)
            raise MediaError(f"{self.name} has no image that can be read: {names}. {advice}".rstrip())
        if advice:
            self.losses.notes.append(advice)

    def _note(self, said: Sequence[str], name: str, counts: Counter[str]) -> None:
        """Keep what was changed to read an image, if few images had the same before; `counts` has how many."""
        for note in said:
            kind = note.replace(name, "").partition(":")[0]  # without what only this image has
            counts[kind] += 1
            if counts[kind] <= NOTES:
                self.losses.notes.append(note)


def is_sequence(images: Sequence[Path]) -> bool:
    """Whether images are the frames of a film: their names differ only in a number, from 0 or 1 on without a gap."""
    numbers = _numbers(images)
    return bool(numbers) and numbers in (list(range(len(images))), list(range(1, len(images) + 1)))


def is_stretch(images: Sequence[Path]) -> bool:
    """Whether images may be a part of a film, or were taken in a row: `MIN_STRETCH` or more, numbered without a gap."""
    numbers = _numbers(images)
    return len(numbers) >= MIN_STRETCH and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _numbers(images: Sequence[Path]) -> list[int]:
    """The numbers in the names of images; none if the names differ in something else too."""
    parts = [re.fullmatch(r"(.*?)(\d+)(\D*)", path.stem) for path in images]
    rest = {(each[1], each[3], path.suffix) for each, path in zip(parts, images, strict=True) if each is not None}
    return [int(each[2]) for each in parts if each is not None] if len(rest) == 1 and None not in parts else []


def result_names(images: Sequence[Path]) -> list[str]:
    """`IMG_0042.jpg` -> `IMG_0042-output.jpg`; with the suffix in the name where only that differs."""
    stems = Counter(path.stem.casefold() for path in images)
    return [
        f"{path.stem}-output.jpg" if stems[path.stem.casefold()] == 1 else f"{path.stem}-{path.suffix[1:]}-output.jpg"
        for path in images
    ]


def by_number(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts frame 2 before frame 10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", path.name.lower())]
