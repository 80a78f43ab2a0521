"""What an earlier run left of a result: the number of finished frames, and where they are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from whycam.models.contract import HEATMAPS
from whycam.stream.media.film_writer import journal_of
from whycam.stream.media.image_writer import kept_images
from whycam.stream.media.journal import KeptFilm, playable_frames
from whycam.stream.media.losses import MediaError
from whycam.stream.recording.sidecar import map_title, read_sidecar


@dataclass(frozen=True, slots=True)
class ResumeState:
    """The first frames of a result, each painted and described."""

    sidecar: Path
    pts: tuple[int, ...]
    film: KeptFilm | None
    folders: tuple[Path, ...]
    """The folder with the images, for each folder of results."""

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self.pts)


def part_of(path: Path) -> Path:
    """Path of a file until it is complete."""
    return path.with_name(path.name + ".part")


def is_done(output: Path, sidecar: Path, settings: Mapping[str, Any]) -> int:
    """Number of frames of a finished result; 0 if there is none, or it was stopped.

    Raises `MediaError` if its settings differ from `settings`.
    """
    if not output.exists() or not sidecar.exists() or part_of(sidecar).exists():
        return 0
    header, lines = read_sidecar(sidecar)
    _check(settings, header, sidecar)
    return 0 if "stopped" in header else sum(1 for _ in lines)


def find_earlier(
    header: Mapping[str, Any],
    film: Path | None,
    sidecar: Path,
    folders: Sequence[Path],
    time_base: Fraction,
    *,
    names: Mapping[int, str] | None = None,
) -> ResumeState | None:
    """The rest of a killed or of a stopped run, whichever has more frames; None without one.

    `header` is that of the sidecar that will be written, `names` are those of photographs' results by pts. Raises
    `MediaError` if the earlier run's settings differ.
    """
    found = [
        _found(header, film and journal_of(film), part_of(sidecar), folders, time_base, names or {}),
        _found(header, film, sidecar, folders, time_base, names or {}),
    ]
    return max(filter(None, found), key=lambda earlier: earlier.count, default=None)


def _found(
    header: Mapping[str, Any],
    film: Path | None,
    sidecar: Path,
    folders: Sequence[Path],
    time_base: Fraction,
    names: Mapping[int, str],
) -> ResumeState | None:
    if not sidecar.exists() or (film is not None and not film.exists()):
        return None
    known, lines = read_sidecar(sidecar)
    _check(header, known, sidecar)
    pts = [line.pts for line in lines]
    pictures = [kept_images(folder, [names[at] for at in pts if at in names] if names else None) for folder in folders]
    count = min([len(pts), *(number for _, number in pictures)])
    try:
        kept = KeptFilm(film, time_base) if film is not None else None
        if kept is not None:
            count = playable_frames([coded.pts for coded in kept.packets()], pts[:count])
    except (ValueError, av.FFmpegError):  # killed before the first packet
        return None
    return ResumeState(sidecar, tuple(pts[:count]), kept, tuple(where for where, _ in pictures)) if count else None


def _check(header: Mapping[str, Any], known: Mapping[str, Any], sidecar: Path) -> None:
    wanted = json.loads(json.dumps(header))
    if "map" not in known and wanted.get("map", {}).get("output") == HEATMAPS:  # of an earlier version, which drew it
        known = {**known, "map": wanted["map"]}
    other = [words for key in wanted for words in _changes(key, known.get(key), wanted[key])]
    if other:
        raise MediaError(
            f"{sidecar} was made with other settings ({'; '.join(other)}) and cannot be continued. "
            "Use the same settings, or start again, with --overwrite in place of --resume."
        )


def _changes(key: str, before: Any, now: Any) -> list[str]:
    """Such as 'layout: grid before, overlay now'; for settings in a setting, each of them."""
    if before == now:
        return []
    if key == "map":
        before, now = map_title(before or {}), map_title(now)
    if isinstance(before, dict) and isinstance(now, dict):  # what is missing is off: a difference
        names = dict.fromkeys([*now, *before])
        return [words for each in names for words in _changes(each, before.get(each, False), now.get(each, False))]
    if key == "sha256":
        return ["another file of the model"]
    return [f"{key}: {_word(before)} before, {_word(now)} now"]


def _word(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value) or "none"
