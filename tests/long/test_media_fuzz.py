"""Damaged photographs and films of the kinds that once ended a batch: each is explained or refused with a sentence."""

from __future__ import annotations

import io
import random
import struct
import time
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from tests.support.films import media_samples
from tests.support.films.interlaced import interlaced
from tests.support.films.joined_films import joined, piece
from tests.support.films.time_lapse import photograph, time_lapse
from tests.support.fuzz import mutants_of_each

pytestmark = pytest.mark.timeout(1800)
SIZE = (64, 48)


def photographs() -> list[bytes]:
    """Tiny JPEGs, which are mostly EXIF: as a phone writes it, of each byte order, with a thumbnail's directory."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x011A] = "Phone", 6, 72.0
    exif[0x9003], exif[0xA002], exif[0x829A] = "2026:11:22 21:03:55", 64, 0.01
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
    exif[0x8769] = {0x9000: b"0232", 0x927C: bytes(range(64)), 0xA005: 0}
    little = exif.tobytes()
    big = b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + struct.pack(">HHIHH", 0x0112, 3, 1, 8, 0)
    big += struct.pack(">HHII", 0x010F, 2, 5, 38) + bytes(4) + b"Cam\0\0\0"
    made = []
    for data in (little, big):
        file = io.BytesIO()
        Image.new("RGB", (8, 8), "gray").save(file, "JPEG", exif=data, quality=20)
        made.append(file.getvalue())
    return made


def films(folder: Path) -> list[bytes]:
    """One of each kind that failed once: EXIF in frames, fields, channels, joined, a short last frame, copied sound."""
    shots = [photograph(media_samples.spot(SIZE, number), 6) for number in range(4)]
    sevens = media_samples.write(
        folder / "71.mov", count=6, sound="pcm_s16le", layout="7.1", time_base=Fraction(1, 30)
    ).read_bytes()
    place = sevens.index(b"chan") + 8
    custom = sevens[:place] + struct.pack(">II", 127 << 16 | 8, 0) + sevens[place + 8 :]
    paths = [
        time_lapse(folder / "exif.avi", shots),
        time_lapse(folder / "exif.mov", shots),
        interlaced(folder / "fields.mpg", count=6),
        media_samples.write(folder / "last.mp4", pts=[0, 90_000, 180_000]),
        joined(folder / "joined.ts", piece(folder / "a.ts", count=6), piece(folder / "b.ts", count=6)),
        piece(folder / "sound.mkv", count=6, sound="eac3"),
    ]
    return [custom, *(path.read_bytes() for path in paths)]


def checked(target: str, seeds: list[bytes], count: int, seed: int) -> None:
    outcome = mutants_of_each(target, seeds, count, random.Random(seed))
    print(outcome)
    assert outcome.mutants == count * len(seeds)
    assert not outcome.faults


def test_damaged_exif_ends_in_an_image_or_a_sentence() -> None:
    checked("exif", photographs(), 200, seed=1)


def test_damaged_films_end_in_a_film_or_a_sentence(tmp_path: Path) -> None:
    checked("copy", films(tmp_path), 8, seed=1)


@pytest.mark.long
def test_four_thousand_damaged_exifs() -> None:
    checked("exif", photographs(), 2000, seed=round(time.time()))


@pytest.mark.long
def test_two_hundred_mutants_of_each_kind_of_film(tmp_path: Path) -> None:
    checked("copy", films(tmp_path), 200, seed=round(time.time()))
