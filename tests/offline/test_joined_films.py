"""A film of joined pieces, end to end: explained, stopped and resumed, drawn again, and what is reported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support import ROOT
from tests.support.films import media_samples
from tests.support.films.joined_films import COUNT, FRAME, joined, length_of_sound, piece, signals
from tests.support.models import tiny_models
from tests.support.models.engines import fast
from tests.support.recordings.interrupted_runs import killed_at, stopped_at
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.media.film_reader import Film, open_film, read_film
from whycam.stream.offline.assignment import do_assignment
from whycam.stream.offline.explain import explain_film
from whycam.stream.offline.pipeline import ProcessJob, ProcessResult
from whycam.stream.offline.replay import Changes, replay_once
from whycam.stream.recording.sidecar import read_sidecar


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    made = fast(tmp_path_factory.mktemp("models"))
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return joined(tmp_path / "capture.ts", piece(tmp_path / "a.ts"), piece(tmp_path / "b.ts", 1800))


@pytest.fixture
def explained(tmp_path: Path, source: Path, engine: LocalEngine) -> ProcessResult:
    return explain_film(source, tmp_path / "whole.mp4", ProcessJob(engine))


def times(sidecar: Path | None) -> list[float]:
    assert sidecar is not None
    return [json.loads(line)["time"] for line in sidecar.read_text(encoding="utf-8").splitlines()[1:]]


def test_all_frames_and_all_sound_are_in_the_result(tmp_path: Path, explained: ProcessResult) -> None:
    assert explained.frames == 2 * COUNT == len(media_samples.read(explained.output))
    assert explained.seconds == pytest.approx(4, abs=0.1)
    assert length_of_sound(explained.output) == pytest.approx(2 * length_of_sound(tmp_path / "a.ts"), abs=0.03)
    seen, heard = signals(explained.output)
    assert heard == pytest.approx(seen, abs=0.005)
    assert times(explained.sidecar) == pytest.approx(
        [at / 90_000 for at in media_samples.times(explained.output)], abs=1e-4
    )
    assert np.diff(times(explained.sidecar)).max() < 3 * FRAME


def test_the_sidecar_says_where_the_pieces_are_joined(explained: ProcessResult, engine: LocalEngine) -> None:
    assert explained.sidecar is not None
    header, _ = read_sidecar(explained.sidecar)
    assert header["joins"] == explained.losses.joins == pytest.approx([2.03], abs=0.02)
    plain = explain_film(explained.output, explained.output.with_name("again.mp4"), ProcessJob(engine))
    assert plain.sidecar is not None
    assert "joins" not in read_sidecar(plain.sidecar)[0]


@pytest.mark.parametrize("count", [COUNT - 5, COUNT, COUNT + 30])
def test_a_stopped_run_is_resumed_across_the_join(
    tmp_path: Path, source: Path, engine: LocalEngine, explained: ProcessResult, count: int
) -> None:
    output = tmp_path / "out.mp4"
    first = explain_film(source, output, ProcessJob(engine, **stopped_at(count)))
    assert (first.stopped, first.frames) == (True, count)
    assert read_sidecar(output.with_suffix(".jsonl"))[0].get("joins", []) == explained.losses.joins[: count > COUNT]
    second = explain_film(source, output, ProcessJob(engine, resume=True))
    assert second.earlier == count
    same(second, explained)


def test_a_killed_run_is_resumed_across_the_join(
    tmp_path: Path, source: Path, engine: LocalEngine, explained: ProcessResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"
    killed_at(COUNT + 40, monkeypatch, lambda report: explain_film(source, output, ProcessJob(engine, progress=report)))
    second = explain_film(source, output, ProcessJob(engine, resume=True))
    assert 0 < second.earlier < COUNT + 40
    same(second, explained)


def test_a_stop_at_the_last_expected_frame_is_a_stop(
    tmp_path: Path, source: Path, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a header the number of frames is an estimate."""
    monkeypatch.setattr(Film, "frames", property(lambda _: COUNT))
    first = explain_film(source, tmp_path / "out.mp4", ProcessJob(engine, **stopped_at(COUNT)))
    assert (first.stopped, first.frames) == (True, COUNT)
    whole = explain_film(source, tmp_path / "whole.mp4", ProcessJob(engine, **stopped_at(2 * COUNT)))
    assert (whole.stopped, whole.frames) == (False, 2 * COUNT)
    assert length_of_sound(whole.output) > 4


def same(ours: ProcessResult, uninterrupted: ProcessResult) -> None:
    assert ours.sidecar is not None
    assert uninterrupted.sidecar is not None
    assert ours.sidecar.read_bytes() == uninterrupted.sidecar.read_bytes()
    assert media_samples.times(ours.output) == media_samples.times(uninterrupted.output)
    assert length_of_sound(ours.output) == length_of_sound(uninterrupted.output)
    assert signals(ours.output) == signals(uninterrupted.output)


def test_a_joined_film_is_drawn_again(tmp_path: Path, source: Path, explained: ProcessResult) -> None:
    assert explained.sidecar is not None
    done = replay_once(explained.sidecar, source, tmp_path / "again.mp4", Changes())
    assert done.unknown == 0
    assert media_samples.times(done.explained.output) == media_samples.times(explained.output)
    assert signals(done.explained.output) == signals(explained.output)


def test_the_assignment_has_frames_of_all_pieces(tmp_path: Path, source: Path, engine: LocalEngine) -> None:
    done = do_assignment(source, tmp_path / "hand-in", ProcessJob(engine))
    assert done.frames == pytest.approx(4.04 * 25, abs=2)
    seen, heard = signals(done.output)
    assert len(seen) == 2
    assert heard == pytest.approx(seen, abs=0.05)
    assert "Its clock jumps at 2.0" in (tmp_path / "hand-in" / "what-was-done.txt").read_text()


@pytest.mark.parametrize("begin", [0, 1800, 36_000])
def test_the_progress_counts_the_frames_of_all_pieces(tmp_path: Path, engine: LocalEngine, begin: float) -> None:
    parts = [piece(tmp_path / f"{n}.ts", at, count=90) for n, at in enumerate((1000, begin))]
    reported: list[tuple[int, int]] = []
    work = ProcessJob(engine, progress=lambda done, expected: reported.append((done, expected)))
    explain_film(joined(tmp_path / "joined.ts", *parts), tmp_path / "out.mp4", work)
    assert [done for done, _ in reported] == list(range(1, 181))
    assert [expected for _, expected in reported[100:]] == pytest.approx([180] * 80, rel=0.3)


def test_the_command_says_what_was_done(tmp_path: Path, source: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    command = [sys.executable, "-m", "whycam", "process", "capture.ts", "--model", str(model)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Its clock jumps at 2.03 s" in done.stdout
    assert "120 frames" in done.stdout


def test_a_joined_film_from_a_pipe_is_complete(source: Path) -> None:
    with source.open("rb") as pipe, open_film(pipe, threading.Event()) as opened:
        pictures = [item for item in read_film(opened) if hasattr(item, "planes")]
        assert len(pictures) == 2 * COUNT
        assert len(opened.losses.joins) == 1
