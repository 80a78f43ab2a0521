"""A model in a child process: what a question costs more than in a thread, and how soon a new one is there.

Questions go to both engines in turn, so that a busy machine slows both; the bundled model on one thread.
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

QUESTIONS = 200
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
    picture = np.random.default_rng(0).integers(0, 255, (1, *explainer.contract.input_size, 3), np.uint8)
    try:
        question(local, process, picture)
        common_run(explainer, picture)
        for number in (signal.SIGKILL, signal.SIGSTOP):
            outage(process, picture, number)
    finally:
        local.close()
        process.close()


def question(local: Engine, process: Engine, picture: Bytes) -> None:
    """One question after the other, each to both."""
    engines = (local, process)
    times = [[timed(lambda e=e: e.explain(picture, BEST).result()) for e in engines] for _ in range(QUESTIONS)]  # type: ignore[misc]
    for name, column in zip(("in a thread", "in a child process"), zip(*times, strict=True), strict=True):
        ordered = sorted(column)
        print(
            f"a question {name:24}{statistics.median(ordered):6.2f} ms p50 {ordered[int(0.95 * QUESTIONS)]:6.2f} ms p95"
        )
    added = statistics.median(b - a for a, b in times)
    print(f"added by the child process         {added:6.2f} ms, ratio {statistics.median(b / a for a, b in times):.3f}")


def common_run(explainer: Explainer, picture: Bytes) -> None:
    """Pictures of several clients in one run, against one after the other."""
    pictures = picture.repeat(CLIENTS, axis=0)
    singly, together = [], []
    for _ in range(ROUNDS):
        singly.append(timed(lambda: [explainer.explain(picture, BEST) for _ in range(CLIENTS)]))
        together.append(timed(lambda: explainer.explain(pictures, BEST)))
    one_by_one, one_run = statistics.median(singly), statistics.median(together)
    mean = one_by_one * (CLIENTS + 1) / (2 * CLIENTS)  # the first waits for one run, the last for all
    ratio = statistics.median(b / a for a, b in zip(singly, together, strict=True))
    print(f"{CLIENTS} pictures one by one             {one_by_one:6.1f} ms, a client waits {mean:.1f} ms in the mean")
    print(
        f"{CLIENTS} pictures in one run             {one_run:6.1f} ms, which each waits; ratio of the times {ratio:.3f}"
    )


def outage(process: ProcessEngine, picture: Bytes, number: signal.Signals) -> None:
    """From the fault to the first answer."""
    assert process._child is not None
    os.kill(process._child.pid, number)
    start = time.perf_counter()
    while True:
        try:
            process.explain(picture, BEST).result()
        except EngineDown:
            time.sleep(0.02)
        else:
            break
    print(f"back after {number.name:23} {time.perf_counter() - start:6.2f} s")


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()
