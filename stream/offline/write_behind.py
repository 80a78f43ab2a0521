"""Work done in a thread of its own, in order and a few pieces behind, so that who gives it need not wait."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType


class Behind:
    """`do` what is given, at most `bound` pieces behind; what goes wrong is raised at the next `do`, or in `finish`.

    A context manager: at its end the thread has ended, and what was not begun is left undone.
    """

    def __init__(self, name: str, bound: int) -> None:
        self._queue: queue.Queue[Callable[[], object] | None] = queue.Queue(bound)
        self._error: BaseException | None = None
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name=name)

    def do(self, work: Callable[[], object]) -> None:
        """Hand over a piece of work; waits while `bound` others wait."""
        self._raise()
        self._queue.put(work)

    def finish(self) -> None:
        """Wait until all is done."""
        self._queue.put(None)
        self._thread.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            if self._error is not None or self._given_up:
                continue  # until the end comes, so that nobody waits for room
            try:
                work()
            except Exception as error:  # noqa: BLE001 - raised again in the thread that gave the work
                self._error = error

    def __enter__(self) -> Behind:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._given_up = True
        if self._thread.is_alive():
            self._queue.put(None)
        self._thread.join()
