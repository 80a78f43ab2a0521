"""A model in a child process: the extra cost of a request compared with a thread, and the time of a restart.

Requests go to both engines in turn, so that a busy machine slows both; the bundled model runs on one thread.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable

import numpy as np

from whycam.models import catalog
from whycam.stream.inference.engine import Engine, EngineDown, LocalEngine
from whycam.stream.inference.explainer import BEST, Explainer
from whycam.stream.inference.process_engine import ProcessEngine
from whycam.stream.inference.worker import Order
from whycam.stream.video.planes import Bytes

REQUESTS = 200
ROUNDS = 25
CLIENTS = 4


def main() -> None:
    """Print milliseconds, and ratios within this run."""
    explainer = Explainer(catalog.find(), device="cpu", threads=1)
    local = LocalEngine(explainer)
    start = time.perf_counter()
    process = ProcessEngine(Order(catalog.find(), "cpu", threads=1))
    assert process.about
    print(f"start of the child                 {time.perf_counter() - start:6.2f} s")
    image = np.random.default_rng(0).integers(0, 255, (1, *explainer.contract.input_size, 3), np.uint8)
    try:
        request(local, process, image)
        common_run(explainer, image)
        for number in (signal.SIGKILL, signal.SIGSTOP):
            outage(process, image, number)
    finally:
        local.close()
        process.close()


def request(local: Engine, process: Engine, image: Bytes) -> None:
    """One request after the other, each to both engines."""
    engines = (local, process)
    times = [[timed(lambda e=e: e.explain(image, BEST).result()) for e in engines] for _ in range(REQUESTS)]  # type: ignore[misc]
    for name, column in zip(("in a thread", "in a child process"), zip(*times, strict=True), strict=True):
        ordered = sorted(column)
        print(
            f"a request {name:25}{statistics.median(ordered):6.2f} ms p50 {ordered[int(0.95 * REQUESTS)]:6.2f} ms p95"
        )
    added = statistics.median(b - a for a, b in times)
    print(f"added by the child process         {added:6.2f} ms, ratio {statistics.median(b / a for a, b in times):.3f}")


def common_run(explainer: Explainer, image: Bytes) -> None:
    """Images of several clients in one run, compared with one after the other."""
    images = image.repeat(CLIENTS, axis=0)
    singly, together = [], []
    for _ in range(ROUNDS):
        singly.append(timed(lambda: [explainer.explain(image, BEST) for _ in range(CLIENTS)]))
        together.append(timed(lambda: explainer.explain(images, BEST)))
    one_by_one, one_run = statistics.median(singly), statistics.median(together)
    mean = one_by_one * (CLIENTS + 1) / (2 * CLIENTS)  # the first waits for one run, the last for all
    ratio = statistics.median(b / a for a, b in zip(singly, together, strict=True))
    print(f"{CLIENTS} images one by one               {one_by_one:6.1f} ms, a client waits {mean:.1f} ms in the mean")
    print(
        f"{CLIENTS} images in one run               {one_run:6.1f} ms, which each waits; ratio of the times {ratio:.3f}"
    )


def outage(process: ProcessEngine, image: Bytes, number: signal.Signals) -> None:
    """Print the time from the fault to the first answer."""
    assert process.child_pid is not None
    os.kill(process.child_pid, number)
    start = time.perf_counter()
    while True:
        try:
            process.explain(image, BEST).result()
        except EngineDown:
            time.sleep(0.02)
        else:
            break
    print(f"back after {number.name:23} {time.perf_counter() - start:6.2f} s")


def timed(work: Callable[[], object]) -> float:
    """The milliseconds that `work` takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()
