"""`--difference A B`, as a user asks for it: films, photographs, replay, report, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

import whycam
from tests.support.command import run
from tests.support.films import media_samples
from tests.support.models import tiny_models
from tests.support.recordings.interrupted_runs import stopped_at
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.inference.preprocess import Fit
from whycam.stream.media.image import read_image, write_image
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.explain import explain_film, open_model
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.overlay.renderer import Look
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.video.planes import Bytes

SIZE = (64, 48)
RED, GREEN = 0, 1
ORANGE, BLUE = np.array((255, 158, 27)), np.array((58, 160, 255))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_models.several_maps(tmp_path / "signed.onnx", methods=("grad-cam", "signed"))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return media_samples.write(tmp_path / "a.mov", count=4, size=SIZE)


def two_spots() -> Bytes:
    """Red on the left, green on the right."""
    rgb = np.full((48, 64, 3), 90, np.uint8)
    rgb[16:32, 8:24] = (230, 40, 40)
    rgb[16:32, 40:56] = (40, 230, 40)
    return rgb


def signed(model: Path, image: Bytes, output: str = "heatmaps_3") -> NDArray[Any]:
    """Of red and green, straight from the graph: (2, h, w)."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (maps,) = session.run([output], {"image": image[None], "target": np.array([[RED, GREEN]], np.int64)})
    return np.asarray(maps[0], np.float64)


def test_a_photograph_shows_what_speaks_for_each_in_its_colour(tmp_path: Path, model: Path) -> None:
    write_image(tmp_path / "both.png", two_spots())
    done = run(
        "explain", "both.png", "-o", "out.png", "--model", model, "--difference", "red", "green", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "Explained: why red (0) and not green (1), and the other way round" in done.stdout
    seen = read_image(tmp_path / "out.png").astype(int)
    left, right = seen[24, 16], seen[24, 48]
    assert np.abs(left - ORANGE).sum() < np.abs(left - BLUE).sum()
    assert np.abs(right - BLUE).sum() < np.abs(right - ORANGE).sum()
    assert np.abs(seen[40, 32] - 90).max() < 8


@pytest.mark.parametrize(("layer", "output", "cells"), [("8x8", "heatmaps_3", 8), ("fine", "heatmaps_4", 16)])
def test_a_film_keeps_the_difference_in_its_sidecar_and_is_replayed_with_it(
    tmp_path: Path, model: Path, film: Path, layer: str, output: str, cells: int
) -> None:
    options = ("--difference", "red", "green", "--layer", layer, "--report")
    done = run("process", film, "--model", model, *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    header, lines = read_sidecar(tmp_path / "a-output.jsonl")
    frames = list(lines)
    assert header["settings"]["difference"] is True
    with av.open(film) as opened:
        image = Fit("stretch", (32, 32)).image(next(opened.decode(video=0)))
    red, green = signed(model, image, output)
    expected, largest = red - green, np.abs(red - green).max()
    halves = {each.class_id: each for each in frames[0].maps if each.against}
    assert {number: each.against for number, each in halves.items()} == {RED: "green", GREEN: "red"}
    assert halves[RED].grid.shape == (cells, cells)
    assert np.abs(halves[RED].grid / 255 - np.clip(expected, 0, None) / largest).max() < 0.01
    assert np.abs(halves[GREEN].grid / 255 - np.clip(-expected, 0, None) / largest).max() < 0.01
    assert halves[RED].evidence == halves[GREEN].evidence == pytest.approx(largest, rel=1e-4)
    page = (tmp_path / "a-output.html").read_text(encoding="utf-8")
    assert "the difference of two logits: why red and not green" in page
    assert "red - green" in page
    assert "green - red" in page
    again = run("replay", "a-output.jsonl", film, "-o", "again.mp4", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    ours, theirs = (media_samples.read(tmp_path / name) for name in ("again.mp4", "a-output.mp4"))
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(media_samples.pixels(one.frame)[0], media_samples.pixels(other.frame)[0])


@pytest.mark.parametrize("style", ["blend", "book"])
@pytest.mark.parametrize("layout", ["overlay", "heatmap", "side-by-side", "grid"])
def test_the_two_classes_look_different_in_each_style_and_layout(
    tmp_path: Path, model: Path, style: str, layout: str
) -> None:
    write_image(tmp_path / "both.png", two_spots())
    look = ("--style", style, "--layout", layout, "--legend", "--no-label", "-o", "out.png")
    done = run("process", "both.png", "--model", model, "--difference", "red", "green", *look, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    seen = read_image(tmp_path / "out.png").astype(int)
    if layout == "grid":  # a tile for each half
        (left, right), (first, second) = seen[12, [8, 24]], seen[12, [40, 56]]
        assert np.abs(left - right).max() > 40
        assert np.abs(first - second).max() > 40
        return
    x = 64 if layout == "side-by-side" else 0
    left, right, between = seen[24, x + 16], seen[24, x + 48], seen[44, x + 4]
    assert np.abs(left - right).max() > 60
    if style == "book" and layout == "heatmap":  # jet: red, green, blue
        assert [int(each.argmax()) for each in (left, between, right)] == [0, 1, 2]


def test_a_batch_in_a_child_process_has_it_too(tmp_path: Path, model: Path, film: Path) -> None:
    write_image(tmp_path / "both.png", two_spots())
    command = ("process", film, "both.png", "--model", model, "--difference", "red", "green", "-o", "out/")
    assert run(*command, folder=tmp_path).returncode == 0
    assert next(read_sidecar(tmp_path / "out" / "a-output.jsonl")[1]).maps[0].against == "green"


def test_an_assignment_says_that_it_is_a_difference(tmp_path: Path, model: Path, film: Path) -> None:
    options = ("--model", model, "--difference", "red", "green")
    assert run("process", film, "--assignment", "hand-in", *options, folder=tmp_path).returncode == 0
    text = (tmp_path / "hand-in" / "what-was-done.txt").read_text()
    assert "Grad-CAM of the difference of two logits at 'feature', for red and green." in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("red", "red"), "'red' and 'red' are both red (0). A difference is of two."),
        (("red", "purple"), "purple"),
        (("red", "green", "--target", "blue"), "names its two classes itself"),
    ],
)
def test_what_is_no_difference_is_refused(tmp_path: Path, model: Path, options: tuple[str, ...], words: str) -> None:
    write_image(tmp_path / "both.png", two_spots())
    done = run("process", "both.png", "--model", model, "--difference", *options, folder=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert not (tmp_path / "both-output.jpg").exists()


def test_a_model_without_a_signed_map_is_refused_with_the_remedy(tmp_path: Path) -> None:
    write_image(tmp_path / "both.png", two_spots())
    model = tiny_models.bright_spot(tmp_path / "plain.onnx")
    for verb in ("process", "explain"):
        done = run(verb, "both.png", "--model", model, "--difference", "red", "green", folder=tmp_path)
        assert done.returncode == 1
        assert "has no signed map of 'feature'" in done.stderr
        assert "`whycam export … --method signed`" in done.stderr


def test_a_run_is_not_continued_with_or_without_a_difference(tmp_path: Path, model: Path) -> None:
    film = media_samples.write(tmp_path / "long.mov", count=60, size=SIZE)
    engine = LocalEngine(open_model(model, None, None, compares=True))
    looks = {"no": Look(View((0, 1))), "yes": Look(View((0, 1), difference=True))}
    for before, now in (("no", "yes"), ("yes", "no")):
        output = tmp_path / f"{before}.mp4"
        assert explain_film(film, output, ProcessJob(engine, looks[before], **stopped_at(20))).stopped
        with pytest.raises(MediaError, match=rf"\(difference: {before} before, {now} now\)"):
            explain_film(film, output, ProcessJob(engine, looks[now], resume=True))
        assert explain_film(film, output, ProcessJob(engine, looks[before], resume=True)).frames == 60
    engine.close()


def test_the_library_explains_a_difference(tmp_path: Path, model: Path) -> None:
    loaded = whycam.load(model, layer="fine")
    explained, other = loaded.explain([two_spots(), two_spots()[:, ::-1].copy()], difference=("red", GREEN))
    assert explained.labels == ("red", "green")
    red, green = (explained.heatmap(name) for name in ("red", "green"))
    assert explained.heatmaps.shape == (2, 16, 16)
    assert red[24, 16] > 200 > 50 > red[24, 48]
    assert green[24, 48] > 200 > 50 > green[24, 16]
    assert other.heatmap("red")[24, 48] > 200
    assert np.abs(explained.overlay[24, 16].astype(int) - ORANGE).sum() < np.abs(explained.overlay[24, 16] - BLUE).sum()
    assert loaded.explain(two_spots(), targets="red").heatmaps.shape == (1, 16, 16)


def test_the_library_refuses_what_is_no_difference(tmp_path: Path, model: Path) -> None:
    loaded = whycam.load(model)
    with pytest.raises(ValueError, match="no ranks such as -1"):
        loaded.explain(two_spots(), difference=(-1, -2))
    with pytest.raises(ValueError, match="Leave out `targets`"):
        loaded.explain(two_spots(), targets="red", difference=("red", "green"))
    with pytest.raises(ValueError, match="has no signed map"):
        whycam.explain(two_spots(), model=tiny_models.bright_spot(tmp_path / "plain.onnx"), difference=("red", "green"))
    with pytest.raises(ValueError, match="no map by hirescam"):
        whycam.load(model, method="hirescam")


def test_the_library_explains_a_film_by_a_chosen_map(tmp_path: Path, model: Path, film: Path) -> None:
    (outcome,) = whycam.process(film, model=model, layer="fine", difference=("green", "red"))
    assert outcome.explained is not None
    assert outcome.explained.sidecar is not None
    header, lines = read_sidecar(outcome.explained.sidecar)
    assert header["map"]["layer"] == "fine"
    assert next(lines).view == View((GREEN, RED), difference=True)
