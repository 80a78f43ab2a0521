"""Limits on what a camera sends: frame size, frame rate and commands."""

from __future__ import annotations

import time
from collections.abc import Callable

from whycam.stream.limits import LIMITS, Limits
from whycam.stream.video.codec import DamagedKeyframe, EncodedFrame, read_keyframe
from whycam.stream.webrtc.end_reason import EndReason

TOLERANCE = 1.1
"""A camera's clock and the server's differ slightly, for hours."""


REFUSED_COSTS = 10
"""A refused command costs as much as this many accepted ones: no page sends many, and each is answered."""
BURST_S = 3.0
"""Seconds of commands that may come at once, because a network held them back."""


class CommandBudget:
    """A token bucket for the commands of one camera, on all of its channels together."""

    def __init__(self, limits: Limits = LIMITS, now: Callable[[], float] = time.monotonic) -> None:
        self._rate = limits.max_commands_per_second
        self._now = now
        self._last = now()
        self._remaining = self._rate * BURST_S
        self.is_exceeded = False
        """Once it is, it stays so: the channels are closed."""

    def spend(self, *, refused: bool) -> bool:
        """Count a command; whether the budget is exceeded."""
        now = self._now()
        saved = self._remaining + (now - self._last) * self._rate
        self._remaining = min(self._rate * BURST_S, saved) - (REFUSED_COSTS if refused else 1)
        self._last = now
        self.is_exceeded = self.is_exceeded or self._remaining < 0
        return self.is_exceeded


class Inflow:
    """Checks one camera's frames with `excess`, a token bucket for the frame rate.

    The burst is as long as a call may be silent, because a network may deliver what it held back all at once.
    """

    def __init__(self, limits: Limits = LIMITS, now: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._now = now
        self._last = now()
        self._header = b""
        self._allowance = self._remaining = limits.max_frame_rate * limits.max_silent_s

    def excess(self, frame: EncodedFrame) -> EndReason | None:
        """Count a frame; the reason to end the call if it exceeds a limit, otherwise None."""
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
        """Width and height if this keyframe changes them; None also if they cannot be read."""
        if not frame.is_keyframe or frame.header == self._header:  # reading H.264's takes milliseconds
            return None
        self._header = frame.header
        try:
            return frame.vp8_size if frame.codec == "VP8" else read_keyframe(frame).size
        except DamagedKeyframe:
            return None
