"""Summary of a recording's classes from its sidecar, which is read incrementally."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.recordings.on_disk import Best, line
from whycam.stream.recording.sidecar import Scores, SidecarWriter, read_scores, read_sidecar
from whycam.stream.recording.summary import MOMENTS, ClassStatistics

STEP = 3000


def written(path: Path, count: int, best: Best, *, first: int = 0) -> Path:
    header = {"model": "tiny", "time_base": [1, 90_000]}
    with SidecarWriter(path, header) as sidecar:
        for number in range(first, first + count):
            sidecar.write(line(number * STEP, best(number), 0.6 + number % 30 / 100))
    return path


def statistics(path: Path) -> ClassStatistics:
    made = ClassStatistics()
    made.catch_up(path)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "predictions.jsonl"


def test_scores_read_without_maps_equal_those_of_the_sidecar(path: Path) -> None:
    written(path, 20, lambda number: [3, 4, 0, 1, 2][: number % 6])
    quick = [scores for _, scores in read_scores(path) if scores is not None]
    _, frames = read_sidecar(path)
    for scores, frame in zip(quick, frames, strict=True):
        assert scores.time == round(frame.pts / 90_000, 6)
        assert scores.classes == tuple(m.class_id for m in frame.maps)
        assert scores.labels == tuple(m.label for m in frame.maps)
        assert scores.scores == tuple(m.score for m in frame.maps)


def test_a_share_is_of_all_frames_and_per_class_not_per_label(path: Path) -> None:
    written(path, 100, lambda number: () if number < 10 else (3,) if number < 50 else (4,) if number < 70 else (0, 3))
    assert statistics(path).shares(5) == [
        {"label": "crane", "share": 0.4},
        {"label": "banana", "share": 0.3},
        {"label": "crane", "share": 0.2},
    ]
    assert len(statistics(path).shares(2)) == 2


def test_thumbnails_are_of_the_longest_scenes_at_their_highest_probability(path: Path) -> None:
    # Each class is best for 30 frames, most probable in the last; between two classes another one flickers.
    written(path, 240, lambda number: (6,) if number % 30 == 0 else (number // 30 % 5,))
    moments = statistics(path).moments()
    assert len(moments) == 6
    assert moments == sorted(moments)
    assert {round(moment * 30) % 30 for moment in moments} == {29}


def test_a_recording_of_flickers_has_one_thumbnail_and_an_empty_one_none(path: Path) -> None:
    written(path, 4, lambda number: (number,))
    assert len(statistics(path).moments()) == 1
    written(path, 4, lambda _: ())
    assert statistics(path).moments() == []
    assert statistics(path).shares(5) == []


def test_a_long_recording_of_flickers_takes_bounded_memory(path: Path) -> None:
    # One long scene, two hours of flickers, and a longer scene: both scenes are kept.
    made = ClassStatistics()
    for number in range(220_000):
        best = 0 if number < 300 else 1 if number > 219_000 else number % 5
        made.add(Scores(number / 30, (best,), ("",), (0.5,)))
        assert len(made._longest) <= MOMENTS
    assert len(made.moments()) == 2


def test_a_growing_sidecar_is_read_incrementally(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = written(path, 90, lambda number: (number // 30, 5)).read_bytes()
    at_once = statistics(path)
    growing = ClassStatistics()
    path.write_bytes(b"")
    read = 0
    parts = [whole[:1000], whole[1000:12_345], whole[12_345:12_346], whole[12_346:]]
    for part in parts:  # most end in mid-line
        with path.open("ab") as file:
            file.write(part)
        growing.catch_up(path)
        assert growing._read >= read
        read = growing._read
    assert read == len(whole)
    assert (growing.seconds, growing.shares(5), growing.moments()) == (
        at_once.seconds,
        at_once.shares(5),
        at_once.moments(),
    )
    assert growing.seconds == pytest.approx(3.0, abs=0.001)


def test_only_the_damaged_lines_are_left_out(path: Path) -> None:
    lines = written(path, 30, lambda _: (0,)).read_bytes().splitlines(keepends=True)
    lines[5] = b"\xff" + lines[5]
    lines[7] = b'{"time": "soon","heatmaps":[]}\n'
    lines[9] = b"[" * 100_000 + b',"heatmaps":\n'
    path.write_bytes(b"".join(lines)[:-10])  # the last line is cut off
    assert statistics(path)._frames == 26


def test_the_timeline_has_the_most_frequent_best_classes_at_evenly_spaced_frames(path: Path) -> None:
    written(path, 1000, lambda number: (0, 1, 2) if number < 600 else (5, 0))
    timeline = ClassStatistics().timeline(path, 100, 8)
    assert len(timeline["times"]) == 100
    assert timeline["times"][:2] == [0.0, pytest.approx(10 / 30, abs=0.001)]
    assert timeline["times"][-1] == pytest.approx(990 / 30, abs=0.001)
    assert [(each["class"], each["label"]) for each in timeline["classes"]] == [(0, "banana"), (5, "bowl")]
    banana, bowl = (each["scores"] for each in timeline["classes"])
    assert banana[0] == 0.6
    assert banana[60] == pytest.approx(banana[0] / 2)  # the second best now
    assert (bowl[0], bowl[60]) == (None, 0.6)
    assert len(ClassStatistics().timeline(path, 100, 1)["classes"]) == 1


def test_a_short_timeline_has_every_frame(path: Path) -> None:
    written(path, 7, lambda _: (0,))
    assert len(ClassStatistics().timeline(path, 600, 8)["times"]) == 7
