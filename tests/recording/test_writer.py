"""Recordings: two videos and a sidecar on one clock, which survive a full disk or a crash."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest

from tests.support.films import media_samples
from tests.support.recordings.recorded_sessions import (
    SIZE,
    SUFFIX,
    Session,
    boxes,
    check_equations,
    line,
    pts_of,
    read_lines,
    session_json,
)
from tests.support.recordings.recorded_sessions import folder as folder
from whycam.stream.recording import writer as module
from whycam.stream.recording.bitstream_file import BitstreamFile
from whycam.stream.recording.paths import new_folder
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.video.codec import CodecName, EncodedFrame
from whycam.stream.video.encoder import SOFTWARE, Encoder

CODECS = pytest.mark.parametrize("codec", get_args(CodecName))


@CODECS
def test_a_recording_is_two_videos_a_sidecar_and_a_note(folder: Path, codec: CodecName) -> None:
    session = Session(folder)
    frames = media_samples.encoded(codec, 40, SIZE, first=123_456)
    session.feed(frames)
    note = session.close(decoded=40, explained=40, passed=0, dropped=0)
    suffix = SUFFIX[codec]
    assert {path.name for path in folder.iterdir()} == {
        f"camera-000{suffix}",
        f"explained-000{suffix}",
        "predictions.jsonl",
        "session.json",
    }
    check_equations(folder, note)
    assert (note["model"], note["state"], note["status"]["state"]) == ("tiny", "ended", "on")
    assert note["counts"]["recorded"] == note["counts"]["explained"] == 40
    assert note["camera"] == [{"file": f"camera-000{suffix}", "codec": codec, "size": [64, 48], "first_pts": 0}]
    header, _ = read_sidecar(folder / "predictions.jsonl")
    assert (header["model"], header["time_base"]) == ("tiny", [1, 90_000])


@CODECS
def test_the_files_have_the_filmed_frames_at_their_times(folder: Path, codec: CodecName) -> None:
    session = Session(folder)
    session.feed(media_samples.encoded(codec, 40, SIZE, first=5_000_000))
    session.close()
    for track in ("camera", "explained"):
        shots = media_samples.read(folder / f"{track}-000{SUFFIX[codec]}")
        assert len(shots) == 40
        for number, shot in enumerate(shots):
            assert abs(float(shot.time) - number / 30) <= 0.0006
            x, y = media_samples.place(SIZE, number).middle
            assert np.abs(media_samples.colour_at(shot.frame, x, y) - media_samples.RED).max() < 40


@CODECS
def test_a_recording_begun_in_mid_stream_starts_with_a_requested_keyframe(folder: Path, codec: CodecName) -> None:
    frames = media_samples.encoded(codec, 40, SIZE, first=900_000, keyframes=(0, 15))
    painted = media_samples.encoded(codec, 40, SIZE, first=900_000, keyframes=(0, 18))
    session = Session(folder)
    session.feed(frames[5:], explained=painted[5:])
    note = session.close()
    assert session.wishes[:11] == ["camera"] * 11  # until it arrives: a request can be lost
    assert "explained" in session.wishes
    check_equations(folder, note)
    assert (note["counts"]["recorded"], note["counts"]["unrecorded"]) == (25, 10)
    assert note["counts"]["explained_recorded"] == 22
    assert pts_of(folder, note, "explained")[0] == 3 * media_samples.STEP
    assert pts_of(folder, note, "camera")[0] == 0


def test_the_two_files_of_a_recording_are_in_sync_to_the_tick(folder: Path) -> None:
    """The explained file begins later than the camera's, by a time that milliseconds cannot represent."""
    frames = [
        EncodedFrame(f.codec, f.data, 77 + n * 3001) for n, f in enumerate(media_samples.encoded("H264", 30, SIZE))
    ]
    painted = media_samples.encoded("H264", 30, SIZE, keyframes=(7,))
    session = Session(folder)
    session.recording.camera(frames[0])
    for camera, explained in zip(frames[1:], painted[1:], strict=True):
        session.recording.camera(camera)
        session.recording.explained(EncodedFrame("H264", explained.data, camera.pts), line(camera.pts))
    note = session.close()
    check_equations(folder, note)
    assert pts_of(folder, note, "explained") == [n * 3001 for n in range(7, 30)]


@CODECS
def test_a_new_size_begins_new_files_on_the_same_clock(folder: Path, codec: CodecName) -> None:
    turned = (48, 64)
    session = Session(folder)
    session.feed(media_samples.encoded(codec, 20, SIZE))
    session.feed(media_samples.encoded(codec, 20, turned, first=20 * media_samples.STEP))
    session.feed(media_samples.encoded(codec, 20, SIZE, first=40 * media_samples.STEP))
    note = session.close()
    check_equations(folder, note)
    assert [segment["file"] for segment in note["camera"]] == [f"camera-00{n}{SUFFIX[codec]}" for n in range(3)]
    assert [segment["size"] for segment in note["explained"]] == [[64, 48], [48, 64], [64, 48]]
    assert [segment["first_pts"] for segment in note["camera"]] == [0, 20 * media_samples.STEP, 40 * media_samples.STEP]
    assert note["counts"]["recorded"] == note["counts"]["explained_recorded"] == 60
    assert len(read_lines(folder)) == 60


@CODECS
def test_a_keyframe_of_the_same_size_begins_no_new_file(folder: Path, codec: CodecName) -> None:
    session = Session(folder)
    session.feed(media_samples.encoded(codec, 40, SIZE, keyframes=(10, 11, 30)))
    note = session.close()
    assert len(note["camera"]) == len(note["explained"]) == 1
    assert note["counts"]["recorded"] == 40


def test_explained_frames_that_arrive_after_a_change_of_size_still_go_to_their_file(folder: Path) -> None:
    before = media_samples.encoded("H264", 10, SIZE)
    after = media_samples.encoded("H264", 10, (48, 64), first=10 * media_samples.STEP)
    session = Session(folder)
    for frame in [*before, *after]:
        session.recording.camera(frame)
    for frame in [*before, *after]:
        session.recording.explained(frame, line(frame.pts))
    note = session.close()
    check_equations(folder, note)
    assert note["counts"]["explained_recorded"] == 20
    assert len(media_samples.read(folder / "explained-000.mp4")) == 10


def test_a_late_keyframe_of_the_previous_file_does_not_overwrite_it(folder: Path) -> None:
    before = media_samples.encoded("H264", 10, SIZE, keyframes=(9,))
    after = media_samples.encoded("H264", 10, (48, 64), first=10 * media_samples.STEP)
    session = Session(folder)
    session.feed(before)
    session.feed(after[:5])
    session.recording.explained(before[9], line(before[9].pts))
    session.feed(after[5:])
    note = session.close()
    check_equations(folder, note)
    assert note["counts"]["explained_unrecorded"] == 1
    assert len(note["explained"]) == 2


def test_an_explained_frame_missing_in_the_camera_file_drops_those_that_depend_on_it(folder: Path) -> None:
    frames = media_samples.encoded("H264", 30, SIZE, keyframes=(20,))
    session = Session(folder)
    for number, frame in enumerate(frames):
        if number != 10:
            session.recording.camera(EncodedFrame("H264", frames[0].data, frame.pts))
        session.recording.explained(frame, line(frame.pts))
    note = session.close()
    check_equations(folder, note)
    assert pts_of(folder, note, "explained") == [n * media_samples.STEP for n in (*range(10), *range(20, 30))]
    assert session.wishes.count("explained") == 2  # at the beginning, and after the gap


@CODECS
def test_frames_at_the_same_time_are_both_kept(folder: Path, codec: CodecName) -> None:
    frames = media_samples.encoded(codec, 10, SIZE)
    frames[5] = EncodedFrame(codec, frames[5].data, frames[4].pts)
    session = Session(folder)
    session.feed(frames)
    note = session.close()
    check_equations(folder, note)
    assert note["counts"]["recorded"] == 10


@CODECS
@pytest.mark.parametrize("size", [(1, 0), (64, 48)])
def test_a_damaged_keyframe_costs_only_itself(folder: Path, codec: CodecName, size: tuple[int, int]) -> None:
    good = media_samples.encoded(codec, 20, SIZE, first=90_000)
    if codec == "H264":
        damaged = b"".join(b"\0\0\0\1" + unit + b"\x17" * size[0] for unit in (b"\x67", b"\x68", b"\x65"))
    else:
        damaged = b"\x10\x02\x00\x9d\x01\x2a" + b"\0\0\0\0" + b"\x17" * size[0]
    session = Session(folder)
    session.recording.camera(EncodedFrame(codec, damaged, 0))
    session.feed(good)
    note = session.close()
    assert note["status"]["state"] == "on"
    check_equations(folder, note)
    assert (note["counts"]["recorded"], note["counts"]["unrecorded"]) == (20, 1)


def test_the_caller_never_waits_for_a_slow_disk_and_dropped_frames_are_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, write = threading.Event(), BitstreamFile.write

    def wait(file: BitstreamFile, frame: EncodedFrame, pts: int) -> None:
        slow.wait(20)
        write(file, frame, pts)

    monkeypatch.setattr(BitstreamFile, "write", wait)
    monkeypatch.setattr(module, "MAX_WAITING", 20)
    session = Session(folder)
    frames = media_samples.encoded("H264", 60, SIZE, keyframes=(40,))
    started = time.monotonic()
    session.feed(frames[:30])
    assert time.monotonic() - started < 5
    slow.set()
    for frame in frames[30:]:
        session.settle()
        session.feed([frame])
    note = session.close()
    check_equations(folder, note)
    assert note["status"]["state"] == "on"
    assert note["counts"]["received"] == 60
    assert 20 < note["counts"]["recorded"] < 40
    assert pts_of(folder, note, "camera")[-20:] == [n * media_samples.STEP for n in range(40, 60)]
    assert session.wishes.count("camera") > 2


def test_too_little_room_stops_the_recording_and_says_why(folder: Path) -> None:
    session = Session(folder, min_free=1 << 60)
    session.feed(media_samples.encoded("H264", 20, SIZE))
    session.settle()
    status = session.recording.status
    assert status.state == "stopped"
    assert status.folder == str(folder)
    assert "GiB left" in status.reason
    note = session.close()
    assert note["status"]["state"] == "stopped"
    check_equations(folder, note)
    assert (note["counts"]["received"], note["counts"]["recorded"]) == (20, 0)


@pytest.mark.parametrize("after", [0, 1, 30])
def test_a_disk_that_fills_stops_only_the_recording(folder: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    write, written = BitstreamFile.write, 0

    def full(file: BitstreamFile, frame: EncodedFrame, pts: int) -> None:
        nonlocal written
        written += 1
        if written > after:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        write(file, frame, pts)

    monkeypatch.setattr(BitstreamFile, "write", full)
    session = Session(folder)
    frames = media_samples.encoded("H264", 40, SIZE)
    session.feed(frames[:30])
    session.settle()
    assert session.recording.status.state == "stopped"
    assert "No space left" in session.recording.status.reason
    for _ in range(30):  # more than may wait
        session.feed(frames)
    note = session.close()
    assert note["status"]["state"] == "stopped"
    counts = note["counts"]
    assert counts["received"] == counts["recorded"] + counts["unrecorded"] == 30 + 30 * 40
    assert (counts["recorded"], counts["explained_recorded"]) == ((after + 1) // 2, after // 2)
    if after > 2:
        check_equations(folder, note)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)], capture_output=True)
    if mount.returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
@CODECS
def test_on_a_full_disk_the_files_are_readable_up_to_the_end(small_disk: Path, codec: CodecName) -> None:
    folder = new_folder(small_disk)
    session = Session(folder)
    encoder = Encoder(SOFTWARE[codec])
    frames = [
        frame
        for number in range(90)
        if (
            frame := encoder.encode(
                media_samples.frame(media_samples.noise((320, 240), number), number * media_samples.STEP)
            )
        )
        is not None
    ]
    session.feed(frames)
    session.settle()
    status = session.recording.status
    assert status.state == "stopped"
    assert "No space left" in status.reason
    session.feed(frames)
    session.recording.close()
    session_json(folder)
    for track in ("camera", "explained"):
        assert decodable(folder / f"{track}-000{SUFFIX[codec]}") >= 15  # a fragment is half a second
    assert len(read_lines(folder)) >= 15


def decodable(path: Path) -> int:
    """Number of frames that can be decoded before a file breaks off."""
    count = 0
    with av.open(path) as file, suppress(av.FFmpegError):
        for _ in file.decode(video=0):
            count += 1
    return count


@CODECS
def test_a_program_killed_while_it_records_loses_less_than_a_second(folder: Path, codec: CodecName) -> None:
    program = [sys.executable, "-m", "tests.support.recordings.recorder_process", str(folder), codec]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        last = 0
        for _ in range(205):
            last = int(process.stdout.readline())
        process.kill()
    note = session_json(folder)
    assert note["state"] == "recording"
    for track in ("camera", "explained"):
        (segment,) = note[track]
        shots = media_samples.read(folder / segment["file"])
        assert last / 90_000 - float(shots[-1].time) <= 1
        assert [round(shot.time * 30) for shot in shots] == [*range(len(shots))]
    assert len(read_lines(folder)) >= 200


def test_a_clean_end_leaves_an_ordinary_mp4(folder: Path) -> None:
    session = Session(folder)
    session.feed(media_samples.encoded("H264", 60, SIZE))
    session.close()
    kinds = boxes(folder / "camera-000.mp4")
    assert b"moov" in kinds
    assert b"moof" not in kinds
    with av.open(folder / "camera-000.mp4") as file:
        assert file.streams.video[0].frames == 60
        assert file.streams.video[0].duration == 60 * media_samples.STEP


def test_other_users_cannot_read_a_recording(tmp_path: Path) -> None:
    before = os.umask(0)  # the most permissive setting
    try:
        folder = new_folder(tmp_path / "recordings")
        session = Session(folder)
        session.feed(media_samples.encoded("H264", 10, SIZE))
        session.settle()
        during = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        session.close()
    finally:
        os.umask(before)
    after = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(during.values()) == set(after.values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_each_recording_has_its_own_folder(tmp_path: Path) -> None:
    folders = {new_folder(tmp_path) for _ in range(20)}
    assert len(folders) == 20
    assert all(path.is_dir() for path in folders)


def test_the_note_can_be_read_at_any_time(folder: Path) -> None:
    done, seen = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            if (folder / "session.json").exists():
                seen.append(session_json(folder))

    reader = threading.Thread(target=read)
    reader.start()
    session = Session(folder)
    for number in range(40):
        size = SIZE if number % 2 else (48, 64)
        session.feed(media_samples.encoded("VP8", 2, size, first=number * 2 * media_samples.STEP))
    session.close()
    done.set()
    reader.join()
    assert len(seen) > 10
    assert [len(note["camera"]) for note in seen] == sorted(len(note["camera"]) for note in seen)
    assert not list(folder.glob("*.tmp"))


def test_an_empty_recording_is_finished_cleanly(folder: Path) -> None:
    session = Session(folder)
    note = session.close()
    check_equations(folder, note)
    assert note["camera"] == note["explained"] == []
    assert note["state"] == "ended"


def test_the_streams_counts_are_noted(folder: Path) -> None:
    session = Session(folder)
    session.feed(media_samples.encoded("H264", 5, SIZE))
    note = session.close(decoded=6, explained=4, passed=1, dropped=1)
    check_equations(folder, note)
    counts = note["counts"]
    assert counts["decoded"] == counts["explained"] + counts["passed"] + counts["dropped"]


def test_the_last_frame_is_shown_as_long_as_the_one_before(tmp_path: Path) -> None:
    """With no duration of its own, an MP4 ends where its last frame begins, and players leave that frame out."""
    frames = media_samples.encoded("H264", 20)
    file = BitstreamFile(tmp_path / "camera.mp4", frames[0])
    for number, frame in enumerate(frames):
        file.write(frame, 4500 * number)
    file.close()
    with av.open(file.path) as film:
        packets = [packet for packet in film.demux(video=0) if packet.size]
    assert [packet.duration for packet in packets] == [4500] * 20
    assert not any(packet.is_discard for packet in packets)
