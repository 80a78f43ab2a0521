"""Feels the event loop's pulse: how late it is, which is how long whoever waits for it waits too much."""

from __future__ import annotations

import asyncio
from collections import deque

EVERY_S = 0.05
REMEMBERED = 1200
"""Beats, the last minute's."""


class Pulse:
    """`pulse.start()` in a running loop; `lag_ms` tells of the last minute; it ends by `stop`."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._lags: deque[float] = deque(maxlen=REMEMBERED)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to feel."""
        self._task = asyncio.get_running_loop().create_task(self._beat())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def lag_ms(self, share: float) -> float:
        """What this share of the beats was late at most: 0.99 for the 99th percentile, 1 for the worst."""
        if not self._lags:
            return 0.0
        ordered = sorted(self._lags)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._every_s
            await asyncio.sleep(self._every_s)
            self._lags.append(max(0.0, loop.time() - due))
