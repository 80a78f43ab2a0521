"""How long recordings are kept, and what keeps them in order while a server runs.

The oldest go first, a running one never. What a crash cut off is repaired, what may not stay is deleted.
"""

from __future__ import annotations

import logging
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from whycam.stream.recording.lock import is_held
from whycam.stream.recording.paths import SESSION, recordings
from whycam.stream.recording.repair import repair_all

logger = logging.getLogger(__name__)

_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_BYTES = {unit + tail: 1024 ** (power + 1) for power, unit in enumerate("KMGT") for tail in ("iB", "B", "")}
_GONE = ".deleted-"
"""What a recording's folder is called while its files are deleted, so that nobody sees half of one."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What may stay on a shelf; None: everything."""

    keep_s: float | None = None
    """Seconds since a recording ended."""
    max_bytes: int | None = None
    """Of all recordings together; the running ones count, and are not cut short."""


def parse_age(text: str) -> float:
    """Seconds of `7d`, `12h`, `30m` or `2w`; raises `ValueError`."""
    return _amount(text, _SECONDS, "A time is written 7d, 12h, 30m or 2w")


def parse_size(text: str) -> int:
    """Bytes of `10GiB` or `500M`, in powers of 1024; raises `ValueError`."""
    return round(_amount(text, _BYTES, "A size is written 10GiB or 500MiB"))


def _amount(text: str, units: dict[str, int], how: str) -> float:
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([A-Za-z]+)", text.strip(), re.ASCII)
    if found is None or found[2] not in units or not float(found[1]):
        raise ValueError(f"{how}, not '{text}'.")
    return float(found[1]) * units[found[2]]


def prune(shelf: Path, retention: Retention, now: float | None = None) -> list[str]:
    """Delete what may not stay; returns the names of those recordings. Raises `OSError`."""
    now = time.time() if now is None else now
    for left in shelf.glob(f"{_GONE}*"):  # somebody ended while it was deleted
        shutil.rmtree(left)
    folders = [(folder, _size(folder), is_held(folder)) for folder in recordings(shelf)]
    total = sum(size for _, size, _ in folders)
    deleted = []
    for folder, size, running in folders:
        if running or not (folder / SESSION).exists():  # without a note it is about to begin
            continue
        is_old = retention.keep_s is not None and now - _ended(folder) > retention.keep_s
        is_too_much = retention.max_bytes is not None and total > retention.max_bytes
        if is_old or is_too_much:
            gone = folder.rename(shelf / f"{_GONE}{secrets.token_hex(8)}")
            shutil.rmtree(gone)
            total -= size
            deleted.append(folder.name)
            logger.info(
                "Deleted the recording %s: %s.", folder.name, "older than --keep" if is_old else "beyond --max-disk"
            )
    return deleted


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.iterdir())


def _ended(folder: Path) -> float:
    """When something was last written into it, in seconds since 1970."""
    return max((path.lstat().st_mtime for path in folder.iterdir()), default=folder.lstat().st_mtime)


logger = logging.getLogger(__name__)

EVERY_S = 60.0


class Housekeeper:
    """Works in a thread of its own, from the start: `close` ends it, and does not wait for a long repair."""

    def __init__(self, shelf: Path, retention: Retention, every_s: float = EVERY_S) -> None:
        self._shelf = shelf
        self._retention = retention
        self._every_s = every_s
        self._closed = threading.Event()
        # A repair replaces a file when it is done, so that the process may end at any time.
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look after nothing any more."""
        self._closed.set()
        self._thread.join(0.5)

    def _run(self) -> None:
        self._try(lambda: repair_all(self._shelf))
        while not self._closed.is_set():
            if self._retention != Retention():
                self._try(lambda: prune(self._shelf, self._retention))
            self._closed.wait(self._every_s)

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:  # the recordings are looked after again in a minute; no stream depends on it
            logger.exception("The recordings in %s could not be looked after.", self._shelf)
