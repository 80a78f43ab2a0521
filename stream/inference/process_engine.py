"""An engine whose model runs in a child process: it may raise, hang or die, and is started again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from whycam.models.contract import Contract, ContractError
from whycam.stream.inference.engine import EngineDown, Health
from whycam.stream.inference.explainer import Explanation, RuntimeMissing, checked_images, checked_targets
from whycam.stream.inference.providers import CUDA
from whycam.stream.inference.scheduler import InferenceBatch, InferenceRequest, Scheduler
from whycam.stream.inference.watchdog import Pace, Watchdog
from whycam.stream.inference.worker import About, ModelProcess, Order
from whycam.stream.video.planes import Bytes

logger = logging.getLogger(__name__)

START_S = 600.0
"""Seconds that a first start may take: TensorRT builds its engine for minutes. Later ones are measured by the first."""
RESTART_S = 30.0
ANSWER_S = 2.0
"""A model that does not answer within this, and within 10 times its usual time, hangs."""
CLOSE_S = 3.0
MAX_WAITING = 64
BATCHES = {CUDA: 8}
"""Images in one run, where it pays. On a processor four in one run take 0.9 to 0.95 of the time of four runs, but the
first of them waits for the last; TensorRT builds an engine for each size, for minutes."""
LOOK_EVERY_S = 1.0
"""How soon the end of a child is seen that has nothing to do."""
CLOSED = "The engine is closed."


class Backoff:
    """Seconds to wait before a restart: none after a calm time, then twice as long each time."""

    def __init__(self, *, first_s: float = 0.5, most_s: float = 30.0, calm_s: float = 60.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._calm_s = calm_s
        self._next_s = 0.0

    def after(self, lived_s: float) -> float:
        """How long to wait when a child ended that lived so long."""
        wait = 0.0 if lived_s >= self._calm_s else self._next_s
        self._next_s = min(self._most_s, max(self._first_s, 2 * wait))
        return wait


class ProcessEngine:
    """Runs a model in a child process, for as many as ask; an `Engine`.

    The child starts at once and beside the caller, who waits where `about` or `contract` is asked for: there a model
    file that is missing, damaged or not explainable is refused as by `Explainer`, and `EngineDown` raised for a child
    that dies or is not ready in time. From then on a child that ends is started again. While there is none, requests
    fail at once. `batch` is how many images of several requests go in one run; None: as many as the device likes.
    """

    def __init__(self, order: Order, *, batch: int | None = None) -> None:
        self._order = order
        self._batch = batch
        self._news = threading.Condition()  # guards what follows
        self._scheduler = Scheduler()
        self._hand: InferenceBatch | None = None
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
        """What the child says of its model; waits until it is ready for the first time."""
        return self._about.result()

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

    def explain(self, images: Bytes, targets: Sequence[int]) -> Future[Explanation]:
        """See `Engine.explain`."""
        contract = self.contract
        try:
            checked = checked_images(contract, images)
            request = InferenceRequest(checked, checked_targets(contract, targets, len(checked)))
        except ValueError as error:
            return _refused(error)
        with self._news:
            refusal = self._refusal
            if refusal is None and len(self._scheduler) >= MAX_WAITING:
                refusal = f"The model already has {MAX_WAITING} requests to answer."
            if refusal is None:
                self._scheduler.add(request)
                self._news.notify()
        return request.answer if refusal is None else _refused(EngineDown(refusal))

    def close(self) -> None:
        """See `Engine.close`; takes at most a few seconds: a model that hangs is killed."""
        with self._news:
            self._closed, self._refusal = True, CLOSED
            waiting = self._scheduler.clear()
            if self._hand is None and self._child is not None:
                self._child.kill()
            self._news.notify()
        for request in waiting:
            if not request.answer.cancel():  # some of its images are explained
                request.fail(EngineDown(CLOSED))
        self._thread.join(CLOSE_S)
        with self._news:
            if self._child is not None:
                self._child.kill()
        self._thread.join()
        self._watchdog.close()

    def _run(self) -> None:
        """One child after the other."""
        starts, backoff = Pace(RESTART_S, START_S), Backoff()
        while True:
            began = time.monotonic()
            try:
                self._live(starts)
            except (EngineDown, ContractError, RuntimeMissing) as error:
                self._fall(error)
            except Exception as error:  # whatever it is, nobody may wait for ever
                logger.exception("The engine made a mistake.")
                self._fall(error)
            with self._news:
                if self._closed:
                    return
            lived = time.monotonic() - began
            wait = backoff.after(lived)
            logger.warning("%s The model is started again%s.", self._refusal, f" in {wait:g} s" if wait else "")
            with self._news:
                self._news.wait_for(lambda: self._closed, wait)
                self._health = Health("restarting", self._health.restarts + 1)

    def _live(self, starts: Pace) -> None:
        """One child, from its start to its end; returns when the engine is closed."""
        start, limit = time.monotonic(), starts.limit_s
        with self._news:
            if self._closed:
                raise EngineDown(CLOSED)
            child = self._child = ModelProcess(self._order)
        try:
            with self._watchdog.limit(limit, partial(child.kill, late_s=limit)):
                about = child.about()
            took = time.monotonic() - start
            starts.saw(took)
            self._rise(about, took)
            self._answer(child, about)
        finally:
            with self._news:
                self._child = None
            child.end()

    def _rise(self, about: About, took: float) -> None:
        """Open for requests."""
        first = not self._about.done()
        if not first and (about.contract, about.sha256) != (self.contract, self.sha256):
            raise EngineDown(f"{self._order.path} is another model than before. Start whycam again to use that one.")
        with self._news:
            if not self._closed:
                self._refusal = None
                self._health = Health("running", self._health.restarts)
        if first:
            self._about.set_result(about)
        else:
            logger.info("The model is back; its start took %.1f s.", took)

    def _fall(self, error: Exception) -> None:
        """Refuse requests, and answer those that wait: there is no child."""
        with self._news:
            self._refusal = reason = CLOSED if self._closed else str(error)
            # Set before any request fails: who is told so looks here for the state.
            self._health = Health("restarting", self._health.restarts)
            waiting, hand, self._hand = self._scheduler.clear(), self._hand, None
            if not self._about.done():
                self._closed = True  # a model that never was ready is not tried again
                self._about.set_exception(error)
        if hand is not None:
            hand.fail(EngineDown(reason))
        for request in waiting:
            request.fail(EngineDown(reason))

    def _answer(self, child: ModelProcess, about: About) -> None:
        """Answer requests, until the engine is closed."""
        max_size = self._batch or BATCHES.get(about.provider, 1)
        # Of each size: on a GPU the first run of a size looks for the fastest convolutions, for seconds.
        paces = {1: Pace(ANSWER_S, START_S)}
        paces[1].saw(about.image_s)
        while (batch := self._next(child, max_size)) is not None:
            pace = paces.setdefault(len(batch), Pace(ANSWER_S, START_S))
            start, limit = time.monotonic(), pace.limit_s
            with self._watchdog.limit(limit, partial(child.kill, late_s=limit)):
                found = child.ask(batch.images, batch.targets)
            pace.saw(time.monotonic() - start)
            with self._news:
                self._hand = None
            batch.answer(found)

    def _next(self, child: ModelProcess, max_size: int) -> InferenceBatch | None:
        """Wait for requests; None: the engine is closed. Raises `EngineDown` where the child ends meanwhile."""
        with self._news:
            while not self._closed:
                # One, two, four or eight: few sizes, because a GPU prepares for each.
                size = 1 << (max(1, min(max_size, self._scheduler.images)).bit_length() - 1)
                self._hand = self._scheduler.take(size)
                if self._hand is not None:
                    return self._hand
                if child.has_ended:
                    raise child.down()
                self._news.wait(LOOK_EVERY_S)
        return None


def _refused(error: Exception) -> Future[Explanation]:
    answer: Future[Explanation] = Future()
    answer.set_exception(error)
    return answer
