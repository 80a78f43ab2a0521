"""Recordings made in code, for tests of the recording library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tests.support.films import media_samples
from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import SidecarFrame
from whycam.stream.recording.writer import Recording
from whycam.stream.video.codec import CodecName, EncodedFrame

LABELS = ("banana", "lemon", "cup", "crane", "crane", "bowl", "jug")
"""As in ImageNet, two classes have one label."""
Best = Callable[[int], Sequence[int]]
"""From a frame's number to its classes, best first."""


def line(pts: int, classes: Sequence[int], score: float = 0.6) -> SidecarFrame:
    """A frame's line in the sidecar: each class has half the score of the one before."""
    grid = np.full((7, 7), 200, np.uint8)
    maps = tuple(DrawnMap(c, LABELS[c], round(score / 2**rank, 6), grid, 1.0) for rank, c in enumerate(classes))
    return SidecarFrame(pts, 0.0 if maps else None, maps, View())


def record(
    folder: Path,
    frames: Sequence[EncodedFrame] | None = None,
    *,
    best: Best = lambda _: (0, 1),
    codec: CodecName = "H264",
    end: bool = True,
    owner: str | None = None,
) -> Recording:
    """A recording of these frames (default: two seconds of a spot), with the same frames as explained ones.

    `owner` is the key of the device that made it.
    """
    folder.mkdir(mode=0o700, parents=True)
    recording = Recording(folder, {"model": "tiny"}, lambda _: None, min_free=0, owner=owner)
    for number, frame in enumerate(frames or media_samples.encoded(codec, 60)):
        recording.camera(frame)
        recording.explained(frame, line(frame.pts, best(number), 0.6 + number % 30 / 100))
    if end:
        recording.close()
    return recording
