"""What classes are taught from: pictures and films, each of one class; a folder of folders holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import av

from whycam.stream.limits import LIMITS
from whycam.stream.media.film_reader import open_film
from whycam.stream.media.image import is_image
from whycam.stream.media.image_folder import ImageFolder, SingleImage, by_number, is_sequence, is_stretch
from whycam.stream.media.losses import MediaError, listed, plural

Frames: TypeAlias = "Iterator[av.VideoFrame]"


@dataclass(frozen=True, slots=True)
class Material:
    """A picture or a film of one class. What it holds is alike, so it is learned from or tested with as a whole."""

    class_id: int
    name: str
    read: Callable[[list[str]], Frames] = field(repr=False)
    """Its frames, yuv420p or rgb24; adds to the list what could not be read. Raises `MediaError` or `ImageError`."""
    is_film: bool = False


def folder_material(folder: Path) -> tuple[tuple[str, ...], list[Material]]:
    """The names of the classes, and what they are taught from: each folder in `folder` is a class.

    In a class's folder are pictures and films; a folder of images in it is a film, and so are images that are numbered
    as frames, or ten and more in a row: neighbours are nearly the same picture, and prove nothing about each other.
    Raises `MediaError` for a folder that is not so.
    """
    if not folder.is_dir():
        raise MediaError(f"There is no folder {folder}. Give one whose folders are the classes.")
    try:
        inside = sorted((path for path in folder.iterdir() if _is_shown(path)), key=by_number)
        found = {path.name: _shown(path) for path in inside if path.is_dir()}
    except OSError as error:
        raise MediaError(f"{folder} cannot be read ({error.strerror or error}).") from error
    if not found:
        raise MediaError(
            f"{folder} has no folders. Each class is a folder of pictures or films in it, such as {folder / 'mug'} and "
            f"{folder / 'table'}."
        )
    for name, files in found.items():
        if not files:
            raise MediaError(f"{folder / name} is empty. Put pictures or films of it there, or remove the folder.")
    labels = check_labels(tuple(found))
    return labels, [each for number, name in enumerate(found) for each in _of_class(number, folder / name, found[name])]


def check_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The names of classes; raises `MediaError` for one class only, a name that is empty or too long, or one twice."""
    if len(labels) < 2:
        only = f"There is one class, {labels[0]}" if labels else "There is no class"
        raise MediaError(f"{only}. A model tells at least two apart, such as an object and the table without it.")
    for label in labels:
        if not label.strip() or not label.isprintable():
            raise MediaError(f"{label!r} cannot be a class's name. Give it letters that can be shown.")
        if len(label) > LIMITS.max_class_name:
            raise MediaError(
                f"A class's name has at most {LIMITS.max_class_name} characters, '{label}' has {len(label)}."
            )
    if len({label.casefold() for label in labels}) < len(labels):
        raise MediaError(f"Two classes have the same name: {listed(sorted(labels))}. Rename one.")
    return tuple(labels)


def file_material(class_id: int, path: Path) -> Material:
    """A picture, a film, or a folder of images, which is a film; read when its frames are."""
    if path.is_dir():
        return Material(class_id, path.name, lambda unread: _frames_of(ImageFolder(path), unread), is_film=True)
    if is_image(path):
        return Material(class_id, path.name, lambda _: SingleImage(path).read())
    return Material(class_id, path.name, lambda unread: _film_frames(path, unread), is_film=True)


def _of_class(class_id: int, folder: Path, files: Sequence[Path]) -> list[Material]:
    images = [path for path in files if path.is_file() and is_image(path)]
    if len(images) < 2 or not (is_sequence(images) or is_stretch(images)):
        return [file_material(class_id, path) for path in files]
    others = [file_material(class_id, path) for path in files if path not in images]
    return [Material(class_id, folder.name, lambda unread: _frames_of(ImageFolder(folder), unread), True), *others]


def _frames_of(folder: ImageFolder, unread: list[str]) -> Frames:
    yield from folder.read()
    if folder.losses.unread:
        count = plural(len(folder.losses.unread), "image")
        unread.append(f"{folder.name} has {count} that cannot be read: {listed(folder.losses.unread)}.")


def _film_frames(path: Path, unread: list[str]) -> Frames:
    with open_film(path) as film:
        for each in film.read():
            if isinstance(each, av.VideoFrame):
                yield each
        if film.losses.error:
            unread.append(f"{path.name} breaks off before its end: {film.losses.error}")


def _shown(folder: Path) -> list[Path]:
    return sorted((path for path in folder.iterdir() if _is_shown(path)), key=by_number)


def _is_shown(path: Path) -> bool:
    """Hidden files, such as .DS_Store, are no material."""
    return not path.name.startswith(".")
