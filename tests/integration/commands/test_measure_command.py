"""`whycam measure`: the table, the page and the figures, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.command import run
from tests.support.models import tiny_models
from whycam.export.head.grad_cam import append_cam
from whycam.export.save import save
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


def test_the_maps_that_are_measured_can_be_chosen(folder: Path) -> None:
    model = append_cam(tiny_models.classifier(classes=10), method=["grad-cam", "negative", "eigen-cam", "signed"])
    about = tiny_models.contract([f"class {number}" for number in range(10)], "probability", "stretch", "tiny")
    save(model, about, folder / "several.onnx")
    chosen = ["--method", "eigen-cam", "--method", "negative", "--layer", about.feature]
    done = run("measure", "several.onnx", "images/red.png", *chosen, folder=folder)
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "measure.json").read_text())
    names = [each["name"] for each in found["rows"] if not each["baseline"]]
    assert [each.partition(" of ")[0] for each in names] == ["negative", "eigen-cam"]
    for wrong in (["--method", "signed"], ["--layer", "none"]):
        done = run("measure", "several.onnx", "images", "-o", "other.html", *wrong, folder=folder)
        assert done.returncode == 1
        assert f"has no map by {wrong[1] if wrong[0] == '--method' else repr(wrong[1])}" in done.stderr


def test_the_maps_are_compared_image_by_image_with_the_default(tmp_path: Path) -> None:
    """Of ten images: the map against the class is worse, and the figures say it as the table and the page do."""
    tiny_models.several_maps(tmp_path / "several.onnx", methods=("grad-cam", "layer-cam", "negative"))
    (tmp_path / "images").mkdir()
    random = np.random.default_rng(3)
    for number in range(10):
        image = np.full((32, 32, 3), 90, np.uint8)
        (y, x), (other_y, other_x) = random.permutation([(2, 2), (2, 20), (20, 2), (20, 20)])[:2]
        image[y : y + 8, x : x + 8] = (130 + number, 90, 90)
        image[other_y : other_y + 8, other_x : other_x + 8] = (90, 128, 90)
        write_image(tmp_path / "images" / f"{number}.png", image)
    done = run("measure", "several.onnx", "images", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "measure.json").read_text())
    rows = {row["name"]: row for row in found["rows"]}
    reference = found["verdict"]["reference"]
    assert (found["verdict"]["reference_is_default"], rows[reference]["compared"]) == (True, None)
    assert reference.startswith("grad-cam of ")
    negative = next(row for name, row in rows.items() if name.startswith("negative"))
    for field in ("deletion", "insertion", "road_hottest", "road_coldest", "drop", "rises"):
        own, other = (np.array([each[field] for each in row["each_image"]]) for row in (negative, rows[reference]))
        compared = negative["compared"][field]
        assert compared["images"] == 10
        assert compared["difference"] == pytest.approx((own - other).mean(), abs=2e-6)
        assert compared["standard_error"] == pytest.approx((own - other).std(ddof=1) / 10**0.5, abs=2e-6)
        lower, higher = int((own < other).sum()), int((own > other).sum())
        is_high_better = field in ("insertion", "road_coldest", "rises")
        assert (compared["better"], compared["worse"]) == ((higher, lower) if is_high_better else (lower, higher))
    assert negative["compared"]["deletion"]["outcome"] == "worse"
    assert negative["name"] not in found["verdict"]["best"]["deletion"]
    assert reference in found["verdict"]["best"]["deletion"]
    page = (tmp_path / "measure.html").read_text("utf-8")
    for sentence in found["verdict"]["sentences"]:
        assert sentence in done.stdout
        assert sentence in page
    assert "▼" in done.stdout
    assert "▼" in page


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
