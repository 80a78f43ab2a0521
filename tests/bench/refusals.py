"""Milliseconds until a refused client has its answer, while eight streams run."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from tests.support.clients.camera_client import calling
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.servers.lan_server import house
from tests.support.servers.refusals import REFUSALS
from whycam.stream.server.auth import COOKIE
from whycam.stream.sessions.session import Settings

ROUNDS = 15


def main() -> None:
    """Print a row for each refusal."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> None:
    frames = media_samples.encoded("H264", 30, (320, 240))
    async with house(folder, fast(folder), Settings()) as home, home.device() as host, AsyncExitStack() as stack:
        running = await stack.enter_async_context(calling(host, home.local, frames))
        for _ in range(7):
            await stack.enter_async_context(calling(host, home.local, frames, 5))
        cookie = {"Cookie": f"{COOKIE}={home.lan.credentials.cookie('phone')}"}
        print("                                            status  median  worst   (connection and TLS included)")
        for name, (ask, _, _) in REFUSALS.items():
            times, statuses = [], set()
            for _ in range(ROUNDS):
                async with home.device() as http:
                    running.pictures.clear()
                    await running.until(lambda: running.pictures)
                    began = time.perf_counter()
                    response = await ask(http, home, cookie)
                    await response.read()
                    times.append((time.perf_counter() - began) * 1000)
                    statuses.add(str(response.status))
            shown = "/".join(sorted(statuses))
            print(f"{name:42} {shown:>7} {statistics.median(times):7.1f} {max(times):6.1f}", flush=True)


if __name__ == "__main__":
    main()
