"""Damaged EXIF never hides an image, and intact EXIF is kept byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from PIL import Image

from tests.support.films import media_samples
from whycam.stream.media.image import exif_of, open_image, write_image

SIZE = (64, 48)
MAKER, RESOLUTION, GPS, ORIENTATION = 0x010F, 0x011A, 0x8825, 0x0112


def with_exif(path: Path, exif: bytes) -> Path:
    Image.fromarray(media_samples.spot(SIZE)).save(path, exif=exif)
    return path


def rich_exif() -> bytes:
    """EXIF as a phone writes it: numbers, fractions, words, places, a thumbnail's directory."""
    exif = Image.Exif()
    exif[MAKER], exif[ORIENTATION], exif[RESOLUTION] = "Phone", 6, 72.0
    exif[0x9003], exif[0xA002], exif[0x829A] = "2026:11:22 21:03:55", 64, 0.01
    exif[GPS] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
    return exif.tobytes()


def a_bad_byte_count() -> bytes:
    """A tag of bytes whose value Pillow reads and cannot write: more than 255."""
    data = bytearray(rich_exif())
    at = data.index(b"\x0f\x01\x02\x00") if b"\x0f\x01\x02\x00" in data else data.index(b"\x01\x0f\x00\x02")
    order: Literal["little", "big"] = "little" if data[at] == 0x0F else "big"
    data[at + 2 : at + 4] = (12).to_bytes(2, order)
    data[at + 4 : at + 8] = (1).to_bytes(4, order)
    return bytes(data)


def test_a_photograph_whose_exif_pillow_cannot_write_is_read_upright(tmp_path: Path) -> None:
    path = with_exif(tmp_path / "cup.jpg", a_bad_byte_count())
    assert open_image(path).rgb.shape == (64, 48, 3)
    assert exif_of(path)


def test_exif_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    path = with_exif(tmp_path / "cup.jpg", b"Exif\0\0II*\0" + b"\xff" * 20)
    image = open_image(path)
    assert image.rgb.shape == (48, 64, 3)
    assert exif_of(path) is None or image.notes == ()


def test_kept_exif_is_that_of_the_original_byte_for_byte(tmp_path: Path) -> None:
    exif = rich_exif()
    path = with_exif(tmp_path / "cup.jpg", exif)
    kept = exif_of(path)
    assert kept is not None
    assert len(kept) == len(exif)
    assert sum(a != b for a, b in zip(kept, exif, strict=True)) <= 2  # the orientation's
    write_image(tmp_path / "copy.jpg", open_image(path).rgb, kept)
    with Image.open(tmp_path / "copy.jpg") as copy, Image.open(path) as original:
        assert dict(copy.getexif()) == {**dict(original.getexif()), ORIENTATION: 1}
        assert copy.getexif().get_ifd(GPS) == original.getexif().get_ifd(GPS)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_other_formats_keep_their_exif(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[MAKER], exif[ORIENTATION] = "Phone", 6
    path = tmp_path / f"cup{suffix}"
    Image.fromarray(media_samples.spot(SIZE)).save(path, exif=exif)
    write_image(tmp_path / "copy.jpg", open_image(path).rgb, exif_of(path) or b"")
    with Image.open(tmp_path / "copy.jpg") as copy:
        assert copy.getexif()[MAKER] == "Phone"
        assert copy.getexif().get(ORIENTATION, 1) == 1
        assert copy.size == SIZE[::-1]


def test_exif_that_a_jpeg_cannot_store_is_not_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[MAKER] = "x" * 70_000
    path = tmp_path / "cup.png"
    Image.fromarray(media_samples.spot(SIZE)).save(path, exif=exif)
    assert exif_of(path) is None
