"""What came of some calls of one program."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tried:
    """How some calls of one program went."""

    connected: int
    tries: int
    sent: int
    """Frames, of all calls."""
