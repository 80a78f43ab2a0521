"""Interlaced films become progressive, frame by frame; others are not changed."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.films import media_samples
from tests.support.films.film_files import copy, frames_of
from tests.support.films.interlaced import COUNT, interlaced
from whycam.stream.media.film_reader import DEINTERLACED, open_film, read_film
from whycam.stream.video.planes import Bytes


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
