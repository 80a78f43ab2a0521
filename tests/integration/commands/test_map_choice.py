"""One of several maps in a model's file, chosen by method and layer: films, photographs, batches, replay, resume."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnxruntime
import pytest

from tests.support.command import run
from tests.support.films import media_samples
from tests.support.models import tiny_models
from tests.support.recordings.interrupted_runs import stopped_at
from whycam.stream.cli.serve import _begun, _shelf
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.preprocess import Fit
from whycam.stream.media.image import read_image, write_image
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.explain import explain_film, open_model
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.recording.sidecar import SidecarFrame, read_sidecar
from whycam.stream.video.planes import rgb_frame

SIZE = (64, 48)
FINE = {"output": "heatmaps_2", "method": "grad-cam", "layer": "fine", "grid": [16, 16]}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_models.several_maps(tmp_path / "several.onnx")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return media_samples.write(tmp_path / "a.mov", count=5, size=SIZE)


def explained(path: Path) -> tuple[dict[str, Any], list[SidecarFrame]]:
    header, lines = read_sidecar(path)
    return header, list(lines)


def plain(model: Path, output: str, film: Path, target: int) -> Any:
    """A frame's map, straight from the graph; (h, w) in 0…255."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    with av.open(film) as opened:
        frame = next(opened.decode(video=0))
    image = Fit("stretch", (32, 32)).image(frame)
    (maps,) = session.run([output], {"image": image[None], "target": np.array([[target]], np.int64)})
    return np.rint(255 * maps[0, 0])


def test_the_first_map_is_drawn_unless_another_one_is_chosen(tmp_path: Path, model: Path, film: Path) -> None:
    done = run("process", film, "--model", model, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Map:" not in done.stdout
    header, lines = explained(tmp_path / "a-output.jsonl")
    assert header["map"] == {"output": "heatmaps", "method": "grad-cam", "layer": "feature", "grid": [8, 8]}
    assert {each.maps[0].grid.shape for each in lines} == {(8, 8)}


def test_a_model_with_one_map_says_no_word_of_others(tmp_path: Path, film: Path) -> None:
    done = run("process", film, "--model", tiny_models.bright_spot(tmp_path / "one.onnx"), folder=tmp_path)
    assert "Map:" not in done.stdout


@pytest.mark.parametrize(
    ("options", "output", "shape"),
    [
        (("--layer", "fine"), "heatmaps_2", (16, 16)),
        (("--layer", "16x16", "--method", "hirescam"), "heatmaps_4", (16, 16)),
        (("--method", "hirescam"), "heatmaps_3", (8, 8)),
    ],
)
def test_a_film_shows_the_chosen_map(
    tmp_path: Path, model: Path, film: Path, options: tuple[str, ...], output: str, shape: tuple[int, int]
) -> None:
    done = run("process", film, "--model", model, *options, "--frames", "frames", "--report", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "(another one: --method, --layer; `whycam models` lists them)" in done.stdout
    header, lines = explained(tmp_path / "a-output.jsonl")
    assert f"Map: {header['map']['method']} of {header['map']['layer']}, {shape[0]} x {shape[1]} (" in done.stdout
    assert header["map"]["output"] == output
    assert lines[0].maps[0].grid.shape == shape
    assert np.abs(lines[0].maps[0].grid - plain(model, output, film, lines[0].maps[0].class_id)).max() <= 1
    assert len(list((tmp_path / "frames").iterdir())) == 5
    title = f"{header['map']['method']} of {header['map']['layer']}, {shape[0]} x {shape[1]} cells"
    page = (tmp_path / "a-output.html").read_text(encoding="utf-8")
    assert f"<dt>Map</dt><dd>{title}</dd>" in page
    assert ("made by the method hirescam" in page) == ("hirescam" in options)
    again = run("replay", "a-output.jsonl", film, "-o", "again.mp4", folder=tmp_path)
    assert f"Map: {title}" in again.stdout
    ours, theirs = (media_samples.read(tmp_path / name) for name in ("again.mp4", "a-output.mp4"))
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(media_samples.pixels(one.frame)[0], media_samples.pixels(other.frame)[0])


def test_a_batch_in_a_child_process_has_it_too(tmp_path: Path, model: Path, film: Path) -> None:
    write_image(tmp_path / "dog.jpg", media_samples.spot(SIZE))
    done = run("process", film, "dog.jpg", "--model", model, "--layer", "fine", "-o", "fine/", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert run("process", film, "dog.jpg", "--model", model, "-o", "coarse/", folder=tmp_path).returncode == 0
    assert explained(tmp_path / "fine" / "a-output.jsonl")[0]["map"] == FINE
    fine, coarse = (read_image(tmp_path / name / "dog-output.jpg") for name in ("fine", "coarse"))
    assert not np.array_equal(fine, coarse)


def test_an_assignment_says_which_map_it_hands_in(tmp_path: Path, model: Path, film: Path) -> None:
    options = ("--model", model, "--layer", "fine", "--method", "hirescam")
    done = run("process", film, "--assignment", "hand-in", *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "hirescam of the probability at 'fine'" in (tmp_path / "hand-in" / "what-was-done.txt").read_text()


def test_one_image_is_explained_by_the_chosen_map(tmp_path: Path, model: Path) -> None:
    write_image(tmp_path / "dog.png", media_samples.spot(SIZE))
    for number, options in enumerate([(), ("--layer", "fine"), ("--method", "grad-cam")]):
        done = run("explain", "dog.png", "-o", f"{number}.png", "--model", model, *options, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    first, second, third = (read_image(tmp_path / f"{number}.png") for number in range(3))
    assert np.array_equal(first, third)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("verb", ["process", "explain", "serve", "measure"])
@pytest.mark.parametrize(
    ("options", "missing"), [(("--method", "layer-cam"), "layer-cam"), (("--layer", "conv7"), "'conv7'")]
)
def test_a_map_that_the_file_lacks_is_refused_with_those_it_has(
    tmp_path: Path, model: Path, verb: str, options: tuple[str, ...], missing: str
) -> None:
    write_image(tmp_path / "dog.png", media_samples.spot(SIZE))
    given: dict[str, tuple[str | Path, ...]] = {"serve": ("--model", model), "measure": (model, "dog.png")}
    done = run(verb, *given.get(verb, ("dog.png", "--model", model)), *options, folder=tmp_path)
    assert done.returncode == 1
    listed = "It has grad-cam of 'feature', grad-cam of 'fine', hirescam of 'feature', hirescam of 'fine'."
    assert f"several maps has no map by {missing}. {listed} `whycam export` can add others." in done.stderr
    assert not (tmp_path / "dog-output.jpg").exists()


def test_the_models_list_their_maps_in_80_columns(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "whycam" / "models"
    folder.mkdir(parents=True)
    long = "a-network-with-quite-a-long-name-that-takes-half-a-line"
    model.replace(folder / f"{long}.onnx")
    (folder / "broken.onnx").write_bytes(b"no model")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = run("models", folder=tmp_path, columns=80)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in done.stdout
    assert "grad-cam," in done.stdout
    assert "16x16" in done.stdout
    assert "model, or it is damaged" in " ".join(done.stdout.split())


def test_a_run_is_not_continued_with_another_map(tmp_path: Path, model: Path) -> None:
    film = media_samples.write(tmp_path / "long.mov", count=60, size=SIZE)
    output = tmp_path / "long.mp4"
    coarse, fine = (LocalEngine(open_model(model, None, layer)) for layer in (None, "fine"))
    assert explain_film(film, output, ProcessJob(coarse, **stopped_at(20))).stopped
    with pytest.raises(
        MediaError, match=r"map: grad-cam of feature, 8 x 8 cells before, grad-cam of fine, 16 x 16 cel"
    ):
        explain_film(film, output, ProcessJob(fine, resume=True))
    # What an earlier version left names no map: it was the first one.
    sidecar = output.with_suffix(".jsonl")
    first, *rest = sidecar.read_text(encoding="utf-8").splitlines()
    header = json.loads(first)
    del header["map"]
    sidecar.write_text("\n".join([json.dumps(header), *rest, ""]), encoding="utf-8")
    with pytest.raises(MediaError, match="map: none before"):
        explain_film(film, output, ProcessJob(fine, resume=True))
    assert explain_film(film, output, ProcessJob(coarse, resume=True)).frames == 60
    coarse.close()
    fine.close()


def test_only_the_chosen_maps_are_measured(tmp_path: Path, model: Path) -> None:
    write_image(tmp_path / "dog.png", media_samples.spot(SIZE))
    done = run("measure", model, "dog.png", "--layer", "8x8", "--method", "hirescam", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "measure.json").read_text())["rows"]
    assert [row["name"] for row in rows if not row["baseline"]] == ["hirescam of feature"]
    more = ("--method", "hirescam", "--method", "grad-cam", "--layer", "fine", "--overwrite")
    assert run("measure", model, "dog.png", *more, folder=tmp_path).returncode == 0
    rows = json.loads((tmp_path / "measure.json").read_text())["rows"]
    assert [row["name"] for row in rows if not row["baseline"]] == ["grad-cam of fine", "hirescam of fine"]


def test_only_the_chosen_map_is_computed(model: Path) -> None:
    explainer = open_model(model, "hirescam", "fine")
    assert explainer.map.output == "heatmaps_4"
    image = Fit("stretch", (32, 32)).image(rgb_frame(media_samples.spot(SIZE)))[None]
    assert explainer.explain(image, [-1]).heatmaps.shape == (1, 1, 16, 16)
    assert {each.name for each in explainer._session.get_outputs()} == {
        "scores",
        "classes",
        "heatmaps_4",
        "evidence_4",
    }
    assert Explainer(model).map.output == "heatmaps"


def test_a_server_begins_with_the_chosen_map_of_the_given_model_only(tmp_path: Path, model: Path) -> None:
    shelf = _shelf(str(model), "cpu")
    other = tiny_models.bright_spot(tmp_path / "other.onnx")
    image = Fit("stretch", (32, 32)).image(rgb_frame(media_samples.spot(SIZE)))[None]
    for begun, output, cells in (
        (_begun(shelf, "hirescam", "fine"), "heatmaps_4", 16),
        (_begun(shelf, None, None), "heatmaps", 8),
        (shelf.start(other, "heatmaps"), "heatmaps", 8),
    ):
        with closing(begun) as engine:
            assert engine.contract.drawn == output
            assert engine.explain(image, [-1]).result(60).heatmaps.shape == (1, 1, cells, cells)
