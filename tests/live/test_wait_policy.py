"""A live frame waits for its own heatmap only while the model keeps up with the camera."""

from __future__ import annotations

from itertools import count, pairwise

import pytest

from whycam.stream.live.wait_policy import DWELL, WAITS_BELOW, WaitPolicy


def watching(policy: WaitPolicy, frames: int, inference_ms: float, *, rate: float = 30, first: int = 0) -> list[bool]:
    """Whether each of `frames` frames would have waited, with every request answered after `inference_ms`."""
    waited = []
    for number in range(frames):
        policy.saw_frame(first + round(number * 90_000 / rate))
        policy.saw_answer(inference_ms)
        waited.append(policy.seconds(0) > 0)
    return waited


@pytest.mark.parametrize(("rate", "inference_ms", "waits"), [(30, 15, True), (30, 40, False), (15, 40, True)])
def test_frames_wait_while_the_model_keeps_up_with_the_camera(rate: float, inference_ms: float, waits: bool) -> None:
    assert watching(WaitPolicy(), 60, inference_ms, rate=rate)[-1] == waits


def test_a_frame_waits_no_longer_than_what_is_left_of_its_interval() -> None:
    policy = WaitPolicy()
    watching(policy, 60, 10)
    assert policy.seconds(0) == pytest.approx(WAITS_BELOW / 30, rel=0.01)
    assert policy.seconds(20) == pytest.approx(WAITS_BELOW / 30 - 0.02, abs=1e-4)
    assert policy.seconds(100) == 0


def test_between_the_thresholds_the_decision_does_not_change() -> None:
    waiting, hurried = WaitPolicy(), WaitPolicy()
    watching(hurried, 10, 300)
    for policy, waits in ((waiting, True), (hurried, False)):
        assert set(watching(policy, 300, 20, first=10 * 3000)[60:]) == {waits}


def test_the_decision_changes_seldom_if_the_models_time_alternates() -> None:
    policy = WaitPolicy()
    waits = []
    for number in count():
        if number == 900:  # half a minute
            break
        policy.saw_frame(number * 3000)
        policy.saw_answer(5 if number % 30 < 15 else 120)
        waits.append(policy.seconds(0) > 0)
    changes = sum(now != before for before, now in pairwise(waits))
    assert 0 < changes <= 2 * 900 * 3000 / DWELL


def test_a_model_that_never_answers_delays_only_a_few_frames() -> None:
    policy = WaitPolicy()
    for number in range(4):
        policy.saw_frame(number * 3000)
        policy.observe_pending(number * 100 / 3)
    assert policy.inference_ms is None
    assert policy.seconds(0) == 0


def test_one_late_answer_is_an_outlier() -> None:
    policy = WaitPolicy()
    watching(policy, 60, 8)
    policy.saw_frame(60 * 3000)
    policy.observe_pending(60)
    policy.saw_answer(66)
    assert policy.seconds(0) > 0
