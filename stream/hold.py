"""Tells whether somebody still writes into a folder: by a lock that ends with its process, also by kill -9."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class Hold:
    """Holds a folder until it is let go; on Windows it does nothing, for there open files cannot be taken away."""

    def __init__(self, folder: Path) -> None:
        self._lock: int | None = None
        if sys.platform != "win32":
            self._lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_SH)

    def release(self) -> None:
        """Let it go."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def is_held(folder: Path) -> bool:
    """Whether somebody holds a folder, in this process or in another one."""
    if sys.platform == "win32":
        return False
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
