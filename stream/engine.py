"""Who runs the explainer: asked from any thread, answered by a future, so that nobody waits who need not."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np

from models.contract import Contract
from stream.explainer import Explainer, Explanation
from stream.planes import Bytes

BACKGROUND_NICE = 5


class Engine(Protocol):
    """Explains pictures, N at a time; what goes in and comes out can be sent to another process."""

    @property
    def contract(self) -> Contract:
        """What the model says of itself."""

    @property
    def sha256(self) -> str:
        """The model file's checksum, in hexadecimal."""

    def explain(self, pictures: Bytes, targets: Sequence[int]) -> Future[Explanation]:
        """Explain RGB pictures (N, H, W, 3) for K targets each.

        The future raises `ValueError` for pictures and targets that the model does not take.
        """

    def close(self) -> None:
        """Let the work in hand end, refuse what waits behind it, and free the model."""


class LocalEngine:
    """Runs the explainer in a thread of this process; onnxruntime releases the GIL while it computes.

    In the background the thread yields to all others: for a live stream the picture comes before the heatmap.
    """

    def __init__(self, explainer: Explainer, *, background: bool = False) -> None:
        self._explainer = explainer
        self._thread = ThreadPoolExecutor(1, "engine", _yield_to_others if background else None)
        self.contract = explainer.contract
        self.sha256 = explainer.sha256
        height, width = self.contract.size
        # The first run allocates and is slow; nobody should have to wait for it.
        self.explain(np.zeros((1, height, width, 3), np.uint8), [-1]).result()

    def explain(self, pictures: Bytes, targets: Sequence[int]) -> Future[Explanation]:
        """See `Engine.explain`."""
        return self._thread.submit(self._explainer.explain, pictures, targets)

    def close(self) -> None:
        """See `Engine.close`."""
        self._thread.shutdown(cancel_futures=True)


def _yield_to_others() -> None:
    if sys.platform == "linux":  # elsewhere a priority belongs to the process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICE)
