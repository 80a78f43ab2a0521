"""How the picture moves from one frame on screen to the next, and heatmaps carried along with it."""

from __future__ import annotations

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
"""(rows, columns, 2): how far to the right and down, from each place, lies what is shown there."""

AREA = 90 * 160
"""Pixels of the grey picture in which motion is looked for. Half or twice as many carry maps no better."""
MIN_SIDE = 32
"""Of the grey picture. With less, OpenCV 5.0 chooses its scales by the width alone: wide pictures crash the process."""
FINER = 2
"""A carried grid has so many cells for one of the network's, each way: enough to move smoothly, few to store."""
ALIKE = 0.7
"""Two frames whose correlation, motion undone, is below are of two scenes. Of a phone's film each frame correlates
with the one before by 0.82 and more, of photographs and of places far apart in the film none by more than 0.63."""
NOISE = 8.0
"""Grey levels: frames that differ by less on average are one scene, such as a covered lens, where all is noise."""


class HeatTracker:
    """Carries heatmaps from the frame they were made for to the frame on screen.

    Each frame on screen is shown to `see`, which finds the motion since the frame before by dense inverse search
    (Kroeger et al. 2016). `mark` is called for a frame that is sent to the engine: from then on the way back to it is
    kept up to date, so that `carry` can move its maps, whenever they come, through all that was seen meanwhile. What
    comes into the picture at an edge takes the heat of that edge.

    A way is lost, and `carry` has no maps, where the scene is cut, the picture turns, or the motion cannot be followed:
    a heatmap on a picture that it was not made for would say something untrue.

    `cells` is the height and width of the network's heatmaps. One thread uses a tracker at a time.
    """

    def __init__(self, fit: Fit, cells: tuple[int, int]) -> None:
        self._fit = fit
        self._size = (FINER * cells[1], FINER * cells[0])  # columns and rows, as OpenCV wants them
        self._places = _places(self._size)
        # Its finer presets cost two to ten times as much and carry maps no better.
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._grey: Bytes | None = None
        self._ways: dict[int, Field] = {}
        """By pts of a marked frame: from the places of the frame on screen to those of that frame, in fine cells."""

    def see(self, frame: av.VideoFrame) -> bool:
        """Take the next frame on screen, before it is painted; False where it is of another scene than the last."""
        grey = self._shrink(frame)
        before, self._grey = self._grey, grey
        if before is None:
            return True
        if before.shape != grey.shape:
            self._ways.clear()
            return False
        flow = self._motion(grey, before)
        if not _same_scene(before, grey, flow):
            self._ways.clear()
            return False
        step = _resized(flow, self._size)
        at = self._places + step
        self._ways = {pts: step + _moved(way, at) for pts, way in self._ways.items()}
        return True

    def mark(self, pts: int) -> None:
        """The frame on screen, which has this pts, is at the engine: its maps will come.

        There is one such frame at a time: the one marked before is drawn now, and those before that are forgotten.
        """
        drawn = list(self._ways.items())[-1:]
        self._ways = {**dict(drawn), pts: np.zeros_like(self._places)}

    def carry(self, pts: int, maps: Sequence[DrawnMap]) -> tuple[DrawnMap, ...]:
        """The maps of the marked frame `pts` as they lie on the frame on screen; () where its way is lost."""
        way = self._ways.get(pts)
        if way is None:
            return ()
        at = np.asarray((self._places + way + 0.5) / FINER - 0.5, np.float32)  # in cells of the network's grid
        return tuple(replace(each, grid=as_bytes(_moved(each.grid, at, cv2.INTER_CUBIC))) for each in maps)

    def _motion(self, now: Bytes, before: Bytes) -> Field:
        """From each pixel of this frame to where it was in the one before, in pixels of the grey picture."""
        flow = self._flow.calc(now, before, None)  # type: ignore[call-overload]
        return np.asarray(flow, np.float32)

    def _shrink(self, frame: av.VideoFrame) -> Bytes:
        """The part of the frame that the network sees: in grey, with its own proportions unless it is very thin."""
        part = self._fit.rectangle(frame.width, frame.height)
        # A whole number of pixels falls into one: four times as fast as a fraction.
        block = max(1, round((part.width * part.height / AREA) ** 0.5))
        columns, rows = part.width // block, part.height // block
        luma = planes(frame)[0][part.y : part.y + rows * block, part.x : part.x + columns * block]
        size = (max(MIN_SIDE, columns), max(MIN_SIDE, rows))
        return as_bytes(cv2.resize(luma, size, interpolation=cv2.INTER_AREA))


def _same_scene(before: Bytes, now: Bytes, flow: Field) -> bool:
    """Whether the frame before, moved by the flow, is like this one but for its brightness and contrast."""
    height, width = now.shape
    half = (width // 2, height // 2)  # noise counts for less
    a = _moved(_smaller(before, half), _places(half) + _resized(flow, half))
    b = _smaller(now, half)
    a -= a.mean()
    b -= b.mean()
    alike = float(np.vdot(a, b)) >= ALIKE * float(np.vdot(a, a) * np.vdot(b, b)) ** 0.5
    return alike or float(cv2.norm(a, b, cv2.NORM_L1)) < NOISE * a.size


@lru_cache(maxsize=16)
def _places(size: tuple[int, int]) -> Field:
    """(rows, columns, 2): each cell's own column and row."""
    columns, rows = size
    return np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).astype(np.float32)


def _resized(field: Field, size: tuple[int, int]) -> Field:
    """A field of motion on a coarser grid, in that grid's cells."""
    rows, columns = field.shape[:2]
    smaller = np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_AREA), np.float32)
    return smaller * np.array([size[0] / columns, size[1] / rows], np.float32)


def _smaller(grey: Bytes, size: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)


def _moved(values: NDArray[Any], at: Field, interpolation: int = cv2.INTER_LINEAR) -> NDArray[Any]:
    """The values found at these places; beyond an edge, those of the edge."""
    moved = cv2.remap(values, at, None, interpolation, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(moved)
