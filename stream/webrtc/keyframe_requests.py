"""Wishes that many have and one grants: passed on at once, then so often and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

KEYFRAME_EVERY_S = 0.5
"""All who see a stream may together ask for a keyframe so often."""


class RateLimitedRequest:
    """Calls `grant` when somebody wishes, at most every `every_s`; a wish in between waits for its turn."""

    def __init__(self, grant: Callable[[], None], every_s: float = KEYFRAME_EVERY_S) -> None:
        self._grant = grant
        self._every_s = every_s
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.time()
        self._waiting: asyncio.TimerHandle | None = None

    def __call__(self) -> None:
        """Wish for it."""
        if self._waiting is not None:
            return
        wait = self._next - self._loop.time()
        if wait > 0:
            self._waiting = self._loop.call_later(wait, self._now)
        else:
            self._now()

    def satisfied(self) -> None:
        """What was wished for has come; whoever still waits has it too."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _now(self) -> None:
        self._waiting = None
        self._next = self._loop.time() + self._every_s
        self._grant()
