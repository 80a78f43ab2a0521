"""Resuming a stopped or killed run: every frame once, all sound, no frame explained twice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.support.films import media_samples
from tests.support.models.engines import Engine, fast
from tests.support.recordings.interrupted_runs import killed_at, stopped_at
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.media.film_writer import journal_of
from whycam.stream.media.image import write_image
from whycam.stream.media.journal import playable_frames
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.assignment import do_assignment
from whycam.stream.offline.explain import explain_film, explain_folder
from whycam.stream.offline.pipeline import ProcessJob, ProcessResult
from whycam.stream.offline.results.resume import part_of
from whycam.stream.overlay.renderer import Look
from whycam.stream.overlay.styles import usual_view
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import read_sidecar

SIZE = (64, 48)
COUNT = 90


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    made = fast(tmp_path_factory.mktemp("models"))
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return media_samples.write(tmp_path / "kitchen.mov", count=COUNT, size=SIZE, sound="aac")


def sound_packets(path: Path) -> list[bytes]:
    with av.open(path) as opened:
        return [bytes(packet) for packet in opened.demux(audio=0) if packet.size]


def check_whole(explained: ProcessResult, source: Path, uninterrupted: ProcessResult) -> None:
    """The result equals that of an uninterrupted run; the frames within the encoders' differences."""
    assert not explained.stopped
    assert media_samples.times(explained.output) == media_samples.times(source)
    assert explained.frames == COUNT
    assert explained.sidecar is not None
    assert uninterrupted.sidecar is not None
    assert explained.sidecar.read_bytes() == uninterrupted.sidecar.read_bytes()
    assert sound_packets(explained.output) == sound_packets(source)
    for ours, theirs in zip(
        media_samples.read(explained.output), media_samples.read(uninterrupted.output), strict=True
    ):
        assert ours.time == theirs.time
        difference = media_samples.pixels(ours.frame)[0].astype(int) - media_samples.pixels(theirs.frame)[0]
        assert np.abs(difference).mean() < 3


@pytest.fixture
def uninterrupted(tmp_path: Path, source: Path, engine: LocalEngine) -> ProcessResult:
    return explain_film(source, tmp_path / "uninterrupted.mp4", ProcessJob(engine))


@pytest.mark.parametrize("count", [1, 7, 40, 77, 89])
def test_a_stopped_film_is_resumed(
    tmp_path: Path, source: Path, engine: LocalEngine, uninterrupted: ProcessResult, count: int
) -> None:
    output = tmp_path / "kitchen-output.mp4"
    first = explain_film(source, output, ProcessJob(engine, **stopped_at(count)))
    assert first.stopped
    header, _ = read_sidecar(output.with_suffix(".jsonl"))
    assert header["stopped"] == pytest.approx((count - 1) / 30, abs=0.001)
    asked = Engine(engine)
    explained = explain_film(source, output, ProcessJob(asked, resume=True))
    assert explained.earlier == count
    assert sum(len(pictures) for pictures, _ in asked.asked) == COUNT - count
    check_whole(explained, source, uninterrupted)
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("*.journal")) + list(tmp_path.glob("*.new"))


@pytest.mark.parametrize("count", [3, 60, 85])
def test_a_film_of_a_killed_run_is_resumed(
    tmp_path: Path,
    source: Path,
    engine: LocalEngine,
    uninterrupted: ProcessResult,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    output = tmp_path / "kitchen-output.mp4"
    killed_at(count, monkeypatch, lambda report: explain_film(source, output, ProcessJob(engine, progress=report)))
    assert not output.exists()
    explained = explain_film(source, output, ProcessJob(engine, resume=True))
    assert count - 50 < explained.earlier < count  # the encoder holds some back
    check_whole(explained, source, uninterrupted)
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("*.journal"))


def test_a_run_may_be_killed_and_stopped_repeatedly(
    tmp_path: Path, source: Path, engine: LocalEngine, uninterrupted: ProcessResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "kitchen-output.mp4"

    def run(report: Any) -> object:
        return explain_film(source, output, ProcessJob(engine, progress=report, resume=True))

    killed_at(50, monkeypatch, run)
    killed_at(2, monkeypatch, run)  # while it takes over kept frames
    explained = explain_film(source, output, ProcessJob(engine, resume=True, **stopped_at(70)))
    assert (explained.stopped, explained.frames) == (True, 70)
    assert explained.earlier > 0
    killed_at(30, monkeypatch, run)  # the stopped film has more frames than this run
    explained = explain_film(source, output, ProcessJob(engine, resume=True))
    assert explained.earlier == 70
    check_whole(explained, source, uninterrupted)


def test_a_stop_loses_nothing_of_an_earlier_run(tmp_path: Path, source: Path, engine: LocalEngine) -> None:
    output = tmp_path / "kitchen-output.mp4"
    explain_film(source, output, ProcessJob(engine, **stopped_at(60)))
    stop = threading.Event()
    stop.set()
    explained = explain_film(source, output, ProcessJob(engine, resume=True, stop=stop))
    assert explained.stopped
    assert len(media_samples.read(output)) == explained.frames == 61


def test_an_interrupted_second_run_keeps_the_frames_of_the_first(
    tmp_path: Path, source: Path, engine: LocalEngine, uninterrupted: ProcessResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "kitchen-output.mp4"
    killed_at(80, monkeypatch, lambda report: explain_film(source, output, ProcessJob(engine, progress=report)))

    def interrupt(done: int, _expected: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explain_film(source, output, ProcessJob(engine, progress=interrupt, resume=True))
    explained = explain_film(source, output, ProcessJob(engine, resume=True))
    assert explained.earlier > 30
    check_whole(explained, source, uninterrupted)


def test_a_result_of_other_settings_or_another_film_is_not_resumed(
    tmp_path: Path, source: Path, engine: LocalEngine
) -> None:
    output = tmp_path / "kitchen-output.mp4"
    explain_film(source, output, ProcessJob(engine, **stopped_at(10)))
    before = output.read_bytes()
    for other in (Look(View(opacity=0.2)), Look(layout="grid"), Look(top=3)):
        with pytest.raises(MediaError, match=r"other settings \([a-z]+: .* before, .* now"):
            explain_film(source, output, ProcessJob(engine, other, resume=True))
    elsewhere = media_samples.write(
        tmp_path / "other.mov", count=COUNT, size=SIZE, pts=[n * n * 50 for n in range(COUNT)]
    )
    with pytest.raises(MediaError, match="another film"):
        explain_film(elsewhere, output, ProcessJob(engine, resume=True))
    assert output.read_bytes() == before


def test_without_an_earlier_result_the_run_begins(tmp_path: Path, source: Path, engine: LocalEngine) -> None:
    explained = explain_film(source, tmp_path / "out.mp4", ProcessJob(engine, resume=True))
    assert (explained.frames, explained.earlier) == (COUNT, 0)


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_run_that_explains_one_frame_of_several_resumes_with_the_last_heat(
    tmp_path: Path, source: Path, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    whole_one = explain_film(source, tmp_path / "whole.mp4", ProcessJob(engine, every=7))
    output = tmp_path / "kitchen-output.mp4"
    if how == "stopped":
        explain_film(source, output, ProcessJob(engine, every=7, **stopped_at(33)))
    else:
        killed_at(
            80, monkeypatch, lambda report: explain_film(source, output, ProcessJob(engine, every=7, progress=report))
        )
    explained = explain_film(source, output, ProcessJob(engine, every=7, resume=True))
    assert explained.earlier > 0
    check_whole(explained, source, whole_one)


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_folder_of_images_is_resumed(
    tmp_path: Path, source: Path, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(30):
        write_image(folder / f"{number}.jpg", media_samples.spot(SIZE, number))
    whole_one = explain_folder(folder, tmp_path / "whole", ProcessJob(engine))
    output = tmp_path / "frames-output"
    if how == "stopped":
        explain_folder(folder, output, ProcessJob(engine, **stopped_at(12)))
    else:
        killed_at(12, monkeypatch, lambda report: explain_folder(folder, output, ProcessJob(engine, progress=report)))
        (part_of(output) / "result-0013.jpg.part").write_bytes(b"cut off")
    explained = explain_folder(folder, output, ProcessJob(engine, resume=True))
    assert (explained.frames, explained.stopped) == (30, False)
    assert 0 < explained.earlier <= 12
    assert sorted(path.name for path in output.iterdir()) == sorted(p.name for p in (tmp_path / "whole").iterdir())
    assert all((output / path.name).read_bytes() == path.read_bytes() for path in (tmp_path / "whole").iterdir())
    assert whole_one.frames == 30
    assert not part_of(output).exists()


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_an_assignment_is_resumed(
    tmp_path: Path, source: Path, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    look = Look(usual_view("book", (), None, None), style="book", label=False)
    whole_one = do_assignment(source, tmp_path / "whole", ProcessJob(engine, look))
    hand_in = tmp_path / "hand-in"
    if how == "stopped":
        do_assignment(source, hand_in, ProcessJob(engine, look, **stopped_at(31)))
    else:
        killed_at(
            70, monkeypatch, lambda report: do_assignment(source, hand_in, ProcessJob(engine, look, progress=report))
        )
    explained = do_assignment(source, hand_in, ProcessJob(engine, look, resume=True))
    assert explained.frames == whole_one.frames == 75
    assert explained.earlier > 0
    for folder in ("kitchen", "kitchen-output"):
        names = sorted(path.name for path in (tmp_path / "whole" / folder).iterdir())
        assert sorted(path.name for path in (hand_in / folder).iterdir()) == names
        for name in names:
            assert (hand_in / folder / name).read_bytes() == (tmp_path / "whole" / folder / name).read_bytes()
    assert media_samples.times(hand_in / "kitchen-output.mp4") == [3600 * number for number in range(75)]


def test_frames_beside_a_film_are_resumed_with_it(tmp_path: Path, source: Path, engine: LocalEngine) -> None:
    output, frames = tmp_path / "kitchen-output.mp4", tmp_path / "frames"
    explain_film(source, output, ProcessJob(engine, **stopped_at(20)), frames=frames)
    explained = explain_film(source, output, ProcessJob(engine, resume=True), frames=frames)
    assert (explained.earlier, len(list(frames.iterdir()))) == (20, COUNT)


@pytest.mark.parametrize(
    ("packets", "shown", "count"),
    [
        ([], [], 0),
        ([0, 1, 2], [0, 1, 2], 3),
        ([0, 1, 2], [0, 1], 2),
        ([0, 4, 2, 1, 3], [0, 1, 2, 3, 4], 5),
        ([0, 4, 2, 1], [0, 1, 2, 3, 4], 1),
        ([0, 4, 2, 1, 3, 8], [0, 1, 2, 3, 4, 5], 5),
        ([0, 4, 2, 1, 3], [0, 1, 2, 3], 1),
        ([3, 1], [0, 1], 0),
    ],
)
def test_a_film_can_end_only_where_no_frame_depends_on_a_later_one(
    packets: list[int], shown: list[int], count: int
) -> None:
    assert playable_frames(packets, shown) == count


def test_a_journal_may_be_cut_off_anywhere(tmp_path: Path, source: Path, engine: LocalEngine) -> None:
    """After kill -9 or a full disk: the complete frames are taken over, and the result is complete."""
    output = tmp_path / "kitchen-output.mp4"
    with pytest.MonkeyPatch.context() as patch:
        killed_at(80, patch, lambda report: explain_film(source, output, ProcessJob(engine, progress=report)))
    kept = tmp_path / "kept"
    kept.mkdir()
    for path in (journal_of(output), part_of(output.with_suffix(".jsonl"))):
        shutil.copy(path, kept)
    length = journal_of(output).stat().st_size
    for cut in (0, 1, 40, 400, length // 3, length // 2, length - 1):
        for path in kept.iterdir():
            shutil.copy(path, tmp_path)
        journal_of(output).write_bytes((kept / journal_of(output).name).read_bytes()[:cut])
        explained = explain_film(source, output, ProcessJob(engine, resume=True))
        assert media_samples.times(output) == media_samples.times(source)
        assert len(media_samples.read(output)) == explained.frames == COUNT


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_after_kill_9_the_command_resumes(tmp_path: Path) -> None:
    source = media_samples.write(tmp_path / "long.mov", count=400, size=(320, 240), sound="aac")
    command = [sys.executable, "-m", "whycam", "process", "long.mov", "--resume"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "COLUMNS": "200"}
    part = tmp_path / "long-output.jsonl.part"
    for lines in (60, 130):
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not part.exists() or part.read_bytes().count(b"\n") < lines:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.wait(20)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "from an earlier run" in done.stdout
    assert media_samples.times(tmp_path / "long-output.mp4") == media_samples.times(source)
    assert len(media_samples.read(tmp_path / "long-output.mp4")) == 400
    assert sound_packets(tmp_path / "long-output.mp4") == sound_packets(source)
    pts = [line.pts for line in read_sidecar(tmp_path / "long-output.jsonl")[1]]
    assert len(set(pts)) == len(pts) == 400
    assert {path.name for path in tmp_path.iterdir()} == {"long.mov", "long-output.mp4", "long-output.jsonl"}
