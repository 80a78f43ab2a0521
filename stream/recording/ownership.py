"""Ownership of a recording: its note has a mark by which a restarted server recognises the device that made it.

The mark is no secret and does not identify a device: it differs in each session, and only the server can compute it.
A recording without one is the computer's own, or an older whycam's: only the computer itself may continue it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whycam.stream.recording.note import NoteError, read_note
from whycam.stream.recording.paths import first_of, session_of

FIELD = "owner"


def mark(key: str, recording_id: str) -> str:
    """The mark of the device with this key (`Credentials.key_of`), in recordings of this id."""
    return hmac.new(key.encode(), recording_id.encode(), hashlib.sha256).hexdigest()


def continued(root: Path, text: str, key: str | None) -> str | None:
    """The id that equals `text`, as found on disk; None if there is none, or if it belongs to another device.

    `key` is None for the computer itself, which may continue every recording. The first recording of the session
    decides who owns it.
    """
    first = first_of(root, text)
    if first is None:
        return None
    found = session_of(first)
    return found if key is None or is_mark_of(_mark_of(first), key, found) else None


def is_mark_of(text: str, key: str, recording_id: str) -> bool:
    """Whether a recording's mark is that of the device with this key."""
    return hmac.compare_digest(text, mark(key, recording_id))


def mark_in(note: Mapping[str, Any]) -> str:
    """The mark in a recording's note; empty if there is none."""
    found = note.get(FIELD)
    return found if isinstance(found, str) and found.isascii() else ""


def _mark_of(folder: Path) -> str:
    """A recording's mark; empty if there is none, or if the note cannot be read."""
    try:
        return mark_in(read_note(folder))
    except (OSError, NoteError):
        return ""
