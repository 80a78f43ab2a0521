"""How much of the time the model may run, so that decoding, encoding and the browser have the cores that they need."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

PERIOD_S = 1.0
"""Between two decisions: seconds, not frames, so that the pace does not change all the time."""
SHORT, SPARE = 0.08, 0.2
"""Shares of all cores that are idle: below the first one the model runs less, above the second one more."""
WAITED = 0.1
"""A stream's thread that waits for a core for more than this share of the time lacks one, whatever the others do: in a
container, cores that it may not use are idle."""
SLOWER, FASTER = 0.7, 1.15
LEAST = 0.1
"""The share of the time that the model has however busy the cores are."""
MOST_PAUSE_S = 0.5
"""A model that is slow only because others run is not made to wait in addition, until its heatmaps are seconds old."""


class InferencePace:
    """The share `duty` of the time in which the model may run; one for all live streams of a server.

    It is decided by what the cores leave over, not by the model's own time: with cores to spare it is 1, and every
    frame is explained for which the model has time. It is safe to use from several threads.
    """

    def __init__(
        self,
        idle: Callable[[], float] | None = None,
        waited: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._idle = idle or _IdleShare()
        self._waited = waited or _waited_s
        self._clock = clock
        self._decided = clock()
        self._waits: dict[int, float] = {}
        """By thread: how long it had waited for a core when the pace was decided before."""
        self._longest = 0.0
        self._lock = threading.Lock()
        self.duty = 1.0
        """0.1…1."""

    def pause_s(self, inference_s: float) -> float:
        """Seconds to wait after an answer that took so long, before the next request; called by a stream's thread."""
        with self._lock:
            self._decide()
            return min(MOST_PAUSE_S, inference_s * (1 / self.duty - 1))

    def _decide(self) -> None:
        now = self._clock()
        elapsed = now - self._decided
        thread, waited = threading.get_ident(), self._waited()
        if thread not in self._waits:
            self._waits[thread] = waited
        self._longest = max(self._longest, waited - self._waits[thread])
        if elapsed < PERIOD_S:
            return
        idle = self._idle()
        if idle < SHORT or self._longest > WAITED * elapsed:
            self.duty = max(LEAST, self.duty * SLOWER)
        elif idle > SPARE:
            self.duty = min(1.0, self.duty * FASTER)
        self._decided, self._longest, self._waits = now, 0.0, {thread: waited}


class _IdleShare:
    """The share of all cores' time that was idle since the last call."""

    def __init__(self) -> None:
        self._before = psutil.cpu_times()

    def __call__(self) -> float:
        now = psutil.cpu_times()
        spent = [after - before for before, after in zip(self._before, now, strict=True)]
        # Linux counts a guest's time twice; waiting for a disk is no work of a core.
        guest = sum(getattr(now, name, 0.0) - getattr(self._before, name, 0.0) for name in ("guest", "guest_nice"))
        idle = sum(getattr(now, name, 0.0) - getattr(self._before, name, 0.0) for name in ("idle", "iowait"))
        self._before = now
        total = sum(spent) - guest
        return idle / total if total > 0 else 1.0


def _waited_s() -> float:
    """Seconds that this thread was ready to run and had no core; 0 where the system does not say."""
    if sys.platform == "linux":
        with suppress(OSError, ValueError, IndexError):
            return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    return 0.0
