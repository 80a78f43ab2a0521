"""What one live camera costs the server, beside decoding and encoding alone, in CPU seconds per second.

    python -m tests.bench.server_cost [SECONDS [CHECKOUT]]

The camera is another process, which sends pre-encoded H.264 at 30 frames a second and decodes nothing; the model's own
process is not counted. `stream` is the time of the stream's thread, `loop` that of the event loop, `others` those of
the recording's and the engine's threads. `floor` is one thread's time for decoding the same frames and encoding them
again, with the same libraries and settings, measured before and after: `ratio` is the server's time divided by it,
which depends less on the machine and its load. A CHECKOUT of another version is measured in turns with this one.
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

import cv2
import numpy as np
import psutil
import skimage.data
from aiohttp import ClientSession

from tests.bench.clients import WARM_UP_S, CountingPhone
from tests.support import ROOT
from tests.support.films import media_samples
from tests.support.servers.server_process import serving
from whycam.stream.video.codec import Decoder, EncodedFrame
from whycam.stream.video.encoder import X264, Encoder
from whycam.stream.video.planes import as_bytes

SIZES = ((640, 480), (1280, 720))
FRAMES = 90


def main() -> None:
    """Print a row for each size, with and without recordings, and each checkout."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    checkouts = [ROOT, *map(Path, sys.argv[2:3])]
    print("                                    frames/s   stream   loop  others    sum    floor  ratio   load")
    for size in SIZES:
        for recorded in (False, True):
            for checkout in checkouts:
                name = f"{size[0]}x{size[1]}{', recorded' if recorded else ''}{'' if checkout == ROOT else ', other'}"
                print(f"{name:27}", row(checkout, size, recorded, seconds), flush=True)


def row(checkout: Path, size: tuple[int, int], recorded: bool, seconds: float) -> str:
    """One line of the table."""
    frames = camera_frames(size)
    before = floor(frames)
    with tempfile.TemporaryDirectory() as folder:
        arguments = [] if recorded else ["--no-record"]
        with serving(Path(folder), arguments=arguments, checkout=checkout) as server:
            command = [sys.executable, "-m", "tests.bench.server_cost", server.url, *map(str, (*size, seconds))]
            client = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            assert client.stdout is not None
            client.stdout.readline()  # after the warm-up
            process = psutil.Process(server.process.pid)
            start, began = times_of(process), time.monotonic()
            time.sleep(seconds - 1)
            end, elapsed = times_of(process), time.monotonic() - began
            sent = json.loads(client.communicate(timeout=60)[0])
    used = {thread: (end[thread] - start.get(thread, 0.0)) / elapsed for thread in end}
    loop = used.pop(process.pid)
    stream = max(used.values())
    least = 30 * (before + floor(frames)) / 2
    total = loop + sum(used.values())
    return (
        f"{sent / seconds:16.1f} {stream:8.3f} {loop:6.3f} {total - loop - stream:7.3f} {total:6.3f} {least:8.3f} "
        f"{total / least:6.2f} {os.getloadavg()[0]:6.1f}"
    )


def times_of(process: psutil.Process) -> dict[int, float]:
    """CPU seconds of each thread."""
    return {thread.id: thread.user_time + thread.system_time for thread in process.threads()}


def floor(frames: list[EncodedFrame]) -> float:
    """CPU seconds for decoding a frame and encoding it again, in one thread."""
    decoder, encoder = Decoder("H264"), Encoder(X264)
    start = time.thread_time()
    for frame in frames:
        for picture in decoder.decode(frame):
            encoder.encode(picture)
    return (time.thread_time() - start) / len(frames)


def camera_frames(size: tuple[int, int]) -> list[EncodedFrame]:
    """Three seconds of a camera that is moved over a photograph, with noise as in a room."""
    width, height = size
    photo = cv2.resize(skimage.data.coffee(), (width + 60, height + 60))
    noise = np.random.default_rng(0).normal(0, 3, (4, height, width, 3))
    encoder, frames = Encoder(X264), []
    for number in range(FRAMES):
        at = 60 - abs(number * 120 // FRAMES - 60)
        picture = np.clip(photo[at : at + height, at : at + width] + noise[number % 4], 0, 255).astype(np.uint8)
        frame = encoder.encode(media_samples.frame(as_bytes(picture), number * media_samples.STEP))
        assert frame is not None
        frames.append(frame)
    return frames


async def send(url: str, size: tuple[int, int], seconds: float) -> None:
    """Call the server for some seconds; prints how many frames came back after the warm-up."""
    phone = CountingPhone(camera_frames(size))
    async with ClientSession() as http:
        response = await phone.call(http, url)
        assert response.status == 201, await response.text()
        await asyncio.sleep(WARM_UP_S)
        phone.forget()
        print("ready", flush=True)
        await asyncio.sleep(seconds)
        print(len(phone.came))
        (await http.delete(phone.location)).close()
        await phone.close()


if __name__ == "__main__":
    if len(sys.argv) == 5:
        asyncio.run(send(sys.argv[1], (int(sys.argv[2]), int(sys.argv[3])), float(sys.argv[4])))
    else:
        main()
