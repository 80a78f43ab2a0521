"""Watches what a camera sends: a picture that is too large, or frames that come too fast, are more than it may."""

from __future__ import annotations

import time
from collections.abc import Callable

from stream.codec import EncodedFrame
from stream.keyframe import DamagedKeyframe, read_keyframe
from stream.limits import LIMITS, Limits

TOLERANCE = 1.1
"""A camera's clock and ours differ a little, for hours."""


class Inflow:
    """`excess` says what is too much about a frame; None: nothing is.

    What a network holds back for as long as a call may be silent, it may hand over at once.
    """

    def __init__(self, limits: Limits = LIMITS, now: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._now = now
        self._last = now()
        self._header = b""
        self._most = self._left = limits.frame_rate * limits.silent_s

    def excess(self, frame: EncodedFrame) -> str | None:
        """Take a frame into account."""
        if self._is_too_large(frame):
            return "the camera's picture is larger than 1920x1080"
        now = self._now()
        self._left = min(self._most, self._left + (now - self._last) * self._limits.frame_rate * TOLERANCE) - 1
        self._last = now
        if self._left < 0:
            return f"the camera sends more than {self._limits.frame_rate} frames a second"
        return None

    def _is_too_large(self, frame: EncodedFrame) -> bool:
        if frame.codec == "VP8" or not frame.is_keyframe:
            return frame.is_too_large
        if frame.header == self._header:  # FFmpeg takes some milliseconds to read it
            return False
        self._header = frame.header
        try:
            width, height = read_keyframe(frame).size
        except DamagedKeyframe:
            return False
        return width * height > self._limits.pixels
