"""`whycam process --measure N`: the measures of frames spread over a film, equal to those of an independent loop."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from tests.support.command import run
from tests.support.films import media_samples
from tests.support.models import tiny_models
from whycam.models.contract import Score
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.preprocess import Fit
from whycam.stream.measure.film import FilmMeasuring
from whycam.stream.media.image import write_image
from whycam.stream.offline.explain import explain_film
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.offline.prefetch import FrameSample
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.video.planes import rgb_frame

SIZE = (64, 48)
FIELDS = ["deletion", "insertion", "road_hottest", "road_coldest", "drop", "rises"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_models.bright_spot(tmp_path / "bright.onnx")


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 100, 1234])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_sample_is_spread_over_a_film_of_any_length(length: int, count: int) -> None:
    sample, kept = FrameSample(count), 0
    for number in range(length):
        if sample.wants(number):
            sample.keep(np.full((1, 1, 3), number % 251, np.uint8))
            kept += 1
    numbers = [int(image[0, 0, 0]) for image in sample.images]
    assert len(numbers) == min(count, length)
    if length <= 251:
        ideal = [(place + 0.5) * length / len(numbers) for place in range(len(numbers))]
        assert numbers == sorted(set(numbers))
        assert max(abs(found - wanted) for found, wanted in zip(numbers, ideal, strict=True)) <= length / count / 2 + 1
    assert kept <= 4 * count * max(1, np.log2(length))


def test_without_a_count_no_frame_is_kept() -> None:
    assert not FrameSample(0).wants(0)


@pytest.mark.parametrize("score", ["probability", "logit"])
def test_it_measures_the_probability_whatever_the_heatmaps_explain(tmp_path: Path, score: Score) -> None:
    """Two colours compete, so that the probability is not 1 throughout."""
    path = tiny_models.several_maps(tmp_path / "m.onnx", methods=("grad-cam",), score=score)
    photograph = np.full((48, 64, 3), 90, np.uint8)
    photograph[16:24, 8:16], photograph[16:24, 40:48] = (130, 90, 90), (90, 128, 90)
    write_image(tmp_path / "both.png", photograph)
    done = run("process", "both.png", "--model", path, "--measure", "3", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    measures = json.loads(done.stdout)["measures"]
    assert (measures["score"], measures["frames"]) == (score, 1)
    assert list(measures["means"]) == list(measures["noise"]) == FIELDS
    assert measures["took_s"] > 0
    image = Fit("stretch", (32, 32)).image(rgb_frame(photograph))
    assert measures["means"]["drop"] == pytest.approx(_drop(path, image), abs=2e-4)
    assert measures["means"]["deletion"] == pytest.approx(_deletion(path, image), abs=0.05)
    assert 0.05 < measures["means"]["deletion"] < 0.99


def _asked(path: Path, images: NDArray[Any], target: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scores (N, C) and heatmaps (N, h, w), straight from the graph."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    targets = np.full((len(images), 1), target, np.int64)
    scores, maps = session.run(["scores", "heatmaps"], {"image": images, "target": targets})
    return scores, maps[:, 0]


def _heat(path: Path, image: NDArray[Any]) -> NDArray[Any]:
    """Of red, enlarged bilinearly by hand: cell centres at 4 i + 1.5."""
    grid = _asked(path, image[None], 0)[1][0]
    at = np.clip((np.arange(32) + 0.5) / 4 - 0.5, 0, 7)
    low = np.minimum(np.floor(at).astype(int), 6)
    part = at - low
    rows = grid[low] * (1 - part)[:, None] + grid[low + 1] * part[:, None]
    return np.asarray(rows[:, low] * (1 - part) + rows[:, low + 1] * part)


def _drop(path: Path, image: NDArray[Any]) -> float:
    shown = np.rint(image * _heat(path, image)[..., None]).astype(np.uint8)
    scores, _ = _asked(path, np.stack([image, shown]), 0)
    whole, part = scores[:, 0].astype(float)
    return float(max(0.0, whole - part) / whole)


def _deletion(path: Path, image: NDArray[Any]) -> float:
    order = np.argsort(-_heat(path, image).ravel(), kind="stable")
    images, mean = [], np.rint(image.mean((0, 1)))
    for share in np.linspace(0, 1, 33):
        changed = image.reshape(-1, 3).copy()
        changed[order[: round(share * len(order))]] = mean
        images.append(changed.reshape(image.shape))
    found = _asked(path, np.stack(images), 0)[0][:, 0].astype(float)
    return float(((found[1:] + found[:-1]) / 2).mean())


def test_a_batch_says_them_in_its_sentences_table_sidecar_and_report(tmp_path: Path, model: Path) -> None:
    media_samples.write(tmp_path / "a.mov", count=6, size=SIZE)
    write_image(tmp_path / "dog.png", media_samples.spot(SIZE))
    command = ("process", "a.mov", "dog.png", "--model", model, "-o", "out/", "--report")
    done = run(*command, "--measure", "2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Measured in 2 frames, which took " in done.stdout
    assert "Measured in 1 frame, which took " in done.stdout
    assert "heatmaps of the probability, changes of the probability:\n  Deletion: 0." in done.stdout
    table = done.stdout.split("\ninput ")[-1].splitlines()
    assert table[0].split() == ["frames", "Deletion", "Insertion", "result"]
    header, _ = read_sidecar(tmp_path / "out" / "a-output.jsonl")
    measures = header["measures"]
    assert (measures["frames"], list(measures["means"])) == (2, FIELDS)
    assert table[1].split()[3:5] == [f"{measures['means'][name]:.3f}" for name in ("deletion", "insertion")]
    page = (tmp_path / "out" / "a-output.html").read_text(encoding="utf-8")
    assert "Whether the heatmaps are faithful" in page
    assert f"<td>{measures['means']['road_hottest']:.3f}</td>" in page
    # A finished result keeps its measures; one without any says so.
    again = run(*command, "--measure", "2", "--resume", "--json", folder=tmp_path)
    first, second = map(json.loads, again.stdout.splitlines())
    assert first["measures"] == measures
    assert first["losses"]["notes"] == []
    assert second["measures"] is None
    assert "measured nothing" in second["losses"]["notes"][0]


def test_without_the_option_nothing_is_measured(tmp_path: Path, model: Path) -> None:
    media_samples.write(tmp_path / "a.mov", count=3, size=SIZE)
    done = run("process", "a.mov", "--model", model, "--report", "--json", folder=tmp_path)
    assert json.loads(done.stdout)["measures"] is None
    assert "measures" not in read_sidecar(tmp_path / "a-output.jsonl")[0]
    assert "faithful" not in (tmp_path / "a-output.html").read_text(encoding="utf-8")


def test_a_difference_is_not_measured(tmp_path: Path, model: Path) -> None:
    write_image(tmp_path / "dog.png", media_samples.spot(SIZE))
    options = ("--difference", "red", "green", "--measure", "1")
    done = run("process", "dog.png", "--model", model, *options, folder=tmp_path)
    assert done.returncode == 1
    assert "--measure is of one class's map" in done.stderr


def test_measuring_that_is_stopped_leaves_the_film(tmp_path: Path, model: Path) -> None:
    film = media_samples.write(tmp_path / "a.mov", count=3, size=SIZE)
    stop = threading.Event()

    class Stopping(FilmMeasuring):
        def of(self, *given: Any) -> Any:
            stop.set()
            return super().of(*given)

    engine = LocalEngine(Explainer(model))
    done = explain_film(film, tmp_path / "a.mp4", ProcessJob(engine, stop=stop, measuring=Stopping(2)))
    engine.close()
    assert (done.frames, done.stopped, done.measures) == (3, False, None)
    assert done.losses.notes == ["Measuring was stopped; there are no measures."]
    assert "measures" not in read_sidecar(tmp_path / "a.jsonl")[0]


def test_a_pinned_class_is_measured_in_place_of_the_best(tmp_path: Path, model: Path) -> None:
    write_image(tmp_path / "dog.png", media_samples.spot(SIZE))
    found = []
    for options in ((), ("--target", "green")):
        done = run(
            "process", "dog.png", "--model", model, "--measure", "1", "--json", "--overwrite", *options, folder=tmp_path
        )
        found.append(json.loads(done.stdout)["measures"]["means"]["insertion"])
    assert found[0] > 0.5 > found[1]
