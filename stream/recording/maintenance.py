"""Retention and repair of recordings while a server runs.

The oldest are deleted first, a running one never. Recordings that a crash cut off are repaired.
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
"""Prefix of a recording's folder during deletion, so that it is never listed half deleted."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Limits on the recordings that are kept; None: no limit."""

    keep_s: float | None = None
    """Seconds since a recording ended."""
    max_bytes: int | None = None
    """Total size of all recordings; running ones count, but are never deleted."""


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


def prune(root: Path, retention: Retention, now: float | None = None) -> list[str]:
    """Delete recordings beyond the limits; returns their names. Raises `OSError`."""
    now = time.time() if now is None else now
    for left in root.glob(f"{_GONE}*"):  # left by a process that ended during deletion
        shutil.rmtree(left)
    folders = [(folder, _size(folder), is_held(folder)) for folder in recordings(root)]
    total = sum(size for _, size, _ in folders)
    deleted = []
    for folder, size, running in folders:
        if running or not (folder / SESSION).exists():  # one without a note is just beginning
            continue
        is_old = retention.keep_s is not None and now - _ended(folder) > retention.keep_s
        is_too_much = retention.max_bytes is not None and total > retention.max_bytes
        if is_old or is_too_much:
            gone = folder.rename(root / f"{_GONE}{secrets.token_hex(8)}")
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
    """Time of the last write, in seconds since 1970."""
    return max((path.lstat().st_mtime for path in folder.iterdir()), default=folder.lstat().st_mtime)


logger = logging.getLogger(__name__)

EVERY_S = 60.0
"""Seconds between two checks of the limits."""


class Housekeeper:
    """Repairs and prunes recordings in a separate thread; `close` ends it without waiting for a long repair."""

    def __init__(self, root: Path, retention: Retention, every_s: float = EVERY_S) -> None:
        self._root = root
        self._retention = retention
        self._every_s = every_s
        self._closed = threading.Event()
        # A repair replaces a file only at its end, so the process may end at any time.
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, after at most half a second."""
        self._closed.set()
        self._thread.join(0.5)

    def _run(self) -> None:
        self._try(lambda: repair_all(self._root))
        while not self._closed.is_set():
            if self._retention != Retention():
                self._try(lambda: prune(self._root, self._retention))
            self._closed.wait(self._every_s)

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:  # retried in a minute; no stream depends on it
            logger.exception("Maintenance of the recordings in %s failed.", self._root)
