"""Locks on a recording's folder and on files. The system releases them when their process ends, even by kill -9."""

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
"""How often a gate's file may be removed by another process before this one has locked it."""
_CONTENDED = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
_FILE = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_FAR = 1 << 30
"""Offset of the byte locked on Windows, where locked bytes cannot be read."""
_WAIT_S = 0.01


class NoLocks(OSError):
    """The file system does not support locks."""


class FolderLock:
    """Locks a folder until `release`; does nothing on Windows, where open files cannot be moved.

    The lock is shared, or exclusive with `alone`; that raises `BlockingIOError` if the folder is locked.
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
        """Release the lock; may be called again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_held(folder: Path) -> bool:
    """Whether a folder is locked, by this process or by another one."""
    try:
        FolderLock(folder, alone=True).release()
    except BlockingIOError:
        return True
    return False


class HeldFile:
    """A new file, locked exclusively until it is removed; others may read it. Raises `OSError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, _FILE | os.O_EXCL | os.O_APPEND, 0o666)
        try:
            _lock(self._descriptor, wait=True)  # `is_held_file` may hold it for a moment
        except OSError:
            self.remove()
            raise

    def append(self, data: bytes) -> None:
        """Append to the file; raises `OSError`."""
        while data:
            data = data[os.write(self._descriptor, data) :]

    def remove(self) -> None:
        """Remove the file and release the lock."""
        _remove(self._path, self._descriptor)


def is_held_file(path: Path) -> bool:
    """Whether a `HeldFile` is still locked; one left by a crash is not. Raises `OSError`."""
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
    """A mutex across processes, which blocks while another holds it. Its file is removed afterwards.

    Raises `OSError`; `NoLocks` if the file system does not support locks.
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
        except FileNotFoundError:  # removed by the previous holder
            pass
        except NoLocks:
            _remove(path, descriptor)
            raise
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise NoLocks(errno.ENOLCK, "a file does not keep its inode number", str(path))


def _remove(path: Path, descriptor: int) -> None:
    if sys.platform == "win32":  # an open file cannot be removed; one opened by another meanwhile stays
        os.close(descriptor)
        with suppress(OSError):
            path.unlink()
    else:  # unlink before the lock is released: afterwards the name may belong to another
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _lock(descriptor: int, *, shared: bool = False, wait: bool = False) -> None:
    """Lock an open file or folder; raises `NoLocks`, and without `wait` `BlockingIOError` if another holds it."""
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
