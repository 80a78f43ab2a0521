"""Key frames of a film: the first frame, as drawn, of each of the longest stretches with one best class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from whycam.stream.media.film_reader import open_film
from whycam.stream.media.image import read_image
from whycam.stream.report.statistics import Findings, Found, Run, percent
from whycam.stream.video.planes import Bytes, rgb_of

KEY_FRAMES = 12
SIDE = 420
"""Longer side of a key frame's image, in pixels."""
NEAR_S = 12.0
"""Up to this distance, decoding on is faster than seeking to a keyframe."""


@dataclass(frozen=True, slots=True, eq=False)
class KeyFrame:
    """The first frame of a stretch, as it was drawn."""

    run: Run
    time: float
    until: float
    found: Found
    image: Bytes
    """RGB (H, W, 3)."""

    name: str | None = None
    """Of a photograph; None for a frame of a film."""

    @property
    def percent(self) -> str:
        """The class's probability, for a label."""
        return percent(float(self.found.scores[self.run.first]))


def key_frames(video: Path, findings: Findings) -> list[KeyFrame]:
    """The key frames of a result, in order; those that cannot be read are omitted."""
    by_class = {each.class_id: each for each in findings.classes}
    runs = findings.changes(KEY_FRAMES)
    shown = _images(video, [run.first for run in runs], findings)
    ends = [*findings.times[1:], findings.seconds]
    return [
        KeyFrame(
            run,
            float(findings.times[run.first]),
            float(ends[run.first + run.count - 1]),
            by_class[run.class_id],
            shown[run.first],
            findings.files[run.first],
        )
        for run in runs
        if run.first in shown
    ]


def _images(video: Path, frames: Sequence[int], findings: Findings) -> dict[int, Bytes]:
    """Frames of a result by number, reduced to `SIDE`; those that cannot be read are omitted."""
    if video.is_dir():
        results = {number: video / _result_of(video, findings.files[number], number) for number in frames}
        return {number: _small(read_image(path)) for number, path in results.items() if path.is_file()}
    return _film_images(video, frames, findings)


def _result_of(folder: Path, photograph: str | None, number: int) -> str:
    """The name of a result: that of a photograph has the photograph's suffix in it where another differs only there."""
    if photograph is None:
        return f"result-{number + 1:04d}.jpg"
    stem, _, suffix = photograph.rpartition(".")
    both = f"{stem}-{suffix}-output.jpg"
    return both if (folder / both).is_file() else f"{stem}-output.jpg"


def _film_images(video: Path, frames: Sequence[int], findings: Findings) -> dict[int, Bytes]:
    numerator, denominator = findings.header["time_base"]
    wanted = [(number, findings.pts[number] * numerator / denominator) for number in sorted(frames)]
    found: dict[int, Bytes] = {}
    with open_film(video) as film:
        assert film.video.time_base is not None
        base = float(film.video.time_base)
        off = findings.step / 2
        at = float("-inf")
        decoded = film.container.decode(film.video)
        for number, time in wanted:
            if time - at > NEAR_S:
                film.container.seek(int(time / base), stream=film.video)
                decoded = film.container.decode(film.video)
            for frame in decoded:
                at = float((frame.pts or 0) * base)
                if at >= time - off:
                    found[number] = _small(rgb_of(frame))
                    break
    return found


def _small(rgb: Bytes) -> Bytes:
    image = Image.fromarray(rgb)
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image)
