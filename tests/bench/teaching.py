"""What teaching costs: how long learning takes, a stream's frames meanwhile, and memory after many rounds.

`python -m tests.bench.teaching [SECONDS]`. Learning is of random vectors of 1280 numbers, in this process. The stream
is that of one client which sends pre-encoded H.264 (640x480, 30 frames a second) to a server with the bundled model;
while it teaches, one class after the other gets examples, and all are learned again each second. A round is two classes
with half a second of examples each, learned, and cleared.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import ClientSession

from tests.bench.clients import WARM_UP_S, CountingPhone, pre_encoded
from tests.bench.live import resident
from tests.support.processes import family
from tests.support.servers.server_process import Server, serving
from whycam.stream.teaching.accuracy import held_out
from whycam.stream.teaching.learner import learn

WIDTH = 1280
SIZES = ((2, 30), (12, 200))
"""Classes, and examples of each."""
ROUNDS = 100
CLASSES = 12


def main() -> None:
    """Print how long learning takes, then the stream's rates, then the memory."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    for count, examples in SIZES:
        print(learning(count, examples), flush=True)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), arguments=["--no-record"]) as server:
        asyncio.run(lesson(server, seconds))


def learning(count: int, examples: int) -> str:
    """The time to learn classes of so many examples in four holdings each, and to test them; the median of five."""
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(count), examples)
    vectors = (random.normal(0, 1, (count, WIDTH))[classes] + random.normal(0, 1, (len(classes), WIDTH))).clip(0)
    holdings = [f"{number} {place * 4 // examples}" for number in range(count) for place in range(examples)]
    taken: list[tuple[float, float]] = []
    for _ in range(5):
        began = time.perf_counter()
        learn(vectors.astype(np.float32), classes, count)
        learned = time.perf_counter()
        held_out(vectors.astype(np.float32), classes, holdings, count)
        taken.append((learned - began, time.perf_counter() - learned))
    once, tested = np.median(taken, axis=0)
    return f"{count} classes of {examples}: learned in {once:.2f} s, tested in {tested:.2f} s"


async def lesson(server: Server, seconds: float) -> None:
    """One call: without teaching, with it, and 100 rounds."""
    phone = CountingPhone(pre_encoded())
    processes = family(server.process.pid)
    async with ClientSession(server.url) as http:
        response = await phone.call(http, server.url)
        assert response.status == 201, await response.text()
        await asyncio.sleep(WARM_UP_S)
        print(f"without teaching: {await rates(phone, seconds)}", flush=True)
        teaching = asyncio.create_task(teach(http, phone))
        print(f"while it teaches {CLASSES} classes: {await rates(phone, seconds)}", flush=True)
        teaching.cancel()
        phone.commands.send(json.dumps({"teach": None}))
        await ask(http, {"clear": True})
        await cleared_rounds(http, phone, 5)  # to allocate what each needs
        before = resident(processes)
        await cleared_rounds(http, phone, ROUNDS)
        print(f"memory after {ROUNDS} rounds: {(resident(processes) - before) / 2**20:+.1f} MiB")
        await http.delete(phone.location)
        await phone.close()


async def rates(phone: CountingPhone, seconds: float) -> str:
    """Frames a second, their delay, and the load at the end."""
    phone.forget()
    await asyncio.sleep(seconds)
    delays = phone.delays()
    p50, p95 = np.percentile(delays, [50, 95])
    return f"{len(delays) / seconds:.1f} frames/s, {p50:.0f}/{p95:.0f} ms (load {os.getloadavg()[0]:.1f})"


async def teach(http: ClientSession, phone: CountingPhone) -> None:
    """Give each class in turn a second of examples, for ever."""
    numbers = [await add(http, f"class {number}") for number in range(CLASSES)]
    while True:
        for number in numbers:
            phone.commands.send(json.dumps({"teach": number}))
            await asyncio.sleep(1)


async def cleared_rounds(http: ClientSession, phone: CountingPhone, count: int) -> None:
    for _ in range(count):
        for name in ("one", "other"):
            phone.commands.send(json.dumps({"teach": await add(http, name)}))
            await asyncio.sleep(0.5)
        phone.commands.send(json.dumps({"teach": None}))
        await asyncio.sleep(0.2)
        await ask(http, {"clear": True})


async def add(http: ClientSession, name: str) -> int:
    async with http.post("/api/teaching/classes", json={"name": name}) as answer:
        assert answer.status == 201, await answer.text()
        return int((await answer.json())["class"])


async def ask(http: ClientSession, wanted: dict[str, Any]) -> None:
    async with http.post("/api/teaching", json=wanted) as answer:
        assert answer.status == 200, await answer.text()


if __name__ == "__main__":
    main()
