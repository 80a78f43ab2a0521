"""The shelf of recordings: what lies on it, without opening more than has changed; set aside and had back."""

from __future__ import annotations

import errno
import json
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
from whycam.stream.recording.summary import Course
from whycam.stream.video.codec import TIME_BASE

logger = logging.getLogger(__name__)

KEEP_S = 600.0
"""Seconds for which what was set aside can be had back."""
SET_ASIDE = ".set-aside"
TIMES, CLASSES = 600, 8

Stamp = tuple[tuple[str, int, int], ...]
"""Name, bytes and time of change of each file of a recording."""


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """One recording on the shelf."""

    id: str
    """The folder's name."""
    session: str
    """Its random part, which recordings that continue each other have in common."""
    began: datetime
    ended: bool
    """Whether it was brought to its end; what was not, and is not being recorded either, was cut off."""
    model: str
    reason: str
    """Why it stopped before its session did; empty where it did not."""
    code: str | None
    """Of the reason (`stream.recording.writer.Code`); None where there is none, or where an older whycam wrote none."""
    segments: tuple[Mapping[str, Any], ...]
    files: Mapping[str, int]
    """Name and bytes."""
    labels: tuple[Mapping[str, Any], ...] = ()
    """Those that were best most often, each with its share of the frames."""
    moments: tuple[float, ...] = ()
    """Times worth a picture, in seconds."""

    @property
    def seconds(self) -> float:
        """From the first camera frame to the last."""
        return max((segment["begins"] + segment["seconds"] for segment in self.segments), default=0.0)

    def film_at(self, seconds: float) -> tuple[str, float] | None:
        """The explained film that shows this time, and the time in it; None where there is no such film."""
        films = [s for s in self.segments if s["explained"] is not None]
        if not films:
            return None
        film = next((s for s in reversed(films) if s["begins"] <= seconds), films[0])
        return film["explained"], max(0.0, seconds - film["begins"])

    def describe(self, live: str | None) -> dict[str, Any]:
        """As JSON (docs/api.md); `live` is the session that records it now."""
        return {
            "id": self.id,
            "session": self.session,
            "began": self.began.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "state": "recording" if live is not None else "finished" if self.ended else "cut off",
            "live": live,
            "model": self.model,
            "reason": self.reason,
            "code": self.code,
            "labels": list(self.labels),
            "bytes": sum(self.files.values()),
            "segments": list(self.segments),
            "files": [{"name": name, "bytes": size} for name, size in self.files.items()],
            "pictures": list(self.moments),
        }


class RecordingLibrary:
    """The recordings in one folder. For threads: nothing here belongs on an event loop, and many may ask at once.

    A name from outside is only ever compared with names that were found on the disk.
    """

    def __init__(self, shelf: Path, *, keep_s: float = KEEP_S) -> None:
        self._shelf = shelf
        self._aside = shelf / SET_ASIDE
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def recordings(self) -> list[StoredRecording]:
        """All of them, the newest first."""
        folders = reversed(paths.recordings(self._shelf))
        found = [recorded for folder in folders if (recorded := self._look(folder)) is not None]
        with self._lock:
            for gone in self._known.keys() - {recorded.id for recorded in found}:
                del self._known[gone]
        return found

    def find(self, recording_id: str) -> StoredRecording | None:
        """One recording; None where there is none of this name."""
        folder = paths.find(self._shelf, recording_id)
        return None if folder is None else self._look(folder)

    def folder(self, recorded: StoredRecording) -> Path:
        """Where a recording lies."""
        return self._shelf / recorded.id

    def path(self, recorded: StoredRecording, name: str) -> Path | None:
        """Where one of its files lies; None where it has no file of this name."""
        file = next((file for file in recorded.files if file == name), None)
        return None if file is None else self.folder(recorded) / file

    def timeline(self, recorded: StoredRecording) -> dict[str, Any]:
        """The course of its classes, as JSON (docs/api.md); raises `OSError` where it has no sidecar."""
        return Course().timeline(self.folder(recorded) / paths.SIDECAR, TIMES, CLASSES)

    def set_aside(self, recorded: StoredRecording) -> None:
        """Take a recording off the shelf.

        Raises `OSError` where it cannot be moved, as while another whycam records it; `FileNotFoundError` where it is
        gone already.
        """
        with self._lock:
            if is_held(self.folder(recorded)):
                raise BlockingIOError(errno.EBUSY, "somebody still writes to it")
            self._aside.mkdir(mode=0o700, exist_ok=True)
            away = self._aside / recorded.id
            os.rename(self.folder(recorded), away)
            os.utime(away)  # the ten minutes begin
            self._known.pop(recorded.id, None)

    def restore(self, recording_id: str) -> bool:
        """Put back what was set aside; False where it is not there any more. Raises `OSError`."""
        with self._lock:
            away = next((f for f, age in self._put_away() if f.name == recording_id and age < self._keep_s), None)
            if away is None:
                return False
            os.rename(away, self._shelf / away.name)
            return True

    def tidy(self) -> None:
        """Delete what was set aside long ago."""
        with self._lock:
            old = [folder for folder, age in self._put_away() if age >= self._keep_s]
        for folder in old:
            try:
                shutil.rmtree(folder)
            except OSError as error:  # it is tried again
                logger.warning("%s could not be deleted: %s", folder, error)

    def _put_away(self) -> Iterator[tuple[Path, float]]:
        """What was set aside, and for how many seconds; by the clock, for it may have been before a restart."""
        now = time.time()
        for folder in paths.recordings(self._aside):
            with suppress(FileNotFoundError):  # it is just being deleted
                yield folder, now - folder.stat().st_mtime

    def _look(self, folder: Path) -> StoredRecording | None:
        """A recording as it is now; None where it has just gone."""
        with self._lock:
            known = self._known.get(folder.name)
            try:
                stamp = _stamp(folder)
            except OSError:
                return None
            if known is None or known.stamp != stamp:
                course = Course() if known is None else known.course
                known = self._known[folder.name] = _Known(stamp, course, _read(folder, stamp, course))
            return known.recorded


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read of a recording, and when it has to be read again."""

    stamp: Stamp
    course: Course
    """Goes on where it was read to."""
    recorded: StoredRecording


def _stamp(folder: Path) -> Stamp:
    with os.scandir(folder) as entries:
        files = [(e.name, e.stat()) for e in entries if e.is_file(follow_symlinks=False) and is_file(e.name)]
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in files))


def _read(folder: Path, stamp: Stamp, course: Course) -> StoredRecording:
    """A recording from its files; what cannot be read of it is left out, and it counts as cut off."""
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
        note = json.loads((folder / paths.SESSION).read_text(encoding="utf-8"))
        return _noted(folder, recorded, note, course)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        logger.warning("%s cannot be read: %r", folder / paths.SESSION, error)
        return recorded


def _noted(folder: Path, recorded: StoredRecording, note: Mapping[str, Any], course: Course) -> StoredRecording:
    """A recording with what its note tells; raises as reading such a thing does."""
    # What a crash cut off is repaired at the next start (`repair`): it can be seen to its end, and was cut off.
    ended, status = note["state"] == "ended" and not note.get("repaired"), note["status"]
    if (not ended or "labels" not in note) and paths.SIDECAR in recorded.files:
        course.catch_up(folder / paths.SIDECAR)  # what is not finished, or was made before notes told it
        note = {**note, **course.summary()}
    return replace(
        recorded,
        ended=ended,
        model=str(note["model"]),
        reason=str(status["reason"]) if status["state"] == "stopped" else "",
        code=status.get("code") if status["state"] == "stopped" else None,
        segments=tuple(_segments(folder, note, recorded.files, course)),
        labels=tuple(note.get("labels", ())),
        moments=tuple(note.get("moments", ())),
    )


def _segments(
    folder: Path, note: Mapping[str, Any], files: Mapping[str, int], course: Course
) -> Iterator[dict[str, Any]]:
    """The camera's films, each with the explained one of the same number."""
    cameras = [s for s in note["camera"] if s["file"] in files]
    explained = {_number(s["file"]): s["file"] for s in note["explained"] if s["file"] in files}
    begins = [float(s["first_pts"] * TIME_BASE) for s in cameras]
    for index, camera in enumerate(cameras):
        if index + 1 < len(cameras):
            seconds = begins[index + 1] - begins[index]
        else:
            seconds = max(course.seconds - begins[index], 0.0)
            # A film that is still written to would have to be read from end to end each time.
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
    """Seconds of a film, as far as it can be read."""
    try:
        with av.open(film) as container:
            return (container.duration or 0) / av.time_base
    except (OSError, av.FFmpegError):
        return 0.0
