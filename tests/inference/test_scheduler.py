"""The scheduler lets no request starve and returns to each its own explanation."""

from __future__ import annotations

from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest

from tests.support.models import tiny_models
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.scheduler import InferenceBatch, InferenceRequest, Scheduler


def request(count: int = 1, targets: int = 1) -> InferenceRequest:
    return InferenceRequest(np.zeros((count, 32, 32, 3), np.uint8), np.full((count, targets), -1, np.int64))


def answered(batch: InferenceBatch) -> None:
    """Answer as a model with two classes and maps of one cell would."""
    rows, columns = batch.targets.shape
    batch.answer(
        Explanation(
            np.zeros((rows, 2), np.float32),
            np.zeros((rows, columns), np.int64),
            np.zeros((rows, columns, 1, 1), np.float32),
            np.zeros((rows, columns), np.float32),
            batch.targets[..., None, None].astype(np.float32),
        )
    )


def run(scheduler: Scheduler, max_size: int = 1) -> bool:
    batch = scheduler.take(max_size)
    if batch is None:
        return False
    answered(batch)
    return True


def test_requests_are_answered_in_the_order_in_which_they_came() -> None:
    scheduler, order = Scheduler(), list[int]()
    asked = [request() for _ in range(4)]
    for number, one in enumerate(asked):
        one.answer.add_done_callback(lambda _, number=number: order.append(number))  # type: ignore[misc]
        scheduler.add(one)
    while run(scheduler):
        pass
    assert order == [0, 1, 2, 3]
    assert len(scheduler) == 0


@pytest.mark.parametrize("greedy", [1, 16])
def test_a_client_that_asks_without_pause_leaves_the_others_every_other_image(greedy: int) -> None:
    """The greedy client adds a new request (of 1 or 16 images) as soon as its last one is answered."""
    scheduler, runs, seen = Scheduler(), 0, list[int]()

    def ask() -> None:
        asked = request(greedy)
        asked.answer.add_done_callback(lambda _: ask())
        scheduler.add(asked)

    ask()
    ask()
    for _ in range(20):
        modest = request()
        scheduler.add(modest)
        start = runs
        while not modest.answer.done():
            assert run(scheduler)
            runs += 1
        seen.append(runs - start)
    assert max(seen) <= 3  # one image of each of the two requests before it, and its own


def test_many_images_do_not_delay_single_ones() -> None:
    scheduler, big, singles = Scheduler(), request(16), [request() for _ in range(3)]
    scheduler.add(big)
    for single in singles:
        scheduler.add(single)
    for _ in range(4):
        run(scheduler)
    assert all(single.answer.done() for single in singles)
    assert not big.answer.done()
    for _ in range(15):
        run(scheduler)
    assert len(big.answer.result(0)) == 16


def test_a_run_of_several_images_takes_one_of_each_before_it_takes_a_second() -> None:
    scheduler, big, singles = Scheduler(), request(16), [request() for _ in range(3)]
    scheduler.add(big)
    for single in singles:
        scheduler.add(single)
    assert scheduler.images == 19
    batch = scheduler.take(8)
    assert batch is not None
    assert len(batch) == len(batch.images) == 8
    answered(batch)
    assert all(single.answer.done() for single in singles)
    assert scheduler.images == 11
    assert [run(scheduler, 8), run(scheduler, 8), run(scheduler, 8)] == [True, True, False]
    assert len(big.answer.result(0)) == 16


def test_each_request_gets_its_own_maps_from_a_shared_run(tmp_path: Path) -> None:
    explainer = Explainer(tiny_models.model(tmp_path / "tiny.onnx"), threads=1)
    requests = [
        (tiny_models.images(count, seed=count), targets) for count, targets in ((1, [-1, -2, 7]), (3, []), (2, [4]))
    ]
    scheduler, asked = Scheduler(), []
    for images, targets in requests:
        asked.append(
            InferenceRequest(images, np.broadcast_to(np.array(targets, np.int64), (len(images), len(targets))))
        )
        scheduler.add(asked[-1])
    while (batch := scheduler.take(4)) is not None:
        batch.answer(explainer.explain(batch.images, batch.targets))
    for (images, targets), one in zip(requests, asked, strict=True):
        alone, got = explainer.explain(images, targets), one.answer.result(0)
        np.testing.assert_array_equal(got.classes, alone.classes)
        np.testing.assert_allclose(got.scores, alone.scores, atol=1e-6)
        np.testing.assert_allclose(got.heatmaps, alone.heatmaps, atol=1e-6)
        np.testing.assert_allclose(got.evidence, alone.evidence, rtol=1e-5)
        assert got.heatmaps.shape == (len(images), len(targets), 8, 8)


def test_a_cancelled_request_is_skipped() -> None:
    scheduler, first, second = Scheduler(), request(), request()
    scheduler.add(first)
    scheduler.add(second)
    assert first.answer.cancel()
    run(scheduler)
    assert second.answer.done()
    with pytest.raises(CancelledError):
        first.answer.result(0)
    assert scheduler.take(1) is None


def test_a_request_that_failed_half_way_stays_failed() -> None:
    scheduler, big = Scheduler(), request(2)
    scheduler.add(big)
    batch = scheduler.take(1)
    assert batch is not None
    big.fail(RuntimeError("gone"))
    answered(batch)
    assert scheduler.take(1) is None
    with pytest.raises(RuntimeError, match="gone"):
        big.answer.result(0)


def test_each_request_gets_the_signed_maps_of_its_own_classes() -> None:
    scheduler, one, two = Scheduler(), request(2, 3), request(1, 1)
    one.targets[:] = [[1, 2, 3], [4, 5, 6]]
    scheduler.add(one)
    scheduler.add(two)
    while run(scheduler, 2):
        pass
    signed = one.answer.result().signed
    assert signed is not None
    assert signed.tolist() == one.targets[..., None, None].tolist()
    found = two.answer.result()
    assert found.signed is not None
    assert found.signed.shape == found.heatmaps.shape == (1, 1, 1, 1)
