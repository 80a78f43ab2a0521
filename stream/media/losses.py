"""What a film or a folder did not give when it was read, and the error where it gave nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


class MediaError(ValueError):
    """A file cannot be read or written; says why and what to do."""


@dataclass(slots=True)
class Losses:
    """What a film did not give, or not as it should, known when it was read."""

    concealed: int = 0
    """Frames that could not be read (whole), shown as the one before or as the decoder mended them."""
    lost: int = 0
    """Frames that could not be read and for which nothing is shown."""
    missing: float = 0.0
    """Seconds that the file promises and does not hold."""
    error: str = ""
    """What stopped the reading before the file's end."""
    silent: bool = False
    """Whether it has sound that cannot be read."""
    unheard: float = 0.0
    """Seconds of sound that could not be read."""
    unread: list[str] = field(default_factory=list)
    """Of a folder: the pictures that could not be read."""
    joins: list[float] = field(default_factory=list)
    """Where its clock went back or leapt, in seconds of the film: what follows was put behind what came before."""


def plural(count: int, noun: str) -> str:
    """Such as '1 frame' and '2 frames'."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Sequence[str], max_names: int = 5) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:max_names]) + (f" and {len(names) - max_names} more" if len(names) > max_names else "")


@dataclass(slots=True)
class Reached:
    """How much of a film was read."""

    frames: int = 0
    part: float = 0.0
    """Of the file, 0…1; 0 where nobody knows."""
