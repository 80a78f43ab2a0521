"""`whycam teach`: what it says, what it writes, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.command import run
from tests.support.films.class_folders import colours_folder, film, pictures, square
from tests.support.models import tiny_models
from whycam.models import catalog
from whycam.models.described import describe
from whycam.models.model_file import contract_of
from whycam.stream.media.image import write_image

TINY = ("--model", "spot.onnx")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that can be taught, and the folder `colours` with two classes."""
    tiny_models.bright_spot(tmp_path / "spot.onnx", replaceable=True)
    colours_folder(tmp_path / "colours")
    return tmp_path


def test_a_folder_becomes_a_model_that_names_its_classes(folder: Path) -> None:
    done = run("teach", "colours", "-o", "mine.onnx", *TINY, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "100% of 19 pictures that it was not learned from are right." in done.stdout
    assert "Whole films and pictures were left out." in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert next(row for row in rows if row[:1] == ["green"])[1:4] == ["14", "14", "100%"]
    assert ["red", "0", "5"] in rows  # the confusion
    assert done.stdout.splitlines()[-1] == "Use it: whycam serve --model mine.onnx"
    contract = contract_of(folder / "mine.onnx")
    assert contract.labels == ("green", "red")
    assert contract.name == "mine"
    about = json.loads(describe(folder / "mine.onnx").metadata["whycam.taught"])
    assert about["examples"] == {"green": 14, "red": 5}
    assert about["accuracy"] == 1
    assert "-> mine.classes.json" in done.stdout
    beside = json.loads((folder / "mine.classes.json").read_text("utf-8"))
    assert beside["classes"] == [
        {"name": "green", "examples": 14, "holdings": 2},
        {"name": "red", "examples": 5, "holdings": 5},
    ]
    assert (beside["network"], beside["accuracy"], beside["tested"], beside["why"]) == ("bright spot", 1, 19, None)
    assert beside["date"] == about["date"]
    write_image(folder / "new.png", square("green", 200))
    explained = run("explain", "new.png", "--model", "mine.onnx", folder=folder)
    assert explained.returncode == 0, explained.stderr
    assert "green (0)" in explained.stdout.splitlines()[1]


def test_without_an_output_it_is_among_the_models_with_a_name(folder: Path) -> None:
    (folder / "colours").rename(folder / "My Colours")
    done = run("teach", "My Colours", *TINY, folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Use it: whycam serve --model my-colours"
    (catalog.user_models() / "my-colours.examples.zip").write_text("kept")
    listed = run("models", folder=folder)
    (row,) = [line for line in listed.stdout.splitlines() if "taught on this computer, 2" in line]
    assert row.startswith("my-colours ")
    assert row.rstrip().endswith("; examples kept")
    write_image(folder / "new.png", square("red", 200))
    assert "red (1)" in run("explain", "new.png", "--model", "my-colours", folder=folder).stdout
    again = run("teach", "My Colours", *TINY, folder=folder)
    assert again.returncode == 1
    assert "my-colours.onnx already exists" in again.stderr
    other = run("teach", "My Colours", *TINY, "--name", "others", folder=folder)
    assert other.returncode == 0, other.stderr
    removed = run("models", "--remove", "my-colours", folder=folder)
    assert removed.returncode == 0
    assert "; examples not kept" in removed.stdout  # of the other one
    assert not list(catalog.user_models().glob("my-colours*"))


def test_the_page_is_written(folder: Path) -> None:
    write_image(folder / "colours" / "red" / "odd.png", square("green", 3))
    done = run("teach", "colours", "-o", "mine.onnx", *TINY, "--every", "2", "--report", "page.html", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "-> page.html" in done.stdout
    page = (folder / "page.html").read_text("utf-8")
    assert "What mine learned" in page
    assert "odd.png" in page
    assert "8 pictures" in page  # four of each film's seven frames


def test_what_cannot_be_read_is_counted_and_not_fatal(folder: Path) -> None:
    (folder / "colours" / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    (folder / "colours" / "red" / "notes.txt").write_text("a note")
    done = run("teach", "colours", "-o", "mine.onnx", *TINY, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "Left out, 2 files of it:" in done.stdout
    assert "broken.jpg" in done.stdout
    assert "notes.txt is of an unknown kind" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none", "-o", "mine.onnx", *TINY), "There is no folder none"),
        (("colours/red", "-o", "mine.onnx", *TINY), "has no folders"),
        (("single", "-o", "mine.onnx", *TINY), "There is one class, red"),
        (("empty", "-o", "mine.onnx", *TINY), "green is empty"),
        (("long", "-o", "mine.onnx", *TINY), "at most 40 characters"),
        (("colours", "-o", "mine.onnx", "--model", "fixed.onnx"), "cannot be replaced"),
        (("colours", "-o", "mine.onnx", "--model", "none.onnx"), "There is no model file none.onnx"),
        (("colours", "-o", "mine.txt", *TINY), "ends in .onnx, not 'mine.txt'"),
        (("colours", "-o", "spot.onnx", *TINY, "--overwrite"), "is the model that is taught"),
        (("colours", "-o", "kept.onnx", *TINY), "kept.onnx already exists"),
        (("colours", "-o", "taken.onnx", *TINY), "taken.classes.json already exists"),
        (("colours", "-o", "mine.onnx", *TINY, "--report", "none/page.html"), "There is no folder none for the page"),
        (("colours", "-o", "mine.onnx", *TINY, "--name", "a" * 65), "at most 64"),
        (("colours", *TINY, "--name", "vgg16"), "the name of a model that whycam makes"),
        (("colours", "-o", "mine.onnx", *TINY, "--every", "0"), "--every"),
    ],
)
def test_what_cannot_be_taught_is_said_in_one_sentence(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    tiny_models.bright_spot(folder / "fixed.onnx")
    (folder / "kept.onnx").write_text("mine")
    (folder / "taken.classes.json").write_text("mine")
    pictures(folder / "single" / "red", "red", 2)
    pictures(folder / "empty" / "red", "red", 2)
    (folder / "empty" / "green").mkdir()
    for name in ("a" * 41, "b"):
        pictures(folder / "long" / name, "red", 1)
    done = run("teach", *arguments, folder=folder)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "mine.onnx").exists()
    assert (folder / "kept.onnx").read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="sends a SIGINT")
def test_ctrl_c_stops_it_and_writes_nothing(folder: Path) -> None:
    # Seconds of work, for this test may have to wait for a core.
    film(folder / "colours" / "green" / "long.mkv", ["green"] * 16_000)
    command = [sys.executable, "-m", "whycam", "teach", "colours", "-o", "mine.onnx", *TINY]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

    def heeds() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job, as a suite may be, ignores it

    with subprocess.Popen(command, cwd=folder, env=environment, preexec_fn=heeds, **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "Model: bright spot, 2 classes" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said, wrong = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines() == ["Stopped; nothing was written."]
    assert "Traceback" not in wrong
    assert not (folder / "mine.onnx").exists()
