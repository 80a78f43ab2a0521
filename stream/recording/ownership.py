"""Whose a recording is: its note holds a mark by which the server, started anew, knows the device that made it.

The mark is no secret and gives no device away: it is another one in each session, and only the server's key makes it.
A recording without one is the computer's own, or an older whycam's: nobody continues that but the computer itself.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

from whycam.stream.recording.paths import SESSION, first_of, session_of

FIELD = "owner"


def mark(key: str, recording_id: str) -> str:
    """The mark, in recordings of this id, of the device whose key this is (`Credentials.key_of`)."""
    return hmac.new(key.encode(), recording_id.encode(), hashlib.sha256).hexdigest()


def continued(shelf: Path, text: str, key: str | None) -> str | None:
    """The id that is this text, as it was found on the shelf; None where there is none, or another device's.

    `key` None: the computer itself asks, which may continue each. Whose it is, its first recording on the shelf says.
    """
    first = first_of(shelf, text)
    if first is None:
        return None
    found = session_of(first)
    return found if key is None or hmac.compare_digest(_mark_of(first), mark(key, found)) else None


def _mark_of(folder: Path) -> str:
    """Empty where there is none, or where the note cannot be read."""
    try:
        note = json.loads((folder / SESSION).read_bytes())
        found = note.get(FIELD)
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""
    return found if isinstance(found, str) and found.isascii() else ""
