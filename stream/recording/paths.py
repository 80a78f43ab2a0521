"""Names of recording folders, a date and a random part, `2026-11-22_21-03-55_1f3a9c…`, and of their two notes.

Anything else in the recordings folder is ignored.
"""

from __future__ import annotations

import os
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

SESSION = "session.json"
"""The note: what was recorded, and how it ended."""
SIDECAR = "predictions.jsonl"
"""The sidecar: the explanation of each frame. An explained folder of images has one, too."""

_NAME = re.compile(r"(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)_([0-9a-f]{6,32})")
_DATE = "%Y-%m-%d_%H-%M-%S"


def new_folder(root: Path, recording_id: str | None = None) -> Path:
    """A new, private folder for one recording.

    A recording that continues another one shares its random part, `recording_id`, which must be one found on disk.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = recording_id or secrets.token_hex(6)
    now = datetime.now().astimezone()
    while True:
        folder = root / f"{now:{_DATE}}_{part}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:  # it continues a recording that began in the same second
            now += timedelta(seconds=1)
        else:
            return folder


def adopt(root: Path, folder: Path, recording_id: str) -> Path:
    """Move a finished folder beside the recordings, with a name for now and `recording_id`; returns its new path."""
    now = datetime.now().astimezone()
    while True:
        adopted = root / f"{now:{_DATE}}_{recording_id}"
        if not adopted.exists():
            os.rename(folder, adopted)
            return adopted
        now += timedelta(seconds=1)


def recordings(root: Path) -> list[Path]:
    """The folders of all recordings, the oldest first, without links to others; empty if the folder is missing."""
    try:
        with os.scandir(root) as entries:
            names = [e.name for e in entries if _NAME.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return [root / name for name in sorted(names)]


def find(root: Path, name: str) -> Path | None:
    """The recording of this name. Untrusted text is only compared with names found on disk, never used as a path."""
    return next((folder for folder in recordings(root) if folder.name == name), None)


def first_of(root: Path, text: str) -> Path | None:
    """The first recording of the session with this id, as found on disk; None if there is none."""
    return next((folder for folder in recordings(root) if session_of(folder) == text), None)


def session_of(folder: Path) -> str:
    """The random part of a recording's name, shared by recordings that continue each other."""
    return folder.name.rpartition("_")[2]


def began(folder: Path) -> datetime:
    """The start time in a recording's name, which is local time, as UTC; 1970 for an invalid date."""
    try:
        return datetime.strptime(folder.name.rpartition("_")[0], _DATE).astimezone(UTC)
    except (ValueError, OverflowError):  # such as the 31st of February
        return datetime.fromtimestamp(0, UTC)
