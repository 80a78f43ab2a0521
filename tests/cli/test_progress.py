"""The progress bar in narrow terminals, and the line for scripts."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path

import pytest
from rich.console import Console

from whycam.stream.cli.progress import Bar, BarLayout, json_line, sentences, shortened, table
from whycam.stream.media.losses import Losses
from whycam.stream.offline.batch import Outcome, Task
from whycam.stream.offline.inputs import STDIN, Input
from whycam.stream.offline.pipeline import ProcessResult

NAME = "holiday in the mountains/VID_20261122_210355_stabilised.mov"


@pytest.mark.parametrize("width", [30, 40, 50, 64, 80, 120])
def test_a_narrow_terminal_shows_bar_count_and_both_ends_of_the_name(width: int) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=width, color_system=None)
    with Bar(console) as bar:
        bar.begin(NAME)
        bar.progress(6234, 12_345)
    text = re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", written.getvalue()).replace("\r", "\n")
    lines = [line for line in text.splitlines() if "12345" in line]
    assert lines
    assert " 6234/12345" in lines[-1]
    assert "━" in lines[-1]
    assert lines[-1].startswith(NAME[:1])
    assert ("frames/s" in lines[-1]) == (width >= 64)
    assert max(map(len, lines)) <= width


def test_the_layout_never_needs_more_than_the_width() -> None:
    for width in range(30, 200):
        layout = BarLayout.of(width)
        assert layout.name + layout.bar + 13 + 16 * layout.has_rate + 8 * layout.has_time < width + 1


@pytest.mark.parametrize(
    ("room", "shown"), [(99, "kitchen-2026.mov"), (16, "kitchen-2026.mov"), (10, "kit…26.mov"), (4, "k…ov")]
)
def test_a_name_loses_its_middle(room: int, shown: str) -> None:
    assert shortened("kitchen-2026.mov", room) == shown


@pytest.mark.skipif(os.name == "nt", reason="names on Windows are UTF-16")
def test_the_line_for_scripts_is_utf_8_whatever_the_name_is() -> None:
    for name in (os.fsdecode(b"caf\xe9.mov"), "café.mov", "\N{CLAPPER BOARD}.mov"):
        outcome = Outcome(Task(Input("film", Path(name)), Path(f"{name}.mp4")), problem=f"{name} is empty.")
        line = json_line(outcome, 0.0)
        assert json.loads(line.encode())["input"] == name


def test_an_image_of_an_earlier_run_is_told_from_a_new_one(tmp_path: Path) -> None:
    task = Task(Input("picture", tmp_path / "dog.jpg"), tmp_path / "dog-output.jpg")
    kept = ProcessResult(task.output, None, 1, Losses(), earlier=1)
    assert sentences(Outcome(task, kept), 0.0) == [f"from an earlier run -> {task.output}"]


def test_only_what_can_be_read_again_is_said_to_be_resumed(tmp_path: Path) -> None:
    stopped = ProcessResult(tmp_path / "a.mp4", tmp_path / "a.jsonl", 9, Losses(), stopped=True)
    film, stream = Input("film", Path("a.mov")), Input("address", Path("door"), "rtsp://10.0.0.2/door")
    for given, can_resume in ((film, True), (stream, False), (STDIN, False)):
        said = " ".join(sentences(Outcome(Task(given, stopped.output), stopped), 1.0))
        assert ("--resume continues." in said) == can_resume


@pytest.mark.parametrize("width", [30, 40, 80])
def test_no_path_of_the_table_is_cut_off(width: int) -> None:
    name = "fuzz_exif_of_AttributeError.jpg"
    done = Outcome(
        Task(Input("picture", Path(name)), Path("results") / name), ProcessResult(Path("a"), None, 1, Losses())
    )
    failed = Outcome(Task(Input("picture", Path("b.jpg")), Path("results") / name), problem=f"{name} is damaged.")
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(table([done, failed]))
    text = console.export_text()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
