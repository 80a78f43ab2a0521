"""Engines run the explainer: requests come from any thread and are answered by a future.

`LocalEngine` is a thread of this process; `stream/inference/process_engine.py` runs one in a child process.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from whycam.models.class_set import ClassSet
from whycam.models.contract import Contract
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.explanation import Explanation

EngineState = Literal["running", "restarting"]


CLOSED = "The engine is closed."


class EngineDown(RuntimeError):
    """The model cannot answer: it failed, hangs or died, or its engine is closed; says which."""


@dataclass(frozen=True, slots=True)
class Health:
    """An engine's state, and how often it was restarted."""

    state: EngineState = "running"
    restarts: int = 0


class Engine(Protocol):
    """Explains images, N at a time; arguments and results can be sent to another process."""

    @property
    def contract(self) -> Contract:
        """The model's contract: its name, labels and sizes."""

    @property
    def sha256(self) -> str:
        """The model file's checksum, in hexadecimal."""

    @property
    def provider(self) -> str:
        """The execution provider that really runs the model."""

    @property
    def device_problem(self) -> str | None:
        """One sentence if the model does not run on the requested device, else None."""

    @property
    def health(self) -> Health:
        """Whether it answers now, and its restarts."""

    def explain(
        self, images: NDArray[np.uint8], targets: Sequence[int], class_set: ClassSet | None = None
    ) -> Future[Explanation]:
        """Explain RGB images (N, H, W, 3) for K targets each, with the model's own classes or those of `class_set`.

        Never raises itself: the future raises `ValueError` for what the model does not take, and
        `EngineDown` at once while a model in another process cannot answer and after `close`. A request that waits
        when the engine is closed raises `EngineDown` or `CancelledError`.
        """

    def close(self) -> None:
        """Finish the running request, refuse those that wait, and free the model."""


def refused(error: Exception) -> Future[Explanation]:
    """A future that raises the error."""
    answer: Future[Explanation] = Future()
    answer.set_exception(error)
    return answer


class LocalEngine:
    """An `Engine` that runs the explainer in a thread of this process; onnxruntime releases the GIL while it computes.

    Raises `EngineDown` for a model that does not run.
    """

    def __init__(self, explainer: Explainer) -> None:
        self._explainer = explainer
        self._thread = ThreadPoolExecutor(1, "engine")
        self.contract = explainer.contract
        self.sha256 = explainer.sha256
        self.provider = explainer.providers[0]
        self.device_problem = explainer.device_problem
        self.health = Health()
        height, width = self.contract.input_size
        # The first run allocates memory and is slow, so it is done before the first request.
        first = self._thread.submit(explainer.explain, np.zeros((1, height, width, 3), np.uint8), [-1])
        error = first.exception()
        if error is not None:
            self._thread.shutdown()
            raise EngineDown(
                f"The model {explainer.path} loads but does not run. Export it again. ({error})"
            ) from error

    def explain(
        self, images: NDArray[np.uint8], targets: Sequence[int], class_set: ClassSet | None = None
    ) -> Future[Explanation]:
        """See `Engine.explain`."""
        try:
            return self._thread.submit(self._explainer.explain, images, targets, class_set)
        except RuntimeError:  # the thread was shut down
            return refused(EngineDown(CLOSED))

    def close(self) -> None:
        """See `Engine.close`."""
        self._thread.shutdown(cancel_futures=True)
