"""With which number the command ends."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The numbers, as docs/process.md promises them."""

    OK = 0
    FAILED = 1
    """Something gave no result, or the call was wrong."""
    DAMAGED = 2
    """A film broke off before its end."""
    BUSY = 3
    """Another run is at work on it."""
    STOPPED = 130
    """Ctrl-C, as a shell counts it."""
