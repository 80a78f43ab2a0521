"""The real server in a child process: `with serving(folder) as server:`; also a program with a slowed model.

python -m tests.support.servers.server_process PORT RECORDINGS SECONDS [LIMITS]

SECONDS is the time of a request to the model, or `blind` for a model that finds nothing; LIMITS, as JSON, replaces
some of the default limits.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tests.support import ROOT
from whycam.models import catalog
from whycam.models.class_set import ClassSet
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.process_engine import ProcessEngine
from whycam.stream.inference.worker import Order
from whycam.stream.limits import Limits
from whycam.stream.server.app import serve_until_stopped
from whycam.stream.sessions.session import Settings
from whycam.stream.video.planes import Bytes
from whycam.stream.webrtc.ice.config import IceConfig

READY = "Ctrl-C ends."
"""The last line that a server prints before it is ready."""


class BlindEngine(LocalEngine):
    """Answers at once, without heatmaps: the camera's frames pass through unchanged."""

    def __init__(self) -> None:
        super().__init__(Explainer(catalog.find(), threads=1))

    def explain(
        self, pictures: Bytes, targets: Sequence[int], class_set: ClassSet | None = None
    ) -> Future[Explanation]:
        count, (height, width) = len(pictures), self.contract.map_size
        scores = np.full((count, len(self.contract.labels)), 1 / len(self.contract.labels), np.float32)
        nothing = np.zeros((count, 0), np.float32)
        answer: Future[Explanation] = Future()
        answer.set_result(
            Explanation(scores, nothing.astype(np.int64), np.zeros((count, 0, height, width), np.float32), nothing)
        )
        return answer


class SlowedEngine(ProcessEngine):
    """The bundled model, with a fixed time per request."""

    def __init__(self, seconds: float) -> None:
        super().__init__(Order(catalog.find(), threads=1))
        self._seconds = seconds

    def explain(
        self, pictures: Bytes, targets: Sequence[int], class_set: ClassSet | None = None
    ) -> Future[Explanation]:
        end = time.perf_counter() + self._seconds
        answer: Future[Explanation] = Future()

        def pass_on(found: Future[Explanation]) -> None:
            error = found.exception()
            if error is None:
                answer.set_result(found.result())
            else:
                answer.set_exception(error)

        def wait(found: Future[Explanation]) -> None:
            threading.Timer(max(0.0, end - time.perf_counter()), pass_on, [found]).start()

        super().explain(pictures, targets, class_set).add_done_callback(wait)
        return answer


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    recordings: Path
    process: subprocess.Popen[str]
    log: Path
    inside: Sequence[str] = ()
    """The beginning of a command that runs where it does, in a network namespace."""

    @property
    def invitation(self) -> str:
        """The URL for phones that it printed."""
        (line,) = [line for line in self.log.read_text().splitlines() if line.startswith("Phone: ")]
        return line.removeprefix("Phone: ")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def lan_arguments(folder: Path, port: int) -> list[str]:
    """`--lan` on loopback, where tests may listen, with separate keys."""
    return ["--lan", "--host", "127.0.0.1", "--lan-port", str(port), "--config", str(folder / "config")]


@contextmanager
def serving(
    folder: Path,
    *,
    slowed: float | Literal["blind"] | None = None,
    arguments: Sequence[str] = (),
    port: int | None = None,
    inside: Sequence[str] = (),
    limits: Mapping[str, float] | None = None,
    checkout: Path = ROOT,
) -> Iterator[Server]:
    """`whycam serve` on a free port, or a server with a slowed or blind model.

    `inside` is the beginning of its command, to run it in a network namespace; `limits` replaces defaults of a server
    with a slowed model. Another `checkout` is compared with this one by `tests.bench.server_cost`.
    """
    port = port or free_port()
    recordings = folder / "recordings"
    if slowed is None:
        command = [sys.executable, "-m", "whycam", "serve", "--port", str(port)]
        command += ["--recordings", str(recordings), *arguments]
    else:
        command = [
            sys.executable,
            "-m",
            "tests.support.servers.server_process",
            str(port),
            str(recordings),
            str(slowed),
        ]
        command += [json.dumps(limits)] if limits else []
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen([*inside, *command], cwd=checkout, stdout=log, stderr=subprocess.STDOUT, text=True)
        try:
            _wait_for_readiness(process, folder / "server.log")
            yield Server(f"http://localhost:{port}", recordings, process, folder / "server.log", inside)
        finally:
            process.terminate()
            process.wait(20)


def _wait_for_readiness(process: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if READY in log.read_text():
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise TimeoutError(log.read_text())


def main() -> None:
    port, recordings, seconds, *limits = sys.argv[1:]
    logging.basicConfig(level=logging.INFO)
    engine = BlindEngine() if seconds == "blind" else SlowedEngine(float(seconds))
    given = Limits(**json.loads(limits[0]) if limits else {})
    settings = Settings(media=IceConfig(only_here=True), recordings=Path(recordings), limits=given)
    asyncio.run(serve_until_stopped(engine, settings, int(port), lambda: print(READY, flush=True)))
    engine.close()


if __name__ == "__main__":
    main()
