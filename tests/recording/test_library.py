"""The shelf: every recording is listed honestly, none breaks the list, and what is set aside can be had back."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.films import media_samples
from tests.support.recordings.on_disk import record
from whycam.stream.recording import library as module
from whycam.stream.recording.library import SET_ASIDE, RecordingLibrary, StoredRecording
from whycam.stream.recording.paths import first_of
from whycam.stream.recording.repair import CUT_OFF, repair
from whycam.stream.recording.sidecar import read_scores

ID = "2026-11-22_21-03-55_1f3a9c0d77e2"
OLDER = "2026-10-01_08-00-00_aaaaaaaaaaaa"


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


def only(shelf: Path) -> StoredRecording:
    (recorded,) = RecordingLibrary(shelf).recordings()
    return recorded


def described(shelf: Path, live: str | None = None) -> dict[str, Any]:
    return only(shelf).describe(live)


def test_a_finished_recording_is_told_with_all_that_the_page_shows(shelf: Path) -> None:
    record(shelf / ID, best=lambda number: (0, 1) if number < 40 else (2,))
    told = described(shelf)
    sizes = {path.name: path.stat().st_size for path in (shelf / ID).iterdir()}
    began = datetime(2026, 11, 22, 21, 3, 55).astimezone(UTC)  # the name is in local time
    assert told == {
        "id": ID,
        "session": "1f3a9c0d77e2",
        "began": began.isoformat(),
        "seconds": pytest.approx(2.0, abs=0.02),
        "state": "finished",
        "live": None,
        "model": "tiny",
        "reason": "",
        "code": None,
        "labels": [{"label": "banana", "share": 0.667}, {"label": "cup", "share": 0.333}],
        "bytes": sum(sizes.values()),
        "segments": [
            {
                "camera": "camera-000.mp4",
                "explained": "explained-000.mp4",
                "begins": 0.0,
                "seconds": pytest.approx(2.0, abs=0.02),
                "size": [64, 48],
            }
        ],
        "files": [{"name": name, "bytes": sizes[name]} for name in sorted(sizes)],
        "pictures": [pytest.approx(29 / 30, abs=0.001), pytest.approx(59 / 30, abs=0.001)],
    }
    assert json.loads(json.dumps(told)) == told


def test_a_note_tells_what_the_sidecar_tells(shelf: Path) -> None:
    record(shelf / ID, best=lambda number: (number // 25, 5))
    quick = only(shelf)
    assert len(quick.labels) == 3
    note = json.loads((shelf / ID / "session.json").read_text(encoding="utf-8"))
    del note["labels"], note["moments"]  # as it was before notes told it
    (shelf / ID / "session.json").write_text(json.dumps(note), encoding="utf-8")
    slow = only(shelf)
    assert (slow.labels, slow.moments) == (quick.labels, quick.moments)
    (shelf / ID / "session.json").write_text(json.dumps({**note, "state": "recording"}), encoding="utf-8")
    assert (only(shelf).labels, only(shelf).moments) == (quick.labels, quick.moments)


def test_where_the_size_changes_a_new_pair_of_films_begins(shelf: Path) -> None:
    frames = [
        *media_samples.encoded("H264", 30),
        *media_samples.encoded("H264", 15, (48, 64), first=30 * media_samples.STEP),
    ]
    record(shelf / ID, frames)
    one, other = described(shelf)["segments"]
    assert (one["begins"], one["seconds"], one["size"]) == (0.0, 1.0, [64, 48])
    assert (other["begins"], other["seconds"], other["size"]) == (1.0, pytest.approx(0.5, abs=0.02), [48, 64])
    assert (other["camera"], other["explained"]) == ("camera-001.mp4", "explained-001.mp4")
    assert described(shelf)["seconds"] == pytest.approx(1.5, abs=0.02)
    assert only(shelf).film_at(0.9) == ("explained-000.mp4", 0.9)
    assert only(shelf).film_at(1.25) == ("explained-001.mp4", 0.25)


def test_the_newest_comes_first_and_what_is_no_recording_is_left_out(shelf: Path) -> None:
    for name in (OLDER, ID):
        record(shelf / name)
    (shelf / "holiday").mkdir()
    (shelf / f"{ID}.mp4").write_bytes(b"")
    (shelf / "2026-11-22_21-03-56_1f3a9c0d77e3").symlink_to(shelf / ID)
    (shelf / ID / ".hidden").write_bytes(b"")
    (shelf / ID / "session.tmp").write_bytes(b"")
    (shelf / ID / "link.mp4").symlink_to("/etc/passwd")
    assert [recorded.id for recorded in RecordingLibrary(shelf).recordings()] == [ID, OLDER]
    assert set(RecordingLibrary(shelf).recordings()[0].files) == {
        "camera-000.mp4",
        "explained-000.mp4",
        "predictions.jsonl",
        "session.json",
    }
    assert RecordingLibrary(shelf / "none").recordings() == []


def test_what_is_being_recorded_is_told_and_read_on(shelf: Path) -> None:
    frames = media_samples.encoded("H264", 90)
    recording = record(shelf / ID, frames[:45], end=False)
    archive = RecordingLibrary(shelf)
    seconds = []
    for part in (frames[45:60], frames[60:]):
        for frame in part:
            recording.camera(frame)
        deadline = time.monotonic() + 10
        while recording._camera.recorded < part[-1].pts / media_samples.STEP + 1 or recording._explained.recorded < 45:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (recorded,) = archive.recordings()
        told = recorded.describe("iDr9")
        seconds.append(told["seconds"])
        assert (told["state"], told["live"]) == ("recording", "iDr9")
        assert told["labels"][0]["label"] == "banana"
    assert seconds[0] == pytest.approx(1.5, abs=0.02)  # as far as it is explained
    recording.close()
    (recorded,) = archive.recordings()
    told = recorded.describe(None)
    assert (told["state"], told["seconds"]) == ("finished", pytest.approx(3.0, abs=0.02))


def test_a_crash_leaves_a_recording_that_says_so_and_can_be_seen(shelf: Path, tmp_path: Path) -> None:
    recording = record(tmp_path / "alive" / ID, end=False)
    deadline = time.monotonic() + 10
    while recording._explained.recorded < 60:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    shutil.copytree(tmp_path / "alive", shelf)  # what kill -9 would leave
    recording.close()
    told = described(shelf)
    assert (told["state"], told["live"]) == ("cut off", None)
    assert told["seconds"] == pytest.approx(2.0, abs=0.02)
    assert told["segments"][0]["explained"] == "explained-000.mp4"
    assert repair(shelf / ID)  # as the next start does
    repaired = described(shelf)
    assert (repaired["state"], repaired["reason"], repaired["code"]) == ("cut off", CUT_OFF, "cut-off")
    assert repaired["labels"] == told["labels"]
    assert repaired["seconds"] == pytest.approx(told["seconds"], abs=0.6)


def without_a_note(folder: Path) -> None:
    (folder / "session.json").unlink()


def without_a_sidecar(folder: Path) -> None:
    (folder / "predictions.jsonl").unlink()


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"")


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def noted(text: str) -> Any:
    return lambda folder: (folder / "session.json").write_text(text, encoding="utf-8")


def garbled(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(os.urandom(5000))


DAMAGES = {
    "no note": without_a_note,
    "no sidecar": without_a_sidecar,
    "empty files": empty,
    "no files": emptied,
    "noise": garbled,
    "a note that is a list": noted("[]"),
    "a note that is deep": noted("[" * 100_000),
    "a note of another kind": noted('{"state": "ended", "status": [], "model": 1, "camera": 3, "explained": null}'),
    "a note about odd segments": noted(
        '{"state": "ended", "status": {"state": "on"}, "model": "m", "explained": [],'
        ' "camera": [{"file": "camera-000.mp4", "first_pts": "x", "size": [1]}]}'
    ),
    "a note about a file elsewhere": noted(
        '{"state": "ended", "status": {"state": "on"}, "model": "m", "explained": [],'
        ' "camera": [{"file": "../../../etc/passwd", "first_pts": 0, "size": [1, 1]}]}'
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_recording_is_listed_and_does_not_break_the_list(shelf: Path, damage: str) -> None:
    for name in (OLDER, ID):
        record(shelf / name)
    DAMAGES[damage](shelf / ID)
    archive = RecordingLibrary(shelf)
    broken, whole = (recorded.describe(None) for recorded in archive.recordings())
    assert whole["state"] == "finished"
    assert broken["id"] == ID
    assert {file["name"] for file in broken["files"]} == {path.name for path in (shelf / ID).iterdir()}
    if "note" in damage and "elsewhere" not in damage:
        assert broken["state"] == "cut off"
    assert "passwd" not in json.dumps(broken)
    assert archive.find(ID) is not None


@pytest.mark.parametrize("name", ["2026-02-31_21-03-55_1f3a9c", "9999-99-99_99-99-99_1f3a9c"])
def test_a_date_that_is_none_does_not_break_the_list(shelf: Path, name: str) -> None:
    record(shelf / name)
    assert described(shelf)["began"].startswith("1970")


def test_only_what_changed_is_read_again(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (OLDER, ID):
        record(shelf / name)
    archive = RecordingLibrary(shelf)
    before = archive.recordings()
    read: list[str] = []
    real = module._read

    def noting(folder: Path, *rest: Any) -> StoredRecording:
        read.append(folder.name)
        return real(folder, *rest)

    monkeypatch.setattr(module, "_read", noting)
    assert archive.recordings() == before
    assert read == []
    with (shelf / ID / "predictions.jsonl").open("ab") as file:
        file.write(b"\n")
    archive.recordings()
    assert read == [ID]
    assert archive.find(OLDER) == before[1]
    assert read == [ID]


TEXTS = [
    "",
    ".",
    "..",
    "../recordings",
    f"{ID}/",
    f"./{ID}",
    f"{ID}\0",
    ID.upper(),
    "holiday",
    SET_ASIDE,
    "*",
    "a" * 5000,
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_is_no_name_on_the_shelf_finds_nothing(shelf: Path, text: str) -> None:
    record(shelf / ID)
    (shelf / "holiday").mkdir()
    archive = RecordingLibrary(shelf)
    recorded = archive.find(ID)
    assert recorded is not None
    archive.set_aside(recorded)
    assert archive.restore(ID)
    assert archive.find(text) is None
    assert first_of(shelf, text) is None
    assert archive.path(recorded, text) is None
    assert not archive.restore(text)


def test_a_session_is_found_by_its_own_id_alone(shelf: Path) -> None:
    record(shelf / ID)
    assert first_of(shelf, "1f3a9c0d77e2") == shelf / ID
    assert first_of(shelf, "1f3a9c") is None
    assert first_of(shelf, ID) is None
    assert first_of(shelf / "none", "1f3a9c0d77e2") is None


def test_what_is_set_aside_is_off_the_shelf_and_can_be_had_back(shelf: Path) -> None:
    record(shelf / ID)
    archive = RecordingLibrary(shelf)
    before = archive.recordings()
    archive.set_aside(before[0])
    assert archive.recordings() == []
    assert archive.find(ID) is None
    with pytest.raises(FileNotFoundError):
        archive.set_aside(before[0])
    archive.tidy()
    assert archive.restore(ID)
    assert not archive.restore(ID)
    assert archive.recordings() == before
    assert list((shelf / SET_ASIDE).iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there the open files themselves cannot be moved")
def test_what_another_whycam_records_is_not_set_aside(shelf: Path) -> None:
    recording = record(shelf / ID, end=False)
    archive = RecordingLibrary(shelf)
    (recorded,) = archive.recordings()
    with pytest.raises(OSError, match="still writes"):
        archive.set_aside(recorded)
    recording.close()
    archive.set_aside(recorded)


def test_after_its_time_it_is_gone_for_good(shelf: Path) -> None:
    for name in (OLDER, ID):
        record(shelf / name)
        os.utime(shelf / name, (0, 0))  # how old the recording is does not count
    archive = RecordingLibrary(shelf, keep_s=0.3)
    for recorded in archive.recordings():
        archive.set_aside(recorded)
    assert archive.restore(OLDER)
    time.sleep(0.35)
    assert not archive.restore(ID)
    archive.tidy()
    assert list((shelf / SET_ASIDE).iterdir()) == []
    assert [recorded.id for recorded in archive.recordings()] == [OLDER]


def test_scores_are_read_without_their_maps(shelf: Path) -> None:
    """Listing many recordings is quick for this alone: a map is text of many times its scores."""
    record(shelf / ID)
    path = shelf / ID / "predictions.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"data":"', b'"data":"?'))  # no base64 any more
    assert sum(scores is not None for _, scores in read_scores(path)) == 60
