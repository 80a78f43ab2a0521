"""The ZIP of a recording: complete, uncompressed, and made block by block."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from whycam.stream.recording.zip_stream import BLOCK, bundled


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "2026-11-22_21-03-55_1f3a"
    made.mkdir()
    (made / "camera-000.mp4").write_bytes(bytes(range(256)) * (BLOCK // 256 * 5 + 3))
    (made / "session.json").write_bytes(b"{}")
    (made / "empty.jsonl").write_bytes(b"")
    return made


def sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def test_all_files_are_in_the_zip_unchanged_and_uncompressed(folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(b"".join(bundled(folder, sizes(folder))))) as bundle:
        assert bundle.testzip() is None
        assert {info.filename for info in bundle.infolist()} == {f"{folder.name}/{name}" for name in sizes(folder)}
        for info in bundle.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert bundle.read(info) == (folder.parent / info.filename).read_bytes()


def test_no_block_is_much_larger_than_one_read(folder: Path) -> None:
    assert max(len(block) for block in bundled(folder, sizes(folder))) < BLOCK + 1000


def test_a_growing_file_has_its_listed_size(folder: Path) -> None:
    listed = sizes(folder)
    blocks = bundled(folder, listed)
    first = next(blocks)
    with (folder / "camera-000.mp4").open("ab") as file:
        file.write(b"more" * 1000)
    with zipfile.ZipFile(io.BytesIO(first + b"".join(blocks))) as bundle:
        assert bundle.testzip() is None
        assert bundle.getinfo(f"{folder.name}/camera-000.mp4").file_size == listed["camera-000.mp4"]


def test_a_file_from_before_1980_does_not_break_the_zip(folder: Path) -> None:
    os.utime(folder / "session.json", (0, 0))
    assert zipfile.is_zipfile(io.BytesIO(b"".join(bundled(folder, sizes(folder)))))
