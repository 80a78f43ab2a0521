"""Keeps a shelf of recordings in order while a server runs: repairs what a crash cut off, deletes what may not stay."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from stream.repair import repair_all
from stream.retention import Retention, prune

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
