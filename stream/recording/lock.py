"""Locks on a recording's folder and on files. The system frees them when their process ends, also by kill -9."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

TRIES = 1000
"""How often a gate may be gone again when its lock is had; each time another process went through it."""
_CONTENDED = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
_FILE = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_FAR = 1 << 30
"""The byte that is locked on Windows, where what is locked cannot be read."""
_WAIT_S = 0.01


class NoLocks(OSError):
    """The file system has no locks."""


class FolderLock:
    """Holds a folder until `release`; on Windows it does nothing, for there open files cannot be taken away.

    Several may hold one folder. `alone`: nobody else does; raises `BlockingIOError` where another holds it.
    """

    def __init__(self, folder: Path, *, alone: bool = False) -> None:
        self._descriptor: int | None = None
        if sys.platform != "win32":
            self._descriptor = os.open(folder, os.O_RDONLY)
            try:
                _lock(self._descriptor, shared=not alone, wait=not alone)
            except OSError:
                self.release()
                raise

    def release(self) -> None:
        """Let it go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_held(folder: Path) -> bool:
    """Whether somebody holds a folder, in this process or in another one."""
    try:
        FolderLock(folder, alone=True).release()
    except BlockingIOError:
        return True
    return False


class HeldFile:
    """A new file, held by this object alone until it is removed; others may read it. Raises `OSError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, _FILE | os.O_EXCL | os.O_APPEND, 0o666)
        try:
            _lock(self._descriptor, wait=True)  # for one who looks whether it is held
        except OSError:
            self.remove()
            raise

    def append(self, data: bytes) -> None:
        """Write behind what there is; raises `OSError`."""
        while data:
            data = data[os.write(self._descriptor, data) :]

    def remove(self) -> None:
        """Take it away, and let it go."""
        _remove(self._path, self._descriptor)


def is_held_file(path: Path) -> bool:
    """Whether a `HeldFile` is held still: one that a crash left is not. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        _lock(descriptor, shared=True)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def gate(path: Path) -> Iterator[None]:
    """Let one at a time through, in all processes; the others wait. The file is removed afterwards.

    Raises `OSError`, of which `NoLocks` says that nothing can be locked there.
    """
    descriptor = _entered(path)
    try:
        yield
    finally:
        _remove(path, descriptor)


def _entered(path: Path) -> int:
    for _ in range(TRIES):
        descriptor = os.open(path, _FILE, 0o666)
        try:
            _lock(descriptor, wait=True)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:  # who went through before has removed it
            pass
        except NoLocks:
            _remove(path, descriptor)
            raise
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise NoLocks(errno.ENOLCK, "a file does not keep its number", str(path))


def _remove(path: Path, descriptor: int) -> None:
    if sys.platform == "win32":  # an open file cannot be removed, and one that another has opened meanwhile stays
        os.close(descriptor)
        with suppress(OSError):
            path.unlink()
    else:  # before the lock is free: afterwards the name may belong to another
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _lock(descriptor: int, *, shared: bool = False, wait: bool = False) -> None:
    """Lock an open file or folder; raises `BlockingIOError` where another has it, and `NoLocks`."""
    while True:
        try:
            _try_lock(descriptor, shared, wait)
        except OSError as error:
            if error.errno not in _CONTENDED:
                raise NoLocks(error.errno, error.strerror) from error
            if not wait:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
        else:
            return
        time.sleep(_WAIT_S)


if sys.platform == "win32":

    def _try_lock(descriptor: int, _shared: bool, _wait: bool) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:

    def _try_lock(descriptor: int, shared: bool, wait: bool) -> None:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
