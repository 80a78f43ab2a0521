"""Limits keyframe requests to two a second: the first is sent at once, later ones are combined."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

KEYFRAME_EVERY_S = 0.5
"""The least time between keyframe requests, for all receivers of a stream together."""


class RateLimitedRequest:
    """Calls `send` when it is called, at most every `every_s`; calls in between are combined into a delayed one."""

    def __init__(self, send: Callable[[], None], every_s: float = KEYFRAME_EVERY_S) -> None:
        self._send = send
        self._every_s = every_s
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.time()
        self._waiting: asyncio.TimerHandle | None = None

    def __call__(self) -> None:
        """Request it, now or as soon as the rate allows."""
        if self._waiting is not None:
            return
        wait = self._next - self._loop.time()
        if wait > 0:
            self._waiting = self._loop.call_later(wait, self._now)
        else:
            self._now()

    def satisfied(self) -> None:
        """What was requested has arrived: cancel the delayed request."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _now(self) -> None:
        self._waiting = None
        self._next = self._loop.time() + self._every_s
        self._send()
