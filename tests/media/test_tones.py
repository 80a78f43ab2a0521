"""Images of more than 8 bits are visible, whatever part of their type they fill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from whycam.stream.media.image import open_image

RAMP = np.linspace(0, 1, 64 * 48).reshape(48, 64)


def opened(path: Path, values: NDArray[Any]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    Image.fromarray(values).save(path)
    image = open_image(path)
    assert np.array_equal(image.rgb[..., 0], image.rgb[..., 2])
    return image.rgb[..., 0], image.notes


@pytest.mark.parametrize(
    ("name", "values", "range_"),
    [
        ("a.tif", RAMP.astype(np.float32), "0 is black and 1 is white"),
        ("a.tif", (RAMP * 0.1).astype(np.float32), "0 is black and 0.1 is white"),
        ("a.tif", (RAMP * 2 - 1).astype(np.float32), "-1 is black and 1 is white"),
        ("a.tif", (RAMP * 2e6).astype(np.int32), "0 is black and 2e+06 is white"),
        ("a.tif", (RAMP * 1000 + 29_000).astype(np.int32), ""),
        ("a.png", (RAMP * 1023).astype(np.uint16), "0 is black and 1023 is white"),
        ("a.png", (RAMP * 4095).astype(np.uint16), "0 is black and 4095 is white"),
    ],
    ids=["float 0…1", "dark float", "float −1…1", "int32", "int32 in the range of 16 bits", "10 bits", "12 bits"],
)
def test_dark_images_are_stretched_to_what_they_hold(
    tmp_path: Path, name: str, values: NDArray[Any], range_: str
) -> None:
    grey, notes = opened(tmp_path / name, values)
    if not range_:
        assert notes == ()
        return
    assert np.abs(grey.astype(int) - np.rint(255 * RAMP)).max() <= 1
    assert notes == (f"The values of {name} do not fill their range and were stretched: {range_}.",)


def test_an_image_of_16_bits_keeps_its_range(tmp_path: Path) -> None:
    grey, notes = opened(tmp_path / "a.png", (RAMP * 40_000).astype(np.uint16))
    assert np.abs(grey.astype(int) - 255 * RAMP * 40_000 / 65_535).max() <= 1
    assert notes == ()


def test_what_is_no_number_is_black_and_a_flat_image_is_read(tmp_path: Path) -> None:
    holes = RAMP.astype(np.float32).copy()
    holes[3, 4], holes[5, 6], holes[7, 8] = np.nan, np.inf, -np.inf
    grey, _ = opened(tmp_path / "a.tif", holes)
    assert (grey[3, 4], grey[5, 6], grey[7, 8]) == (0, 255, 0)
    assert np.abs(grey[40].astype(int) - np.rint(255 * RAMP[40])).max() <= 1
    for value in (0.0, 7.0, np.nan):
        assert opened(tmp_path / "flat.tif", np.full((48, 64), value, np.float32))[0].max() == 0
