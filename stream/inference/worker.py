"""A child process that runs a model: the parent's handle on it, and the child's own main function.

Parent and child exchange pickles over the child's stdin and stdout: an order and the model's description, then requests
and answers. (An image of 150 KB takes 0.2 ms this way. Shared memory would save 0.1 ms, but needs names, a tracker
process and cleanup after a killed process.) The child is a fresh interpreter, as with multiprocessing's spawn, but it
imports nothing of the program that started it: half a second instead of two.
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

from whycam.models.class_set import ClassSet
from whycam.models.contract import HEATMAPS, Contract, ContractError
from whycam.stream.inference.engine import EngineDown
from whycam.stream.inference.explainer import BEST, MAX_PINNED, Explainer, RuntimeMissing
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.providers import Device
from whycam.stream.low_priority import lower_priority

NICE_AT_START, NICE = 5, 10
"""A third and a tenth of what others get while they want all of the cores' time, and whatever they leave."""
OOM_SCORE = 500
OOM_SCORE_AT_START = 800
"""A model that starts is killed before the one that it is to replace (`stream.sessions.model_choice`)."""
END_S = 1.0
"""Seconds in which a child has to end after its pipes are closed."""

# Ctrl-C in a terminal and a service manager's SIGTERM go to both processes. The child ignores them, so that the parent
# can finish its work first.
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
    """The arguments of the child's `Explainer`."""

    path: Path
    device: Device = "auto"
    threads: int = 0
    output: str = HEATMAPS
    signed: bool = False


@dataclass(frozen=True, slots=True)
class About:
    """A child's description of its model, sent when it is ready."""

    contract: Contract
    sha256: str
    provider: str
    """The execution provider that really runs the model."""
    device_problem: str | None
    image_s: float
    """Seconds that one image takes."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The last message of a child whose model raised."""

    reason: str


@dataclass(frozen=True, slots=True)
class Question:
    """Images (N, H, W, 3) and targets (N, K) to explain."""

    images: NDArray[np.uint8]
    targets: NDArray[np.int64]
    class_set_id: str = ""
    """Empty: the model's own classes."""
    class_set: ClassSet | None = None
    """The set itself, if the child has another one; it keeps one."""


class ModelProcess:
    """The parent's handle on a child: call `about` first, then `ask`, from one thread each; always call `end`."""

    def __init__(self, order: Order) -> None:
        self._late_s: float | None = None
        self._sent = ""
        """The id of the class set that the child has."""
        command = [sys.executable, "-P", "-c", BOOT, str(order.path)]  # the path is shown in process lists only
        priority = 0
        if sys.platform == "win32":
            priority = subprocess.BELOW_NORMAL_PRIORITY_CLASS
        try:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                creationflags=priority,
                start_new_session=True,  # see `lower_priority`
            )
        except OSError as error:
            raise EngineDown(f"The model's process cannot be started ({error.strerror}).") from error
        self.pid = self._process.pid
        self._order = order

    def about(self) -> About:
        """The child's description of its model; waits until it is ready.

        Raises `ContractError` and `RuntimeMissing` as `Explainer` does, and `EngineDown`.
        """
        self._send(sys.path)  # so that the child finds the same packages
        self._send(self._order)
        about = self._receive()
        if not isinstance(about, About):
            raise about
        return about

    def ask(
        self, images: NDArray[np.uint8], targets: NDArray[np.int64], class_set: ClassSet | None = None
    ) -> Explanation:
        """Explain checked images (N, H, W, 3) for checked targets (N, K); raises `EngineDown`."""
        if class_set is None:
            self._send(Question(images, targets))
        else:
            self._send(Question(images, targets, class_set.id, None if class_set.id == self._sent else class_set))
            self._sent = class_set.id
        found: Explanation = self._receive()
        return found

    @property
    def has_ended(self) -> bool:
        """Whether the child has exited."""
        return self._process.poll() is not None

    def kill(self, *, late_s: float | None = None) -> None:
        """End the child at once, so that waiting calls fail; `late_s` is the limit that it exceeded."""
        self._late_s = late_s
        self._process.kill()

    def end(self) -> None:
        """Close the pipes and reap the child; it is killed if it does not exit within `END_S`."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # unsent data for a dead child
                pipe.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def down(self) -> EngineDown:
        """The reason why the child does not answer."""
        if self._late_s is not None:
            return EngineDown(f"The model did not answer within {self._late_s:.0f} s.")
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            return EngineDown("The model's process closed its pipes.")
        if code >= 0:
            return EngineDown(f"The model's process ended by itself (exit code {code}).")
        name = {number.value: number.name for number in signal.Signals}.get(-code, f"signal {-code}")
        return EngineDown(
            f"The model's process was ended by {name}{' (no memory left?)' if name == 'SIGKILL' else ''}."
        )

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(message, self._process.stdin, protocol=5)
            self._process.stdin.flush()
        except (OSError, ValueError):  # the child has closed its end of the pipe
            raise self.down() from None

    def _receive(self) -> Any:
        assert self._process.stdout is not None
        try:
            message = pickle.load(self._process.stdout)  # noqa: S301 - our own child wrote it
        except (OSError, EOFError, pickle.UnpicklingError):
            raise self.down() from None
        if isinstance(message, Failure):
            raise EngineDown(f"The model failed ({message.reason}).")
        return message


def main() -> None:
    """Run the ordered model in the child until the parent closes the pipe."""
    faulthandler.enable()
    answers = _answer_pipe()
    lower_priority(NICE_AT_START, OOM_SCORE_AT_START)  # for a model that starts while cameras are live
    order: Order = pickle.load(sys.stdin.buffer)  # noqa: S301 - our parent wrote it
    requests: SimpleQueue[Question] = SimpleQueue()
    # This thread reads ahead, so that the end of the parent is noticed even while the model hangs.
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    try:
        explainer, about = _opened(order)
    except (ContractError, RuntimeMissing) as error:
        _send(error, answers)
        os._exit(1)
    except Exception as error:  # noqa: BLE001 - sent to the parent
        _send(Failure(_summary(error)), answers)
        os._exit(1)
    lower_priority(NICE - NICE_AT_START, OOM_SCORE)
    _send(about, answers)
    class_set: ClassSet | None = None
    while True:
        question = requests.get()
        class_set = question.class_set or class_set
        try:
            found = explainer.explain(question.images, question.targets, class_set if question.class_set_id else None)
        except Exception as error:  # noqa: BLE001 - sent to the parent
            # The process may be unusable: after a GPU error, for example, every later run fails.
            _send(Failure(_summary(error)), answers)
            os._exit(1)
        _send(found, answers)


def _answer_pipe() -> IO[bytes]:
    """The pipe to the parent. After this call, other output to stdout, such as a library's, goes to stderr."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _read_requests(requests: SimpleQueue[Question]) -> None:
    try:
        while True:
            requests.put(pickle.load(sys.stdin.buffer))  # noqa: S301 - our parent wrote it
    except EOFError:  # the parent has ended
        os._exit(0)
    except Exception:  # noqa: BLE001 - out of memory, for example
        traceback.print_exc()
        os._exit(1)


def _opened(order: Order) -> tuple[Explainer, About]:
    explainer = Explainer(
        order.path, device=order.device, threads=order.threads, output=order.output, signed=order.signed
    )
    height, width = explainer.contract.input_size
    image = np.zeros((1, height, width, 3), np.uint8)
    # The first run is slow: it allocates, a GPU searches its fastest convolutions, and TensorRT takes minutes to build
    # an engine for the largest number of classes so far. So the largest number comes first.
    for count in (len(BEST) + MAX_PINNED, 1):
        explainer.explain(image, [-1] * count)
    start = time.perf_counter()
    explainer.explain(image, [-1])
    seconds = time.perf_counter() - start
    provider = explainer.providers[0]
    return explainer, About(explainer.contract, explainer.sha256, provider, explainer.device_problem, seconds)


def _send(message: object, answers: IO[bytes]) -> None:
    try:
        pickle.dump(message, answers, protocol=5)
        answers.flush()
    except OSError:
        os._exit(0)


def _summary(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
