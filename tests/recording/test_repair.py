"""Repair after a crash: the same frames at the same times, and a correct note."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import av
import pytest

from tests.support.films import media_samples
from tests.support.recordings.recorded_sessions import SIZE, SUFFIX, Session, killed, session_json
from whycam.stream.recording.lock import FolderLock, is_held
from whycam.stream.recording.note import MAX_DEPTH
from whycam.stream.recording.paths import new_folder, recordings
from whycam.stream.recording.repair import CUT_OFF, count_frames, finish, repair, repair_all
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.video.codec import CodecName

CODECS = pytest.mark.parametrize("codec", get_args(CodecName))


def shots(path: Path) -> list[int]:
    return media_samples.times(path)


@CODECS
def test_a_killed_recording_becomes_an_ordinary_one_with_all_its_frames(tmp_path: Path, codec: CodecName) -> None:
    folder = killed(tmp_path, codec)
    before = {path.name: shots(path) for path in folder.glob(f"*{SUFFIX[codec]}")}
    assert repair_all(tmp_path) == 1
    note = session_json(folder)
    assert (note["state"], note["status"]["state"], note["repaired"]) == ("ended", "stopped", True)
    assert (note["status"]["reason"], note["status"]["code"]) == (CUT_OFF, "cut-off")
    assert {path.name: shots(path) for path in folder.glob(f"*{SUFFIX[codec]}")} == before
    for track, count in (("camera", "recorded"), ("explained", "explained_recorded")):
        (segment,) = note[track]
        assert len(before[segment["file"]]) == note["counts"][count] > 170
        with av.open(folder / segment["file"]) as file:
            assert file.duration  # a player can show the duration
            assert len(list(file.decode(video=0))) == note["counts"][count]
    assert note["counts"]["sidecar_lines"] == len(list(read_sidecar(folder / "predictions.jsonl")[1]))
    assert {path.name for path in folder.iterdir()} == {*before, "predictions.jsonl", "session.json"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert repair_all(tmp_path) == 0


@pytest.mark.parametrize("depth", [MAX_DEPTH, 400, 900, 100_000])
def test_a_deeply_nested_note_stops_no_other_repair(tmp_path: Path, depth: int) -> None:
    """Its RecursionError did, from the parser or, less deep, from the writer."""
    deep = tmp_path / "2020-11-22_21-03-55_1f3a9c0d77e2"  # the first
    deep.mkdir()
    nested = "[" * depth + "]" * depth
    (deep / "session.json").write_text(f'{{"state": "recording", "camera": [], "explained": [], "x": {nested}}}')
    (deep / "predictions.jsonl").touch()
    killed(tmp_path, "VP8")
    assert repair_all(tmp_path) == 1
    assert nested in (deep / "session.json").read_text()


def test_a_finished_film_has_no_fragments_and_keeps_its_first_time(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    session = Session(folder)
    painted = media_samples.encoded("H264", 60, SIZE, keyframes=(7,))
    frames = media_samples.encoded("H264", 60, SIZE)
    session.recording.camera(frames[0])
    session.settle()
    for camera, explained in zip(frames[1:], painted[1:], strict=True):
        session.feed([camera], explained=[explained])
    session.settle()
    path = tmp_path / "copy.mp4"
    while count_frames(folder / "explained-000.mp4") < 30:
        time.sleep(0.01)
    path.write_bytes((folder / "explained-000.mp4").read_bytes())
    session.close()
    had = shots(path)
    assert had[0] == 7 * media_samples.STEP
    assert finish(path) == len(had)
    assert shots(path) == had
    assert b"moof" not in path.read_bytes()


def test_a_cut_off_line_of_the_sidecar_is_dropped(tmp_path: Path) -> None:
    folder = killed(tmp_path, "VP8", 40)
    sidecar = folder / "predictions.jsonl"
    whole = sidecar.read_bytes()
    whole = whole[: whole.rindex(b"\n") + 1]
    sidecar.write_bytes(whole + b'{"pts": 17, "time": 0.0001')
    assert repair(folder)
    assert sidecar.read_bytes() == whole
    assert session_json(folder)["counts"]["sidecar_lines"] == whole.count(b"\n") - 1


def test_a_film_without_a_complete_fragment_is_not_listed_and_stays(tmp_path: Path) -> None:
    folder = killed(tmp_path, "H264", 40)
    (folder / "explained-000.mp4").write_bytes(b"\0\0\0\x1cftypiso5")
    assert repair(folder)
    note = session_json(folder)
    assert note["explained"] == []
    assert note["counts"]["explained_recorded"] == 0
    assert (folder / "explained-000.mp4").stat().st_size == 12
    assert note["counts"]["recorded"] > 0


def test_a_running_recording_is_not_repaired(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    session = Session(folder)
    session.feed(media_samples.encoded("H264", 20, SIZE))
    session.settle()
    assert is_held(folder)
    assert repair_all(tmp_path) == 0
    assert session_json(folder)["state"] == "recording"
    note = session.close()
    assert not is_held(folder)
    assert "repaired" not in note
    assert repair_all(tmp_path) == 0


def test_of_two_servers_that_start_together_one_repairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = killed(tmp_path, "H264", 40)
    repaired: list[int] = []

    def finish_slowly(path: Path) -> int:
        repaired.append(repair_all(tmp_path))  # the other server starts meanwhile
        return finish(path)

    monkeypatch.setattr("whycam.stream.recording.repair.finish", finish_slowly)
    assert repair_all(tmp_path) == 1
    assert repaired == [0, 0]
    assert not is_held(folder)


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    hold = FolderLock(tmp_path)
    assert is_held(tmp_path)
    hold.release()
    hold.release()
    assert not is_held(tmp_path)
    program = (
        "import sys, time; from pathlib import Path; from whycam.stream.recording.lock import FolderLock; "
        "h = FolderLock(Path(sys.argv[1]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", f"{program}; print(1, flush=True); time.sleep(60)", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert is_held(tmp_path)
        process.kill()
    assert not is_held(tmp_path)


def test_a_recording_that_cannot_be_repaired_does_not_hide_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notes = {
        "none": None,
        "no JSON": "{",
        "an outside file": json.dumps({"state": "recording", "camera": [{"file": "../x.mp4"}], "explained": []}),
        "no object": "[]",
        "half an object": '{"state": "recording"}',
    }
    for text in notes.values():
        folder = new_folder(tmp_path)
        (folder / "predictions.jsonl").touch()
        if text is not None:
            (folder / "session.json").write_text(text)
    killed(tmp_path, "VP8", 40)
    assert repair_all(tmp_path) == 1
    assert caplog.text.count("could not be repaired") == len(notes)


def test_only_recordings_are_listed(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    (tmp_path / "holiday").mkdir()
    (tmp_path / "2026-11-22_21-03-55_1f3a9c.txt").touch()
    os.symlink(folder, tmp_path / "2026-11-22_21-03-55_1f3a9c")
    assert recordings(tmp_path) == [folder]
    assert recordings(tmp_path / "none") == []


def test_ten_minutes_are_repaired_in_less_than_five_seconds(tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    session = Session(folder)
    frames = media_samples.encoded("H264", 300, (640, 480))
    for lap in range(60):
        for frame in frames:
            moved = type(frame)(frame.codec, frame.data, frame.pts + lap * 300 * media_samples.STEP)
            session.feed([moved])
        session.settle()
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    session.close()
    start = time.perf_counter()
    assert repair(copy)
    took = time.perf_counter() - start
    print(f"10 minutes, {sum(p.stat().st_size for p in copy.iterdir()) / 2**20:.0f} MiB: {took:.2f} s")
    assert session_json(copy)["counts"]["recorded"] > 17_900
    assert took < 5
