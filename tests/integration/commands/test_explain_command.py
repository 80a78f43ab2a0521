"""`whycam explain`, and what the command prints where the terminal or the call is unusual."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import skimage.data

from tests.support import ROOT
from tests.support.command import run
from tests.support.films import media_samples
from tests.support.models import tiny_models
from whycam.stream.media.image import read_image, write_image

SIZE = (64, 48)


def test_the_five_best_classes_are_printed_and_the_overlay_is_written(tmp_path: Path) -> None:
    write_image(tmp_path / "cat.jpg", skimage.data.chelsea())
    done = run("explain", "cat.jpg", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    *classes, result = done.stdout.splitlines()[1:]
    assert len(classes) == 5
    assert "cat" in classes[0]
    assert result == "-> cat-output.jpg"
    assert read_image(tmp_path / "cat-output.jpg").shape == skimage.data.chelsea().shape
    again = run("explain", "cat.jpg", folder=tmp_path)
    assert again.returncode == 1
    assert "already exists" in again.stderr
    other = run("explain", "cat.jpg", "-o", "tiger.png", "--target", "tiger", folder=tmp_path)
    assert other.returncode == 0, other.stderr
    assert not (read_image(tmp_path / "tiger.png") == read_image(tmp_path / "cat-output.jpg")).all()


def test_explain_takes_one_image(tmp_path: Path) -> None:
    media_samples.write(tmp_path / "a.mov", count=2, size=SIZE)
    done = run("explain", "a.mov", folder=tmp_path)
    assert done.returncode == 1
    assert "`whycam process` explains films" in done.stderr


@pytest.mark.parametrize("verb", [(), ("process",), ("explain",), ("replay",), ("models",), ("serve",)])
def test_help_has_a_short_option(tmp_path: Path, verb: tuple[str, ...]) -> None:
    done = run(*verb, "-h", folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout == run(*verb, "--help", folder=tmp_path).stdout


def test_a_file_that_looks_like_an_option_is_pointed_out(tmp_path: Path) -> None:
    write_image(tmp_path / "-foo.jpg", media_samples.spot(SIZE))
    assert "write ./-foo.jpg" in run("process", "-foo.jpg", folder=tmp_path).stderr
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    assert run("process", "./-foo.jpg", "--model", model, folder=tmp_path).returncode == 0


@pytest.mark.parametrize(
    "encoding", ["cp437", *(pytest.param(e, marks=pytest.mark.long) for e in ("cp1252", "ascii", "utf-8"))]
)
def test_output_in_any_encoding_ends_in_no_error(tmp_path: Path, encoding: str) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    name = "\N{CLAPPER BOARD} café \N{GREEK SMALL LETTER OMEGA}.jpg"
    write_image(tmp_path / name, media_samples.spot(SIZE))
    (tmp_path / "\N{SNOWMAN}.mov").write_text("no film")
    for options in ((), ("--json",)):
        command = [sys.executable, "-m", "whycam", "process", name, "\N{SNOWMAN}.mov", "--overwrite", *options]
        done = subprocess.run(
            [*command, "--model", str(model)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding},
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == 1, done.stderr
        assert b"Error" not in done.stderr
        assert b"codec" not in done.stderr
        if options:
            lines = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
            assert [line["input"] for line in lines] == [name, "\N{SNOWMAN}.mov"]
        else:  # a row of the table for each
            assert [b"done" in line or b"failed" in line for line in done.stdout.splitlines()].count(True) == 2


def test_a_picture_has_no_report_and_that_is_said(tmp_path: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    write_image(tmp_path / "a.jpg", media_samples.spot(SIZE))
    done = run("process", "a.jpg", "--report", "--frames", "frames", "--model", model, folder=tmp_path)
    assert done.returncode == 0
    assert "A single image has no report and no frames" in done.stdout
    assert not (tmp_path / "frames").exists()


def test_results_given_again_are_left_out(tmp_path: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    media_samples.write(tmp_path / "k.mp4", count=3, size=SIZE)
    for _ in range(3):
        done = run("process", "*.mp4", "--resume", "--model", model, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "Left out as results of whycam: k-output.mp4." in done.stdout
    assert sorted(path.name for path in tmp_path.glob("k*")) == ["k-output.jsonl", "k-output.mp4", "k.mp4"]


@pytest.mark.parametrize("columns", [40, 80])
def test_models_fit_a_narrow_terminal_and_none_is_cut_off(tmp_path: Path, columns: int) -> None:
    done = run("models", folder=tmp_path, columns=columns)
    *rows, last = done.stdout.splitlines()  # the last one is a sentence, which a terminal wraps
    assert max(map(len, [*rows, last] if columns == 80 else rows)) <= columns
    assert "…" not in done.stdout
    assert columns < 80 or "efficientnet-lite0 " in done.stdout
