"""The cost of viewers: the server's CPU with one camera and 0, 1 and 10 viewers of the explained stream.

    python -m tests.bench.viewers [SECONDS]

The camera and the viewers are separate processes; they send pre-encoded packets and count received ones. A tiny model
is measured beside the bundled one, to separate the cost of the network traffic from that of the model.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import psutil
import skimage.data
from aiohttp import ClientSession

from tests.support.clients.whep_client import watching
from tests.support.clients.whip_client import publishing
from tests.support.films import media_samples
from tests.support.models.tiny_models import bright_spot
from tests.support.servers.server_process import Server, serving
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.video.encoder import X264, Encoder
from whycam.stream.video.planes import as_bytes

SIZE = (640, 480)
COUNTS = (0, 1, 10, 1, 10)
Results: TypeAlias = "Queue[tuple[int, int]]"
"""Frames and packets of all viewers."""


@dataclass(frozen=True)
class Share:
    """The server's CPU seconds per second, and what each viewer received."""

    viewers: int
    cpu: float
    frames: float
    packets: float


def main() -> None:
    """Print a row for each number of viewers, and the cost of ten compared with one."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 15.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny_model = bright_spot(folder / "tiny.onnx")
        for title, arguments in (("bundled model", ()), ("a model that costs nothing", ("--model", str(tiny_model)))):
            with serving(folder, arguments=["--no-record", *arguments]) as server:
                shares = measure(server, seconds)
            print(f"{title}: 640x480 at 30 frames a second, {seconds:.0f} s each")
            for share in shares:
                print(
                    f"  {share.viewers:2} viewers: {share.cpu:.3f} CPU s/s; "
                    f"each got {share.frames:.1f} frames and {share.packets:.0f} packets a second",
                    flush=True,
                )
            one, ten = (statistics.mean(s.cpu for s in shares if s.viewers == n) for n in (1, 10))
            print(f"  ten cost {ten / one:.2f} times what one costs", flush=True)


def measure(server: Server, seconds: float) -> list[Share]:
    """The server's CPU for each of `COUNTS` viewers in turn, with the same camera."""
    process = psutil.Process(server.process.pid)
    session_ids: Queue[str] = multiprocessing.Queue()
    over = multiprocessing.Event()
    camera = multiprocessing.Process(target=_run_camera, args=(server.url, session_ids, over))
    camera.start()
    shares = []
    try:
        session_id = session_ids.get(timeout=60)
        time.sleep(5)
        for count in COUNTS:
            ready = multiprocessing.Event()
            results: Results = multiprocessing.Queue()
            arguments = (server.url, session_id, count, seconds, ready, results)
            viewers = multiprocessing.Process(target=_run_viewers, args=arguments)
            viewers.start()
            assert ready.wait(60)
            before, begin = process.cpu_times(), time.perf_counter()
            frames, packets = results.get(timeout=seconds + 60)
            after, elapsed = process.cpu_times(), time.perf_counter() - begin
            viewers.join()
            used = after.user + after.system - before.user - before.system
            each = max(1, count) * elapsed
            shares.append(Share(count, used / elapsed, frames / each, packets / each))
    finally:
        over.set()
        camera.join()
    return shares


def _run_camera(url: str, session_ids: Queue[str], over: Flag) -> None:
    async def run() -> None:
        async with ClientSession() as http, publishing(http, url, photographed(90)) as publisher:
            session_ids.put(publisher.session_id)
            await asyncio.to_thread(over.wait)

    asyncio.run(run())


def _run_viewers(
    url: str, session_id: str, count: int, seconds: float, ready: Flag, results: Queue[tuple[int, int]]
) -> None:
    async def run() -> None:
        async with ClientSession() as http, AsyncExitStack() as stack:
            watchers = [await stack.enter_async_context(watching(http, url, session_id)) for _ in range(count)]
            taps = [watcher.tap for watcher in watchers]
            for tap in taps:
                await tap.until(10)
            before = [(len(tap.frames), len(tap.payloads)) for tap in taps]
            ready.set()
            await asyncio.sleep(seconds)
            results.put(
                (
                    sum(len(tap.frames) for tap in taps) - sum(frames for frames, _ in before),
                    sum(len(tap.payloads) for tap in taps) - sum(packets for _, packets in before),
                )
            )

    asyncio.run(run())


def photographed(count: int) -> list[EncodedFrame]:
    """Frames of a camera that pans over a photograph, as hard to compress as a real scene."""
    width, height = SIZE
    photo = cv2.resize(skimage.data.coffee(), (width + 60, height + 60))
    encoder, frames = Encoder(X264), []
    for number in range(count):
        at = 60 - abs(number * 120 // count - 60)
        picture = np.ascontiguousarray(photo[at : at + height, at : at + width])
        frame = encoder.encode(media_samples.frame(as_bytes(picture), number * media_samples.STEP))
        assert frame is not None
        frames.append(frame)
    return frames


if __name__ == "__main__":
    main()
