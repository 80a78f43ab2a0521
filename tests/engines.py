"""Engines that misbehave on purpose, and one that answers at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from stream.engine import LocalEngine
from stream.explainer import Explainer, Explanation
from stream.planes import Bytes
from tests import tiny


def fast(folder: Path) -> LocalEngine:
    """The bright-spot model: names the colour of a spot and lays its heatmap on it."""
    return LocalEngine(Explainer(tiny.bright_spot(folder / "bright.onnx"), threads=1))


class SlowEngine(LocalEngine):
    """Takes `seconds` for each question, and counts them."""

    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__(Explainer(tiny.bright_spot(folder / "slow.onnx"), threads=1))
        self.seconds = seconds
        self.asked = 0

    def explain(self, pictures: Bytes, targets: Sequence[int]) -> Future[Explanation]:
        if not hasattr(self, "seconds"):  # the warm-up
            return super().explain(pictures, targets)
        self.asked += 1

        def slowly() -> Explanation:
            time.sleep(self.seconds)
            return self._explainer.explain(pictures, targets)

        return self._thread.submit(slowly)


class BrokenEngine(LocalEngine):
    """Raises for every question while `broken`."""

    def __init__(self, folder: Path) -> None:
        self.broken = False
        super().__init__(Explainer(tiny.bright_spot(folder / "broken.onnx"), threads=1))
        self.broken = True

    def explain(self, pictures: Bytes, targets: Sequence[int]) -> Future[Explanation]:
        if not self.broken:
            return super().explain(pictures, targets)
        answer: Future[Explanation] = Future()
        answer.set_exception(RuntimeError("out of memory"))
        return answer
