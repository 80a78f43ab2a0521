"""One child process that runs a model: the handle that its parent has, and what it does itself.

Parent and child speak pickle over the child's stdin and stdout: an order, the model's description; a request, its
answer. (An image of 150 KB takes 0.2 ms this way. Shared memory would save 0.1 ms, and needs names, a tracker process
and care for what a killed process leaves behind.) The child is a fresh interpreter, as with multiprocessing's spawn,
but it imports nothing of the program that started it: half a second instead of two.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from whycam.models.contract import Contract, ContractError
from whycam.stream.inference.engine import EngineDown
from whycam.stream.inference.explainer import BEST, MAX_PINNED, Explainer, Explanation, RuntimeMissing
from whycam.stream.inference.providers import Device

NICE = 5
OOM_SCORE = 500
END_S = 1.0
"""Seconds that a child has to end when its parent has no more requests."""

# Ctrl-C in a terminal, and a service manager's SIGTERM, go to parent and child alike: the parent ends its work first.
BOOT = """
import pickle, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.path[:] = pickle.load(sys.stdin.buffer)
from whycam.stream.inference.worker import main
main()
"""


@dataclass(frozen=True, slots=True)
class Order:
    """Which model to run, where, and with how many threads (see `Explainer`)."""

    path: Path
    device: Device = "auto"
    threads: int = 0


@dataclass(frozen=True, slots=True)
class About:
    """What a child says of its model when it is ready."""

    contract: Contract
    sha256: str
    provider: str
    """The execution provider that really runs the model."""
    device_problem: str | None
    image_s: float
    """Seconds for one image."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The last word of a child whose model raised."""

    reason: str


class ModelProcess:
    """The parent's handle on a child; `about` first, then `ask`, each from one thread, and `end` in any case."""

    def __init__(self, order: Order) -> None:
        self._late_s: float | None = None
        command = [sys.executable, "-P", "-c", BOOT, str(order.path)]  # the path is for people who look at processes
        priority = 0
        if sys.platform == "win32":
            priority = subprocess.BELOW_NORMAL_PRIORITY_CLASS
        try:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, creationflags=priority
            )
        except OSError as error:
            raise EngineDown(f"The model's process cannot be started ({error.strerror}).") from error
        self.pid = self._process.pid
        self._order = order

    def about(self) -> About:
        """Wait until the model is ready.

        Raises `ContractError` and `RuntimeMissing` as `Explainer` does, and `EngineDown`.
        """
        self._say(sys.path)  # so that it finds the packages that this process found
        self._say(self._order)
        about = self._hear()
        if not isinstance(about, About):
            raise about
        return about

    def ask(self, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> Explanation:
        """Explain images (N, H, W, 3) for targets (N, K) that were checked; raises `EngineDown`."""
        self._say((images, targets))
        scores, classes, heatmaps, evidence = self._hear()
        return Explanation(scores, classes, heatmaps, evidence)

    @property
    def has_ended(self) -> bool:
        """Whether the child is gone."""
        return self._process.poll() is not None

    def kill(self, *, late_s: float | None = None) -> None:
        """End the child at once, and whoever waits for it; `late_s`: it did not answer within so many seconds."""
        self._late_s = late_s
        self._process.kill()

    def end(self) -> None:
        """Free the child: it has a second to end by itself, without requests."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not sent to a dead child
                pipe.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def down(self) -> EngineDown:
        """Why the child does not answer."""
        if self._late_s is not None:
            return EngineDown(f"The model did not answer within {self._late_s:.0f} s.")
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            return EngineDown("The model's process shut its doors.")
        if code >= 0:
            return EngineDown(f"The model's process ended by itself (exit code {code}).")
        name = {number.value: number.name for number in signal.Signals}.get(-code, f"signal {-code}")
        return EngineDown(
            f"The model's process was ended by {name}{' (no memory left?)' if name == 'SIGKILL' else ''}."
        )

    def _say(self, message: object) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(message, self._process.stdin, protocol=5)
            self._process.stdin.flush()
        except (OSError, ValueError):  # its end of the pipe is closed
            raise self.down() from None

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        try:
            message = pickle.load(self._process.stdout)  # noqa: S301 - our own child wrote it
        except (OSError, EOFError, pickle.UnpicklingError):
            raise self.down() from None
        if isinstance(message, Failure):
            raise EngineDown(f"The model failed ({message.reason}).")
        return message


def main() -> None:
    """Be the child: run the model that is ordered, until there are no more requests."""
    faulthandler.enable()
    answers = _answers()
    order: Order = pickle.load(sys.stdin.buffer)  # noqa: S301 - our parent wrote it
    requests: SimpleQueue[tuple[NDArray[np.uint8], NDArray[np.int64]]] = SimpleQueue()
    # Reads ahead of the model, so that the parent's end is seen even while the model hangs.
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    try:
        explainer, about = _opened(order)
    except (ContractError, RuntimeMissing) as error:
        _say(error, answers)
        os._exit(1)
    except Exception as error:  # noqa: BLE001 - told to the parent
        _say(Failure(_in_words(error)), answers)
        os._exit(1)
    _step_back()
    _say(about, answers)
    while True:
        images, targets = requests.get()
        try:
            found = explainer.explain(images, targets)
        except Exception as error:  # noqa: BLE001 - told to the parent
            # Who knows what it left behind: a GPU that reported an error stays unusable for a process.
            _say(Failure(_in_words(error)), answers)
            os._exit(1)
        _say((found.scores, found.classes, found.heatmaps, found.evidence), answers)


def _step_back() -> None:
    """Image before heatmap: the child yields to its parent, and goes first where memory runs out.

    Only when it is ready: at a start somebody waits for it.
    """
    if sys.platform == "linux":  # each thread has a niceness of its own, and onnxruntime has made some
        for thread in os.listdir("/proc/self/task"):
            os.setpriority(os.PRIO_PROCESS, int(thread), os.getpriority(os.PRIO_PROCESS, int(thread)) + NICE)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    elif sys.platform != "win32":
        os.nice(NICE)


def _answers() -> IO[bytes]:
    """The way to the parent; whatever else writes to stdout, such as a library, goes to stderr from here on."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _listen(requests: SimpleQueue[tuple[NDArray[np.uint8], NDArray[np.int64]]]) -> None:
    try:
        while True:
            requests.put(pickle.load(sys.stdin.buffer))  # noqa: S301 - our parent wrote it
    except EOFError:  # no parent, no model
        os._exit(0)
    except Exception:  # noqa: BLE001 - no memory, say
        traceback.print_exc()
        os._exit(1)


def _opened(order: Order) -> tuple[Explainer, About]:
    explainer = Explainer(order.path, device=order.device, threads=order.threads)
    height, width = explainer.contract.input_size
    image = np.zeros((1, height, width, 3), np.uint8)
    # Nobody should have to wait for a first run: it allocates, a GPU looks for its fastest convolutions, and TensorRT
    # builds an engine, for minutes, for as many classes as it has seen asked for; so the most come first.
    for count in (len(BEST) + MAX_PINNED, 1):
        explainer.explain(image, [-1] * count)
    start = time.perf_counter()
    explainer.explain(image, [-1])
    seconds = time.perf_counter() - start
    provider = explainer.providers[0]
    return explainer, About(explainer.contract, explainer.sha256, provider, explainer.device_problem, seconds)


def _say(message: object, answers: IO[bytes]) -> None:
    try:
        pickle.dump(message, answers, protocol=5)
        answers.flush()
    except OSError:
        os._exit(0)


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
