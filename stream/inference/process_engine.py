"""An engine whose model runs in a child process, which is restarted when it raises, hangs or dies."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from whycam.models.class_set import ClassSet
from whycam.models.contract import Contract, ContractError
from whycam.stream.inference.engine import CLOSED, EngineDown, Health, refused
from whycam.stream.inference.explainer import RuntimeMissing, checked_images, checked_targets
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.providers import CUDA
from whycam.stream.inference.scheduler import InferenceBatch, InferenceRequest, Scheduler
from whycam.stream.inference.watchdog import Pace, Watchdog
from whycam.stream.inference.worker import About, ModelProcess, Order
from whycam.stream.video.planes import Bytes

logger = logging.getLogger(__name__)

START_S = 600.0
"""Seconds for the first start, in which TensorRT builds its engine for minutes. Later starts have a learned limit."""
RESTART_S = 30.0
ANSWER_S = 2.0
"""A model that takes longer than this, and than 10 times its usual time, is regarded as hanging."""
CLOSE_S = 3.0
MAX_WAITING = 64
BATCHES = {CUDA: 8}
"""Images in one run, on devices where batches pay. On a CPU four in one run take 0.9 to 0.95 of the time of four runs,
but the first waits for the last; TensorRT builds an engine for each size, which takes minutes."""
POLL_S = 1.0
"""Interval in which an idle child is checked for its end."""


class Backoff:
    """Seconds to wait before a restart: none after `calm_s` without a fault, else twice as long each time."""

    def __init__(self, *, first_s: float = 0.5, most_s: float = 30.0, calm_s: float = 60.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._calm_s = calm_s
        self._next_s = 0.0

    def after(self, lived_s: float) -> float:
        """Seconds to wait after a child that lived `lived_s` seconds has ended."""
        wait = 0.0 if lived_s >= self._calm_s else self._next_s
        self._next_s = min(self._most_s, max(self._first_s, 2 * wait))
        return wait


class ProcessEngine:
    """Runs a model in a child process, for requests of many threads; an `Engine`.

    The child starts in the background. Reading `about` or `contract` waits for it, raises as `Explainer` does for a
    model file that is missing, damaged or not explainable, and raises `EngineDown` for a child that dies or is not
    ready in time. After the first start, a child that ends is restarted. Without a child, requests fail at once.
    `batch` is the number of images of several requests in one run; None is the device's default.
    """

    def __init__(self, order: Order, *, batch: int | None = None) -> None:
        self._order = order
        self._batch = batch
        self._condition = threading.Condition()  # guards the attributes below
        self._scheduler = Scheduler()
        self._running_batch: InferenceBatch | None = None
        self._child: ModelProcess | None = None
        self._health = Health()
        self._refusal: str | None = "The model is starting."
        self._closed = False
        self._about: Future[About] = Future()
        self._watchdog = Watchdog()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def about(self) -> About:
        """The child's description of its model; waits until the first child is ready."""
        return self._about.result()

    @property
    def child_pid(self) -> int | None:
        """The process id of the child that runs the model now; None while there is none."""
        child = self._child
        return None if child is None else child.pid

    @property
    def contract(self) -> Contract:
        """See `Engine.contract`; waits as `about` does."""
        return self.about.contract

    @property
    def sha256(self) -> str:
        """See `Engine.sha256`; waits as `about` does."""
        return self.about.sha256

    @property
    def provider(self) -> str:
        """See `Engine.provider`; waits as `about` does."""
        return self.about.provider

    @property
    def device_problem(self) -> str | None:
        """See `Engine.device_problem`; waits as `about` does."""
        return self.about.device_problem

    @property
    def health(self) -> Health:
        """See `Engine.health`."""
        return self._health

    def explain(self, images: Bytes, targets: Sequence[int], class_set: ClassSet | None = None) -> Future[Explanation]:
        """See `Engine.explain`."""
        contract = self.contract
        try:
            checked = checked_images(contract, images)
            asked = checked_targets(contract, targets, len(checked), class_set)
            request = InferenceRequest(checked, asked, class_set)
        except ValueError as error:
            return refused(error)
        with self._condition:
            refusal = self._refusal
            if refusal is None and len(self._scheduler) >= MAX_WAITING:
                refusal = f"The model already has {MAX_WAITING} requests waiting."
            if refusal is None:
                self._scheduler.add(request)
                self._condition.notify()
        return request.answer if refusal is None else refused(EngineDown(refusal))

    def close(self) -> None:
        """See `Engine.close`; takes at most a few seconds, because a model that hangs is killed."""
        with self._condition:
            self._closed, self._refusal = True, CLOSED
            waiting = self._scheduler.clear()
            if self._running_batch is None and self._child is not None:
                self._child.kill()
            self._condition.notify()
        for request in waiting:
            if not request.answer.cancel():  # a part of its images is explained
                request.fail(EngineDown(CLOSED))
        self._thread.join(CLOSE_S)
        with self._condition:
            if self._child is not None:
                self._child.kill()
        self._thread.join()
        self._watchdog.close()

    def _run(self) -> None:
        """Run one child after the other, until the engine is closed."""
        starts, backoff = Pace(RESTART_S, START_S), Backoff()
        while True:
            began = time.monotonic()
            try:
                self._run_child(starts)
            except (EngineDown, ContractError, RuntimeMissing) as error:
                self._refuse_requests(error)
            except Exception as error:  # after any error, no request may wait for ever
                logger.exception("The engine failed with an internal error.")
                self._refuse_requests(error)
            with self._condition:
                if self._closed:
                    return
            lived = time.monotonic() - began
            wait = backoff.after(lived)
            logger.warning("%s The model is started again%s.", self._refusal, f" in {wait:g} s" if wait else "")
            with self._condition:
                self._condition.wait_for(lambda: self._closed, wait)
                self._health = Health("restarting", self._health.restarts + 1)

    def _run_child(self, starts: Pace) -> None:
        """Run one child; returns when the engine is closed, and raises when the child fails."""
        start, limit = time.monotonic(), starts.limit_s
        with self._condition:
            if self._closed:
                raise EngineDown(CLOSED)
            child = self._child = ModelProcess(self._order)
        try:
            with self._watchdog.limit(limit, partial(child.kill, late_s=limit)):
                about = child.about()
            took = time.monotonic() - start
            starts.saw(took)
            self._accept_requests(about, took)
            self._answer_requests(child, about)
        finally:
            with self._condition:
                self._child = None
            child.end()

    def _accept_requests(self, about: About, took: float) -> None:
        """Accept requests, after a child is ready; raises `EngineDown` if it runs another model than before."""
        first = not self._about.done()
        if not first and (about.contract, about.sha256) != (self.contract, self.sha256):
            raise EngineDown(f"{self._order.path} is another model than before. Start whycam again to use that one.")
        with self._condition:
            if not self._closed:
                self._refusal = None
                self._health = Health("running", self._health.restarts)
        if first:
            self._about.set_result(about)
        else:
            logger.info("The model is back; its start took %.1f s.", took)

    def _refuse_requests(self, error: Exception) -> None:
        """Refuse new requests and fail those that wait, because there is no child."""
        with self._condition:
            self._refusal = reason = CLOSED if self._closed else str(error)
            # Set before any request fails, because the caller reads the state then.
            self._health = Health("restarting", self._health.restarts)
            waiting, running, self._running_batch = self._scheduler.clear(), self._running_batch, None
            if not self._about.done():
                self._closed = True  # a model that never was ready is not started again
                self._about.set_exception(error)
        if running is not None:
            running.fail(EngineDown(reason))
        for request in waiting:
            request.fail(EngineDown(reason))

    def _answer_requests(self, child: ModelProcess, about: About) -> None:
        """Answer requests with this child, until the engine is closed."""
        max_size = self._batch or BATCHES.get(about.provider, 1)
        # By batch size: on a GPU the first run of a size searches the fastest convolutions for seconds.
        paces = {1: Pace(ANSWER_S, START_S)}
        paces[1].saw(about.image_s)
        while (batch := self._next_batch(child, max_size)) is not None:
            pace = paces.setdefault(len(batch), Pace(ANSWER_S, START_S))
            start, limit = time.monotonic(), pace.limit_s
            with self._watchdog.limit(limit, partial(child.kill, late_s=limit)):
                found = child.ask(batch.images, batch.targets, batch.class_set)
            pace.saw(time.monotonic() - start)
            with self._condition:
                self._running_batch = None
            batch.answer(found)

    def _next_batch(self, child: ModelProcess, max_size: int) -> InferenceBatch | None:
        """Wait for requests; None if the engine is closed. Raises `EngineDown` if the child ends meanwhile."""
        with self._condition:
            while not self._closed:
                # A power of two, so that there are few sizes: a GPU prepares for each.
                size = 1 << (max(1, min(max_size, self._scheduler.images)).bit_length() - 1)
                self._running_batch = self._scheduler.take(size)
                if self._running_batch is not None:
                    return self._running_batch
                if child.has_ended:
                    raise child.down()
                self._condition.wait(POLL_S)
        return None
