"""Estimates motion between the frames on screen and moves heatmaps with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
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
NOISE = 8.0
"""Grey levels: frames that differ by less on average are one scene, as with a covered lens, where all is noise."""


class HeatTracker:
    """Carries heatmaps from the frame they were made for to the frame on screen.

    `see` takes each frame on screen and estimates the motion since the frame before by dense inverse search (Kroeger et
    al. 2016). `mark` is called for a frame that is sent to the engine: from then on the displacement back to it is
    updated, so that `carry` can move its maps through all frames seen since. New content at an edge of the frame gets
    the heat of that edge.

    Displacements are dropped, and `carry` returns no maps, after a scene cut, a rotation of the phone, or motion that
    cannot be followed: a heatmap of another scene would be wrong.

    `cells` is the height and width of the network's heatmaps. One thread uses a tracker at a time.
    """

    def __init__(self, fit: Fit, cells: tuple[int, int]) -> None:
        self._fit = fit
        self._size = (FINER * cells[1], FINER * cells[0])  # columns and rows, in OpenCV's order
        self._places = _places(self._size)
        # The finer presets cost two to ten times as much and carry maps no better.
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._grey: Bytes | None = None
        self._displacements: dict[int, Field] = {}
        """By pts of a marked frame: displacements from the frame on screen to that frame, in fine cells."""

    def see(self, frame: av.VideoFrame) -> bool:
        """Take the next frame on screen, before it is painted; returns False if it is of another scene."""
        grey = self._shrink(frame)
        before, self._grey = self._grey, grey
        if before is None:
            return True
        if before.shape != grey.shape:
            self._displacements.clear()
            return False
        flow = self._motion(grey, before)
        if not _same_scene(before, grey, flow):
            self._displacements.clear()
            return False
        step = _resized(flow, self._size)
        at = self._places + step
        self._displacements = {
            pts: step + _moved(displacement, at) for pts, displacement in self._displacements.items()
        }
        return True

    def mark(self, pts: int) -> None:
        """Mark the frame on screen, which has this pts, as sent to the engine.

        Only one frame is at the engine at a time: the displacement of the one marked before is kept, because its maps
        are drawn now, and older ones are dropped.
        """
        drawn = list(self._displacements.items())[-1:]
        self._displacements = {**dict(drawn), pts: np.zeros_like(self._places)}

    def carry(self, pts: int, maps: Sequence[DrawnMap]) -> tuple[DrawnMap, ...]:
        """The maps of the marked frame `pts`, moved to the frame on screen; () if its displacement is dropped."""
        displacement = self._displacements.get(pts)
        if displacement is None:
            return ()
        at = np.asarray((self._places + displacement + 0.5) / FINER - 0.5, np.float32)  # in cells of the network's grid
        return tuple(replace(each, grid=as_bytes(_moved(each.grid, at, cv2.INTER_CUBIC))) for each in maps)

    def _motion(self, now: Bytes, before: Bytes) -> Field:
        """The displacement from each pixel to its place in the frame before, in pixels of the grey image."""
        flow = self._flow.calc(now, before, None)  # type: ignore[call-overload]
        return np.asarray(flow, np.float32)

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


def _same_scene(before: Bytes, now: Bytes, flow: Field) -> bool:
    """Whether the frame before, moved by the flow, matches this one except for brightness and contrast."""
    height, width = now.shape
    half = (width // 2, height // 2)  # less noise
    a = _moved(_smaller(before, half), _places(half) + _resized(flow, half))
    b = _smaller(now, half)
    a -= a.mean()
    b -= b.mean()
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


def _smaller(grey: Bytes, size: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)


def _moved(values: NDArray[Any], at: Field, interpolation: int = cv2.INTER_LINEAR) -> NDArray[Any]:
    """The values at these places; outside the array, those of its edge."""
    moved = cv2.remap(values, at, None, interpolation, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(moved)
