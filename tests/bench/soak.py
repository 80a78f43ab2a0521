"""Ten minutes with a model of 300 ms, minute by minute: neither the delay nor the memory should grow.

`python -m tests.bench.soak [MINUTES]`. One client sends pre-encoded H.264 (640x480, 30 frames a second) and only counts
returned frames; both streams are recorded. The delay is from the moment a frame is handed to the client's sender to the
arrival of the last packet of the same frame, explained. The slope is that of a line fitted to the memory of the server
and its model's process, without the first minute.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from aiohttp import ClientSession

from tests.bench.clients import CountingPhone, pre_encoded
from tests.bench.live import cpu_seconds, resident
from tests.support.processes import family
from tests.support.servers.server_process import serving

MINUTE_S = 60.0
SLOWED_S = 0.3


def main() -> None:
    """Print a row for each minute, then the growth of delay and memory."""
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), slowed=SLOWED_S) as server:
        asyncio.run(watch(server.url, family(server.process.pid), minutes))


async def watch(url: str, processes: list[psutil.Process], minutes: int) -> None:
    """Run one call for `minutes` minutes."""
    print("minute  frames/s     p50    p95  carried  heat's age  CPU s/s     memory")
    memory: list[tuple[float, float]] = []  # minutes, MiB
    medians: list[float] = []
    phone = CountingPhone(pre_encoded())
    async with ClientSession() as http:
        response = await phone.call(http, url)
        assert response.status == 201, await response.text()
        began = time.monotonic()
        for minute in range(1, minutes + 1):
            phone.forget()
            used = cpu_seconds(processes)
            while (now := time.monotonic() - began) < minute * MINUTE_S:
                memory.append((now / MINUTE_S, resident(processes) / 2**20))
                await asyncio.sleep(1)
            used = cpu_seconds(processes) - used
            delays = phone.delays()
            p50, p95 = np.percentile(delays, [50, 95])
            medians.append(float(p50))
            carried = np.mean([report["state"] == "carried" for report in phone.reports])
            age = np.median([report["age_ms"] or 0 for report in phone.reports])
            print(
                f"{minute:4}    {len(delays) / MINUTE_S:7.1f}  {p50:4.0f} ms {p95:4.0f} ms  {carried:6.0%}"
                f"  {age:7.0f} ms  {used / MINUTE_S:7.2f}  {memory[-1][1]:7.1f} MiB",
                flush=True,
            )
        counts = phone.reports[-1]["counts"]
        await http.delete(phone.location)
        await phone.close()
    settled = np.array([each for each in memory if each[0] >= min(1, minutes / 2)])
    slope = float(np.polyfit(settled[:, 0], settled[:, 1], 1)[0])
    half = max(1, minutes // 2)
    growth = np.median(medians[-half:]) - np.median(medians[:half])
    print(f"the delay grew by {growth:+.0f} ms from the first half to the second; memory {slope:+.2f} MiB a minute")
    print(f"frames: {counts}")


if __name__ == "__main__":
    main()
