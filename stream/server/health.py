"""The server's health, for the host only: `/healthz` as JSON, `/metrics` for Prometheus.

It includes the event loop's lag: how late the loop runs callbacks that are due.
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
"""A loop whose 99th percentile lags more is too busy for its sessions."""


def add_routes(app: web.Application) -> None:
    """Add the health routes to `app`, which contains the `Sessions`."""
    app[LOOP_LAG] = LoopLag()
    app.cleanup_ctx.append(_measure_lag)
    app.router.add_get("/healthz", require_role("host")(_health))
    app.router.add_get("/metrics", require_role("host")(_metrics))


async def _measure_lag(app: web.Application) -> AsyncIterator[None]:
    app[LOOP_LAG].start()
    yield
    await app[LOOP_LAG].stop()


def free_bytes(sessions: Sessions) -> int | None:
    """Free bytes on the disk of the recordings folder; None if nothing is recorded."""
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
    sessions, loop_lag = request.app[SESSIONS], request.app[LOOP_LAG]
    health, free, lag = sessions.engine.health, free_bytes(sessions), loop_lag.lag_ms(0.99)
    problems = list(_problems(sessions, lag, free))
    return web.json_response(
        {
            "status": "degraded" if problems else "ok",
            "problems": problems,
            "model": sessions.models.current.name,
            "engine": health.state,
            "engine_restarts": health.restarts,
            "sessions": len(sessions),
            "viewers": sessions.viewers,
            "loop_lag_ms": {"p99": round(lag, 1), "worst": round(loop_lag.lag_ms(1), 1)},
            "disk_free": free,
            "tasks": len(asyncio.all_tasks()),
        }
    )


async def _metrics(request: web.Request) -> web.Response:
    sessions = request.app[SESSIONS]
    text = sessions.settings.metrics.text(
        sessions.counts,
        sessions.viewers,
        sessions.models.current.name,
        sessions.engine.health,
        request.app[LOOP_LAG].lag_ms(0.99),
        free_bytes(sessions),
        1.0 if sessions.settings.pace is None else sessions.settings.pace.duty,
    )
    return web.Response(body=text, headers={hdrs.CONTENT_TYPE: TYPE})


EVERY_S = 0.05
REMEMBERED = 1200
"""Measurements: those of the last minute."""


class LoopLag:
    """Measures the event loop's lag over the last minute, between `start`, called in the loop, and `stop`."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._lags: deque[float] = deque(maxlen=REMEMBERED)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the measuring task in the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._measure())

    async def stop(self) -> None:
        """Cancel the measuring task and wait for its end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def lag_ms(self, share: float) -> float:
        """The lag that this share of the measurements does not exceed: 0.99 is the 99th percentile, 1 the worst."""
        if not self._lags:
            return 0.0
        ordered = sorted(self._lags)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._every_s
            await asyncio.sleep(self._every_s)
            self._lags.append(max(0.0, loop.time() - due))


LOOP_LAG = web.AppKey("loop_lag", LoopLag)
