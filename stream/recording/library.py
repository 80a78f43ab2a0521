"""The library of recordings: lists them, reading only what has changed, sets recordings aside and restores them."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import av

from whycam.stream.recording import paths
from whycam.stream.recording.containers import is_file
from whycam.stream.recording.lock import is_held
from whycam.stream.recording.note import read_note
from whycam.stream.recording.ownership import is_mark_of, mark_in
from whycam.stream.recording.summary import ClassStatistics
from whycam.stream.video.codec import TIME_BASE

logger = logging.getLogger(__name__)

KEEP_S = 600.0
"""Seconds for which a recording that was set aside can be restored."""
SET_ASIDE = ".set-aside"
TIMES, CLASSES = 600, 8

Stamp = tuple[tuple[str, int, int], ...]
"""Name, size in bytes and modification time (ns) of each file of a recording."""


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """One recording in the library."""

    id: str
    """The folder's name."""
    session: str
    """The random part of the name, shared by recordings that continue each other."""
    began: datetime
    ended: bool
    """Whether it was finished; one that was not, and is not running either, was cut off."""
    model: str
    reason: str
    """Why it stopped before its session ended; empty if it did not."""
    code: str | None
    """The reason's code (`stream.recording.writer.Code`); None without a reason, or from an older whycam."""
    segments: tuple[Mapping[str, Any], ...]
    files: Mapping[str, int]
    """Size in bytes by name."""
    labels: tuple[Mapping[str, Any], ...] = ()
    """Labels that were best most often, each with its share of the frames."""
    moments: tuple[float, ...] = ()
    """Times for thumbnails, in seconds."""
    mark: str = ""
    """Of the device that made it (`stream.recording.ownership`); empty for the computer's own."""
    film: str | None = None
    """The name of the film that was uploaded (`stream.uploads`); None for a live recording."""

    @property
    def seconds(self) -> float:
        """Duration from the first camera frame to the last."""
        return max((segment["begins"] + segment["seconds"] for segment in self.segments), default=0.0)

    def is_of(self, key: str) -> bool:
        """Whether the device with this key made it."""
        return is_mark_of(self.mark, key, self.session)

    def film_at(self, seconds: float) -> tuple[str, float] | None:
        """The explained film that contains this time, and the time in it; None without explained films."""
        films = [s for s in self.segments if s["explained"] is not None]
        if not films:
            return None
        film = next((s for s in reversed(films) if s["begins"] <= seconds), films[0])
        return film["explained"], max(0.0, seconds - film["begins"])

    def describe(self, live: str | None) -> dict[str, Any]:
        """Its description as JSON (docs/api.md); `live` is the session that records it now."""
        return {
            "id": self.id,
            "session": self.session,
            "began": self.began.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "state": "recording" if live is not None else "finished" if self.ended else "cut off",
            "live": live,
            "model": self.model,
            "film": self.film,
            "reason": self.reason,
            "code": self.code,
            "labels": list(self.labels),
            "bytes": sum(self.files.values()),
            "segments": list(self.segments),
            "files": [{"name": name, "bytes": size} for name, size in self.files.items()],
            "pictures": list(self.moments),
        }


class RecordingLibrary:
    """The recordings in one folder. Thread-safe; its methods block, so do not call them on an event loop.

    A name from a request is only compared with names found on disk, never used as a path.
    """

    def __init__(self, root: Path, *, keep_s: float = KEEP_S) -> None:
        self._root = root
        self._aside = root / SET_ASIDE
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def recordings(self) -> list[StoredRecording]:
        """All recordings, the newest first."""
        folders = reversed(paths.recordings(self._root))
        found = [recorded for folder in folders if (recorded := self._look(folder)) is not None]
        with self._lock:
            for gone in self._known.keys() - {recorded.id for recorded in found}:
                del self._known[gone]
        return found

    def find(self, recording_id: str) -> StoredRecording | None:
        """The recording of this id; None if there is none."""
        folder = paths.find(self._root, recording_id)
        return None if folder is None else self._look(folder)

    def folder(self, recorded: StoredRecording) -> Path:
        """A recording's folder."""
        return self._root / recorded.id

    def path(self, recorded: StoredRecording, name: str) -> Path | None:
        """The path of one of its files; None if it has no file of this name."""
        file = next((file for file in recorded.files if file == name), None)
        return None if file is None else self.folder(recorded) / file

    def timeline(self, recorded: StoredRecording) -> dict[str, Any]:
        """Its classes over time as JSON (docs/api.md); raises `OSError` if it has no sidecar."""
        return ClassStatistics().timeline(self.folder(recorded) / paths.SIDECAR, TIMES, CLASSES)

    def set_aside(self, recorded: StoredRecording) -> None:
        """Remove a recording from the list; it can be restored for a while.

        Raises `OSError` if it cannot be moved, such as while another whycam records it, and `FileNotFoundError` if it
        no longer exists.
        """
        with self._lock:
            if is_held(self.folder(recorded)):
                raise BlockingIOError(errno.EBUSY, "it is still being written")
            self._aside.mkdir(mode=0o700, exist_ok=True)
            away = self._aside / recorded.id
            os.rename(self.folder(recorded), away)
            os.utime(away)  # the ten minutes begin
            self._known.pop(recorded.id, None)

    def restore(self, recording_id: str) -> bool:
        """Restore a recording that was set aside; False if it no longer exists. Raises `OSError`."""
        with self._lock:
            away = next((f for f, age in self._put_away() if f.name == recording_id and age < self._keep_s), None)
            if away is None:
                return False
            os.rename(away, self._root / away.name)
            return True

    def tidy(self) -> None:
        """Delete recordings that were set aside more than `keep_s` ago."""
        with self._lock:
            old = [folder for folder, age in self._put_away() if age >= self._keep_s]
        for folder in old:
            try:
                shutil.rmtree(folder)
            except OSError as error:  # the next call tries again
                logger.warning("%s could not be deleted: %s", folder, error)

    def _put_away(self) -> Iterator[tuple[Path, float]]:
        """Folders set aside, with their age in seconds by wall clock, because the server may have restarted."""
        now = time.time()
        for folder in paths.recordings(self._aside):
            with suppress(FileNotFoundError):  # deleted meanwhile
                yield folder, now - folder.stat().st_mtime

    def _look(self, folder: Path) -> StoredRecording | None:
        """A recording's current state; None if it was removed meanwhile."""
        with self._lock:
            known = self._known.get(folder.name)
            try:
                stamp = _stamp(folder)
            except OSError:
                return None
            if known is None or known.stamp != stamp:
                statistics = ClassStatistics() if known is None else known.statistics
                known = self._known[folder.name] = _Known(stamp, statistics, _read(folder, stamp, statistics))
            return known.recorded


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read of a recording, and the stamp that says whether to read it again."""

    stamp: Stamp
    statistics: ClassStatistics
    """Continues from where it was read to."""
    recorded: StoredRecording


def _stamp(folder: Path) -> Stamp:
    with os.scandir(folder) as entries:
        files = [(e.name, e.stat()) for e in entries if e.is_file(follow_symlinks=False) and is_file(e.name)]
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in files))


def _read(folder: Path, stamp: Stamp, statistics: ClassStatistics) -> StoredRecording:
    """A recording from its files; unreadable parts are omitted, and it counts as cut off."""
    recorded = StoredRecording(
        folder.name,
        paths.session_of(folder),
        paths.began(folder),
        ended=False,
        model="",
        reason="",
        code=None,
        segments=(),
        files={name: size for name, size, _ in stamp},
    )
    try:
        return _noted(folder, recorded, read_note(folder), statistics)
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s cannot be read: %r", folder / paths.SESSION, error)
        return recorded


def _noted(
    folder: Path, recorded: StoredRecording, note: Mapping[str, Any], statistics: ClassStatistics
) -> StoredRecording:
    """A recording completed from its note; raises the parse errors of a malformed note."""
    # A recording that a crash cut off is repaired at the next start (`repair`); it still counts as cut off.
    ended, status = note["state"] == "ended" and not note.get("repaired"), note["status"]
    if (not ended or "labels" not in note) and paths.SIDECAR in recorded.files:
        statistics.catch_up(folder / paths.SIDECAR)  # unfinished, or from before notes had labels
        note = {**note, **statistics.summary()}
    return replace(
        recorded,
        ended=ended,
        model=str(note["model"]),
        reason=str(status["reason"]) if status["state"] == "stopped" else "",
        code=status.get("code") if status["state"] == "stopped" else None,
        segments=tuple(_segments(folder, note, recorded.files, statistics)),
        labels=tuple(note.get("labels", ())),
        moments=tuple(note.get("moments", ())),
        mark=mark_in(note),
        film=str(note["film"]) if note.get("film") is not None else None,
    )


def _segments(
    folder: Path, note: Mapping[str, Any], files: Mapping[str, int], statistics: ClassStatistics
) -> Iterator[dict[str, Any]]:
    """The camera's films, each with the explained film of the same number; of an uploaded film the explained one."""
    cameras = [s for s in note["camera"] if s["file"] in files]
    explained = {_number(s["file"]): s["file"] for s in note["explained"] if s["file"] in files}
    if not note["camera"] and note.get("film") is not None:
        for number, file in explained.items():
            size = next(s["size"] for s in note["explained"] if _number(s["file"]) == number)
            yield {
                "camera": None,
                "explained": file,
                "begins": 0.0,
                "seconds": round(_length(folder / file), 3),
                "size": [int(size[0]), int(size[1])],
            }
            return  # a film has one
    begins = [float(s["first_pts"] * TIME_BASE) for s in cameras]
    for index, camera in enumerate(cameras):
        if index + 1 < len(cameras):
            seconds = begins[index + 1] - begins[index]
        else:
            seconds = max(statistics.seconds - begins[index], 0.0)
            # The duration of a growing film could only be found by reading all of it each time.
            if note["state"] == "ended" or not seconds:
                seconds = max(seconds, _length(folder / camera["file"]))
        width, height = camera["size"]
        yield {
            "camera": camera["file"],
            "explained": explained.get(_number(camera["file"])),
            "begins": round(begins[index], 3),
            "seconds": round(seconds, 3),
            "size": [int(width), int(height)],
        }


def _number(file: str) -> str:
    return file.partition("-")[2].partition(".")[0]


def _length(film: Path) -> float:
    """A film's duration in seconds; 0 if it cannot be read."""
    try:
        with av.open(film) as container:
            return (container.duration or 0) / av.time_base
    except (OSError, av.FFmpegError):
        return 0.0
