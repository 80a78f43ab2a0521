"""Inputs named on the command line (films, images, folders, addresses, pipes) and paths of their results."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from whycam.stream.media.image import WRITTEN, is_image
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.recording_source import is_recording

Kind = Literal["film", "picture", "folder", "recording", "pipe", "address"]


FILMS: tuple[Kind, ...] = ("film", "recording", "pipe", "address")
"""Kinds whose result is a film."""
MAX_NAME = 255 - len(".mp4.journal.part")
"""Most bytes of a result's stem: file systems allow 255, and unfinished results have longer suffixes."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Input:
    """An input to explain."""

    kind: Kind
    path: Path
    """For an address and standard input only a name for the result."""
    address: str = ""

    @property
    def name(self) -> str:
        """Its name in messages; an address without its password."""
        if self.kind == "address":
            return re.sub(r"//[^/@]*@", "//", self.address)
        return "standard input" if self == STDIN else str(self.path)

    @property
    def is_live(self) -> bool:
        """Whether it can be read only once: a pipe or an address."""
        return self.kind in ("pipe", "address")

    @property
    def is_inherited(self) -> bool:
        """Whether no other process can open it: standard input, and a shell's <(…)."""
        return self.kind == "pipe" and (self == STDIN or self.path.parts[:2] in (("/", "dev"), ("/", "proc")))

    @property
    def is_missing(self) -> bool:
        """Whether there is no such file or folder."""
        return self != STDIN and self.kind != "address" and not self.path.exists()


STDIN = Input("pipe", Path("stdin"))


def find_inputs(names: Sequence[str]) -> list[Input]:
    """The inputs that names, patterns such as `films/*.mov`, addresses and `-` refer to; each once.

    Raises `MediaError`.
    """
    found: dict[str, Input] = {}
    for name in names:
        for given in _inputs(name):
            found.setdefault(given.address or str(given.path), given)
    return list(found.values())


def _inputs(name: str) -> list[Input]:
    if name == "-":
        return [STDIN]
    if name.lower().startswith("file://"):
        name = url2pathname(urlsplit(name).path)
    elif _ADDRESS.match(name):
        parts = urlsplit(name)
        stem = Path(unquote(parts.path)).stem or parts.hostname or "stream"
        return [Input("address", Path(stem), name)]
    return [input_at(path) for path in _paths(name)]


def input_at(path: Path) -> Input:
    """The input of a path."""
    return Input(_kind(path), path)


def _kind(path: Path) -> Kind:
    if path.is_dir():
        return "recording" if is_recording(path) else "folder"
    if path.exists() and not path.is_file():  # a FIFO, or a shell's <(…): its first bytes can be read only once
        return "pipe"
    return "picture" if is_image(path) else "film"


def _paths(name: str) -> list[Path]:
    path = Path(name)
    if path.exists() or not glob.has_magic(name):
        return [path]
    paths = [Path(match) for match in sorted(glob.glob(name, recursive=True))]
    if not paths:
        raise MediaError(f"No file matches '{name}'.")
    return paths


def output_of(
    given: Input, output: Path | None, *, many: bool = False, what: str = "output", with_suffix: bool = False
) -> Path:
    """Path of the result: `output` itself, in the folder `output` for `many`, or beside the input.

    `kitchen.mov` and `kitchen-input.mov` -> `kitchen-output.mp4`; `dog.jpg` -> `dog-output.jpg`; the folder `kitchen`
    -> `kitchen-output`; a recording's folder -> a film beside it. `what` replaces the word `output`; `with_suffix`: the
    input's suffix is in the name, `dog-heic-output.jpg`. Raises `MediaError` for a suffix that whycam does not write.
    """
    if output is not None and not many and not (output.is_dir() and given.kind != "folder"):
        _check_ending(given, output)
        return output
    path = given.path.resolve() if given.path.name in ("", "..") else given.path
    ending = {"picture": ".jpg", "folder": ""}.get(given.kind, ".mp4")
    stem = path.name if given.kind in ("folder", "recording", "address") else path.stem
    name = usual_name(f"{stem}-{path.suffix[1:]}" if with_suffix and path.suffix else stem, what) + ending
    if output is not None:
        return output / name
    # Nothing can be written beside a shell's <(…).
    return Path(name) if given.is_inherited else path.parent / name


def usual_name(stem: str, what: str = "output") -> str:
    """`kitchen` and `kitchen-input` -> `kitchen-output`; a long name is shortened, and stays different from others."""
    short = re.sub(r"[-_ ]input$", "", stem, flags=re.IGNORECASE)
    room = MAX_NAME - len(f"-{what}")
    if len(short.encode("utf-8", "surrogateescape")) > room:
        mark = "~" + hashlib.sha256(short.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        short = short.encode("utf-8", "surrogateescape")[: room - len(mark)].decode("utf-8", "ignore") + mark
    return f"{short}-{what}"


def _check_ending(given: Input, output: Path) -> None:
    ending = output.suffix.lower()
    folder = f" For a folder of results, write '{output.name}/'." if not ending else ""
    if given.kind in FILMS and ending != ".mp4":
        raise MediaError(f"The output is an MP4; give it a name that ends in .mp4, not '{output.name}'.{folder}")
    if given.kind == "picture" and ending not in WRITTEN:
        endings = ", ".join(sorted(WRITTEN))
        raise MediaError(
            f"The output is a picture; give it a name that ends in {endings}, not '{output.name}'.{folder}"
        )
