"""`whycam measure`: the table, the page and the figures, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.command import run
from tests.support.models import tiny_models
from whycam.stream.media.image import write_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that names the colour of a spot, and two images with one."""
    tiny_models.bright_spot(tmp_path / "spot.onnx")
    (tmp_path / "images").mkdir()
    for name, colour, at in (("red", (220, 30, 30), 4), ("green", (30, 220, 30), 20)):
        image = np.full((32, 32, 3), 60, np.uint8)
        image[at : at + 8, 8:16] = colour
        write_image(tmp_path / "images" / f"{name}.png", image)
    return tmp_path


def test_the_models_own_map_is_better_than_noise_and_than_the_middle(folder: Path) -> None:
    boxes = folder / "boxes.csv"
    boxes.write_text("image,class,left,top,right,bottom\nred.png,red,8,4,16,12\n")
    done = run("measure", "spot.onnx", "images", "--boxes", "boxes.csv", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "-> measure.html, measure.json" in done.stdout
    assert "noise" in done.stdout
    found = json.loads((folder / "measure.json").read_text())
    assert [(each["name"], each["label"]) for each in found["images"]] == [("green.png", "green"), ("red.png", "red")]
    own, *baselines = found["rows"]
    assert own["name"].startswith("grad-cam of ")
    assert [each["baseline"] for each in baselines] == [True, True]
    assert own["means"]["pointing"] == 1
    for baseline in baselines:
        assert own["means"]["deletion"] < baseline["means"]["deletion"]
        assert own["means"]["insertion"] > baseline["means"]["insertion"]
        assert own["means"]["road_hottest"] < baseline["means"]["road_hottest"]
    for curve in (own["deletion"], own["insertion"]):
        assert len(curve) == 33
    page = (folder / "measure.html").read_text("utf-8")
    assert "bright spot" in page
    assert page.count("<img") == 2 * 2  # each image and its map
    assert "http" not in page.replace("http-equiv", "")


def test_results_are_not_overwritten_unasked(folder: Path) -> None:
    (folder / "measure.json").write_text("mine")
    done = run("measure", "spot.onnx", "images", folder=folder)
    assert done.returncode == 1
    assert "measure.json already exists" in done.stderr
    assert (folder / "measure.json").read_text() == "mine"
    assert not (folder / "measure.html").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("spot.onnx", "none.png"), "There is no file none.png"),
        (("none.onnx", "images"), "There is no model file none.onnx"),
        (("spot.onnx", "images", "--target", "cup"), "has no class 'cup'"),
        (("spot.onnx", "images", "--boxes", "none.csv"), "none.csv cannot be read"),
        (("spot.onnx", "spot.onnx"), "spot.onnx is no image"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_sentence(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    done = run("measure", *arguments, folder=folder)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "measure.html").exists()
