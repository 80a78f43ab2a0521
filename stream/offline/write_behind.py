"""Runs work in a separate thread, in order and a few pieces behind, so that the caller need not wait."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType


class WriteBehind:
    """Runs what `do` is given, at most `bound` pieces behind; an error is raised at the next `do`, or in `finish`.

    A context manager: on exit the thread has ended, and work that was not begun is dropped.
    """

    def __init__(self, name: str, bound: int) -> None:
        self._queue: queue.Queue[Callable[[], object] | None] = queue.Queue(bound)
        self._error: BaseException | None = None
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name=name)

    def limit(self, bound: int) -> None:
        """From now on at most `bound` pieces wait."""
        self._queue.maxsize = bound

    def do(self, work: Callable[[], object]) -> None:
        """Queue a piece of work; blocks while `bound` others wait."""
        self._raise()
        self._queue.put(work)

    def finish(self) -> None:
        """Wait until all work is done."""
        self._queue.put(None)
        self._thread.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            if self._error is not None or self._given_up:
                continue  # drain the queue, so that the caller never blocks
            try:
                work()
            except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
                self._error = error

    def __enter__(self) -> WriteBehind:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._given_up = True
        if self._thread.is_alive():
            self._queue.put(None)
        self._thread.join()
