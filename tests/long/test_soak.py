"""Long runs: a model ten times slower than the camera, and four cameras at once. No resource grows or is left.

Clients are separate processes that send pre-encoded frames and decode nothing; their CPU time is listed separately.
`python -m tests.long.test_soak URL SECONDS RATE` is one of them.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from aiohttp import ClientSession

from tests.bench.live import cpu_seconds, resident
from tests.support import ROOT
from tests.support.clients.camera_client import Phone
from tests.support.films import media_samples
from tests.support.processes import family
from tests.support.resources import health, held, until_empty
from tests.support.servers.server_process import Server, serving
from whycam.stream.recording.bitstream_file import BitstreamFile
from whycam.stream.webrtc import aiortc_patches

pytestmark = [pytest.mark.timeout(1500), pytest.mark.alone]
SIZE = (640, 480)


class Sender(Phone):
    """A phone that reads reports only."""

    async def _look(self) -> None:
        """Returned frames are not decoded."""

    async def call(self, http: ClientSession, base: str, continues: str = "") -> Any:
        aiortc_patches.divert_encoded_frames(self._transceiver.receiver, lambda *_: None, lambda: None)
        return await super().call(http, base, continues)


async def send(url: str, seconds: float, rate: float) -> None:
    """Run a client; prints its measurements as JSON."""
    phone = Sender(media_samples.encoded("H264", 90, SIZE), rate)
    async with ClientSession() as http:
        response = await phone.call(http, url)
        assert response.status == 201, await response.text()
        await phone.until(lambda: len(phone.reports) >= 10)
        own, start, seen = time.process_time(), time.monotonic(), len(phone.reports)
        delays: list[float] = []
        read = seen
        while time.monotonic() - start < seconds:
            await asyncio.sleep(0.1)
            now = time.monotonic() * 1000
            delays.extend(now - report["pts"] / 90 for report in phone.reports[read:])
            read = len(phone.reports)
            last = phone.reports[-1]
        cpu, elapsed = time.process_time() - own, time.monotonic() - start
        await http.delete(phone.location)
        await phone.close()
    tenth = max(1, len(delays) // 10)
    growth = statistics.median(delays[-tenth:]) - statistics.median(delays[tenth : 2 * tenth])
    print(
        json.dumps({"fps": (read - seen) / elapsed, "cpu": cpu / elapsed, "growth": growth, "counts": last["counts"]})
    )


def client(server: Server, seconds: float, rate: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.long.test_soak", server.url, str(seconds), str(rate)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@dataclass
class Watched:
    """Measurements of a server while its clients ran."""

    clients: list[dict[str, Any]]
    cpu: float
    """CPU seconds of the server's processes per second."""
    memory: list[tuple[float, float]]
    """Pairs of seconds and MiB."""
    slowest_ms: float
    """The longest that `/healthz` took."""
    lag_ms: float
    """The largest 99th percentile of the event loop's lag."""

    def slope(self, since_s: float) -> float:
        """The growth of memory in MiB per minute."""
        late = [(s, m) for s, m in self.memory if s >= since_s]
        return float(np.polyfit([s / 60 for s, _ in late], [m for _, m in late], 1)[0])

    def __str__(self) -> str:
        rates = [each["fps"] for each in self.clients]
        return (
            f"{len(rates)} clients at {min(rates):.1f} to {max(rates):.1f} frames/s; server {self.cpu:.2f} CPU s/s, "
            f"clients {sum(each['cpu'] for each in self.clients):.2f}; /healthz at most {self.slowest_ms:.0f} ms, "
            f"lag p99 {self.lag_ms:.0f} ms; {self.memory[0][1]:.0f} to {self.memory[-1][1]:.0f} MiB"
        )


def watch(server: Server, count: int, seconds: float, rate: float) -> Watched:
    """Run `count` clients and measure the server meanwhile."""
    processes = family(server.process.pid)
    running = [client(server, seconds, rate) for _ in range(count)]
    while health(server)["sessions"] < count:
        time.sleep(0.1)
    time.sleep(3)
    memory, slowest, lag = [], 0.0, 0.0
    cpu, start = cpu_seconds(processes), time.monotonic()
    while all(each.poll() is None for each in running):
        asked = time.monotonic()
        lag = max(lag, health(server)["loop_lag_ms"]["p99"])
        slowest = max(slowest, time.monotonic() - asked)
        memory.append((asked - start, resident(processes) / 2**20))
        time.sleep(1)
    used = (cpu_seconds(processes) - cpu) / (time.monotonic() - start)
    results = [json.loads(each.communicate(timeout=60)[0]) for each in running]
    return Watched(results, used, memory, slowest * 1000, lag)


def check_counts(counts: dict[str, int]) -> None:
    assert counts["decoded"] == counts["explained"] + counts["passed"] + counts["dropped"]
    assert 0 <= counts["received"] - counts["decoded"] - counts["lost"] <= 60  # still being processed


def overloaded(folder: Path, seconds: float) -> None:
    """Run the bundled model, slowed to ten frame intervals: a third of a second."""
    with serving(folder, slowed=0.33) as server:
        seen = watch(server, 1, seconds, 30)
    print(f"model of 330 ms, {seconds:.0f} s: {seen}, the delay grew by {seen.clients[0]['growth']:.0f} ms")
    grown = statistics.median(m for _, m in seen.memory[-10:]) - statistics.median(m for _, m in seen.memory[:10])
    assert grown <= 50
    assert seen.slowest_ms < 200
    assert seen.clients[0]["growth"] < 50
    counts = seen.clients[0]["counts"]
    check_counts(counts)
    assert counts["explained"] + counts["passed"] >= 0.6 * counts["received"]


def test_a_model_ten_times_too_slow_costs_neither_delay_nor_memory(tmp_path: Path) -> None:
    overloaded(tmp_path, 8)


@pytest.mark.long
def test_five_minutes_of_a_model_ten_times_too_slow(tmp_path: Path) -> None:
    overloaded(tmp_path, 300)


def soaked(folder: Path, count: int, seconds: float) -> Watched:
    """Cameras of 640x480 at 15 frames a second, explained and recorded; afterwards resources are as before."""
    with serving(folder) as server:
        watch(server, count, 3, 15)  # to import and allocate what every call needs
        until_empty(server, 20)
        time.sleep(1)
        before = held(server)
        seen = watch(server, count, seconds, 15)
        until_empty(server, 20)
        time.sleep(2)
        after = held(server)
    print(f"{seconds:.0f} s: {seen}\n  before: {before}\n  after:  {after}")
    for each in seen.clients:
        check_counts(each["counts"])
    assert abs(after.threads - before.threads) <= 2
    assert abs(after.descriptors - before.descriptors) <= 2
    assert abs(after.tasks - before.tasks) <= 2
    return seen


def test_after_two_cameras_the_servers_resources_are_as_before(tmp_path: Path) -> None:
    soaked(tmp_path, 2, 8)


@pytest.mark.long
def test_ten_minutes_of_four_cameras(tmp_path: Path) -> None:
    seen = soaked(tmp_path, 4, 600)
    of_tables = tables(tmp_path, 24_000) / 24_000 * 4 * 15 * 60
    print(
        f"memory grows by {seen.slope(180):.2f} MiB a minute after the third, {of_tables:.2f} of it in tables of films"
    )
    assert min(each["fps"] for each in seen.clients) >= 14
    assert seen.lag_ms <= 50
    assert seen.slope(180) - of_tables < 0.5


def tables(folder: Path, frames: int) -> float:
    """MiB that libavformat keeps of a recording's two open films, which have so many frames."""
    encoded = media_samples.encoded("H264", 60, (160, 120))
    films = [BitstreamFile(folder / f"{name}.mp4", encoded[0]) for name in ("camera", "explained")]
    before = resident([psutil.Process()])
    for number in range(frames):
        pts = number * media_samples.STEP
        for film in films:
            film.write(replace(encoded[number % 60], pts=pts), pts)
    grown = resident([psutil.Process()]) - before
    for film in films:
        film.close()
    return grown / 2**20


if __name__ == "__main__":
    url, seconds, rate = sys.argv[1:]
    asyncio.run(send(url, float(seconds), float(rate)))
