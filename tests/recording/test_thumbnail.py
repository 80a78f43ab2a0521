"""Thumbnails: the right frame, reduced, of finished and growing films."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.films import media_samples
from tests.support.recordings.on_disk import record
from whycam.stream.recording.thumbnail import NoThumbnail, still
from whycam.stream.video.codec import CodecName

SIZE = (64, 48)


def picture(data: bytes) -> NDArray[np.float64]:
    """A JPEG as RGB (H, W, 3)."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    return np.asarray(bgr, np.float64)[..., ::-1]


def where_the_spot_is(rgb: NDArray[np.float64]) -> float:
    """Column of the spot's centre."""
    red = (rgb[..., 0] - rgb[..., 1]).clip(0)
    return float((red.sum(axis=0) * np.arange(red.shape[1])).sum() / red.sum())


@pytest.mark.parametrize("codec", ["H264", "VP8"])
@pytest.mark.parametrize("finished", [True, False], ids=["finished", "growing"])
def test_a_still_is_the_frame_on_screen_at_that_time(tmp_path: Path, codec: CodecName, finished: bool) -> None:
    recording = record(
        tmp_path / "r", media_samples.encoded(codec, 100, SIZE, keyframes=(50,)), codec=codec, end=finished
    )
    deadline = time.monotonic() + 10
    while not finished and recording.explained_track.recorded < 100:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        (path,) = (tmp_path / "r").glob("explained-000.*")
        # The last half second of a growing film may still be in memory.
        for seconds, number in ((0.0, 0), (0.5, 15), (1.01, 30), (1.65, 49), (1.701, 51), (2.34, 70)):
            rgb = picture(still(path, seconds, 480))
            assert rgb.shape == (SIZE[1], SIZE[0], 3)
            assert where_the_spot_is(rgb) == pytest.approx(media_samples.place(SIZE, number).middle[0], abs=1.5), (
                seconds
            )
    finally:
        if not finished:
            recording.close()


def test_beyond_the_end_is_the_last_frame(tmp_path: Path) -> None:
    record(tmp_path / "r", media_samples.encoded("H264", 40, SIZE))
    rgb = picture(still(tmp_path / "r" / "explained-000.mp4", 100.0, 480))
    assert where_the_spot_is(rgb) == pytest.approx(media_samples.place(SIZE, 39).middle[0], abs=1.5)


def test_a_still_is_no_wider_than_requested_and_keeps_its_proportions(tmp_path: Path) -> None:
    path = media_samples.write(tmp_path / "wide.mp4", count=3, size=(1280, 720))
    assert picture(still(path, 0.0, 480)).shape == (270, 480, 3)


@pytest.mark.parametrize("content", [b"", b"not a film", b"\0\0\0\x20ftypisom" + bytes(100)])
def test_a_film_without_a_frame_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "camera-000.mp4"
    path.write_bytes(content)
    with pytest.raises(NoThumbnail, match=r"camera-000\.mp4 has no frame"):
        still(path, 0.0, 480)
    with pytest.raises(NoThumbnail):
        still(tmp_path / "none.mp4", 0.0, 480)
