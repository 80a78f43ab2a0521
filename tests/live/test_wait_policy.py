"""When a live frame waits for its own heatmap, and when not."""

from __future__ import annotations

from itertools import count, pairwise

import pytest

from whycam.stream.live.wait_policy import DWELL, WAITS_BELOW, WaitPolicy


def watching(patience: WaitPolicy, frames: int, inference_ms: float, *, rate: float = 30, first: int = 0) -> list[bool]:
    """Whether each of so many frames would have waited, all of them answered after so long."""
    waited = []
    for number in range(frames):
        patience.saw_frame(first + round(number * 90_000 / rate))
        patience.saw_answer(inference_ms)
        waited.append(patience.seconds(0) > 0)
    return waited


@pytest.mark.parametrize(("rate", "inference_ms", "waits"), [(30, 15, True), (30, 40, False), (15, 40, True)])
def test_frames_wait_while_the_model_keeps_up_with_the_camera(rate: float, inference_ms: float, waits: bool) -> None:
    assert watching(WaitPolicy(), 60, inference_ms, rate=rate)[-1] == waits


def test_a_frame_waits_no_longer_than_what_is_left_of_its_interval() -> None:
    patience = WaitPolicy()
    watching(patience, 60, 10)
    assert patience.seconds(0) == pytest.approx(WAITS_BELOW / 30, rel=0.01)
    assert patience.seconds(20) == pytest.approx(WAITS_BELOW / 30 - 0.02, abs=1e-4)
    assert patience.seconds(100) == 0


def test_between_the_thresholds_it_does_not_change_its_mind() -> None:
    patient, hurried = WaitPolicy(), WaitPolicy()
    watching(hurried, 10, 300)
    for patience, waits in ((patient, True), (hurried, False)):
        assert set(watching(patience, 300, 20, first=10 * 3000)[60:]) == {waits}


def test_it_does_not_flap_where_the_model_does() -> None:
    patience = WaitPolicy()
    waits = []
    for number in count():
        if number == 900:  # half a minute
            break
        patience.saw_frame(number * 3000)
        patience.saw_answer(5 if number % 30 < 15 else 120)
        waits.append(patience.seconds(0) > 0)
    changes = sum(now != before for before, now in pairwise(waits))
    assert 0 < changes <= 2 * 900 * 3000 / DWELL


def test_a_model_that_never_answers_holds_up_a_few_frames_and_no_more() -> None:
    patience = WaitPolicy()
    for number in range(4):
        patience.saw_frame(number * 3000)
        patience.observe_pending(number * 100 / 3)
    assert patience.inference_ms is None
    assert patience.seconds(0) == 0


def test_one_late_answer_is_an_outlier() -> None:
    patience = WaitPolicy()
    watching(patience, 60, 8)
    patience.saw_frame(60 * 3000)
    patience.observe_pending(60)
    patience.saw_answer(66)
    assert patience.seconds(0) > 0
