"""The model runs less while the cores are taken by the picture or by others, and as much as it can otherwise."""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import psutil
import pytest

from tests.support.films.moving_spot import HeldEngine, Watched, encoded, moving_spot
from whycam.stream.live.inference_pace import (
    LEAST,
    MOST_PAUSE_S,
    PERIOD_S,
    SHORT,
    SPARE,
    InferencePace,
    _IdleShare,
    _waited_s,
)


class Computer:
    """Cores of which `others` are taken, and a model that wants one of two for itself."""

    def __init__(self, others: float) -> None:
        self.others = others
        self.now = self.waited = 0.0
        self.pace = InferencePace(self.idle, lambda: self.waited, lambda: self.now)

    def idle(self) -> float:
        return max(0.0, (2 - self.others - self.pace.duty) / 2)

    def run(self, seconds: float, *, each: Callable[[], None] = lambda: None) -> list[float]:
        """The duty, a tenth of a second after the other."""
        duties = []
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            each()
            self.pace.pause_s(0.03)
            duties.append(self.pace.duty)
        return duties


def test_with_cores_to_spare_a_stream_asks_again_at_once() -> None:
    computer = Computer(others=0.3)
    assert set(computer.run(20)) == {1.0}
    assert computer.pace.pause_s(0.03) == 0


def test_the_model_leaves_a_part_of_the_cores_idle_and_then_does_not_change() -> None:
    computer = Computer(others=1.4)
    duties = computer.run(60)
    assert SHORT <= computer.idle() <= SPARE
    assert computer.pace.pause_s(0.03) == pytest.approx(0.03 * (1 / duties[-1] - 1))
    settled = duties[200:]
    assert len(set(settled)) == 1, "the pace flaps"


def test_a_decision_is_made_once_in_a_second() -> None:
    duties = Computer(others=2).run(10)
    changes = [index for index in range(1, len(duties)) if duties[index] != duties[index - 1]]
    assert min(np.diff(changes)) >= 10 * PERIOD_S - 1


def test_the_model_is_never_stopped_and_recovers_when_the_others_end() -> None:
    computer = Computer(others=2)
    assert computer.run(60)[-1] == LEAST
    computer.others = 0.2
    assert computer.run(30)[-1] == 1.0


def test_a_model_that_others_slow_down_pauses_for_half_a_second_at_most() -> None:
    computer = Computer(others=2)
    computer.run(60)
    assert computer.pace.pause_s(0.03) == pytest.approx(0.03 * 9)
    assert computer.pace.pause_s(3) == MOST_PAUSE_S


def test_a_stream_that_waits_for_a_core_slows_the_model_though_others_are_idle() -> None:
    """In a container, cores that it may not use are idle."""
    computer = Computer(others=0)

    def wait() -> None:
        computer.waited += 0.02  # a fifth of the time

    assert computer.run(30, each=wait)[-1] == LEAST
    assert computer.run(30)[-1] == 1.0


def test_idle_cores_are_those_of_the_system() -> None:
    share = _IdleShare()
    time.sleep(0.3)
    before = share()
    assert 0 <= before <= 1
    stop = threading.Event()
    burning = [threading.Thread(target=_hash_until, args=(stop,)) for _ in range(psutil.cpu_count() or 1)]
    for thread in burning:
        thread.start()
    time.sleep(1)
    busy = share()
    stop.set()
    for thread in burning:
        thread.join()
    assert busy < 0.3


def _hash_until(stop: threading.Event) -> None:
    block = bytes(1 << 20)  # hashlib releases the GIL
    while not stop.is_set():
        hashlib.sha256(block)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say how long a thread waits")
def test_a_threads_wait_for_a_core_is_counted() -> None:
    stop = threading.Event()
    burning = [threading.Thread(target=_hash_until, args=(stop,)) for _ in range(2 * (psutil.cpu_count() or 1))]
    before = _waited_s()
    for thread in burning:
        thread.start()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        sum(range(10_000))
    waited = _waited_s() - before
    stop.set()
    for thread in burning:
        thread.join()
    assert 0.05 < waited <= 1.1


@pytest.mark.parametrize("duty", [1.0, 0.1])
def test_frames_between_two_requests_carry_the_heatmap(duty: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    pace = InferencePace(lambda: 0.15, lambda: 0.0)  # which changes nothing
    pace.duty = duty
    there = moving_spot(20)
    frames = encoded([*there, *reversed(there), *there])
    engine = HeldEngine(tmp_path_factory.mktemp("model"))
    watched = Watched(engine, pace=pace)
    try:
        watched.show(frames[0])
        time.sleep(0.05)
        engine.answer()
        answered = time.monotonic()
        assert watched.show(frames[1]).state == "carried"
        # The answer took at least 50 ms: with a tenth of the time the next request is half a second later.
        assert len(engine.requests) == (2 if duty == 1 else 1)
        for frame in frames[2:]:
            assert watched.show(frame).state == "carried"
            if len(engine.requests) == 2:
                break
            time.sleep(0.1)
        assert len(engine.requests) == 2
        assert time.monotonic() - answered >= (0 if duty == 1 else 0.45)
    finally:
        watched.stream.close()
        engine.close()
