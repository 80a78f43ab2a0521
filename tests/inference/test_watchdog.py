"""Work that exceeds its limit is reported once, other work never."""

from __future__ import annotations

import threading
import time

import pytest

from whycam.stream.inference.watchdog import MANY, Pace, Watchdog


def test_the_limit_is_many_times_the_usual_and_never_under_the_floor() -> None:
    pace = Pace(3, 600)
    assert pace.limit_s == 600
    pace.saw(0.015)
    assert pace.limit_s == 3
    for _ in range(50):
        pace.saw(5)  # a large network on a small computer
    assert pace.limit_s == pytest.approx(5 * MANY, rel=0.01)
    pace.saw(5.5)
    assert pace.limit_s < 5.5 * MANY


def test_late_work_is_reported_once() -> None:
    watchdog, late = Watchdog(), list[float]()
    noticed = threading.Event()

    def report() -> None:
        late.append(time.monotonic())
        noticed.set()

    start = time.monotonic()
    with watchdog.limit(0.1, report):
        assert noticed.wait(20)
        time.sleep(0.15)  # and not again
    watchdog.close()
    assert len(late) == 1
    assert late[0] - start >= 0.1


def test_work_in_time_is_not_reported_and_the_next_has_its_own_limit() -> None:
    watchdog, late = Watchdog(), list[str]()
    noticed = threading.Event()
    with watchdog.limit(0.1, lambda: late.append("zeroth")):
        pass
    time.sleep(0.3)
    with watchdog.limit(0.2, lambda: late.append("first")):
        pass
    with watchdog.limit(60, lambda: late.append("second")):
        time.sleep(0.4)  # past the first one's limit

    def report() -> None:
        late.append("third")
        noticed.set()

    with watchdog.limit(0.1, report):  # shorter than the one before
        assert noticed.wait(20)
    watchdog.close()
    assert late == ["third"]


def test_it_sleeps_while_work_is_done_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty requests a second must not wake it thirty times."""
    watchdog = Watchdog()
    woken = list[float]()
    real = watchdog._condition.notify

    def notify() -> None:
        woken.append(time.monotonic())
        real()

    monkeypatch.setattr(watchdog._condition, "notify", notify)
    with watchdog.limit(60, lambda: None):
        while watchdog._sleeps_until == float("inf"):
            time.sleep(0.001)
    assert len(woken) == 1
    for _ in range(100):
        with watchdog.limit(60, lambda: None):
            pass
    assert len(woken) == 1
    watchdog.close()


def test_closing_ends_its_thread() -> None:
    watchdog = Watchdog()
    watchdog.close()
    watchdog.close()
    assert not watchdog._thread.is_alive()
