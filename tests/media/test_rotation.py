"""Frames are turned as their side data says, also beside data that PyAV does not know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from av.sidedata.sidedata import Type
from PIL import Image, ImageOps

from tests.support.films import media_samples
from tests.support.films.film_files import frames_of
from tests.support.films.time_lapse import ORIENTATION, photograph, time_lapse
from whycam.stream.video.planes import Bytes, rgb_of

SIZE = (64, 48)


def upright(rgb: Bytes, orientation: int) -> Bytes:
    """The independent reference: Pillow's."""
    image = Image.fromarray(rgb)
    image.getexif()[ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("suffix", [".avi", ".mov", ".mkv"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_time_lapse_of_photographs_is_turned_by_their_exif(tmp_path: Path, suffix: str, orientation: int) -> None:
    spot = media_samples.spot(SIZE)
    film = time_lapse(tmp_path / f"lapse{suffix}", [photograph(spot, orientation)] * 3)
    frames = frames_of(film)
    assert len(frames) == 3
    for frame in frames:
        assert np.abs(rgb_of(frame).astype(int) - upright(spot, orientation)).mean() < 6


def test_each_photograph_has_an_orientation_of_its_own(tmp_path: Path) -> None:
    spot = media_samples.spot(SIZE)
    orientations = [3, 2, 4, 1]  # 3 and 2 are turned by the same angle, and 2 is mirrored
    film = time_lapse(tmp_path / "lapse.mov", [photograph(spot, each) for each in orientations])
    for frame, orientation in zip(frames_of(film), orientations, strict=True):
        assert np.abs(rgb_of(frame).astype(int) - upright(spot, orientation)).mean() < 6


def test_pyav_lacks_the_type_of_exif() -> None:
    """If this fails, `stream/media/frames/rotation.py` need not accept unknown types any more."""
    assert "EXIF" not in {each.name for each in Type}
