"""Learns how long work may take, and calls a function for work that takes longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MANY = 10


class Pace:
    """The time limit of one kind of work: `MANY` times its usual time, at least `floor_s`. In seconds.

    `unknown_s` is the limit of the first time.
    """

    def __init__(self, floor_s: float, unknown_s: float) -> None:
        self._floor_s = floor_s
        self._unknown_s = unknown_s
        self._usual_s: float | None = None

    def saw(self, seconds: float) -> None:
        """Learn from the time that finished work took."""
        before = seconds if self._usual_s is None else self._usual_s
        self._usual_s = before + 0.2 * (seconds - before)

    @property
    def limit_s(self) -> float:
        """The current limit."""
        return self._unknown_s if self._usual_s is None else max(self._floor_s, MANY * self._usual_s)


class Watchdog:
    """Calls `late`, in a separate thread, when work exceeds its limit.

    `with watchdog.limit(seconds, late): work()`, one piece of work at a time.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._due: float | None = None
        self._late: Callable[[], None] = lambda: None
        self._sleeps_until = float("inf")
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    @contextmanager
    def limit(self, seconds: float, late: Callable[[], None]) -> Iterator[None]:
        """Limit the enclosed work to `seconds`; `late` is called at most once, and not after the work is done."""
        with self._condition:
            self._due, self._late = time.monotonic() + seconds, late
            # The thread sleeps through most work: waking it for each limit costs more than checking the clock later.
            if self._due < self._sleeps_until:
                self._condition.notify()
        try:
            yield
        finally:
            with self._condition:
                self._due = None

    def close(self) -> None:
        """End the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        with self._condition:
            while not self._closed:
                left = None if self._due is None else self._due - time.monotonic()
                if left is not None and left <= 0:
                    self._due = None
                    self._late()
                    continue
                self._sleeps_until = float("inf") if self._due is None else self._due
                self._condition.wait(left)
