"""Scales heatmaps so that those of neighbouring frames and of different classes can be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.video.codec import TIME_BASE
from whycam.stream.video.planes import Bytes

FAST_S = 0.25
"""Time constant with which a map's scale follows its evidence."""
SLOW_S = 2.0
"""Time constant with which full heat follows the hottest of the maps, as a camera's exposure follows the light."""
MAX_SCALE = 1.25
"""With more, the hot regions of a map would merge."""


@dataclass(slots=True)
class _Follower:
    """A value that approaches a target exponentially. The target stays as it is until it is set again.

    The value therefore depends on when the target changes, and not on how often `step` is called.
    """

    target: float
    value: float

    def step(self, seconds: float, time_constant: float) -> None:
        self.value = self.target + (self.value - self.target) * math.exp(-seconds / time_constant)


class ScaleSmoother:
    """The scales with which the maps of a stream are drawn, frame by frame.

    A map is normalised by its own maximum: a class at 0 % would be drawn as hot as one at 99 %, and noise in that one
    cell makes the whole map flicker. Its `evidence` is that maximum before normalisation: by how much the hottest cell
    raises the class's log-odds (`models.contract`, `head.grad_cam`), in the same unit for every class of a model. The
    factor p(1 − p), which would turn it into probability, is left out on purpose: with p near 0 or 1 it would make
    every map cold. Maps of two classes are compared by evidence, not by probability, with the hottest of a frame's maps
    as the common reference: half the heat means half the evidence.

    The scale of class c with the map h (maximum 1) and the evidence e is

        scale = E_c / (R · rms(h))    E_c follows e · rms(h) in FAST_S,  R follows the largest e in SLOW_S

    that is e / R, smoothed. rms(h), the root mean square over a map's cells, is less noisy than the maximum 1.
    When the evidence of all classes drops, the heat fades in FAST_S and comes back in SLOW_S.
    """

    def __init__(self) -> None:
        self._pts = 0
        self._levels: dict[int, _Follower] = {}
        self._full: _Follower | None = None

    def scales(self, pts: int, maps: Sequence[DrawnMap]) -> tuple[float, ...]:
        """The scale of each map of the frame on screen, as the model returned it; pts in 1/90000 s.

        A class that was not among the maps of the frame before starts with its own evidence.
        """
        seconds = float(max(0, pts - self._pts) * TIME_BASE)
        self._pts = pts
        if not maps:
            self._levels, self._full = {}, None
            return ()
        spreads = _rms([m.grid for m in maps])
        self._levels = {
            each.class_id: _followed(self._levels.get(each.class_id), each.evidence * spread, seconds, FAST_S)
            for each, spread in zip(maps, spreads, strict=True)
        }
        self._full = _followed(self._full, max(m.evidence for m in maps), seconds, SLOW_S)
        full = self._full.value
        return tuple(
            _scale(level.value, full * spread) for level, spread in zip(self._levels.values(), spreads, strict=True)
        )


class FrameScales:
    """The scales of all maps of a frame: single classes share full heat, and the halves of a difference one scale.

    The difference of two logits (`stream.overlay.difference`) is one map in two colours. Its evidence is not compared
    with that of single classes, nor with that of another difference, so it begins with a scale of its own.
    """

    def __init__(self) -> None:
        self._classes = ScaleSmoother()
        self._difference = ScaleSmoother()
        self._compared: frozenset[int] = frozenset()

    def of(self, pts: int, maps: Sequence[DrawnMap]) -> tuple[float, ...]:
        """The scale of each map of the frame on screen, as the model returned it; pts in 1/90000 s."""
        halves = [each for each in maps if each.against]
        compared = frozenset(each.class_id for each in halves)
        if compared != self._compared:
            self._compared, self._difference = compared, ScaleSmoother()
        single = iter(self._classes.scales(pts, [each for each in maps if not each.against]))
        if not halves:
            return tuple(single)
        whole = replace(halves[0], grid=np.maximum.reduce([each.grid for each in halves]), class_id=min(compared))
        (common,) = self._difference.scales(pts, [whole])
        return tuple(common if each.against else next(single) for each in maps)


def _followed(before: _Follower | None, target: float, seconds: float, time_constant: float) -> _Follower:
    if before is None:
        return _Follower(target, target)
    before.step(seconds, time_constant)
    before.target = target
    return before


def _rms(grids: Sequence[Bytes]) -> list[float]:
    cells = np.stack(grids).astype(np.float32) / 255  # (K, h, w)
    values: list[float] = np.sqrt(np.mean(cells * cells, axis=(1, 2))).tolist()
    return values


def _scale(level: float, full: float) -> float:
    """At most `MAX_SCALE`, and 1 without evidence. The rounding to three digits is below one step of a byte."""
    return round(min(level / full, MAX_SCALE), 3) if full > 0 else 1.0
