"""Statistics of a sidecar over a whole film: classes, changes of the best class, and mean heat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from whycam.stream.overlay.heatmap import DrawnMap, chosen, compared
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.video.planes import Bytes

Floats = NDArray[np.float64]
NO_CLASS = -1
"""The best class of a frame without an explanation."""


@dataclass(frozen=True, slots=True)
class Found:
    """One class in a whole film."""

    class_id: int
    label: str
    scores: Floats  # (frames,) probability; 0 where it was not stored, as less than the fifth best
    best: int
    """Number of frames in which it was the best."""
    heat: Floats | None  # (h, w), 0…255, mean over the frames in which its own map is stored; None if there is none

    @property
    def highest(self) -> int:
        """Number of the frame with its highest probability."""
        return int(self.scores.argmax())


@dataclass(frozen=True, slots=True)
class Half:
    """One half of a difference of two classes in a whole film."""

    class_id: int
    label: str
    """Such as 'banana - slug': what speaks for the first rather than for the second."""
    heat: Floats  # (h, w), 0…255, mean over the frames in which it is stored


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive frames with the same best class."""

    class_id: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Findings:
    """Statistics of a sidecar."""

    header: dict[str, Any]
    view: View
    """The first frame's view, as drawn."""
    pts: tuple[int, ...]
    times: Floats  # (frames,), seconds since the first
    classes: tuple[Found, ...]
    """Ordered by the number of frames in which they were the best, then by mean probability."""
    runs: tuple[Run, ...]
    heat: Floats  # (h, w), 0…255, mean of what was drawn
    files: tuple[str | None, ...]
    """Names of the photographs; None for frames of a film."""
    halves: tuple[Half, ...] = ()
    """Of each difference that was drawn."""

    @classmethod
    def of(cls, sidecar: Path, drawn_as: Callable[[View], View] = lambda view: view) -> Findings:
        """Read a sidecar; `drawn_as` maps its views to those that were drawn. Raises `SidecarError`."""
        header, lines = read_sidecar(sidecar)
        gathered: dict[int, _Gathered] = {}
        halves: dict[tuple[int, str], _Mean] = {}
        drawn = _Mean()
        pts: list[int] = []
        files: list[str | None] = []
        best: list[int] = []
        view: View | None = None
        for number, line in enumerate(lines):
            shown = drawn_as(line.view)
            view = view or shown
            pts.append(line.pts)
            files.append(line.file)
            best.append(line.maps[0].class_id if line.maps else NO_CLASS)
            for each in line.maps:
                gathered.setdefault(each.class_id, _Gathered()).add(number, each)
                if each.against:
                    halves.setdefault((each.class_id, compared(each)), _Mean()).add([_heat_of(each)])
            if line.maps:
                drawn.add([_heat_of(m) for m in chosen(line.maps, shown)])
        numerator, denominator = header["time_base"]
        times = (np.array(pts, np.float64) - (pts[0] if pts else 0)) * numerator / denominator
        found = [each.found(class_id, len(pts), best.count(class_id)) for class_id, each in gathered.items()]
        ordered = tuple(sorted(found, key=lambda each: (-each.best, -each.scores.sum())))
        made = tuple(Half(class_id, label, each.mean) for (class_id, label), each in halves.items())
        runs = tuple(_runs(best))
        return cls(header, view or View(), tuple(pts), times, ordered, runs, drawn.mean, tuple(files), made)

    @property
    def step(self) -> float:
        """Median seconds between frames; 1/25 if there is only one."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else 0.04

    @property
    def seconds(self) -> float:
        """Duration of the film."""
        return float(self.times[-1]) + self.step if len(self.times) else 0.0

    def changes(self, max_count: int) -> list[Run]:
        """The longest runs, in order of time."""
        named = [run for run in self.runs if run.class_id != NO_CLASS]
        return sorted(sorted(named, key=lambda run: -run.count)[:max_count], key=lambda run: run.first)


def _runs(best: Sequence[int]) -> list[Run]:
    runs, first = [], 0
    for class_id, frames in groupby(best):
        count = len(list(frames))
        runs.append(Run(class_id, first, count))
        first += count
    return runs


def _heat_of(drawn: DrawnMap) -> Floats:
    return drawn.grid * np.float64(drawn.scale)


class _Mean:
    """Mean of maps, which may differ in size: a live recording has carried maps."""

    def __init__(self) -> None:
        self._sum: Floats = np.zeros((1, 1))
        self.count = 0
        """Frames."""

    def add(self, grids: Sequence[Floats | Bytes]) -> None:
        """Add a frame's maps; at each place the hottest one counts."""
        grid = np.max(np.stack(grids), axis=0)
        rows, columns = (max(a, b) for a, b in zip(grid.shape, self._sum.shape, strict=True))
        self._sum = _enlarged(self._sum, rows, columns) + _enlarged(grid, rows, columns)
        self.count += 1

    @property
    def mean(self) -> Floats:
        return np.clip(self._sum / max(self.count, 1), 0, 255)


def _enlarged(grid: Floats | Bytes, rows: int, columns: int) -> Floats:
    if grid.shape == (rows, columns):
        return np.asarray(grid, np.float64)
    return np.asarray(cv2.resize(np.asarray(grid, np.float64), (columns, rows), interpolation=cv2.INTER_LINEAR))


class _Gathered:
    """Data of one class read so far."""

    def __init__(self) -> None:
        self._label = ""
        """The last one: a class that is taught may be renamed."""
        self._scores: dict[int, float] = {}
        self._heat = _Mean()

    def add(self, frame: int, each: DrawnMap) -> None:
        self._label = each.label
        self._scores[frame] = each.score
        if not each.against:
            self._heat.add([_heat_of(each)])

    def found(self, class_id: int, frames: int, best: int) -> Found:
        scores = np.zeros(frames)
        scores[list(self._scores)] = list(self._scores.values())
        return Found(class_id, self._label, scores, best, self._heat.mean if self._heat.count else None)


def percent(part: float) -> str:
    """Such as '43 %', with one decimal below 1 %."""
    digits = 0 if part >= 0.0095 or not part else 1
    return f"{100 * part:.{digits}f}\N{NO-BREAK SPACE}%"
