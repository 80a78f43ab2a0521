"""What could not be read of a film or a folder, and the error if nothing could."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


class MediaError(ValueError):
    """A file cannot be read or written; says why and what to do."""


@dataclass(slots=True)
class Losses:
    """What was lost or damaged in a film, known after it is read."""

    concealed: int = 0
    """Frames that could not be read completely; shown as the one before, or as the decoder repaired them."""
    lost: int = 0
    """Frames that could not be read and have no replacement."""
    missing: float = 0.0
    """Seconds that the header announces and the file lacks."""
    error: str = ""
    """What stopped reading before the end of the file."""
    silent: bool = False
    """Whether it has sound that cannot be decoded."""
    unheard: float = 0.0
    """Seconds of sound that could not be read."""
    unread: list[str] = field(default_factory=list)
    """The images of a folder that could not be read."""
    joins: list[float] = field(default_factory=list)
    """Where its clock jumped, in seconds of the film; what follows was appended to what came before."""
    notes: list[str] = field(default_factory=list)
    """What was changed to read it, a sentence each, such as that it was deinterlaced."""


def plural(count: int, noun: str) -> str:
    """Such as '1 frame' and '2 frames'."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Sequence[str], max_names: int = 5) -> str:
    """The first names, and the number of further ones."""
    return ", ".join(names[:max_names]) + (f" and {len(names) - max_names} more" if len(names) > max_names else "")


@dataclass(slots=True)
class Reached:
    """How much of a film was read."""

    frames: int = 0
    part: float = 0.0
    """Fraction of the file, 0…1; 0 if unknown."""
