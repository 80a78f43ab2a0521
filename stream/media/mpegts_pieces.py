"""Finds the pieces of a joined MPEG-TS whose streams have other PIDs, which FFmpeg skips.

Only the tables at a piece's beginning are read (ISO/IEC 13818-1, 2.4.4); FFmpeg reads the piece as a separate file.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

MAX_SEARCH = 16 << 20
"""Most bytes that are searched; a capture repeats its tables ten times a second."""
_SIZES = (188, 192, 204)
"""Packet sizes: plain, with a time stamp in front (M2TS), with a checksum at the end."""
_SYNC = b"\x47"


Streams: TypeAlias = frozenset[tuple[int, int]]
"""PID and stream type of each."""


def streams_of(path: Path, begin: int, video: int, audio: int | None) -> tuple[int, Streams]:
    """Offset of the first tables from `begin` on that list the video stream, and the two streams as listed there."""
    for at, programs in _tables(path, begin, None):
        for streams in programs:
            if any(number == video for number, _ in streams):
                return at, frozenset(each for each in streams if each[0] in (video, audio))
    return begin, frozenset()


def next_piece(path: Path, behind: int, end: int | None, streams: Streams) -> int | None:
    """Offset between `behind` and `end` of the first tables in which no program has these streams; None without any."""
    if not streams:
        return None
    return next(
        (at for at, programs in _tables(path, behind, end) if not any(streams <= program for program in programs)), None
    )


def _tables(path: Path, begin: int, end: int | None) -> Iterator[tuple[int, list[Streams]]]:
    """Offset of the program table, and the streams of each program, each time all of them are known."""
    tables: dict[int, Streams | None] = {}  # streams of each program, by the PID of its table
    place = None
    for at, number, payload in _payloads(path, begin, end):
        if number == 0 and (body := _section(payload, 0)) is not None:
            place = at
            entries = [body[n : n + 4] for n in range(5, len(body) - 3, 4)]
            found = {_number(entry[2:]) for entry in entries if entry[:2] != b"\0\0"}
            if found != tables.keys():
                tables = dict.fromkeys(found)
        elif number in tables and (body := _section(payload, 2)) is not None:
            tables[number] = frozenset(_streams(body))
            known = [streams for streams in tables.values() if streams is not None]
            if place is not None and len(known) == len(tables):
                yield place, known


def _payloads(path: Path, begin: int, end: int | None) -> Iterator[tuple[int, int, bytes]]:
    """Offset, PID and payload of each packet in which a payload unit starts."""
    with path.open("rb") as file:
        file.seek(begin)
        data = file.read(MAX_SEARCH if end is None else max(0, min(MAX_SEARCH, end - begin)))
    size, first = _alignment(data)
    for at in range(first, len(data) - 187, size):
        packet = data[at : at + 188]
        if packet[:1] != _SYNC or not packet[1] & 0x40 or not packet[3] & 0x10:
            continue
        start = 5 + packet[4] if packet[3] & 0x20 else 4
        yield begin + at, _number(packet[1:]), packet[start:]


def _alignment(data: bytes) -> tuple[int, int]:
    """Packet size, and offset of the first packet."""
    for first in range(_SIZES[-1]):
        for size in _SIZES:
            if all(data[first + n * size : first + n * size + 1] == _SYNC for n in range(5)):
                return size, first
    return _SIZES[0], len(data)


def _section(payload: bytes, table: int) -> bytes | None:
    """A table's bytes between its length and its CRC; None if it is another table, cut off or damaged."""
    if not payload:
        return None
    section = payload[1 + payload[0] :]
    if len(section) < 3 or section[0] != table:
        return None
    end = 3 + (_number(section[1:]) & 0xFFF)
    return section[3 : end - 4] if end <= len(section) and not _remainder(section[:end]) else None


@lru_cache(64)  # tables are repeated
def _remainder(section: bytes) -> int:
    """CRC-32 remainder of a table (annex A); 0 if it is intact."""
    value = 0xFFFFFFFF
    for byte in section:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value


def _streams(body: bytes) -> Iterator[tuple[int, int]]:
    at = 9 + (_number(body[7:]) & 0xFFF)
    while at + 5 <= len(body):
        yield _number(body[at + 1 :]), body[at]
        at += 5 + (_number(body[at + 3 :]) & 0xFFF)


def _number(data: bytes) -> int:
    return int.from_bytes(data[:2], "big") & 0x1FFF


class Piece(io.RawIOBase):
    """A byte range of a file, as a file."""

    def __init__(self, path: Path, begin: int, end: int | None) -> None:
        self._begin = begin
        self._size = (path.stat().st_size if end is None else end) - begin
        self._at = 0
        self._file = path.open("rb")

    def read(self, size: int = -1) -> bytes:
        """See `io.RawIOBase`."""
        left = max(0, self._size - self._at)
        self._file.seek(self._begin + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.RawIOBase`."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """See `io.RawIOBase`."""
        return self._at

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def seekable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def close(self) -> None:
        """See `io.RawIOBase`."""
        self._file.close()
        super().close()
