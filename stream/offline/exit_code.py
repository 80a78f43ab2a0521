"""Exit codes of the command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The codes, documented in docs/process.md."""

    OK = 0
    FAILED = 1
    """An input has no result, or the call was wrong."""
    DAMAGED = 2
    """A film broke off before its end."""
    BUSY = 3
    """Another run works on it."""
    STOPPED = 130
    """Ctrl-C: 128 + SIGINT, as in a shell."""
