"""How a server is, for the computer that runs it: `/healthz` in words, `/metrics` in numbers.

Part of it is the event loop's pulse: how late the loop is, which is how long everything that waits for it waits.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import deque
from collections.abc import AsyncIterator, Iterator

from aiohttp import hdrs, web

from whycam.stream.server.auth import require_role
from whycam.stream.server.signalling import SESSIONS
from whycam.stream.sessions.metrics import TYPE
from whycam.stream.sessions.registry import Sessions

LATE_MS = 50.0
"""A loop that lags more than that at times is too busy for its sessions."""


def add_routes(app: web.Application) -> None:
    """Let the host ask how `app` is, which holds the `Sessions`."""
    app[PULSE] = Pulse()
    app.cleanup_ctx.append(_feel)
    app.router.add_get("/healthz", require_role("host")(_health))
    app.router.add_get("/metrics", require_role("host")(_metrics))


async def _feel(app: web.Application) -> AsyncIterator[None]:
    app[PULSE].start()
    yield
    await app[PULSE].stop()


def free_bytes(sessions: Sessions) -> int | None:
    """What is free on the disk that recordings lie on; None where nothing is recorded."""
    folder = sessions.settings.recordings
    if folder is None:
        return None
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    return None if there is None else shutil.disk_usage(there).free


def _problems(sessions: Sessions, lag_ms: float, free: int | None) -> Iterator[str]:
    if sessions.engine.health.state != "running":
        yield "The model is restarting."
    if free is not None and free < sessions.settings.limits.min_free_bytes:
        yield "The disk has too little room for recordings."
    if lag_ms > LATE_MS:
        yield "The server is busy: its answers come late."


async def _health(request: web.Request) -> web.Response:
    sessions, pulse = request.app[SESSIONS], request.app[PULSE]
    health, free, lag = sessions.engine.health, free_bytes(sessions), pulse.lag_ms(0.99)
    problems = list(_problems(sessions, lag, free))
    return web.json_response(
        {
            "status": "degraded" if problems else "ok",
            "problems": problems,
            "model": sessions.engine.contract.name,
            "engine": health.state,
            "engine_restarts": health.restarts,
            "sessions": len(sessions),
            "viewers": sessions.viewers,
            "loop_lag_ms": {"p99": round(lag, 1), "worst": round(pulse.lag_ms(1), 1)},
            "disk_free": free,
            "tasks": len(asyncio.all_tasks()),
        }
    )


async def _metrics(request: web.Request) -> web.Response:
    sessions = request.app[SESSIONS]
    text = sessions.settings.metrics.text(
        sessions.counts,
        sessions.viewers,
        sessions.engine.health,
        request.app[PULSE].lag_ms(0.99),
        free_bytes(sessions),
    )
    return web.Response(body=text, headers={hdrs.CONTENT_TYPE: TYPE})


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


PULSE = web.AppKey("pulse", Pulse)
