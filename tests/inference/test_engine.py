"""Every engine returns the explainer's maps, refuses bad requests, and can be closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.models import tiny_models
from tests.support.models.engines import SlowEngine
from tests.support.processes import until
from whycam.stream.inference.engine import Engine, EngineDown, Health, LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.process_engine import ProcessEngine
from whycam.stream.inference.worker import Order


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.model(tmp_path_factory.mktemp("models") / "tiny.onnx")


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "local": lambda model: LocalEngine(Explainer(model, threads=1)),
    "process": lambda model: ProcessEngine(Order(model, threads=1)),
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(model: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    one = ENGINES[request.param](model)
    yield one
    one.close()


@pytest.mark.parametrize("kind", ENGINES)
def test_a_closed_engine_refuses_by_its_future(model: Path, kind: str) -> None:
    closed = ENGINES[kind](model)
    assert closed.contract.name == "tiny"
    closed.close()
    with pytest.raises(EngineDown):
        closed.explain(tiny_models.images(1), [-1]).result(5)


def test_it_gives_the_maps_of_the_explainer(engine: Engine, model: Path) -> None:
    explainer = Explainer(model, threads=1)
    for count, targets in ((1, [-1, -2, 3]), (5, [9]), (2, [])):
        images = tiny_models.images(count, seed=count)
        got, expected = engine.explain(images, targets).result(20), explainer.explain(images, targets)
        np.testing.assert_array_equal(got.classes, expected.classes)
        np.testing.assert_allclose(got.scores, expected.scores, atol=1e-6)
        np.testing.assert_allclose(got.heatmaps, expected.heatmaps, atol=1e-6)
        np.testing.assert_allclose(got.evidence, expected.evidence, rtol=1e-5)
        assert got.heatmaps.dtype == np.float32


def test_it_describes_its_model(engine: Engine, model: Path) -> None:
    explainer = Explainer(model)
    assert engine.contract == explainer.contract
    assert engine.sha256 == explainer.sha256
    assert engine.health == Health("running", 0)


def test_a_bad_request_is_refused_and_the_next_is_answered(engine: Engine) -> None:
    good = tiny_models.images(1)
    with pytest.raises(ValueError, match=r"classes 0 to 9.*not 10"):
        engine.explain(good, [10]).result(20)
    bads: list[Any] = [good[:, :16], good[0], good.astype(np.float32), good[:0]]
    for bad in bads:
        with pytest.raises(ValueError, match="takes uint8 images"):
            engine.explain(bad, [-1]).result(20)
    assert len(engine.explain(good, [-1]).result(20)) == 1
    assert engine.health == Health("running", 0)


def test_it_answers_many_threads(engine: Engine, model: Path) -> None:
    explainer = Explainer(model, threads=1)
    wrong = list[int]()

    def client(seed: int) -> None:
        images = tiny_models.images(1, seed=seed)
        expected = explainer_scores[seed]
        for _ in range(20):
            if not np.allclose(engine.explain(images, [-1]).result(20).scores, expected, atol=1e-6):
                wrong.append(seed)

    explainer_scores = [explainer.explain(tiny_models.images(1, seed=seed), [-1]).scores for seed in range(4)]
    threads = [threading.Thread(target=client, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_local_engine_finishes_the_running_request_and_refuses_waiting_ones(tmp_path: Path) -> None:
    engine = SlowEngine(tmp_path, 0.2)
    image = tiny_models.images(1)
    first, second = engine.explain(image, [-1]), engine.explain(image, [-1])
    until(first.running)
    engine.close()
    assert len(first.result(0)) == 1
    with pytest.raises(CancelledError):
        second.result(0)
