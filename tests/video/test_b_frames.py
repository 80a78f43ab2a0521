"""B-frames are detected in the bitstream, and a stream with them is recorded in display order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.films import media_samples
from tests.support.films.b_frames import SIZE, with_b_frames
from whycam.stream.recording.writer import Recording
from whycam.stream.video.b_frames import DisplayOrder, is_b_picture
from whycam.stream.video.codec import TIME_BASE, DamagedKeyframe, EncodedFrame, read_keyframe
from whycam.stream.video.planes import rgb_of
from whycam.stream.webrtc.peer import _Unwrap


@pytest.mark.parametrize("bframes", [0, 1, 2, 3])
def test_b_pictures_are_those_shown_before_an_earlier_received_frame(bframes: int) -> None:
    frames = with_b_frames(bframes=bframes)
    newest, early = -1, []
    for frame in frames:
        early.append(frame.pts < newest)
        newest = max(newest, frame.pts)
    assert [is_b_picture(frame.data) for frame in frames] == early
    assert any(early) == (bframes > 0)


def test_a_live_stream_has_no_b_pictures_and_its_keyframe_says_so() -> None:
    frames = media_samples.encoded("H264", 60, SIZE)
    assert not any(is_b_picture(frame.data) for frame in frames)
    assert not read_keyframe(frames[0]).reorders


def test_a_keyframe_contains_size_and_order() -> None:
    opening = read_keyframe(with_b_frames(4)[0])
    assert (opening.size, opening.reorders) == (SIZE, True)
    assert not read_keyframe(with_b_frames(4, bframes=0)[0]).reorders
    assert not read_keyframe(with_b_frames(4, bframes=0, profile="baseline")[0]).reorders
    assert read_keyframe(media_samples.encoded("VP8", 1, SIZE)[0]).size == SIZE
    with pytest.raises(DamagedKeyframe):
        read_keyframe(EncodedFrame("H264", b"\0\0\1\x67\0\0\1\x68\0\0\1\x65", 0))


@pytest.mark.parametrize("data", [b"", b"\0\0\1", b"\0\0\1\x41", b"\0\0\1\x41\x9a", b"\x41\xa0" * 20])
def test_data_without_a_b_slice_is_not_a_b_picture(data: bytes) -> None:
    assert not is_b_picture(data)


def test_time_stamps_go_back_for_b_pictures_only() -> None:
    clock = _Unwrap()
    start = (1 << 32) - 4000  # it wraps
    stamps = [(0, False), (9000, False), (3000, True), (6000, True), (18000, False)]
    assert [clock((start + at) % (1 << 32), back=back) for at, back in stamps] == [0, 9000, 3000, 6000, 18000]
    assert clock(start, back=False) == 21000  # the sender restarted
    assert clock((start - (1 << 30)) % (1 << 32), back=True) == 24000


def test_display_order_is_restored() -> None:
    frames = with_b_frames()
    order = DisplayOrder()
    out = [each for frame in frames for each in order.take(frame)] + order.rest()
    assert [frame.pts for frame in out] == sorted(frame.pts for frame in frames)
    assert not any(is_b_picture(frame.data) for frame in out)


def test_the_reordered_stream_begins_with_a_keyframe() -> None:
    frames = with_b_frames()
    order = DisplayOrder()
    out = [each for frame in frames[5:] for each in order.take(frame)] + order.rest()
    (first, *_) = [frame.pts for frame in frames[5:] if frame.is_keyframe]
    assert [frame.pts for frame in out] == list(range(first, 60 * media_samples.STEP, media_samples.STEP))


def recorded(folder: Path, frames: list[EncodedFrame]) -> tuple[Recording, list[str]]:
    folder.mkdir()
    requests: list[str] = []
    recording = Recording(folder, {"model": "tiny"}, requests.append, min_free=0)
    for frame in frames:
        recording.camera(frame)
    recording.close()
    return recording, requests


def test_a_camera_with_b_frames_is_re_encoded_and_loses_no_frame(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = with_b_frames()
    recording, _ = recorded(tmp_path / "r", frames)
    assert recording.status.camera == "encoded anew"
    assert "B-frames" in caplog.text
    text = (tmp_path / "r" / "session.json").read_text()
    assert '"camera": "encoded anew"' in text
    assert '"received": 60' in text
    assert '"recorded": 60' in text
    shots = media_samples.read(tmp_path / "r" / "camera-000.mp4")
    assert [round(shot.time / TIME_BASE) for shot in shots] == [number * media_samples.STEP for number in range(60)]
    for number in (0, 1, 17, 59):
        wanted = media_samples.spot(SIZE, number).astype(float)
        assert np.abs(rgb_of(shots[number].frame) - wanted).mean() < 6, number


def test_a_camera_without_them_is_copied(tmp_path: Path) -> None:
    recording, _ = recorded(tmp_path / "r", with_b_frames(bframes=0))
    assert recording.status.camera == "copied"


def test_b_frames_without_notice_in_the_sps_begin_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "whycam.stream.recording.writer.read_keyframe",
        lambda frame: read_keyframe(media_samples.encoded("H264", 1, SIZE)[0]),
    )
    frames = with_b_frames()
    recording, requests = recorded(tmp_path / "r", frames)
    assert recording.status.camera == "encoded anew"
    assert requests.count("camera") >= 2
    assert media_samples.times(tmp_path / "r" / "camera-000.mp4") == [0, 3 * media_samples.STEP]
    rest = media_samples.times(tmp_path / "r" / "camera-001.mp4")
    assert rest == [number * media_samples.STEP for number in range(30)]
