"""Several phones at once: frames a second, the server's CPU, and the delay, for 1, 3, 6 and 8 clients.

`python -m tests.bench.clients [SECONDS [COUNTS [CHECKOUT]]]`, COUNTS such as `1,8`; a CHECKOUT of another version is
measured in turns with this one. Each client is a process that sends pre-encoded H.264 (640x480, 30 frames a
second) and only counts returned frames; its CPU is listed separately. The delay is from the moment a frame is handed to
the client's sender to the arrival of the last packet of the same frame, explained; 'frame' is the server's part of it,
from the last packet's arrival to the encoded frame; 'grew' is how much longer the delay is in the last tenth of the
time than in the first. Without COUNTS, at the end 20 clients are killed in mid-call, one after the other,
and the server's resources should be as before.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from aiohttp import ClientResponse, ClientSession

from tests.support import ROOT
from tests.support.clients.camera_client import Phone
from tests.support.films import media_samples
from tests.support.servers.server_process import Server, serving
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.video.encoder import X264, Encoder
from whycam.stream.webrtc import aiortc_patches

SIZE = (640, 480)
WARM_UP_S = 4.0
KILLS = 20
COUNTS = (1, 3, 6, 8)


def main() -> None:
    """Print the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    counts = tuple(map(int, sys.argv[2].split(","))) if len(sys.argv) > 2 else COUNTS
    checkouts = [ROOT, *map(Path, sys.argv[3:4])]
    with tempfile.TemporaryDirectory() as folder:
        for slowed, name in ((None, "bundled model"), (0.3, "model of 300 ms")):
            print(
                f"{name}\nclients  frames/s each      p50    p95   grew   frame p50/p95   exact   server CPU s/s   "
                "clients' CPU s/s   memory   load"
            )
            for count in counts:
                for checkout in checkouts:
                    with serving(Path(folder), slowed=slowed, checkout=checkout) as server:
                        print(row(server, count, seconds), "" if checkout == ROOT else "(other)", flush=True)
        if len(sys.argv) <= 2:
            with serving(Path(folder)) as server:
                print(kills(server), flush=True)


def row(server: Server, count: int, seconds: float) -> str:
    """One line of the table."""
    process = psutil.Process(server.process.pid)
    clients = [_client(server, seconds) for _ in range(count)]
    time.sleep(WARM_UP_S)
    before, began = _cpu(process), time.monotonic()
    results = [json.loads(client.communicate(timeout=seconds + 60)[0]) for client in clients]
    cpu = (_cpu(process) - before) / (time.monotonic() - began)
    delays = np.concatenate([result["delays"] for result in results])
    p50, p95 = np.percentile(delays, [50, 95])
    grew = np.mean([growth(result["delays"]) for result in results])
    rates = sorted(len(result["delays"]) / seconds for result in results)
    exact = np.mean([result["exact"] for result in results])
    frame50, frame95 = np.percentile(np.concatenate([result["frame_ms"] for result in results]), [50, 95])
    return (
        f"{count:4}     {rates[0]:5.1f} to {rates[-1]:4.1f}   {p50:5.0f} ms {p95:4.0f} ms {grew:+4.0f}"
        f"   {frame50:5.0f}/{frame95:4.0f} ms   {exact:5.0%}   {cpu:15.2f}"
        f"   {sum(result['cpu'] for result in results):5.2f}   {process.memory_info().rss / 2**20:6.0f} MiB"
        f"   {os.getloadavg()[0]:4.1f}"
    )


def growth(delays: list[float]) -> float:
    """How much longer the delay is at the end of a run, in milliseconds: medians of its last and first tenth."""
    tenth = max(1, len(delays) // 10)
    return float(np.median(delays[-tenth:]) - np.median(delays[:tenth]))


def kills(server: Server) -> str:
    """The server's resources before and after clients are killed in mid-call."""
    process = psutil.Process(server.process.pid)

    def held() -> tuple[int, int, int]:
        return process.num_threads(), process.num_fds(), process.memory_info().rss >> 20

    asyncio.run(_until_empty(server))
    before = held()
    for _ in range(KILLS):
        client = _client(server, 60)
        time.sleep(2.5)
        client.kill()
        client.wait()
    asyncio.run(_until_empty(server))
    return f"{KILLS} kills: threads, descriptors, MiB before {before}, after {held()}"


async def _until_empty(server: Server) -> None:
    async with ClientSession() as http:
        while True:
            async with http.get(f"{server.url}/healthz") as answer:
                if (await answer.json())["sessions"] == 0:
                    return
            await asyncio.sleep(0.5)


def _client(server: Server, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench.clients", server.url, str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _cpu(process: psutil.Process) -> float:
    """CPU seconds of a process and its children."""
    return sum(sum(each.cpu_times()[:2]) for each in (process, *process.children(recursive=True)))


async def client(url: str, seconds: float) -> None:
    """Run one client; prints its measurements as JSON."""
    phone = CountingPhone(pre_encoded())
    async with ClientSession() as http:
        response = await phone.call(http, url)
        assert response.status == 201, await response.text()
        await asyncio.sleep(WARM_UP_S)
        own, start = time.process_time(), time.monotonic()
        phone.forget()
        await asyncio.sleep(seconds)
        cpu, elapsed = time.process_time() - own, time.monotonic() - start
        delays = phone.delays()
        exact = float(np.mean([report["state"] == "exact" for report in phone.reports]))
        await http.delete(phone.location)
        await phone.close()
    frame_ms = [report["times"]["frame_ms"] for report in phone.reports]
    print(json.dumps({"delays": delays, "frame_ms": frame_ms, "exact": exact, "cpu": cpu / elapsed}))


def pre_encoded() -> list[EncodedFrame]:
    """Three seconds of a moving spot."""
    encoder = Encoder(X264)
    return [
        frame
        for number in range(90)
        if (frame := encoder.encode(media_samples.frame(media_samples.spot(SIZE, number), number * media_samples.STEP)))
    ]


class CountingPhone(Phone):
    """Records when frames were sent and received, by RTP timestamp; decodes nothing."""

    def __init__(self, frames: list[EncodedFrame]) -> None:
        super().__init__(frames)
        self.left: dict[int, float] = {}
        self.came: dict[int, float] = {}
        sender = self._transceiver.sender
        give = self.camera.recv

        async def noting() -> object:
            packet = await give()
            if (rtp := aiortc_patches.rtp_timestamp(sender, packet.pts or 0)) is not None:
                self.left[rtp] = time.monotonic()
            return packet

        self.camera.recv = noting  # type: ignore[assignment,method-assign]

    def forget(self) -> None:
        """Reset the measurement."""
        self.left.clear()
        self.came.clear()
        self.reports.clear()

    def delays(self) -> list[float]:
        """The delay in milliseconds of each frame that came back and has a report."""
        return [
            (self.came[report["rtp_out"]] - self.left[report["rtp_in"]]) * 1000
            for report in self.reports
            if report["rtp_out"] in self.came and report["rtp_in"] in self.left
        ]

    async def _look(self) -> None:
        """Returned frames are not decoded."""

    async def call(self, http: ClientSession, base: str, continues: str = "") -> ClientResponse:
        def deliver(_: int, data: bytes, rtp: int) -> None:
            self.came[rtp] = time.monotonic()

        aiortc_patches.divert_encoded_frames(self._transceiver.receiver, deliver, lambda: None)
        return await super().call(http, base, continues)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("http"):
        asyncio.run(client(sys.argv[1], float(sys.argv[2])))
    else:
        main()
