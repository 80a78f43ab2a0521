"""Two runs with one result: one completes it, the other writes nothing, names the first and exits with 3."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import av
import pytest

from tests.support import ROOT
from tests.support.command import run
from tests.support.films import media_samples
from tests.support.models import tiny_models
from tests.support.processes import family, stopped, until
from tests.support.recordings.recorded_sessions import Session
from whycam.stream.media.image import write_image
from whycam.stream.offline.exit_code import ExitCode
from whycam.stream.recording.paths import new_folder

pytestmark = [pytest.mark.timeout(1800), pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGSTOP")]
SIZE = (320, 240)
COUNT = 150
BUSY = ExitCode.BUSY


def begun(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a run in the background, with the bundled network, which is slow."""
    return subprocess.Popen(
        [sys.executable, "-m", "whycam", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "300"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def at_work(folder: Path, part: str, *arguments: str) -> Iterator[int]:
    """The process id of a run that is stopped in the middle of its work; on exit it continues and must succeed."""
    with begun(folder, *arguments) as process:
        try:
            path = folder / part
            until(lambda: path.exists() and path.read_bytes().count(b"\n") > 20, 60)
            with ExitStack() as all_stopped:  # a batch runs in a child
                for each in family(process.pid):
                    all_stopped.enter_context(stopped(each.pid))
                yield process.pid
            _, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0, errors


def check_whole(output: Path, count: int = COUNT) -> None:
    """Assert that the film has every frame, and its sidecar a line for each."""
    with av.open(output) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == count
    assert output.with_suffix(".jsonl").read_bytes().count(b"\n") == count + 1


def left(folder: Path) -> dict[str, bytes]:
    """The files in a folder, without claims."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".whycam")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def check_refused(folder: Path, pid: int, *arguments: str | Path, path: str) -> None:
    """Assert that a second run exits with 3, names the process at work and its file, and writes nothing."""
    before = left(folder)
    done = run(*arguments, folder=folder)
    assert done.returncode == BUSY, done.stdout + done.stderr
    said = rf"{re.escape(path)}: whycam process \(process {pid}, since \d\d:\d\d:\d\d\) is at work on it\. Wait until"
    assert re.search(said, done.stderr), done.stderr
    assert left(folder) == before


@pytest.mark.long
def test_while_a_film_is_made_no_other_run_makes_or_reads_it(tmp_path: Path) -> None:
    media_samples.write(tmp_path / "kitchen.mov", count=COUNT, size=SIZE, sound="aac")
    shutil.copy(tmp_path / "kitchen.mov", tmp_path / "other.mov")
    here = tmp_path / "here"
    here.symlink_to(tmp_path)
    (tmp_path / "no-model.onnx").write_text("the refusal needs no model")
    whole = media_samples.write(tmp_path / "whole.mp4", count=9, size=SIZE)
    assert run(
        "process", "whole.mp4", "--model", tiny_models.bright_spot(tmp_path / "tiny.onnx"), folder=tmp_path
    ).stdout
    result, pattern = "kitchen-output.mp4", ("process", "kitchen.mov")
    with at_work(tmp_path, "kitchen-output.jsonl.part", *pattern) as pid:
        for options in ((), ("--overwrite",), ("--resume",), ("--report", "--layout", "grid")):
            check_refused(tmp_path, pid, *pattern, *options, path=result)
        check_refused(tmp_path, pid, *pattern, "--model", "no-model.onnx", path=result)
        check_refused(tmp_path, pid, "process", here / "kitchen.mov", path=str(here / result))
        check_refused(tmp_path, pid, "process", "other.mov", "-o", result, path=result)
        replay = ("replay", "whole-output.jsonl", whole, "-o", result, "--overwrite")
        check_refused(tmp_path, pid, *replay, path=result)
        check_refused(tmp_path, pid, "replay", "kitchen-output.jsonl", "kitchen.mov", path="kitchen-output.jsonl")
        check_refused(tmp_path, pid, "process", result, path=result)
        done = run(*pattern, "--json", folder=tmp_path)
        report = json.loads(done.stdout)
        assert (done.returncode, report["status"], report["output"]) == (BUSY, "busy", None)
        assert (report["at_work"]["command"], report["at_work"]["pid"]) == ("whycam process", pid)
        assert str(pid) in report["problem"]
    check_whole(tmp_path / result)
    assert run("process", "kitchen.mov", folder=tmp_path).returncode == ExitCode.FAILED  # it exists already
    assert not [*tmp_path.glob(".*"), *tmp_path.glob("*.part"), *tmp_path.glob("*.journal")]


@pytest.mark.long
def test_in_one_folder_each_film_is_made_by_one_run(tmp_path: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "tiny.onnx")
    for name, count in (("a", COUNT), ("b", 30), ("c", 20)):
        media_samples.write(tmp_path / f"{name}.mov", count=count, size=SIZE)
    batch = ("process", "a.mov", "b.mov", "-o", "results")
    with at_work(tmp_path, "results/a-output.jsonl.part", *batch) as pid:
        check_refused(tmp_path, pid, *batch, path="results/a-output.mp4")
        check_refused(tmp_path, pid, *batch, "--resume", path="results/b-output.mp4")  # which is not begun yet
        done = run("process", "b.mov", "c.mov", "-o", "results", "--model", model, folder=tmp_path)
        assert done.returncode == BUSY
        assert re.search(rf"b\.mov\s+busy\s+results/b-output\.mp4: .*process {pid}.*\nc\.mov\s+done\s+20 ", done.stdout)
        check_whole(tmp_path / "results" / "c-output.mp4", 20)
        (tmp_path / "results" / "c-output.mp4").unlink()
        (tmp_path / "results" / "c-output.jsonl").unlink()
        done = run("process", "c.mov", "-o", "results/c-output.mp4", "--model", model, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    for name, count in (("a", COUNT), ("b", 30), ("c", 20)):
        check_whole(tmp_path / "results" / f"{name}-output.mp4", count)
    assert len(list((tmp_path / "results").iterdir())) == 6


@pytest.mark.long
def test_a_finished_film_of_a_batch_may_be_read(tmp_path: Path) -> None:
    media_samples.write(tmp_path / "a.mov", count=9, size=SIZE)
    media_samples.write(tmp_path / "b.mov", count=COUNT, size=SIZE)
    with at_work(tmp_path, "b-output.jsonl.part", "process", "a.mov", "b.mov"):
        done = run("replay", "a-output.jsonl", "a.mov", folder=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_folders_of_images_and_assignments_too(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for number in range(150):
        write_image(tmp_path / "frames" / f"{number}.jpg", media_samples.spot((64, 48), number))
    media_samples.write(tmp_path / "kitchen.mov", count=COUNT, size=SIZE)
    media_samples.write(tmp_path / "hall.mov", count=9, size=SIZE)
    pictures = ("process", "frames", "--overwrite")
    with at_work(tmp_path, "frames-output/predictions.jsonl.part", *pictures) as pid:
        check_refused(tmp_path, pid, *pictures, path="frames-output")
        check_refused(tmp_path, pid, "process", "hall.mov", "--frames", "frames-output", path="frames-output")
        check_refused(tmp_path, pid, "replay", "frames-output", "frames", path="frames-output")
    assert len(list((tmp_path / "frames-output").glob("result-*.jpg"))) == 150
    hand_in = ("--assignment", "hand-in")
    with at_work(tmp_path, "hand-in/kitchen-output.jsonl.part", "process", "kitchen.mov", *hand_in) as pid:
        check_refused(tmp_path, pid, "process", "kitchen.mov", *hand_in, "--resume", path="hand-in/kitchen-output.mp4")
        check_refused(tmp_path, pid, "process", "hall.mov", *hand_in, path="hand-in/report.html")
        result = "hand-in/kitchen-output.mp4"
        check_refused(tmp_path, pid, "process", "hall.mov", "-o", result, "--overwrite", path=result)
    assert len(list((tmp_path / "hand-in" / "kitchen-output").iterdir())) == COUNT * 25 // 30


@pytest.mark.long
@pytest.mark.parametrize("options", [["--resume"], []])
def test_after_kill_9_the_next_run_begins_or_resumes(tmp_path: Path, options: list[str]) -> None:
    media_samples.write(tmp_path / "kitchen.mov", count=COUNT, size=SIZE)
    part = tmp_path / "kitchen-output.jsonl.part"
    with begun(tmp_path, "process", "kitchen.mov") as process:
        until(lambda: part.exists() and part.read_bytes().count(b"\n") > 60, 60)
        process.kill()
        process.communicate()
    assert list(tmp_path.glob(".whycam-*.lock"))
    done = run("process", "kitchen.mov", *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ("from an earlier run" in done.stdout) == bool(options)
    check_whole(tmp_path / "kitchen-output.mp4")
    assert {path.name for path in tmp_path.iterdir()} == {"kitchen.mov", "kitchen-output.mp4", "kitchen-output.jsonl"}


def test_a_recording_that_runs_is_neither_explained_nor_replayed(tmp_path: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "tiny.onnx")
    folder = new_folder(tmp_path)
    with closing(Session(folder)) as session:
        session.feed(media_samples.encoded("H264", 20, (160, 120)))
        session.settle()
        camera = folder / "camera-000.mp4"
        ways = (("process", folder), ("process", camera), ("replay", folder, folder), ("replay", folder, camera))
        for arguments in ways:
            done = run(*arguments, *(("--model", model) if arguments[0] == "process" else ()), folder=tmp_path)
            assert done.returncode == BUSY, done.stderr
            assert re.search(r": whycam serve \(since .*\) is at work on it\. Wait until it ends\.", done.stderr)
    assert run("process", folder, "--model", model, folder=tmp_path).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "tiny.onnx",
        folder.name,
        f"{folder.name}-output.mp4",
        f"{folder.name}-output.jsonl",
    }


def pair(folder: Path, apart: float, names: Sequence[str], options: Sequence[str], count: int) -> bool:
    """Start two equal runs and check their results; returns whether the one that was started first made them."""
    folder.mkdir()
    for name in names:
        media_samples.write(folder / f"{name}.mov", count=count, size=SIZE, sound="aac")
    command = ("process", *(f"{name}.mov" for name in names), "-o", "results", *options)
    if len(names) == 1:
        command = ("process", f"{names[0]}.mov", *options)
    first = begun(folder, *command)
    time.sleep(apart)
    second = begun(folder, *command)
    said = {process.pid: process.communicate(timeout=300)[1] for process in (first, second)}
    results = folder / "results" if len(names) > 1 else folder
    for name in names:
        check_whole(results / f"{name}-output.mp4", count)
    assert not [path for path in folder.rglob("*") if path.suffix in (".part", ".journal", ".lock")]
    codes = (first.returncode, second.returncode)
    assert sorted(codes) == [0, BUSY], (codes, said)
    winner, other = (first, second) if first.returncode == 0 else (second, first)
    assert said[winner.pid] == ""
    assert f"-output.mp4: whycam process (process {winner.pid}, since " in said[other.pid]
    return winner is first


def pairs(folder: Path, count: int, names: Sequence[str]) -> None:
    folder.mkdir()
    options: Sequence[Sequence[str]] = ((), ("--overwrite",), ("--resume",))
    begun_first = 0
    for number in range(count):
        apart = 2 * number / max(1, count - 1)
        begun_first += pair(folder / str(number), apart, names, options[number % len(options)], 6 * COUNT)
    print(f"{count} pairs on {len(names)} films: each film whole, {begun_first} times made by the run that began first")


@pytest.mark.long
def test_runs_that_begin_at_once(tmp_path: Path) -> None:
    # Long enough that the first is still at work when the second checks, which starts late on a busy machine.
    pair(tmp_path / "one", 0, ["kitchen"], (), 2 * COUNT)


@pytest.mark.long
def test_twenty_pairs_on_one_film(tmp_path: Path) -> None:
    pairs(tmp_path / "pairs", 20, ["kitchen"])


@pytest.mark.long
def test_twenty_pairs_in_one_folder(tmp_path: Path) -> None:
    pairs(tmp_path / "pairs", 20, ["kitchen", "hall"])
