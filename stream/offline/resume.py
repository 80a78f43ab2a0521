"""What an earlier run left of a result: how many frames need not be made again, and where they lie."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from whycam.stream.media.film_writer import journal_of
from whycam.stream.media.image_writer import kept_images
from whycam.stream.media.journal import KeptFilm, whole
from whycam.stream.media.losses import MediaError
from whycam.stream.recording.sidecar import read_sidecar


@dataclass(frozen=True, slots=True)
class ResumeState:
    """The first frames of a result, each painted and described."""

    sidecar: Path
    pts: tuple[int, ...]
    film: KeptFilm | None
    folders: tuple[Path, ...]
    """Where the pictures lie, for each folder of them."""

    @property
    def count(self) -> int:
        """How many frames."""
        return len(self.pts)


def part_of(path: Path) -> Path:
    """Where a file lies until it is whole."""
    return path.with_name(path.name + ".part")


def is_done(output: Path, sidecar: Path) -> int:
    """How many frames a result has that was finished; 0 where there is none, or it was stopped."""
    if not output.exists() or not sidecar.exists() or part_of(sidecar).exists():
        return 0
    header, lines = read_sidecar(sidecar)
    return 0 if "stopped" in header else sum(1 for _ in lines)


def find_earlier(
    header: Mapping[str, Any], film: Path | None, sidecar: Path, folders: Sequence[Path], time_base: Fraction
) -> ResumeState | None:
    """What is left of a run that was killed, or of one that was stopped: of the one that came further.

    `header` is that of the sidecar that will be written. Raises `MediaError` where it was made in another way.
    """
    found = [
        _found(header, film and journal_of(film), part_of(sidecar), folders, time_base),
        _found(header, film, sidecar, folders, time_base),
    ]
    return max(filter(None, found), key=lambda earlier: earlier.count, default=None)


def _found(
    header: Mapping[str, Any], film: Path | None, sidecar: Path, folders: Sequence[Path], time_base: Fraction
) -> ResumeState | None:
    if not sidecar.exists() or (film is not None and not film.exists()):
        return None
    known, lines = read_sidecar(sidecar)
    _check(header, known, sidecar)
    pts = [line.pts for line in lines]
    pictures = [kept_images(folder) for folder in folders]
    count = min([len(pts), *(number for _, number in pictures)])
    try:
        kept = KeptFilm(film, time_base) if film is not None else None
        if kept is not None:
            count = whole([coded.pts for coded in kept.packets()], pts[:count])
    except (ValueError, av.FFmpegError):  # killed before the first packet
        return None
    return ResumeState(sidecar, tuple(pts[:count]), kept, tuple(where for where, _ in pictures)) if count else None


def _check(header: Mapping[str, Any], known: Mapping[str, Any], sidecar: Path) -> None:
    wanted = json.loads(json.dumps(header))
    other = [key for key in wanted if wanted[key] != known.get(key)]
    if other:
        raise MediaError(
            f"{sidecar} was made with other settings ({', '.join(other)}), so it cannot go on. "
            "Choose the same ones, or begin anew with --overwrite."
        )
