"""Watches what a camera sends: a picture that is too large, or frames that come too fast, are more than it may."""

from __future__ import annotations

import time
from collections.abc import Callable

from whycam.stream.limits import LIMITS, Limits
from whycam.stream.video.codec import DamagedKeyframe, EncodedFrame, read_keyframe
from whycam.stream.webrtc.end_reason import EndReason

TOLERANCE = 1.1
"""A camera's clock and ours differ a little, for hours."""


class Inflow:
    """`excess` says what is too much about a frame, so that the call ends; None: nothing is.

    What a network holds back for as long as a call may be silent, it may hand over at once.
    """

    def __init__(self, limits: Limits = LIMITS, now: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._now = now
        self._last = now()
        self._header = b""
        self._allowance = self._remaining = limits.max_frame_rate * limits.max_silent_s

    def excess(self, frame: EncodedFrame) -> EndReason | None:
        """Take a frame into account."""
        size = self._new_size(frame)
        if size is not None and size[0] * size[1] > self._limits.max_pixels:
            return EndReason(
                f"The camera's picture is {size[0]}x{size[1]}, larger than 1920x1080. Let it send a smaller one.",
                "too-large",
            )
        now = self._now()
        self._remaining = (
            min(self._allowance, self._remaining + (now - self._last) * self._limits.max_frame_rate * TOLERANCE) - 1
        )
        self._last = now
        if self._remaining < 0:
            return EndReason(
                f"The camera sends more than {self._limits.max_frame_rate} frames a second. Let it send fewer.",
                "too-fast",
            )
        return None

    def _new_size(self, frame: EncodedFrame) -> tuple[int, int] | None:
        """Width and height, where this frame begins another size; None also where it cannot be read."""
        if not frame.is_keyframe or frame.header == self._header:  # FFmpeg takes some milliseconds to read H.264's
            return None
        self._header = frame.header
        try:
            return frame.vp8_size if frame.codec == "VP8" else read_keyframe(frame).size
        except DamagedKeyframe:
            return None
