"""The library: every recording is listed as it is, none breaks the list, and one set aside can be restored."""

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
def root(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


def only(root: Path) -> StoredRecording:
    (recorded,) = RecordingLibrary(root).recordings()
    return recorded


def described(root: Path, live: str | None = None) -> dict[str, Any]:
    return only(root).describe(live)


def test_a_finished_recording_is_described_with_all_that_the_page_shows(root: Path) -> None:
    record(root / ID, best=lambda number: (0, 1) if number < 40 else (2,))
    description = described(root)
    sizes = {path.name: path.stat().st_size for path in (root / ID).iterdir()}
    began = datetime(2026, 11, 22, 21, 3, 55).astimezone(UTC)  # the name is in local time
    assert description == {
        "id": ID,
        "session": "1f3a9c0d77e2",
        "began": began.isoformat(),
        "seconds": pytest.approx(2.0, abs=0.02),
        "state": "finished",
        "film": None,
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
    assert json.loads(json.dumps(description)) == description


def test_a_note_has_the_same_summary_as_the_sidecar(root: Path) -> None:
    record(root / ID, best=lambda number: (number // 25, 5))
    quick = only(root)
    assert len(quick.labels) == 3
    note = json.loads((root / ID / "session.json").read_text(encoding="utf-8"))
    del note["labels"], note["moments"]  # as in notes of older versions
    (root / ID / "session.json").write_text(json.dumps(note), encoding="utf-8")
    slow = only(root)
    assert (slow.labels, slow.moments) == (quick.labels, quick.moments)
    (root / ID / "session.json").write_text(json.dumps({**note, "state": "recording"}), encoding="utf-8")
    assert (only(root).labels, only(root).moments) == (quick.labels, quick.moments)


def test_a_change_of_size_begins_a_new_pair_of_films(root: Path) -> None:
    frames = [
        *media_samples.encoded("H264", 30),
        *media_samples.encoded("H264", 15, (48, 64), first=30 * media_samples.STEP),
    ]
    record(root / ID, frames)
    one, other = described(root)["segments"]
    assert (one["begins"], one["seconds"], one["size"]) == (0.0, 1.0, [64, 48])
    assert (other["begins"], other["seconds"], other["size"]) == (1.0, pytest.approx(0.5, abs=0.02), [48, 64])
    assert (other["camera"], other["explained"]) == ("camera-001.mp4", "explained-001.mp4")
    assert described(root)["seconds"] == pytest.approx(1.5, abs=0.02)
    assert only(root).film_at(0.9) == ("explained-000.mp4", 0.9)
    assert only(root).film_at(1.25) == ("explained-001.mp4", 0.25)


def test_the_newest_comes_first_and_other_files_are_left_out(root: Path) -> None:
    for name in (OLDER, ID):
        record(root / name)
    (root / "holiday").mkdir()
    (root / f"{ID}.mp4").write_bytes(b"")
    (root / "2026-11-22_21-03-56_1f3a9c0d77e3").symlink_to(root / ID)
    (root / ID / ".hidden").write_bytes(b"")
    (root / ID / "session.tmp").write_bytes(b"")
    (root / ID / "link.mp4").symlink_to("/etc/passwd")
    assert [recorded.id for recorded in RecordingLibrary(root).recordings()] == [ID, OLDER]
    assert set(RecordingLibrary(root).recordings()[0].files) == {
        "camera-000.mp4",
        "explained-000.mp4",
        "predictions.jsonl",
        "session.json",
    }
    assert RecordingLibrary(root / "none").recordings() == []


def test_a_running_recording_is_described_and_read_on(root: Path) -> None:
    frames = media_samples.encoded("H264", 90)
    recording = record(root / ID, frames[:45], end=False)
    archive = RecordingLibrary(root)
    seconds = []
    for part in (frames[45:60], frames[60:]):
        for frame in part:
            recording.camera(frame)
        deadline = time.monotonic() + 10
        count = part[-1].pts / media_samples.STEP + 1
        while recording.camera_track.recorded < count or recording.explained_track.recorded < 45:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (recorded,) = archive.recordings()
        description = recorded.describe("iDr9")
        seconds.append(description["seconds"])
        assert (description["state"], description["live"]) == ("recording", "iDr9")
        assert description["labels"][0]["label"] == "banana"
    assert seconds[0] == pytest.approx(1.5, abs=0.02)  # up to the last explained frame
    recording.close()
    (recorded,) = archive.recordings()
    description = recorded.describe(None)
    assert (description["state"], description["seconds"]) == ("finished", pytest.approx(3.0, abs=0.02))


def test_a_crash_leaves_a_recording_that_is_cut_off_and_playable(root: Path, tmp_path: Path) -> None:
    recording = record(tmp_path / "alive" / ID, end=False)
    deadline = time.monotonic() + 10
    while recording.explained_track.recorded < 60:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    shutil.copytree(tmp_path / "alive", root)  # as kill -9 would leave it
    recording.close()
    description = described(root)
    assert (description["state"], description["live"]) == ("cut off", None)
    assert description["seconds"] == pytest.approx(2.0, abs=0.02)
    assert description["segments"][0]["explained"] == "explained-000.mp4"
    assert repair(root / ID)  # like the next start
    repaired = described(root)
    assert (repaired["state"], repaired["reason"], repaired["code"]) == ("cut off", CUT_OFF, "cut-off")
    assert repaired["labels"] == description["labels"]
    assert repaired["seconds"] == pytest.approx(description["seconds"], abs=0.6)


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
def test_a_damaged_recording_is_listed_and_does_not_break_the_list(root: Path, damage: str) -> None:
    for name in (OLDER, ID):
        record(root / name)
    DAMAGES[damage](root / ID)
    archive = RecordingLibrary(root)
    broken, whole = (recorded.describe(None) for recorded in archive.recordings())
    assert whole["state"] == "finished"
    assert broken["id"] == ID
    assert {file["name"] for file in broken["files"]} == {path.name for path in (root / ID).iterdir()}
    if "note" in damage and "elsewhere" not in damage:
        assert broken["state"] == "cut off"
    assert "passwd" not in json.dumps(broken)
    assert archive.find(ID) is not None


@pytest.mark.parametrize("name", ["2026-02-31_21-03-55_1f3a9c", "9999-99-99_99-99-99_1f3a9c"])
def test_an_invalid_date_does_not_break_the_list(root: Path, name: str) -> None:
    record(root / name)
    assert described(root)["began"].startswith("1970")


def test_only_what_changed_is_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (OLDER, ID):
        record(root / name)
    archive = RecordingLibrary(root)
    before = archive.recordings()
    read: list[str] = []
    real = module._read

    def noting(folder: Path, *rest: Any) -> StoredRecording:
        read.append(folder.name)
        return real(folder, *rest)

    monkeypatch.setattr(module, "_read", noting)
    assert archive.recordings() == before
    assert read == []
    with (root / ID / "predictions.jsonl").open("ab") as file:
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
def test_a_text_that_is_no_recordings_name_finds_nothing(root: Path, text: str) -> None:
    record(root / ID)
    (root / "holiday").mkdir()
    archive = RecordingLibrary(root)
    recorded = archive.find(ID)
    assert recorded is not None
    archive.set_aside(recorded)
    assert archive.restore(ID)
    assert archive.find(text) is None
    assert first_of(root, text) is None
    assert archive.path(recorded, text) is None
    assert not archive.restore(text)


def test_a_session_is_found_by_its_id_only(root: Path) -> None:
    record(root / ID)
    assert first_of(root, "1f3a9c0d77e2") == root / ID
    assert first_of(root, "1f3a9c") is None
    assert first_of(root, ID) is None
    assert first_of(root / "none", "1f3a9c0d77e2") is None


def test_a_recording_set_aside_is_not_listed_and_can_be_restored(root: Path) -> None:
    record(root / ID)
    archive = RecordingLibrary(root)
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
    assert list((root / SET_ASIDE).iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there open files cannot be moved")
def test_a_recording_that_another_whycam_writes_is_not_set_aside(root: Path) -> None:
    recording = record(root / ID, end=False)
    archive = RecordingLibrary(root)
    (recorded,) = archive.recordings()
    with pytest.raises(OSError, match="still being written"):
        archive.set_aside(recorded)
    recording.close()
    archive.set_aside(recorded)


def test_a_recording_set_aside_for_too_long_is_deleted(root: Path) -> None:
    for name in (OLDER, ID):
        record(root / name)
        os.utime(root / name, (0, 0))  # the recording's age does not count
    archive = RecordingLibrary(root, keep_s=0.3)
    for recorded in archive.recordings():
        archive.set_aside(recorded)
    assert archive.restore(OLDER)
    time.sleep(0.35)
    assert not archive.restore(ID)
    archive.tidy()
    assert list((root / SET_ASIDE).iterdir()) == []
    assert [recorded.id for recorded in archive.recordings()] == [OLDER]


def test_scores_are_read_without_their_maps(root: Path) -> None:
    """This makes listing many recordings fast: the maps are most of a line's text."""
    record(root / ID)
    path = root / ID / "predictions.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"data":"', b'"data":"?'))  # invalid base64
    assert sum(scores is not None for _, scores in read_scores(path)) == 60
