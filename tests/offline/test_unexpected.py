"""An input on which whycam fails ends with a sentence; the others of the batch are explained."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.films import media_samples
from tests.support.models import tiny_models
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.media import image_folder
from whycam.stream.media.image import ReadImage, open_image, write_image
from whycam.stream.offline.batch import Outcome, carry_out, plan
from whycam.stream.offline.inputs import find_inputs
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.offline.results.claims import Claims

SIZE = (64, 48)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    made = LocalEngine(Explainer(tiny_models.bright_spot(tmp_path / "bright.onnx")))
    yield made
    made.close()


def explained(engine: LocalEngine, folder: Path) -> list[Outcome]:
    tasks = plan(find_inputs([str(path) for path in sorted(folder.glob("*.jpg"))]), None)
    with Claims("process", [task.use for task in tasks]) as claims:
        return list(carry_out(tasks, ProcessJob(engine), claims, overwrite=False, stdin=io.BytesIO()))


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (TypeError("bad operand"), "please report it"),
        (ValueError("bytes must be in range(0, 256)"), "please report it"),
        (MemoryError(), "needs more memory"),
    ],
)
def test_an_error_of_whycam_ends_one_input_of_a_batch(
    tmp_path: Path,
    engine: LocalEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    sentence: str,
) -> None:
    for name in ("a", "b", "c"):
        write_image(tmp_path / f"{name}.jpg", media_samples.spot(SIZE))

    def fails_for_b(path: Path) -> ReadImage:
        if path.name == "b.jpg":
            raise error
        return open_image(path)

    monkeypatch.setattr(image_folder, "open_image", fails_for_b)
    with caplog.at_level(logging.DEBUG, "whycam"):
        outcomes = explained(engine, tmp_path)
    assert [each.status for each in outcomes] == ["done", "failed", "done"]
    assert sentence in outcomes[1].problem
    assert "\n" not in outcomes[1].problem
    if "report" in sentence:
        assert type(error).__name__ in outcomes[1].problem
        assert "Traceback" in caplog.text
