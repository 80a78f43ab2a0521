"""Repairs recordings that a crash cut off: their films, sidecar and note."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av

from whycam.stream.private_files import write_private
from whycam.stream.recording.containers import BY_SUFFIX, is_film
from whycam.stream.recording.lock import FolderLock
from whycam.stream.recording.note import read_note
from whycam.stream.recording.paths import SESSION, SIDECAR, recordings
from whycam.stream.recording.sidecar import drop_cut_line

logger = logging.getLogger(__name__)

CUT_OFF = "whycam ended before the recording did: it was killed, or the power failed. What was on the disk is kept."
_PART = ".part"


def repair_all(root: Path) -> int:
    """Repair every cut-off recording that no process writes; returns their number."""
    repaired = 0
    for folder in recordings(root):
        try:
            with FolderLock(folder, alone=True):  # two servers may share the folder and start together
                repaired += repair(folder)
        except BlockingIOError:
            continue
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.warning("The recording %s could not be repaired: %s", folder, error)
    return repaired


def repair(folder: Path) -> bool:
    """Repair one recording if it was cut off, and note that in its `session.json`. Returns whether it was cut off.

    Raises `OSError`, `NoteError`, and the type and key errors of a malformed note.
    """
    for left in [*folder.glob(f"*{_PART}"), *folder.glob("session.json.*")]:
        left.unlink()
    note = read_note(folder)
    if note["state"] == "ended":
        return False
    lines = drop_cut_line(folder / SIDECAR)
    counts = {}
    for track in ("camera", "explained"):
        frames = [finish(folder / _own_name(segment["file"])) for segment in note[track]]
        # A file that ends before its first fragment has no frame; it stays, but is not listed.
        note[track] = [segment for segment, count in zip(note[track], frames, strict=True) if count]
        counts[track] = sum(frames)
    note |= {
        "state": "ended",
        "status": note.get("status", {}) | {"state": "stopped", "reason": CUT_OFF, "code": "cut-off"},
        "repaired": True,
        # The other counts were lost in the crash.
        "counts": {
            "recorded": counts["camera"],
            "explained_recorded": counts["explained"],
            "sidecar_lines": max(0, lines - 1),
        },
    }
    write_private(folder / SESSION, json.dumps(note, indent=1, ensure_ascii=False).encode())
    logger.warning("The recording %s was cut off by a crash; it is repaired: %d frames.", folder, counts["camera"])
    return True


def _own_name(name: str) -> str:
    """The name of a film beside the note; raises `ValueError` for any other path."""
    if not is_film(name):
        raise ValueError(f"session.json names a file that is not a recording's film: {name!r}")
    return name


def count_frames(path: Path) -> int:
    """Number of frames of a film, up to where it breaks off; 0 if it cannot be read."""
    count = 0
    with suppress(av.FFmpegError, OSError), av.open(path) as film:
        for packet in film.demux(video=0):
            count += packet.size > 0
    return count


def finish(path: Path) -> int:
    """Convert a film that breaks off to an ordinary one, with the same frames and times; returns the number of frames.

    Without room on the disk for a copy it stays as it is, readable up to its last fragment.
    """
    part = path.with_name(path.name + _PART)
    count = 0
    try:
        part.touch(mode=0o600)
        container = BY_SUFFIX[path.suffix]
        options = dict(container.repairing)
        with av.open(path) as film, av.open(part, "w", format=container.muxer, options=options) as ordinary:
            source = film.streams.video[0]
            copy = ordinary.add_stream_from_template(source)
            copy.time_base = source.time_base
            for packet in _until_it_breaks(film.demux(source)):
                packet.stream = copy
                ordinary.mux_one(packet)
                count += 1
        os.replace(part, path)
    except (av.FFmpegError, OSError, IndexError) as error:
        part.unlink(missing_ok=True)
        logger.debug("%s stays as it is: %s", path, error)
        return count_frames(path)
    return count


def _until_it_breaks(packets: Iterator[av.Packet[Any]]) -> Iterator[av.Packet[Any]]:
    before: int | None = None
    with suppress(av.FFmpegError):
        for packet in packets:
            if packet.size:  # the last one is empty and marks the end
                if not packet.duration and before is not None and packet.pts is not None:
                    packet.duration = packet.pts - before  # else players would leave out the last frame
                before = packet.pts
                yield packet
