"""Functions to watch and stop child processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.005)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; it may stay a zombie where orphans are not reaped, as in a container."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def family(pid: int) -> list[psutil.Process]:
    """A process and all its children: a server and its model's process."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Suspend a process; it may be killed before it would be resumed."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    yield
    if not is_gone(pid):
        os.kill(pid, signal.SIGCONT)
