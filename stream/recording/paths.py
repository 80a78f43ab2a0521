"""What a recording's folder is called, by its date and a random part, `2026-11-22_21-03-55_1f3a9c…`; its two notes.

Whatever else lies on the shelf is not ours.
"""

from __future__ import annotations

import os
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

SESSION = "session.json"
"""What was recorded, and how it ended."""
SIDECAR = "predictions.jsonl"
"""The sidecar: what was seen in each frame. An explained folder of pictures has one, too."""

_NAME = re.compile(r"(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)_([0-9a-f]{6,32})")
_DATE = "%Y-%m-%d_%H-%M-%S"


def new_folder(shelf: Path, recording_id: str | None = None) -> Path:
    """A new, private folder for one recording.

    A recording that continues another one has its random part, `recording_id`; it must be one found on the shelf.
    """
    shelf.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = recording_id or secrets.token_hex(6)
    now = datetime.now().astimezone()
    while True:
        folder = shelf / f"{now:{_DATE}}_{part}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:  # it continues one that began in this very second
            now += timedelta(seconds=1)
        else:
            return folder


def recordings(shelf: Path) -> list[Path]:
    """The folders of all recordings on a shelf, the oldest first; nothing outside it, and none where it is missing."""
    try:
        with os.scandir(shelf) as entries:
            names = [e.name for e in entries if _NAME.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return [shelf / name for name in sorted(names)]


def find(shelf: Path, name: str) -> Path | None:
    """The recording of this name. Text from outside is only ever compared with names that were found on the disk."""
    return next((folder for folder in recordings(shelf) if folder.name == name), None)


def first_of(shelf: Path, text: str) -> Path | None:
    """The first recording of the session whose id is this text, as found on the shelf; None where there is none."""
    return next((folder for folder in recordings(shelf) if session_of(folder) == text), None)


def session_of(folder: Path) -> str:
    """The random part of a recording's name, which recordings that continue each other have in common."""
    return folder.name.rpartition("_")[2]


def began(folder: Path) -> datetime:
    """The local time in a recording's name, as universal time."""
    try:
        return datetime.strptime(folder.name.rpartition("_")[0], _DATE).astimezone(UTC)
    except (ValueError, OverflowError):  # the 31st of February
        return datetime.fromtimestamp(0, UTC)
