"""Engines with controlled answers: slow, failing, or delayed by a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from tests.support.models import tiny_models
from whycam.models.class_set import ClassSet
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.explanation import Explanation
from whycam.stream.video.planes import Bytes


def fast(folder: Path) -> LocalEngine:
    """The bright-spot model: names the colour of a spot and places its heatmap on it."""
    return LocalEngine(Explainer(tiny_models.bright_spot(folder / "bright.onnx"), threads=1))


class SlowEngine(LocalEngine):
    """Takes `seconds` for each request, and counts them."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.seconds = seconds
        self.asked = 0
        super().__init__(Explainer(tiny_models.bright_spot(folder / "slow.onnx"), threads=1))

    def explain(self, images: Bytes, targets: Sequence[int], class_set: ClassSet | None = None) -> Future[Explanation]:
        self.asked += 1

        def slowly() -> Explanation:
            time.sleep(self.seconds)
            return self._explainer.explain(images, targets, class_set)

        return self._thread.submit(slowly)


class BrokenEngine(LocalEngine):
    """Raises for every request while `broken`."""

    def __init__(self, folder: Path) -> None:
        self.broken = False
        super().__init__(Explainer(tiny_models.bright_spot(folder / "broken.onnx"), threads=1))
        self.broken = True

    def explain(self, images: Bytes, targets: Sequence[int], class_set: ClassSet | None = None) -> Future[Explanation]:
        if not self.broken:
            return super().explain(images, targets, class_set)
        answer: Future[Explanation] = Future()
        answer.set_exception(RuntimeError("out of memory"))
        return answer


class Engine:
    """Wraps another engine: records its requests, and can fail or wait."""

    def __init__(self, engine: LocalEngine, *, fail_at: int | None = None, hold: threading.Event | None = None) -> None:
        self._engine = engine
        self._fail_at = fail_at
        self._hold = hold
        self.contract = engine.contract
        self.sha256 = engine.sha256
        self.provider, self.device_problem = engine.provider, engine.device_problem
        self.health = engine.health
        self.asked: list[tuple[Bytes, list[int]]] = []

    def explain(self, images: Bytes, targets: Sequence[int], class_set: ClassSet | None = None) -> Future[Explanation]:
        self.asked.append((images, list(targets)))
        answer: Future[Explanation] = Future()
        if self._fail_at is not None and len(self.asked) > self._fail_at:
            answer.set_exception(RuntimeError("the model broke"))
            return answer
        explanation = self._engine.explain(images, targets, class_set).result()
        if self._hold is None:
            answer.set_result(explanation)
        else:
            threading.Thread(target=self._answer_later, args=(self._hold, answer, explanation)).start()
        return answer

    @staticmethod
    def _answer_later(hold: threading.Event, answer: Future[Explanation], explanation: Explanation) -> None:
        hold.wait(20)
        answer.set_result(explanation)

    def close(self) -> None:
        raise AssertionError("an engine is closed by its creator")
