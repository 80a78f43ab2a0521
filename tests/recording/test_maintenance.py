"""Recordings beyond the age or the quota are deleted, the oldest first; running ones and other files stay."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.support.processes import until
from tests.support.recordings.recorded_sessions import killed, session_json
from whycam.stream.recording.lock import FolderLock
from whycam.stream.recording.maintenance import Housekeeper, Retention, parse_age, parse_size, prune
from whycam.stream.recording.paths import recordings

NOW = 1_800_000_000.0
DAY = 86_400


def recording(root: Path, day: int, size: int = 1000) -> Path:
    """A recording of `day` days ago."""
    folder = root / f"2026-11-{28 - day:02}_12-00-00_0a1b2c"
    folder.mkdir(parents=True)
    (folder / "session.json").write_text('{"state": "ended"}')
    (folder / "camera-000.mp4").write_bytes(bytes(size - 18))
    for path in folder.iterdir():
        os.utime(path, (NOW - day * DAY,) * 2)
    return folder


def names(root: Path) -> list[str]:
    return [path.name for path in sorted(root.iterdir())]


def test_recordings_older_than_the_age_are_deleted(tmp_path: Path) -> None:
    folders = [recording(tmp_path, day) for day in (0, 6, 8, 20)]
    assert prune(tmp_path, Retention(keep_s=7 * DAY), NOW) == [folders[3].name, folders[2].name]
    assert names(tmp_path) == [folders[1].name, folders[0].name]


def test_beyond_the_quota_only_as_many_of_the_oldest_as_needed_are_deleted(tmp_path: Path) -> None:
    folders = [recording(tmp_path, day) for day in (1, 2, 3, 4)]
    assert prune(tmp_path, Retention(max_bytes=4000), NOW) == []
    assert prune(tmp_path, Retention(max_bytes=2500), NOW) == [folders[3].name, folders[2].name]
    assert names(tmp_path) == [folders[1].name, folders[0].name]


def test_a_running_recording_is_never_deleted_but_counts(tmp_path: Path) -> None:
    old, middle, new = (recording(tmp_path, day) for day in (9, 5, 1))
    hold = FolderLock(old)
    assert prune(tmp_path, Retention(max_bytes=1500, keep_s=7 * DAY), NOW) == [middle.name, new.name]
    assert names(tmp_path) == [old.name]
    hold.release()
    assert prune(tmp_path, Retention(keep_s=7 * DAY), NOW) == [old.name]


def test_other_files_and_folders_stay(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    recording(outside, 20)
    root = tmp_path / "root"
    gone = recording(root, 20)
    (root / "holiday").mkdir()
    (root / "notes.txt").touch()
    os.symlink(recordings(outside)[0], root / "2026-11-01_00-00-00_0a1b2c")
    (root / "2026-11-02_00-00-00_0a1b2c").mkdir()  # a recording that is just beginning
    assert prune(root, Retention(keep_s=1, max_bytes=1), time.time() + DAY) == [gone.name]
    assert names(root) == ["2026-11-01_00-00-00_0a1b2c", "2026-11-02_00-00-00_0a1b2c", "holiday", "notes.txt"]
    assert len(recordings(outside)) == 1


def test_a_recording_left_half_deleted_by_a_crash_is_deleted_the_next_time(tmp_path: Path) -> None:
    (tmp_path / ".deleted-0a1b").mkdir()
    (tmp_path / ".deleted-0a1b" / "camera-000.mp4").touch()
    assert prune(tmp_path, Retention(), NOW) == []
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("7d", 7 * DAY), ("12h", 43_200), ("30m", 1800), ("2 w", 14 * DAY), ("1.5d", 129_600)]
)
def test_an_age_is_read(text: str, seconds: float) -> None:
    assert parse_age(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("10GiB", 10 << 30), ("500MB", 500 << 20), ("1.5T", 3 << 39), ("64KiB", 65_536)]
)
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "7", "d", "0d", "-1d", "7 days", "1e9d", "7d7d", "١d"])
def test_an_invalid_age_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="written 7d"):
        parse_age(text)


def test_the_housekeeper_repairs_first_and_then_enforces_the_quota(tmp_path: Path) -> None:
    cut_off = killed(tmp_path, "VP8", 60)
    housekeeper = Housekeeper(tmp_path, Retention(max_bytes=3 * 10**6), every_s=0.05)
    until(lambda: session_json(cut_off)["state"] == "ended", 5)
    big = recording(tmp_path, 20, 4 * 10**6)
    until(lambda: not big.exists(), 5)
    assert cut_off.exists()
    housekeeper.close()


def test_without_limits_the_housekeeper_deletes_nothing(tmp_path: Path) -> None:
    old = recording(tmp_path, 400)
    housekeeper = Housekeeper(tmp_path, Retention(), every_s=0.01)
    time.sleep(0.1)
    housekeeper.close()
    assert old.exists()
