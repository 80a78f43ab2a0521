"""Inputs named on the command line (films, images, folders of frames, standard input) and paths of their results."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from whycam.stream.media.image import WRITTEN, is_image
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.recording_source import is_recording

Kind = Literal["film", "picture", "folder", "recording", "pipe"]


FILMS: tuple[Kind, ...] = ("film", "recording", "pipe")
"""Kinds whose result is a film."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input to explain."""

    kind: Kind
    path: Path

    @property
    def name(self) -> str:
        """Its name in messages."""
        return "standard input" if self.kind == "pipe" else str(self.path)


def find_inputs(names: Sequence[str]) -> list[Input]:
    """The inputs that names, patterns such as `films/*.mov`, and `-` refer to; each once. Raises `MediaError`."""
    found: dict[Path, Input] = {}
    for name in names:
        if name == "-":
            found[Path("-")] = Input("pipe", Path("stdin"))
            continue
        for path in _paths(name):
            found.setdefault(path, Input(_kind(path), path))
    return list(found.values())


def _kind(path: Path) -> Kind:
    if path.is_dir():
        return "recording" if is_recording(path) else "folder"
    return "picture" if is_image(path) else "film"


def _paths(name: str) -> list[Path]:
    path = Path(name)
    if path.exists() or not glob.has_magic(name):
        return [path]
    paths = [Path(match) for match in sorted(glob.glob(name, recursive=True))]
    if not paths:
        raise MediaError(f"No file matches '{name}'.")
    return paths


def output_of(given: Input, output: Path | None, *, many: bool = False, what: str = "output") -> Path:
    """Path of the result: `output` itself, in the folder `output` for `many`, or beside the input.

    `kitchen.mov` and `kitchen-input.mov` -> `kitchen-output.mp4`; `dog.jpg` -> `dog-output.jpg`; the folder `kitchen`
    -> `kitchen-output`; a recording's folder -> a film beside it. `what` replaces the word `output`. Raises
    `MediaError` for a suffix that whycam does not write.
    """
    if output is not None and not many and not (output.is_dir() and given.kind != "folder"):
        _check_ending(given, output)
        return output
    path = given.path.resolve() if given.path.name in ("", "..") else given.path
    ending = {"picture": ".jpg", "folder": ""}.get(given.kind, ".mp4")
    name = usual_name(path.name if given.kind in ("folder", "recording") else path.stem, what) + ending
    return (output if output is not None else path.parent) / name


def usual_name(stem: str, what: str = "output") -> str:
    """`kitchen` and `kitchen-input` -> `kitchen-output`."""
    return re.sub(r"[-_ ]input$", "", stem, flags=re.IGNORECASE) + f"-{what}"


def _check_ending(given: Input, output: Path) -> None:
    ending = output.suffix.lower()
    if given.kind in FILMS and ending != ".mp4":
        raise MediaError(f"The output is an MP4; give it a name that ends in .mp4, not '{output.name}'.")
    if given.kind == "picture" and ending not in WRITTEN:
        endings = ", ".join(sorted(WRITTEN))
        raise MediaError(f"The output is a picture; give it a name that ends in {endings}, not '{output.name}'.")
