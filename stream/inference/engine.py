"""Who runs the explainer: asked from any thread, answered by a future, so that nobody waits who need not.

`LocalEngine` is a thread of this process; `stream/inference/process_engine.py` has one in a process of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from whycam.models.contract import Contract
from whycam.stream.inference.explainer import Explainer, Explanation

EngineState = Literal["running", "restarting"]


class EngineDown(RuntimeError):
    """The model cannot answer: it failed, hangs or died, or its engine is closed; says which."""


@dataclass(frozen=True, slots=True)
class Health:
    """How an engine is."""

    state: EngineState = "running"
    restarts: int = 0
    """How often the model was started again."""


class Engine(Protocol):
    """Explains images, N at a time; what goes in and comes out can be sent to another process."""

    @property
    def contract(self) -> Contract:
        """What the model says of itself."""

    @property
    def sha256(self) -> str:
        """The model file's checksum, in hexadecimal."""

    @property
    def provider(self) -> str:
        """The execution provider that really runs the model."""

    @property
    def device_problem(self) -> str | None:
        """One sentence where the model does not run on the device that was wanted."""

    @property
    def health(self) -> Health:
        """Whether it answers now."""

    def explain(self, images: NDArray[np.uint8], targets: Sequence[int]) -> Future[Explanation]:
        """Explain RGB images (N, H, W, 3) for K targets each.

        The future raises `ValueError` for images and targets that the model does not take, and `EngineDown` at once
        while a model in another process cannot answer.
        """

    def close(self) -> None:
        """Let the work in hand end, refuse what waits behind it, and free the model."""


class LocalEngine:
    """Runs the explainer in a thread of this process; onnxruntime releases the GIL while it computes.

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
        # The first run allocates and is slow; nobody should have to wait for it.
        first = self.explain(np.zeros((1, height, width, 3), np.uint8), [-1])
        error = first.exception()
        if error is not None:
            self._thread.shutdown()
            raise EngineDown(
                f"The model {explainer.path} loads but does not run. Export it again. ({error})"
            ) from error

    def explain(self, images: NDArray[np.uint8], targets: Sequence[int]) -> Future[Explanation]:
        """See `Engine.explain`."""
        return self._thread.submit(self._explainer.explain, images, targets)

    def close(self) -> None:
        """See `Engine.close`."""
        self._thread.shutdown(cancel_futures=True)
