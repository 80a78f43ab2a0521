"""Which inputs are results of whycam: films, images and folders that an earlier run made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from whycam.stream.media.image import ENDINGS
from whycam.stream.media.images.mark import is_marked_film, is_marked_image
from whycam.stream.offline.inputs import Input, input_at
from whycam.stream.offline.recording_source import is_recording
from whycam.stream.recording.paths import SIDECAR
from whycam.stream.recording.sidecar import SidecarError, read_sidecar

_RESULT = re.compile(r"(.+)-(output|replay)", re.IGNORECASE)


def without_results(inputs: Sequence[Input]) -> tuple[list[Input], list[Input]]:
    """The inputs to explain, and those left out as whycam's own results; a single input is always explained.

    A pattern finds the results of an earlier run beside their originals, and the shell does not say what was a pattern.
    """
    if len(inputs) < 2:
        return [*inputs], []
    results = [each for each in inputs if is_result(each)]
    return [each for each in inputs if each not in results], results


def is_result(given: Input) -> bool:
    """Whether an earlier run made it, by its sidecar, its mark, or its name beside its original."""
    path = given.path
    if given.kind == "folder":
        return _is_sidecar(path / SIDECAR) or _holds_only_results(path)
    if given.kind == "picture":
        return is_marked_image(path) or _original_is_beside(path)
    if given.kind != "film" or not path.is_file():
        return False
    if is_recording(path.parent):
        return path.name.startswith("explained-")
    return _is_sidecar(path.with_suffix(".jsonl")) or is_marked_film(path)


def _is_sidecar(path: Path) -> bool:
    try:
        read_sidecar(path)
    except (SidecarError, OSError):
        return False
    return True


def _holds_only_results(folder: Path) -> bool:
    """Whether it is the folder of a run, such as `-o results`: `*` finds it at the next run."""
    try:
        inside = [each for each in folder.iterdir() if not each.name.startswith(".")]
    except OSError:
        return False
    return bool(inside) and all(is_result(input_at(each)) for each in inside)


def _original_is_beside(path: Path) -> bool:
    """Results of earlier versions have no mark: `dog-output.jpg` is one beside `dog.heic` or `dog-input.jpg`."""
    found = _RESULT.fullmatch(path.stem)
    if found is None:
        return False
    stems = {found[1], *(f"{found[1]}{mark}input" for mark in "-_ ")}
    return any(other.suffix.lower() in ENDINGS and other.stem in stems for other in path.parent.iterdir())
