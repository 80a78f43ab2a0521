"""Pieces of a joined MPEG-TS with other PIDs, programs or codecs."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.support.films import media_samples
from tests.support.films.joined_films import (
    COUNT,
    FRAME,
    copy,
    end_to_end,
    joined,
    length_of_sound,
    piece,
    read,
    signals,
)
from whycam.stream.media import film_reader
from whycam.stream.media.film_reader import open_film
from whycam.stream.media.mpegts_pieces import Piece, next_piece, streams_of

NUMBERS = {"mpegts_start_pid": "0x131"}
PROGRAM = {"mpegts_start_pid": "0x151", "mpegts_service_id": "7", "mpegts_pmt_start_pid": "0x1007"}
H264, AAC = 0x1B, 0x0F
"""Types of streams, ISO/IEC 13818-1, table 2-34."""


def check(path: Path, parts: list[Path], *, step: float = 1.5 * FRAME) -> None:
    seen, heard, joins = read(path)
    expected = end_to_end(parts)
    assert seen == pytest.approx(expected[0], abs=1e-4)
    assert heard == pytest.approx(expected[1], abs=1e-4)
    assert joins == pytest.approx(expected[2], abs=1e-4)
    written = copy(path)
    white, beeps = signals(written)
    assert len(white) == len(parts)
    assert beeps == pytest.approx(white, abs=step)
    assert len(media_samples.read(written)) == len(parts) * COUNT
    assert length_of_sound(written) == pytest.approx(sum(map(length_of_sound, parts)), abs=0.15)


@pytest.mark.parametrize("options", [NUMBERS, PROGRAM], ids=["numbers", "program"])
@pytest.mark.parametrize("begin", [0, 3600])
def test_streams_of_other_pids_are_read_too(tmp_path: Path, options: dict[str, str], begin: float) -> None:
    plain, other = piece(tmp_path / "a.ts"), piece(tmp_path / "b.ts", begin, options=options)
    check(joined(tmp_path / "joined.ts", plain, other, plain), [plain, other, plain], step=0.01)


@pytest.mark.parametrize("options", [{}, NUMBERS], ids=["same", "other"])
def test_pieces_may_differ_in_their_codecs(tmp_path: Path, options: dict[str, str]) -> None:
    plain = piece(tmp_path / "a.ts")
    other = piece(tmp_path / "b.ts", codec="mpeg2video", sound="mp2", size=(96, 64), options=options)
    check(joined(tmp_path / "ab.ts", plain, other), [plain, other])
    check(joined(tmp_path / "bab.ts", other, plain, other), [other, plain, other])


def test_a_piece_is_found_beyond_the_probed_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg probes the first 5 MB; PyAV returns nothing of streams that appear later."""
    monkeypatch.setattr("whycam.stream.media.mpegts_pieces.MAX_SEARCH", 20_000)
    plain = piece(tmp_path / "a.ts", quality=1)
    other = piece(tmp_path / "b.ts", options=PROGRAM)
    assert plain.stat().st_size > 40_000
    check(joined(tmp_path / "joined.ts", plain, other, plain), [plain, other, plain], step=0.01)


def test_packets_with_a_time_stamp_in_front_are_read_too(tmp_path: Path) -> None:
    """M2TS, as camcorders write it."""
    m2ts = {"mpegts_m2ts_mode": "1"}
    plain = piece(tmp_path / "a.ts", options=m2ts)
    other = piece(tmp_path / "b.ts", codec="mpeg2video", sound="ac3", options=m2ts)
    check(joined(tmp_path / "joined.m2ts", plain, other), [plain, other])


def test_sound_that_begins_with_a_later_piece_is_dropped_and_counted(tmp_path: Path) -> None:
    silent, other = piece(tmp_path / "a.ts", sound=None), piece(tmp_path / "b.ts", options=NUMBERS)
    with open_film(joined(tmp_path / "joined.ts", silent, other)) as opened:
        frames = [item for item in opened.read() if isinstance(item, av.VideoFrame)]
        assert len(frames) == 2 * COUNT
        assert opened.losses.unheard == pytest.approx(2, abs=0.1)


def test_a_piece_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    plain, other = piece(tmp_path / "a.ts"), piece(tmp_path / "b.ts", options=NUMBERS)
    path = tmp_path / "joined.ts"
    packets = [each for each in _packets(other) if _pid(each) != 0x131]
    path.write_bytes(plain.read_bytes() + b"".join(_without_picture(each) for each in packets))
    with open_film(path) as opened:
        assert len([item for item in opened.read() if isinstance(item, av.VideoFrame)]) == COUNT
        assert f"byte {plain.stat().st_size + 188} cannot be read" in opened.losses.error
        assert "no video stream (found: audio" in opened.losses.error
    path.write_bytes(plain.read_bytes() + b"".join(packets[:3]) + bytes(188 * 5))
    assert len(read(path)[0]) == COUNT


def test_sound_alone_may_come_before(tmp_path: Path) -> None:
    """As where a capture begins in a radio program."""
    radio = piece(tmp_path / "a.ts", options=NUMBERS)
    packets = [_without_picture(each) for each in _packets(radio) if _pid(each) != 0x131]
    radio.write_bytes(b"".join(packets))
    plain, other = piece(tmp_path / "b.ts"), piece(tmp_path / "c.ts", options=PROGRAM)
    for parts in ([plain], [plain, other, plain]):
        assert len(read(joined(tmp_path / "joined.ts", radio, *parts))[0]) == len(parts) * COUNT


def _without_picture(packet: bytes) -> bytes:
    at = packet.find(b"\x1b\xe1\x31")  # H.264, PID 0x131
    if at < 0:
        return packet
    section = packet[5:at] + b"\x7f\xe1\x31" + packet[at + 3 : 8 + packet[7] - 4]
    return packet[:5] + section + _check_of(section) + packet[8 + packet[7] :]


def _packets(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [data[at : at + 188] for at in range(0, len(data), 188)]


def _pid(packet: bytes | bytearray) -> int:
    return (packet[1] & 31) << 8 | packet[2]


def _check_of(section: bytes) -> bytes:
    """CRC-32 as in ISO/IEC 13818-1, annex A."""
    value = 0xFFFFFFFF
    for byte in section:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value.to_bytes(4, "big")


def test_a_film_of_one_piece_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    inner = film_reader._opened

    def noting(file: Path) -> Any:
        opened.append(file)
        return inner(file)

    monkeypatch.setattr(film_reader, "_opened", noting)
    plain = piece(tmp_path / "a.ts")
    for path in (plain, joined(tmp_path / "joined.ts", plain, plain)):
        read(path)
        assert opened == [path]
        opened.clear()


def test_two_programs_side_by_side_are_no_pieces(tmp_path: Path) -> None:
    """A broadcast: the first program is read, however long the second continues."""
    first = [each for each in _packets(piece(tmp_path / "a.ts")) if _pid(each)]
    second = [each for each in _packets(piece(tmp_path / "b.ts", count=3 * COUNT, options=PROGRAM)) if _pid(each)]
    section = bytes.fromhex("00 b0 11 00 01 c1 00 00 00 01 f0 00 00 07 f0 07")  # programs 1 and 7, at 0x1000 and 0x1007
    table = (bytes.fromhex("47 40 00 10 00") + section + _check_of(section)).ljust(188, b"\xff")
    path = tmp_path / "broadcast.ts"
    with path.open("wb") as file:
        for number in range(max(len(first), len(second))):
            file.writelines([table] if number % 20 == 0 else [])
            file.writelines(first[number : number + 1] + second[number : number + 1])
            # The first program's table is still repeated, as when its video pauses.
            file.writelines(
                each for each in first[:2] if number > len(first) and number % 20 == 0 and _pid(each) == 0x1000
            )
    assert len(second) > len(first) + 40
    seen, _, joins = read(path)
    assert len(seen) == COUNT
    assert not joins


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Only Linux lists them there")
def test_the_files_are_closed_with_the_film(tmp_path: Path) -> None:
    plain, other = piece(tmp_path / "a.ts"), piece(tmp_path / "b.ts", options=NUMBERS)
    before = len(os.listdir("/proc/self/fd"))
    read(joined(tmp_path / "joined.ts", plain, other))
    assert len(os.listdir("/proc/self/fd")) == before


def test_tables_are_read_from_any_offset(tmp_path: Path) -> None:
    plain, other = piece(tmp_path / "a.ts"), piece(tmp_path / "b.ts", options=PROGRAM)
    path = joined(tmp_path / "joined.ts", plain, other)
    size = plain.stat().st_size
    _, own = streams_of(path, 0, 0x100, 0x101)
    assert own == {(0x100, H264), (0x101, AAC)}
    for begin in (0, 1, 188, 5000, size - 188, size):
        at = next_piece(path, begin, None, own)
        assert at is not None
        assert size <= at < size + 188 * 3
    assert next_piece(path, 0, size, own) is None
    assert next_piece(path, 0, None, frozenset()) is None
    assert next_piece(path, path.stat().st_size, None, own) is None


@pytest.mark.parametrize("seed", range(20))
def test_damaged_tables_are_skipped(tmp_path: Path, seed: int) -> None:
    path = piece(tmp_path / "a.ts")
    _, own = streams_of(path, 0, 0x100, 0x101)
    random = np.random.default_rng(seed)
    packets = [bytearray(each) for each in _packets(path)]
    tables = [each for each in packets if _pid(each) in (0, 0x1000)]
    for each in tables[2:]:
        each[random.integers(5, 30)] ^= 1 << random.integers(8)
    path.write_bytes(b"".join(packets))
    assert len(tables) > 10
    assert next_piece(path, 0, None, own) is None


def test_a_part_of_a_file_is_like_a_file(tmp_path: Path) -> None:
    path = tmp_path / "letters"
    path.write_bytes(b"0123456789")
    for end, whole in ((None, b"3456789"), (7, b"3456")):
        with Piece(path, 3, end) as part:
            expected = io.BytesIO(whole)
            steps: list[Callable[[io.RawIOBase | io.BytesIO], object]] = [
                lambda file: file.read(2),
                lambda file: file.tell(),
                lambda file: file.seek(-1, io.SEEK_END),
                lambda file: file.read(),
                lambda file: file.read(1),
                lambda file: file.seek(1),
                lambda file: file.seek(1, io.SEEK_CUR),
                lambda file: file.read(),
                lambda file: file.seek(50),
                lambda file: file.read(3),
            ]
            assert [step(part) for step in steps] == [step(expected) for step in steps]
