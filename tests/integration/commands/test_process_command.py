"""`whycam process` as a user runs it: its results, its output and its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.command import run
from tests.support.films import media_samples
from tests.support.models import tiny_models
from whycam.stream.media.image import read_image, write_image
from whycam.stream.offline.exit_code import ExitCode
from whycam.stream.recording.sidecar import read_sidecar

SIZE = (64, 48)


def test_a_batch_ends_with_a_table_and_the_worst_exit_code(tmp_path: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    media_samples.write(tmp_path / "a.mov", count=5, size=SIZE)
    write_image(tmp_path / "dog.jpg", media_samples.spot(SIZE))
    (tmp_path / "bad.mov").write_text("no film")
    cut = media_samples.write(tmp_path / "cut.mkv", count=90, size=SIZE)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    done = run("process", "*.mov", "cut.mkv", "dog.jpg", "-o", "results", "--model", model, folder=tmp_path)
    assert done.returncode == 1
    assert "bad.mov cannot be read" in done.stderr
    table = [line.split()[:3] for line in done.stdout.split("\ninput ")[-1].splitlines()[1:5]]
    assert [row[:2] for row in table] == [
        ["a.mov", "done"],
        ["bad.mov", "failed"],
        ["cut.mkv", "damaged"],
        ["dog.jpg", "done"],
    ]
    assert table[0][2] == "5"
    assert "red ->" in done.stdout.replace("\n", " ") or "% red" in done.stdout
    assert {path.name for path in (tmp_path / "results").iterdir()} == {
        "a-output.mp4",
        "a-output.jsonl",
        "cut-output.mp4",
        "cut-output.jsonl",
        "dog-output.jpg",
    }


def test_a_film_that_broke_off_ends_with_2_and_a_sentence(tmp_path: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    cut = media_samples.write(tmp_path / "cut.mkv", count=90, size=SIZE)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    done = run("process", "cut.mkv", "--model", model, folder=tmp_path)
    assert done.returncode == 2
    assert "The file breaks off: " in done.stdout
    assert len(media_samples.read(tmp_path / "cut-output.mp4")) > 10


def test_how_a_result_looks_can_be_chosen(tmp_path: Path) -> None:
    media_samples.write(tmp_path / "a.mov", count=4, size=SIZE)
    options = ["--layout", "side-by-side", "--target", "bannana", "--legend", "--every", "2", "--sure", "0.9"]
    done = run("process", "a.mov", *options, "--fit", "crop", "--colormap", "viridis", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Explained: banana (954)" in done.stdout
    assert {shot.frame.width for shot in media_samples.read(tmp_path / "a-output.mp4")} == {128}
    header, lines = read_sidecar(tmp_path / "a-output.jsonl")
    assert (header["layout"], header["style"], header["fit"]) == ("side-by-side", "blend", "crop")
    frames = list(lines)
    assert frames[0].view.pinned == (954,)
    assert [frame.age_ms for frame in frames] == pytest.approx([0, 1000 / 30, 0, 1000 / 30], abs=0.1)


def test_a_pipe_and_an_assignment_go_through(tmp_path: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    source = media_samples.write(tmp_path / "kitchen.mkv", count=30, size=SIZE)
    with source.open("rb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "whycam", "process", "-", "-o", "out.mp4", "--model", str(model)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=pipe,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert len(media_samples.read(tmp_path / "out.mp4")) == 30
    done = run("process", "kitchen.mkv", "--assignment", "hand-in", "--model", model, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "hand-in" / "kitchen-output").iterdir())) == 25
    thumb = read_image(tmp_path / "hand-in" / "kitchen" / "thumb0001.jpg")
    result = read_image(tmp_path / "hand-in" / "kitchen-output" / "result-0001.jpg")
    assert result[-2, -2].argmax() == 2  # the colours of the book: blue where there is no heat
    assert abs(int(thumb[-2, -2, 2]) - int(thumb[-2, -2, 0])) < 6


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="a shell's <(…) needs /dev/fd")
def test_pipes_of_a_shell_may_be_given_with_other_inputs(tmp_path: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    source = media_samples.write(tmp_path / "kitchen.mkv", count=30, size=SIZE)
    with source.open("rb") as file, subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        number = shell.stdout.fileno()
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "whycam",
                "process",
                f"/dev/fd/{number}",
                "kitchen.mkv",
                "-o",
                "results",
                "--model",
                model,
            ],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            pass_fds=[number],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    for name in (f"{number}-output.mp4", "kitchen-output.mp4"):
        assert len(media_samples.read(tmp_path / "results" / name)) == 30


def test_scripts_get_a_line_of_json_for_each_input_and_nothing_else(tmp_path: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    media_samples.write(tmp_path / "a.mov", count=5, size=SIZE)
    write_image(tmp_path / "dog.jpg", media_samples.spot(SIZE, colour=media_samples.GREEN))
    (tmp_path / "bad.mov").write_text("no film")
    command = ("process", "a.mov", "bad.mov", "dog.jpg", "--report", "--json", "--model", model)
    done = run(*command, folder=tmp_path)
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["status"] for each in lines] == ["done", "failed", "done"]
    assert [each["kind"] for each in lines] == ["film", "film", "picture"]
    assert {
        "whycam": 1,
        "input": "a.mov",
        "output": "a-output.mp4",
        "sidecar": "a-output.jsonl",
        "report": ["a-output.html", "a-output.png"],
        "frames": 5,
        "earlier": 0,
        "seconds": pytest.approx(4 / 30, abs=1e-4),
        "problem": None,
    }.items() <= lines[0].items()
    assert "cannot be read" in lines[1]["problem"]
    assert (lines[1]["output"], lines[1]["losses"]) == (None, None)
    assert lines[2]["best"][0]["label"] == "green"
    assert all(each.keys() == lines[0].keys() for each in lines)
    page = (ROOT / "docs" / "process.md").read_text(encoding="utf-8")
    example = json.loads(page.split("```json")[1].split("```")[0].replace("\n", " "))
    assert list(example) == list(lines[0])
    assert list(example["losses"]) == list(lines[0]["losses"])
    assert list(example["best"][0]) == list(lines[0]["best"][0])
    again = run(*command, "--resume", folder=tmp_path)
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    assert [(each["status"], each["frames"], each["earlier"]) for each in lines] == [
        ("done", 5, 5),
        ("failed", 0, 0),
        ("done", 1, 1),
    ]


def test_each_exit_code_is_documented() -> None:
    page = (ROOT / "docs" / "process.md").read_text(encoding="utf-8")
    table = page.split("| exit code | when |")[1].split("\n\n")[0]
    assert re.findall(r"^\| (\d+) \|", table, re.MULTILINE) == [str(int(code)) for code in ExitCode]


def test_names_in_square_brackets_are_printed_unchanged(tmp_path: Path) -> None:
    names = ["[red]x.jpg", "dog [1].jpg", "[bold].mov"]
    for name in names[:2]:
        write_image(tmp_path / name, media_samples.spot(SIZE))
    (tmp_path / names[2]).write_text("no film")
    done = run("process", *names, folder=tmp_path)
    table = done.stdout.split("\ninput ")[-1].splitlines()[1:4]
    for name, row in zip(names, table, strict=True):
        assert row.startswith(name)
    assert "[red]x-output.jpg" in table[0]
    assert "whycam[export]" in run("export", "--help", folder=tmp_path).stdout
    assert "rec [bold]" in run("doctor", "--recordings", "rec [bold]", folder=tmp_path).stdout


def test_for_a_folder_it_prints_the_contents_of_the_result(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    write_image(tmp_path / "frames" / "1.jpg", media_samples.spot(SIZE))
    done = run("process", "frames", folder=tmp_path)
    assert "-> frames-output/ (pictures and predictions.jsonl)" in done.stdout
    assert "metadata" not in done.stdout  # frames have none that could be copied
    assert (tmp_path / "frames-output" / "predictions.jsonl").is_file()


def test_a_pipe_cannot_be_resumed(tmp_path: Path) -> None:
    done = run("process", "-", "-o", "out.mp4", "--resume", folder=tmp_path)
    assert done.returncode == 1
    assert "cannot be read again" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_leaves_a_film_that_can_be_played(tmp_path: Path) -> None:
    media_samples.write(tmp_path / "long.mov", count=1500, size=SIZE, sound="aac")
    process = subprocess.Popen(
        [sys.executable, "-m", "whycam", "process", "long.mov"],  # with the bundled network, which is slow enough
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        text=True,
    )
    part = tmp_path / "long-output.jsonl.part"
    deadline = time.monotonic() + 60
    while not part.exists() or len(part.read_text().splitlines()) < 20:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    shots = media_samples.read(tmp_path / "long-output.mp4")
    assert 20 <= len(shots) < 1500
    assert f"{len(shots)} frames" in said
    assert "Stopped after" in said
    assert len(list(read_sidecar(tmp_path / "long-output.jsonl")[1])) == len(shots)
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("*.journal"))
    assert "--resume" in said.splitlines()[-1]


def test_its_help_is_in_groups(tmp_path: Path) -> None:
    done = run("process", "--help", folder=tmp_path)
    for panel in ("What is explained", "How it looks", "Other output"):
        assert panel in done.stdout
