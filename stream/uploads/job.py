"""One uploaded film from its first byte to its result: its state, and the note of it that survives a crash."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from whycam.models.contract import HEATMAPS
from whycam.stream.private_files import write_private
from whycam.stream.recording.ownership import is_mark_of

Uploads: TypeAlias = Literal["host", "phones", "off"]
"""Who may upload films: the server's computer, also phones, or nobody."""
State: TypeAlias = Literal["uploading", "waiting", "explaining", "done", "failed"]
Code: TypeAlias = Literal["not-a-film", "image", "disk-full", "crashed", "upload-cut-off", "model", "failed"]
CODES: tuple[Code, ...] = get_args(Code)
"""Why a film has no result; the pages have their own words for each."""
OPEN: tuple[State, ...] = ("uploading", "waiting", "explaining")

FILM, RESULT = "film", "result"
"""In a job's folder: the file as it came, and the folder that becomes a recording."""
_NOTE = "job.json"


@dataclass(frozen=True, slots=True)
class FilmJob:
    """An uploaded film."""

    id: str
    """Becomes the random part of the recording's name."""
    name: str
    """The file's name as the client gave it: shown, and never used as a path."""
    bytes: int
    model: str
    mark: str = ""
    """Of the device that sent it (`stream.recording.ownership`); empty for the computer's own."""
    state: State = "uploading"
    received: int = 0
    """Bytes."""
    frames: int = 0
    expected: int = 0
    """Frames in the whole film, as far as its header says; 0 if unknown."""
    attempts: int = 0
    """How often it was begun: whycam may have been ended in between."""
    recording: str = ""
    """The name of the recording that it became."""
    problem: str = ""
    code: Code | None = None
    output: str = HEATMAPS
    """Of the model's maps the one that is drawn."""

    def is_of(self, key: str | None) -> bool:
        """Whether the device with this key sent it; None is the host, which sees all."""
        return key is None or is_mark_of(self.mark, key, self.id)

    def describe(self) -> dict[str, Any]:
        """Its description as JSON (docs/api.md)."""
        return {
            "id": self.id,
            "name": self.name,
            "bytes": self.bytes,
            "state": self.state,
            "received": self.received,
            "frames": self.frames,
            "expected": max(self.expected, self.frames),
            "recording": self.recording or None,
            "problem": self.problem,
            "code": self.code,
        }

    def keep(self, folder: Path) -> None:
        """Write its note; raises `OSError`."""
        write_private(folder / _NOTE, json.dumps(asdict(self)).encode())


def kept_in(folder: Path) -> FilmJob | None:
    """The job in a folder that an ended server left; None if its note is missing or cannot be read."""
    try:
        return FilmJob(**json.loads((folder / _NOTE).read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
