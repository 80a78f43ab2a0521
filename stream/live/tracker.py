"""Estimates motion between the frames on screen and moves heatmaps with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from whycam.stream.inference.preprocess import Fit
from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.video.planes import Bytes, as_bytes, planes

Field: TypeAlias = NDArray[np.float32]
"""(rows, columns, 2): displacement from each cell to the place of its content, right and down."""

AREA = 90 * 160
"""Pixels of the grey image for the motion estimation, about. Half or twice as many carry maps no better."""
MIN_SIDE = 32
"""Of the grey image. With less, OpenCV 5.0 chooses its scales by the width alone, and wide images crash the process."""
FINER = 2
"""Cells of a carried grid per cell of the network's, in each direction: enough to move smoothly, few to store."""
MIN_CORRELATION = 0.7
"""Motion-compensated frames with a lower correlation are of two scenes. In a phone's film, consecutive frames correlate
by at least 0.82; different photographs, and distant frames of the film, by at most 0.63."""
MAX_STEPS = 8
"""Frames for which the estimation of motion may wait; more at once would delay the picture."""
NOISE = 8.0
"""Grey levels: frames that differ by less on average are one scene, as with a covered lens, where all is noise."""


class HeatTracker:
    """Carries heatmaps from the frame they were made for to the frame on screen.

    `see` takes each frame on screen. `mark` is called for a frame that is sent to the engine: `carry` moves its maps
    through all frames seen since, by the motion between each two of them, which is estimated by dense inverse search
    (Kroeger et al. 2016) only where maps are carried. New content at an edge of the frame gets the heat of that edge.

    After a scene cut, a rotation of the phone, or motion that cannot be followed, `carry` returns no maps for frames
    marked before: a heatmap of another scene would be wrong.

    `cells` is the height and width of the network's heatmaps. One thread uses a tracker at a time.
    """

    def __init__(self, fit: Fit, cells: tuple[int, int]) -> None:
        self._fit = fit
        self._size = (FINER * cells[1], FINER * cells[0])  # columns and rows, in OpenCV's order
        # The finer presets cost two to ten times as much and carry maps no better.
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._grey: _Grey | None = None
        self._marked: dict[int, _Displacement] = {}
        """By pts of a marked frame."""

    def see(self, frame: av.VideoFrame) -> bool:
        """Take the next frame on screen, before it is painted; returns False if it is of another scene."""
        grey = _Grey(self._shrink(frame))
        before, self._grey = self._grey, grey
        if before is None:
            return True
        step = _Step(self._search, before, grey)
        if not step.is_one_scene:
            self._marked.clear()
            return False
        for displacement in self._marked.values():
            displacement.add(step)
        return True

    def mark(self, pts: int) -> None:
        """Mark the frame on screen, which has this pts, as sent to the engine.

        Only one frame is at the engine at a time: the one marked before is kept, because its maps are drawn now, and
        older ones are dropped.
        """
        drawn = list(self._marked.items())[-1:]
        self._marked = {**dict(drawn), pts: _Displacement(self._size)}

    def carry(self, pts: int, maps: Sequence[DrawnMap]) -> tuple[DrawnMap, ...]:
        """The maps of the marked frame `pts`, moved to the frame on screen; () if its scene is another one."""
        displacement = self._marked.get(pts)
        if displacement is None:
            return ()
        at = np.asarray((displacement.places() + 0.5) / FINER - 0.5, np.float32)  # in cells of the network's grid
        return tuple(replace(each, grid=as_bytes(_moved(each.grid, at, cv2.INTER_CUBIC))) for each in maps)

    def _shrink(self, frame: av.VideoFrame) -> Bytes:
        """The part of the frame that the network sees, in grey, with its aspect ratio unless it is very thin."""
        part = self._fit.rectangle(frame.width, frame.height)
        # Halving again and again takes a fifth of the time of one step to the same size.
        halvings = max(0, round(math.log2(part.width * part.height / AREA) / 2))
        columns, rows = part.width >> halvings, part.height >> halvings
        grey = planes(frame)[0][part.y : part.y + (rows << halvings), part.x : part.x + (columns << halvings)]
        for left in reversed(range(halvings)):
            grey = as_bytes(cv2.resize(grey, (columns << left, rows << left), interpolation=cv2.INTER_AREA))
        size = (max(MIN_SIDE, columns), max(MIN_SIDE, rows))
        if halvings and size == (columns, rows):
            return grey
        return as_bytes(cv2.resize(grey, size, interpolation=cv2.INTER_AREA))  # a copy, because the frame is painted


class _Grey:
    """A frame's grey image, and a half of its size, in which noise counts less."""

    def __init__(self, pixels: Bytes) -> None:
        self.pixels = pixels
        height, width = pixels.shape
        half = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        self.half: NDArray[np.float32] = np.asarray(half, np.float32)


class _Step:
    """The motion from one frame to the next, estimated when it is asked for."""

    def __init__(self, search: cv2.DISOpticalFlow, before: _Grey, now: _Grey) -> None:
        self._search = search
        self._before = before
        self._now = now

    @cached_property
    def flow(self) -> Field:
        """The displacement from each pixel to its place in the frame before, in pixels of the grey image."""
        flow = self._search.calc(self._now.pixels, self._before.pixels, None)  # type: ignore[call-overload]
        return np.asarray(flow, np.float32)

    @cached_property
    def is_one_scene(self) -> bool:
        """Whether the frame before, as it is or moved by the flow, matches this one, however bright each is."""
        if self._before.pixels.shape != self._now.pixels.shape:
            return False
        before, now = self._before.half, self._now.half
        if _match(before, now):
            return True
        half = (now.shape[1], now.shape[0])
        return _match(_moved(before, _places(half) + _resized(self.flow, half)), now)


class _Displacement:
    """The way from the frame on screen back to a marked frame, in fine cells of the maps' grid of `size`."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._so_far = np.zeros_like(_places(size))
        self._steps: list[_Step] = []
        """The last ones, whose motion is not estimated yet."""

    def add(self, step: _Step) -> None:
        """Continue to the next frame on screen."""
        self._steps.append(step)
        if len(self._steps) > MAX_STEPS:
            self._follow()

    def places(self) -> Field:
        """(rows, columns, 2): where the content of each cell of the frame on screen was in the marked frame."""
        while self._steps:
            self._follow()
        return _places(self._size) + self._so_far

    def _follow(self) -> None:
        """Estimate the first waiting step's motion."""
        step = _resized(self._steps.pop(0).flow, self._size)
        self._so_far = step + _moved(self._so_far, _places(self._size) + step)


def _match(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """Whether two small grey images are of one scene, except for brightness and contrast."""
    a, b = a - a.mean(), b - b.mean()
    correlated = float(np.vdot(a, b)) >= MIN_CORRELATION * float(np.vdot(a, a) * np.vdot(b, b)) ** 0.5
    return correlated or float(cv2.norm(a, b, cv2.NORM_L1)) < NOISE * a.size


@lru_cache(maxsize=16)
def _places(size: tuple[int, int]) -> Field:
    """(rows, columns, 2): each cell's own column and row."""
    columns, rows = size
    return np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).astype(np.float32)


def _resized(field: Field, size: tuple[int, int]) -> Field:
    """A motion field on a coarser grid, in that grid's cells."""
    rows, columns = field.shape[:2]
    smaller = np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_AREA), np.float32)
    return smaller * np.array([size[0] / columns, size[1] / rows], np.float32)


def _moved(values: NDArray[Any], at: Field, interpolation: int = cv2.INTER_LINEAR) -> NDArray[Any]:
    """The values at these places; outside the array, those of its edge."""
    moved = cv2.remap(values, at, None, interpolation, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(moved)
