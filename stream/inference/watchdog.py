"""How long work may take, learned from how long it took, and what happens to work that takes longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MANY = 10


class Pace:
    """What a kind of work may take: many times what it usually takes, and never less than a floor.

    `unknown_s` is the limit before it was done for the first time. Seconds.
    """

    def __init__(self, floor_s: float, unknown_s: float) -> None:
        self._floor_s = floor_s
        self._unknown_s = unknown_s
        self._usual_s: float | None = None

    def saw(self, seconds: float) -> None:
        """Learn from work that was done."""
        before = seconds if self._usual_s is None else self._usual_s
        self._usual_s = before + 0.2 * (seconds - before)

    @property
    def limit_s(self) -> float:
        """What it may take now."""
        return self._unknown_s if self._usual_s is None else max(self._floor_s, MANY * self._usual_s)


class Watchdog:
    """Calls `late`, in a thread of its own, while work takes longer than it may.

    `with watchdog.limit(seconds, late): work()`, one piece of work at a time.
    """

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._due: float | None = None
        self._late: Callable[[], None] = lambda: None
        self._sleeps_until = float("inf")
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    @contextmanager
    def limit(self, seconds: float, late: Callable[[], None]) -> Iterator[None]:
        """Give the work within so many seconds; `late` is called once, and not after the work is done."""
        with self._news:
            self._due, self._late = time.monotonic() + seconds, late
            # It sleeps over most pieces of work: waking it for each would cost more than looking at the clock later.
            if self._due < self._sleeps_until:
                self._news.notify()
        try:
            yield
        finally:
            with self._news:
                self._due = None

    def close(self) -> None:
        """End the thread."""
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join()

    def _run(self) -> None:
        with self._news:
            while not self._closed:
                left = None if self._due is None else self._due - time.monotonic()
                if left is not None and left <= 0:
                    self._due = None
                    self._late()
                    continue
                self._sleeps_until = float("inf") if self._due is None else self._due
                self._news.wait(left)
