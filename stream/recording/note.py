"""Reads the note of a recording, `session.json`. It may be anyone's file: a folder of recordings can be copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from whycam.stream.recording.paths import SESSION

MAX_DEPTH = 16
"""Levels of nesting; whycam's own notes have four. Python's parser and writer of JSON raise `RecursionError` at some
depth, which differs between them."""


class NoteError(ValueError):
    """A note cannot be read; the text says why."""


def read_note(folder: Path) -> dict[str, Any]:
    """The note of the recording in this folder; raises `OSError` and `NoteError`."""
    try:
        note = json.loads((folder / SESSION).read_bytes())
    except (ValueError, RecursionError) as error:
        raise NoteError(f"{folder / SESSION} is not JSON ({error}).") from error
    if not isinstance(note, dict):
        raise NoteError(f"{folder / SESSION} is not a JSON object.")
    if _is_deeper(note, MAX_DEPTH):
        raise NoteError(f"{folder / SESSION} is nested deeper than {MAX_DEPTH} levels.")
    return note


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether JSON is nested deeper; without recursion."""
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for each in layer
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return any(isinstance(each, dict | list) for each in layer)
