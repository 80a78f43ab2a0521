"""A minute with a model ten times slower than the camera: the delay does not grow, and neither does the memory."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientSession

from tests import film
from tests.children import family
from tests.phone import calling
from tests.serving import serving

SECONDS = 60
pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


def test_a_slow_model_costs_neither_delay_nor_memory(tmp_path: Path) -> None:
    frames = film.encoded("H264", 60, (640, 480))
    arrivals: list[float] = []  # of reports: the clock's time less the frame's own, in ms
    memory: list[int] = []

    async def watch(url: str, processes: list[psutil.Process]) -> dict[str, int]:
        async with ClientSession() as http, calling(http, url, frames) as phone:
            seen = 0
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                await asyncio.sleep(0.1)
                now = time.monotonic() * 1000
                arrivals.extend(now - report["pts"] / 90 for report in phone.reports[seen:])
                seen = len(phone.reports)
                memory.append(sum(process.memory_info().rss for process in processes))
            counts = phone.reports[-1]["counts"]
            assert isinstance(counts, dict)
            return counts

    with serving(tmp_path, slowed=0.3) as server:
        counts = asyncio.run(watch(server.url, family(server.process.pid)))
    tenth = len(arrivals) // 10
    growth = statistics.median(arrivals[-tenth:]) - statistics.median(arrivals[tenth : 2 * tenth])
    assert growth < 50, f"the delay grew by {growth:.0f} ms"
    grown = statistics.median(memory[-tenth:]) - statistics.median(memory[tenth : 2 * tenth])
    assert grown < 10 * 2**20, f"the memory grew by {grown / 2**20:.1f} MiB"
    shown = counts["explained"] + counts["passed"]
    assert shown >= 20 * SECONDS * 0.9, counts
