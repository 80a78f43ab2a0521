"""What an uploaded film costs the live picture: frames a second and the server's time for one, with and without it.

The last row is the same film explained by `whycam process` at ordinary priority. Ratios are to the first row.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from tests.support import ROOT
from tests.support.clients.camera_client import calling
from tests.support.films import media_samples
from tests.support.films.dropped_film import dropped_film
from tests.support.servers.server_process import serving

SECONDS = 12.0
SIZE = (640, 480)
BYTES = {"Content-Type": "application/octet-stream"}


def main() -> None:
    """Print a row alone, beside an uploaded film, and beside `whycam process`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = dropped_film(folder / "film.mp4", 3000, (1280, 720))
        with serving(folder) as server:
            asyncio.run(_measure(server.url, folder, film))


async def _measure(url: str, folder: Path, film: Path) -> None:
    frames = media_samples.encoded("H264", 60, SIZE)
    async with ClientSession() as http, calling(http, url, frames) as phone:
        await phone.until(lambda: len(phone.reports) > 60)
        print("                       frames/s        frame p50, p95        exact   film's frames/s")
        alone = await _row("alone", phone.reports, None)
        data = await asyncio.to_thread(film.read_bytes)
        job = await (await http.post(f"{url}/api/films", params={"name": "film"}, data=data, headers=BYTES)).json()

        async def done() -> int:
            (found,) = (await (await http.get(f"{url}/api/films")).json())["films"]
            return int(found["frames"])

        while not await done():  # noqa: ASYNC110 - it is asked over HTTP
            await asyncio.sleep(0.2)
        await _row("with an uploaded film", phone.reports, alone, done)
        await http.delete(f"{url}/api/films/{job['id']}")
        with _processed(film, folder / "out.mp4"):
            await asyncio.sleep(5)
            await _row("with whycam process", phone.reports, alone)


@contextmanager
def _processed(film: Path, output: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "whycam", "process", str(film), "-o", str(output)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def _row(
    name: str,
    reports: Sequence[Mapping[str, Any]],
    alone: tuple[float, float] | None,
    done: Callable[[], Awaitable[int]] | None = None,
) -> tuple[float, float]:
    """Print one row; returns frames a second and the median time of one."""
    first, began = len(reports), time.perf_counter()
    before = await done() if done else 0
    await asyncio.sleep(SECONDS)
    elapsed = time.perf_counter() - began
    film = f"{((await done()) - before) / elapsed:10.1f}" if done else "         –"
    seen = reports[first:]
    times = sorted(report["times"]["frame_ms"] for report in seen)
    rate, median, late = len(seen) / elapsed, statistics.median(times), times[int(0.95 * len(times))]
    exact = sum(report["state"] == "exact" for report in seen) / len(seen)
    ratios = (1.0, 1.0) if alone is None else (rate / alone[0], median / alone[1])
    rates, frame = f"{rate:5.1f} (x{ratios[0]:.2f})", f"{median:6.1f} (x{ratios[1]:.2f}), {late:6.1f} ms"
    print(f"{name:22} {rates}   {frame}   {exact:4.0%}  {film}", flush=True)
    return rate, median


if __name__ == "__main__":
    main()
