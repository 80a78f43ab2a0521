"""Recorded sessions: made, killed, and read back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.films import media_samples
from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.overlay.view import View
from whycam.stream.recording.containers import CONTAINERS
from whycam.stream.recording.paths import new_folder
from whycam.stream.recording.sidecar import SidecarFrame, read_sidecar
from whycam.stream.recording.writer import Recording
from whycam.stream.video.codec import CodecName, EncodedFrame

SUFFIX = {codec: container.suffix for codec, container in CONTAINERS.items()}
SIZE = (64, 48)
EVERYTHING_FREE = 0


def line(pts: int) -> SidecarFrame:
    return SidecarFrame(pts, 0.0, (DrawnMap(0, "red", 0.9, np.full((8, 8), 200, np.uint8), 1.0),), View())


@dataclass
class Session:
    """A recording of a session, with the tracks for which it requested keyframes."""

    folder: Path
    min_free: int = EVERYTHING_FREE
    wishes: list[str] = field(default_factory=list)
    handed_over: int = 0

    def __post_init__(self) -> None:
        self.recording = Recording(self.folder, {"model": "tiny"}, self.wishes.append, min_free=self.min_free)

    def feed(self, frames: Sequence[EncodedFrame], *, explained: Sequence[EncodedFrame] | None = None) -> None:
        """Record camera frames, each with the explained frame at the same index."""
        for camera, painted in zip(frames, explained or frames, strict=True):
            self.recording.camera(camera)
            self.recording.explained(painted, line(painted.pts))
            self.handed_over += 2

    def settle(self) -> None:
        """Wait until all frames are processed."""
        tracks = (self.recording.camera_track, self.recording.explained_track)
        deadline = time.monotonic() + 20
        while sum(track.recorded + track.unrecorded for track in tracks) < self.handed_over:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def close(self, **counts: int) -> dict[str, Any]:
        self.recording.close(counts)
        return session_json(self.folder)


def session_json(folder: Path) -> dict[str, Any]:
    value = json.loads((folder / "session.json").read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def pts_of(folder: Path, session: dict[str, Any], track: str) -> list[int]:
    """The pts of a track's frames on the recording's clock, from its files."""
    return [
        segment["first_pts"] + pts
        for segment in session[track]
        for pts in media_samples.times(folder / segment["file"])
    ]


def check_equations(folder: Path, session: dict[str, Any]) -> None:
    """Check the counts of a finished recording against its files."""
    counts = session["counts"]
    assert counts["received"] == counts["recorded"] + counts["unrecorded"]
    camera, explained = (pts_of(folder, session, track) for track in ("camera", "explained"))
    assert len(camera) == counts["recorded"]
    _, lines = read_sidecar(folder / "predictions.jsonl")
    sidecar = [frame.pts for frame in lines]
    assert len(explained) == counts["explained_recorded"] == counts["sidecar_lines"] == len(sidecar)
    assert set(explained) <= set(camera)
    # WebM counts milliseconds.
    assert all(abs(a - b) <= 45 for a, b in zip(explained, sidecar, strict=True))
    for segment in session["camera"] + session["explained"]:
        shots = media_samples.read(folder / segment["file"])
        assert len(shots) == len(media_samples.times(folder / segment["file"]))
        assert (shots[0].frame.width, shots[0].frame.height) == tuple(segment["size"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return new_folder(tmp_path / "recordings")


def read_lines(folder: Path) -> list[SidecarFrame]:
    return list(read_sidecar(folder / "predictions.jsonl")[1])


def boxes(path: Path) -> list[bytes]:
    """The kinds of an MP4's outermost boxes."""
    data = path.read_bytes()
    kinds, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kinds.append(data[at + 4 : at + 8])
        at += length if length != 1 else int.from_bytes(data[at + 8 : at + 16], "big")
    return kinds


def killed(recordings: Path, codec: CodecName, frames: int = 205) -> Path:
    """A recording whose program was killed."""
    folder = new_folder(recordings)
    program = [sys.executable, "-m", "tests.support.recordings.recorder_process", str(folder), codec]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(frames):
            process.stdout.readline()
        process.kill()
    return folder
