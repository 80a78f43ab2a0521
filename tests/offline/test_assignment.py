"""The assignment in one command: the film's frames, as many explained ones, their film, and the summary."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.films import media_samples
from tests.support.models.engines import fast
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.media.image import read_image
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.assignment import SUMMARY, do_assignment
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.overlay.renderer import Look
from whycam.stream.overlay.styles import usual_view

SIZE = (64, 48)
BOOK = Look(usual_view("book", (), None, None), style="book", label=False)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    made = fast(tmp_path_factory.mktemp("models"))
    yield made
    made.close()


def test_all_that_is_handed_in_is_in_one_folder(tmp_path: Path, engine: LocalEngine) -> None:
    source = media_samples.write(tmp_path / "kitchen-input.mov", count=60, size=SIZE, turn=90, sound="aac")
    explained = do_assignment(source, tmp_path / "hand-in", ProcessJob(engine, BOOK))
    folder = tmp_path / "hand-in"
    assert {path.name for path in folder.iterdir()} == {
        "kitchen",
        "kitchen-output",
        "kitchen-output.mp4",
        "kitchen-output.jsonl",
        "report.html",
        "report.png",
        SUMMARY,
    }
    count = explained.frames
    assert count == 50  # two seconds at 25
    assert sorted(p.name for p in (folder / "kitchen").iterdir()) == [f"thumb{n:04d}.jpg" for n in range(1, count + 1)]
    results = sorted(p.name for p in (folder / "kitchen-output").iterdir())
    assert results == [f"result-{n:04d}.jpg" for n in range(1, count + 1)]
    assert media_samples.times(folder / "kitchen-output.mp4") == [3600 * n for n in range(count)]
    assert media_samples.sound(folder / "kitchen-output.mp4")[1] == pytest.approx(1.0, abs=0.05)
    assert len((folder / "kitchen-output.jsonl").read_text().splitlines()) == count + 1
    summary = (folder / SUMMARY).read_text(encoding="utf-8")
    for words in ("kitchen-input.mov", "bright spot", "50 frames", "jet", engine.sha256):
        assert words in summary


def test_input_frames_are_upright_and_unpainted_and_result_frames_are_painted(
    tmp_path: Path, engine: LocalEngine
) -> None:
    source = media_samples.write(tmp_path / "kitchen.mov", count=30, size=SIZE, turn=90)
    do_assignment(source, tmp_path, ProcessJob(engine, BOOK))
    for number in (1, 10, 25):
        before = read_image(tmp_path / "kitchen" / f"thumb{number:04d}.jpg").astype(int)
        after = read_image(tmp_path / "kitchen-output" / f"result-{number:04d}.jpg").astype(int)
        assert before.shape == after.shape == (64, 48, 3)
        assert np.ptp(before[-8:, -8:].mean((0, 1))) < 8  # grey
        assert after[-8:, -8:, 2].mean() > after[-8:, -8:, 0].mean() + 10  # jet's coldest is blue
        red = before[..., 0] - before[..., 2]
        row, column = np.unravel_index(red.argmax(), red.shape)
        assert row < 40
        assert column < 24


@pytest.mark.parametrize(
    "pts",
    [
        [3003 * n for n in range(45)],
        [3000 * n + 45_000 for n in range(40)],
        [1500 * n for n in range(80)],
        [0, 3000, 12_000, 13_000, 40_000, 41_000, 41_500, 90_000, 93_000],
    ],
)
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_there_are_as_many_frames_as_ffmpeg_makes(tmp_path: Path, engine: LocalEngine, pts: Sequence[int]) -> None:
    source = media_samples.write(tmp_path / "kitchen.mov", count=len(pts), pts=pts, size=SIZE)
    (tmp_path / "theirs").mkdir()
    command = ["ffmpeg", "-v", "error", "-i", str(source), "-vf", "fps=25", str(tmp_path / "theirs" / "thumb%04d.jpg")]
    subprocess.run(command, check=True)
    explained = do_assignment(source, tmp_path / "ours", ProcessJob(engine, BOOK))
    # Older versions of ffmpeg ignore the duration of the last frame.
    assert explained.frames - len(list((tmp_path / "theirs").iterdir())) in (0, 1)
    assert len(list((tmp_path / "ours" / "kitchen").iterdir())) == explained.frames


def test_a_second_run_needs_overwrite(tmp_path: Path, engine: LocalEngine) -> None:
    source = media_samples.write(tmp_path / "kitchen.mp4", count=10, size=SIZE)
    do_assignment(source, tmp_path / "out", ProcessJob(engine, BOOK))
    with pytest.raises(MediaError, match="--overwrite"):
        do_assignment(source, tmp_path / "out", ProcessJob(engine, BOOK))
    longer = media_samples.write(tmp_path / "kitchen.mp4", count=4, size=SIZE)
    explained = do_assignment(longer, tmp_path / "out", ProcessJob(engine, BOOK), overwrite=True)
    assert len(list((tmp_path / "out" / "kitchen").iterdir())) == explained.frames < 6


def test_a_file_that_is_no_film_leaves_no_folder(tmp_path: Path, engine: LocalEngine) -> None:
    (tmp_path / "kitchen.mov").write_text("no film")
    with pytest.raises(MediaError, match="cannot be read as a video"):
        do_assignment(tmp_path / "kitchen.mov", tmp_path / "out", ProcessJob(engine, BOOK))
    assert [path.name for path in tmp_path.iterdir()] == ["kitchen.mov"]


def test_frames_of_a_slow_film_are_repeated(tmp_path: Path, engine: LocalEngine) -> None:
    pts = [n * 18_000 for n in range(6)]  # five a second: each is shown five times
    source = media_samples.write(tmp_path / "slow.mov", count=6, pts=pts, size=SIZE)
    do_assignment(source, tmp_path, ProcessJob(engine, Look()))
    shots = media_samples.read(tmp_path / "slow-output.mp4")
    lumas = [media_samples.pixels(shot.frame)[0].astype(int) for shot in shots[:5]]
    assert all(np.abs(luma - lumas[0]).mean() < 2 for luma in lumas)
    assert shots[1].time == Fraction(1, 25)
    assert isinstance(shots[0].frame, av.VideoFrame)
