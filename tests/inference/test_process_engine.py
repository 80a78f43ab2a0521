"""When a model raises, hangs or dies, its requests fail at once and it is restarted soon."""

from __future__ import annotations

import logging
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from tests.support.models import tiny_models
from tests.support.processes import is_gone, stopped, until
from whycam.models.contract import ContractError
from whycam.stream.inference import process_engine
from whycam.stream.inference.engine import EngineDown, Health
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.process_engine import Backoff, ProcessEngine
from whycam.stream.inference.worker import ModelProcess, Order

WHITE = np.full((1, tiny_models.SIZE, tiny_models.SIZE, 3), 255, np.uint8)
BACK_S = 5.0
"""Seconds in which the model answers again, on a machine that starts one in a second."""


def child(engine: ProcessEngine) -> int:
    """The process id of its child."""
    assert engine.child_pid is not None
    return engine.child_pid


@contextmanager
def running(model: Path, *, batch: int | None = None) -> Iterator[ProcessEngine]:
    """An engine that is ready; on exit its threads, files and processes must be gone."""
    threads, files = set(threading.enumerate()), psutil.Process().num_fds()
    engine = ProcessEngine(Order(model, threads=1), batch=batch)
    try:
        assert engine.about
        yield engine
    finally:
        engine.close()
    assert set(threading.enumerate()) == threads
    assert psutil.Process().num_fds() == files
    assert psutil.Process().children() == []


def said(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    """The log lines that contain these words."""
    return [record.getMessage() for record in caplog.records if words in record.getMessage()]


def answer_again(engine: ProcessEngine) -> Explanation:
    """Request until the model is back, as a live stream does."""
    start = time.monotonic()
    while True:
        try:
            return engine.explain(tiny_models.images(1), [-1]).result(20)
        except EngineDown:
            assert time.monotonic() - start < 20
            time.sleep(0.02)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.model(tmp_path_factory.mktemp("models") / "tiny.onnx")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_child_that_dies_fails_the_requests_and_is_replaced(
    model: Path, caplog: pytest.LogCaptureFixture, number: signal.Signals
) -> None:
    began = time.monotonic()
    with running(model) as engine:
        start = time.monotonic() - began
        first = child(engine)
        with stopped(first):
            asked = engine.explain(tiny_models.images(1), [-1])
            waits = engine.explain(tiny_models.images(1), [-1])
            until(asked.running)
            os.kill(first, number)
            died = time.monotonic()
        for request in (asked, waits):
            with pytest.raises(EngineDown, match=f"ended by {number.name}"):
                request.result(20)
        assert engine.health.state == "restarting"  # set before the request fails
        assert len(answer_again(engine)) == 1
        assert time.monotonic() - died < max(BACK_S, 5 * start)
        assert engine.health == Health("running", 1)
        assert child(engine) != first
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert f"ended by {number.name}" in line
    assert "started again" in line


def test_a_child_that_hangs_is_noticed_and_replaced(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_engine, "ANSWER_S", 0.5)
    with running(model) as engine:
        first = child(engine)
        with stopped(first):
            start = time.monotonic()
            with pytest.raises(EngineDown, match="did not answer within"):
                engine.explain(tiny_models.images(1), [-1]).result(20)
            assert time.monotonic() - start >= 0.5
        assert len(answer_again(engine)) == 1
        assert is_gone(first)


def test_a_model_that_computes_without_end_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_engine, "ANSWER_S", 0.5)
    with running(tiny_models.temperamental(tmp_path / "hangs.onnx", "hangs")) as engine:
        with pytest.raises(EngineDown, match="did not answer within"):
            engine.explain(WHITE, [-1]).result(20)
        assert len(answer_again(engine)) == 1


def test_a_model_that_raises_is_replaced(tmp_path: Path) -> None:
    with running(tiny_models.temperamental(tmp_path / "raises.onnx", "raises")) as engine:
        first = child(engine)
        assert len(engine.explain(tiny_models.images(1), [-1]).result(20)) == 1
        with pytest.raises(EngineDown, match=r"The model failed \(.*out of data bounds"):
            engine.explain(WHITE, [-1]).result(20)
        assert len(answer_again(engine)) == 1
        assert child(engine) != first
        assert engine.health == Health("running", 1)


def test_a_model_without_memory_is_replaced(model: Path) -> None:
    with running(model, batch=1024) as engine:
        resource.prlimit(child(engine), resource.RLIMIT_AS, (1, 1))
        with pytest.raises(EngineDown):  # 3 MB in one run are more than it has
            engine.explain(tiny_models.images(1024), [-1]).result(20)
        assert len(answer_again(engine)) == 1


def test_a_bad_request_does_not_restart_the_child(model: Path) -> None:
    with running(model) as engine:
        with pytest.raises(ValueError, match=r"classes 0 to 9.*not 10"):
            engine.explain(tiny_models.images(1), [10]).result(20)
        assert len(engine.explain(tiny_models.images(1), [-1]).result(20)) == 1
        assert engine.health == Health("running", 0)


def test_the_end_of_an_idle_child_is_noticed_without_a_request(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_engine, "POLL_S", 0.05)
    with running(model) as engine:
        os.kill(child(engine), signal.SIGKILL)
        until(lambda: engine.health == Health("running", 1))


def test_while_there_is_no_child_requests_fail_at_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "after", lambda *_: 60.0)
    with running(model) as engine:
        os.kill(child(engine), signal.SIGKILL)
        for _ in range(3):
            with pytest.raises(EngineDown, match="SIGKILL"):
                engine.explain(tiny_models.images(1), [-1]).result(20)
        assert engine.health.state == "restarting"


def test_a_deleted_model_file_is_opened_again_when_it_is_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tiny_models.model(tmp_path / "tiny.onnx")
    content = path.read_bytes()
    with running(path) as engine:
        path.unlink()
        os.kill(child(engine), signal.SIGKILL)
        until(lambda: "no model file" in caplog.text)
        with pytest.raises(EngineDown, match="no model file"):
            engine.explain(tiny_models.images(1), [-1]).result(20)
        path.write_bytes(content)
        assert len(answer_again(engine)) == 1


def test_another_model_in_its_place_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tiny_models.model(tmp_path / "tiny.onnx")
    with running(path) as engine:
        tiny_models.model(path, seed=1)  # the same labels, other weights
        os.kill(child(engine), signal.SIGKILL)
        until(lambda: "another model than before" in caplog.text)
        assert engine.health.state == "restarting"


def test_the_wait_before_a_restart_doubles_and_is_reset_after_a_calm_time() -> None:
    backoff = Backoff(first_s=0.5, most_s=4, calm_s=60)
    assert [backoff.after(1) for _ in range(7)] == [0, 0.5, 1, 2, 4, 4, 4]
    assert backoff.after(61) == 0
    assert [backoff.after(1) for _ in range(3)] == [0.5, 1, 2]


def test_a_model_that_dies_repeatedly_is_restarted_after_longer_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tiny_models.temperamental(tmp_path / "raises.onnx", "raises")) as engine:
        for _ in range(3):
            answer_again(engine)
            with pytest.raises(EngineDown):
                engine.explain(WHITE, [-1]).result(20)
        until(lambda: len(said(caplog, "started again")) == 3)
    waits = [text.partition("started again")[2] for text in said(caplog, "started again")]
    assert waits == [".", " in 0.5 s.", " in 1 s."]


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_a_failed_first_start_raises_as_the_explainer_does(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    engine = ProcessEngine(Order(path))
    with pytest.raises(ContractError, match=r"model\.onnx") as from_child:
        assert engine.contract
    with pytest.raises(ContractError) as from_explainer:
        Explainer(path)
    assert str(from_child.value) == str(from_explainer.value)
    engine.close()
    assert psutil.Process().children() == []


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ("import os; os._exit(3)", "exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import time; time.sleep(1000)", "did not answer within"),
        ("raise KeyError('x')", "KeyError"),
    ],
)
def test_a_child_that_fails_during_its_start_raises(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, words: str
) -> None:
    (tmp_path / "onnxruntime.py").write_text(library)
    monkeypatch.syspath_prepend(tmp_path)
    if words == "did not answer within":  # the others exit by themselves, later on a busy machine
        monkeypatch.setattr(process_engine, "START_S", 2.0)
    engine = ProcessEngine(Order(model))
    with pytest.raises(EngineDown, match=words):
        assert engine.contract
    engine.close()


def test_closing_finishes_the_running_request_and_refuses_waiting_ones(model: Path) -> None:
    with running(model) as engine:
        pid = child(engine)
        closer = threading.Thread(target=engine.close)
        with stopped(pid):
            hand = engine.explain(tiny_models.images(1), [-1])
            until(hand.running)
            waits = [engine.explain(tiny_models.images(count), [-1]) for count in (1, 3)]
            closer.start()
            until(lambda: all(request.cancelled() for request in waits))
        closer.join()
        assert len(hand.result(0)) == 1
        for request in waits:
            with pytest.raises(CancelledError):
                request.result(0)
        with pytest.raises(EngineDown, match="closed"):
            engine.explain(tiny_models.images(1), [-1]).result(0)
        assert not psutil.pid_exists(pid)


def test_closing_kills_a_model_that_hangs(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_engine, "CLOSE_S", 0.3)
    monkeypatch.setattr(process_engine, "ANSWER_S", 1000)  # so that the watchdog does not act
    with running(model) as engine:
        pid = child(engine)
        with stopped(pid):
            hand = engine.explain(tiny_models.images(2), [-1])
            until(hand.running)
            engine.close()
            with pytest.raises(EngineDown, match="closed"):
                hand.result(0)
            assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("pause", [0, 0.05, 0.2])
def test_closing_while_it_starts_leaves_nothing(model: Path, pause: float) -> None:
    engine = ProcessEngine(Order(model))
    time.sleep(pause)
    engine.close()
    assert psutil.Process().children() == []
    assert not engine._thread.is_alive()


def test_closing_does_not_wait_for_a_restart(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "after", lambda *_: 1000.0)
    with running(model) as engine:
        os.kill(child(engine), signal.SIGKILL)
        until(lambda: engine.health.state == "restarting")
    # `running` checks that it ended


def asked_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list to which each run of a child adds its number of images, from now on."""
    sizes: list[int] = []
    real = ModelProcess.ask

    def ask(self: ModelProcess, images: NDArray[np.uint8], *others: Any) -> Explanation:
        sizes.append(len(images))
        return real(self, images, *others)

    monkeypatch.setattr(ModelProcess, "ask", ask)
    return sizes


def test_waiting_requests_share_a_run_and_get_the_maps_of_single_runs(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explainer = Explainer(model, threads=1)
    targets_of_each = [[-1], [-1, -2, 7], [], [3, 3], [-5]]
    sizes = asked_sizes(monkeypatch)
    with running(model, batch=4) as engine:
        with stopped(child(engine)):
            requests: list[Future[Explanation]] = []
            for seed, targets in enumerate(targets_of_each):
                requests.append(engine.explain(tiny_models.images(1, seed=seed), targets))
                until(requests[0].running)
        for seed, (targets, request) in enumerate(zip(targets_of_each, requests, strict=True)):
            got, alone = request.result(20), explainer.explain(tiny_models.images(1, seed=seed), targets)
            np.testing.assert_array_equal(got.classes, alone.classes)
            np.testing.assert_allclose(got.scores, alone.scores, atol=1e-6)
            np.testing.assert_allclose(got.heatmaps, alone.heatmaps, atol=1e-6)
            np.testing.assert_allclose(got.evidence, alone.evidence, rtol=1e-5)
    assert sizes == [1, 4]


def test_run_sizes_are_few(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU searches the fastest convolutions for each size."""
    sizes = asked_sizes(monkeypatch)
    with running(model, batch=8) as engine:
        assert len(engine.explain(tiny_models.images(23), [-1]).result(20)) == 23
    assert sizes == [8, 8, 4, 2, 1]


def test_on_a_cpu_images_are_explained_one_by_one(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = asked_sizes(monkeypatch)
    with running(model) as engine:
        assert len(engine.explain(tiny_models.images(5), [-1]).result(20)) == 5
    assert sizes == [1] * 5


def test_sixteen_images_of_one_client_do_not_delay_the_others(model: Path) -> None:
    order: list[str] = []
    with running(model) as engine:
        with stopped(child(engine)):
            requests = {
                name: engine.explain(tiny_models.images(count), [-1]) for name, count in (("many", 16), ("a", 1))
            }
            requests["b"] = engine.explain(tiny_models.images(1), [-1])
            for name, request in requests.items():
                request.add_done_callback(lambda _, name=name: order.append(name))  # type: ignore[misc]
        assert len(requests["many"].result(20)) == 16
    assert order == ["a", "b", "many"]


def test_the_number_of_waiting_requests_is_limited(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_engine, "MAX_WAITING", 2)
    with running(model) as engine, stopped(child(engine)):
        hand = engine.explain(tiny_models.images(1), [-1])
        until(hand.running)
        waiting = [engine.explain(tiny_models.images(1), [-1]) for _ in range(2)]
        with pytest.raises(EngineDown, match="already has 2 requests"):
            engine.explain(tiny_models.images(1), [-1]).result(0)
        assert not any(request.done() for request in waiting)
