"""Interlaced films become progressive, frame by frame; others are not changed."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from tests.support.films import media_samples
from tests.support.films.film_files import copy, frames_of
from whycam.stream.media.film_reader import DEINTERLACED, open_film, read_film
from whycam.stream.video.codec import TIME_BASE
from whycam.stream.video.planes import Bytes

SIZE = (128, 96)
COUNT = 12


def interlaced(path: Path, *, codec: str = "mpeg2video", is_flagged: bool = True, count: int = COUNT) -> Path:
    """A bar that moves 8 pixels from field to field, 25 frames a second: frames of two fields show it twice."""
    with av.open(path, "w") as file:
        video = file.add_stream(codec, 25)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.codec_context.qmin = video.codec_context.qmax = 2
        video.codec_context.options = {"flags": "+ildct+ilme"} if is_flagged else {}
        for number in range(count):
            picture = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
            for field in (0, 1):
                begin = (2 * number + field) * 4 % 100
                picture[field::2, begin : begin + 16] = 220
            frame = media_samples.frame(picture, round(number / 25 / TIME_BASE))
            frame.pts, frame.time_base = number * 3600, TIME_BASE
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
    return path


def combs(luma: Bytes) -> float:
    """How much lines differ from both neighbours: large where two fields are woven."""
    lines = luma.astype(int)
    inner = np.abs(2 * lines[1:-1] - lines[:-2] - lines[2:])
    return float(inner[20:-20].mean())


def test_an_interlaced_film_has_no_combs_and_every_frame(tmp_path: Path) -> None:
    film = interlaced(tmp_path / "kitchen.mpg")
    woven = [combs(media_samples.pixels(shot.frame)[0]) for shot in media_samples.read(film)]
    assert min(woven[1:]) > 15
    copied = media_samples.read(copy(film, tmp_path / "copy.mp4"))
    assert len(copied) == COUNT
    assert max(combs(media_samples.pixels(shot.frame)[0]) for shot in copied[1:-1]) < min(woven[1:]) / 4
    assert not any(shot.frame.interlaced_frame for shot in copied)
    assert np.diff([float(shot.time) for shot in copied]) == pytest.approx([0.04] * (COUNT - 1))


def test_it_is_said_once(tmp_path: Path) -> None:
    with open_film(interlaced(tmp_path / "kitchen.mpg")) as film:
        for _ in read_film(film):
            pass
    assert film.losses.notes == [DEINTERLACED]
    assert (film.losses.concealed, film.losses.lost) == (0, 0)


def test_a_progressive_film_is_not_changed(tmp_path: Path) -> None:
    film = interlaced(tmp_path / "kitchen.mpg", is_flagged=False)
    with open_film(film) as opened:
        frames = [each for each in read_film(opened) if isinstance(each, av.VideoFrame)]
        assert opened.losses.notes == []
    for frame, shot in zip(frames, media_samples.read(film), strict=True):
        assert np.array_equal(media_samples.pixels(frame)[0], media_samples.pixels(shot.frame)[0])


def test_an_interlaced_film_of_one_frame_is_shown(tmp_path: Path) -> None:
    assert len(frames_of(interlaced(tmp_path / "kitchen.mpg", count=1))) == 1
