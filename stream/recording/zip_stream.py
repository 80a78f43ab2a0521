"""Files as one ZIP that is made while it is sent: nothing lies in memory or on the disk but the block in hand."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

BLOCK = 1 << 18
"""Bytes that are read at a time."""


class _Outlet:
    """A file that cannot be sought, from which is taken what was written."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._blocks.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """There is nothing behind it, and nothing to close."""

    close = flush

    def take(self) -> bytes:
        data = b"".join(self._blocks)
        self._blocks.clear()
        return data


def bundled(folder: Path, files: Mapping[str, int]) -> Iterator[bytes]:
    """The ZIP of these files of a folder, stored and not compressed (films do not shrink), block by block.

    Of each file so many bytes are taken as are named: one that is still written to ends where it ended when it was
    listed. Raises `OSError`.
    """
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w") as bundle:
        for name, size in files.items():
            entry = zipfile.ZipInfo.from_file(folder / name, f"{folder.name}/{name}", strict_timestamps=False)
            entry.file_size = size
            with (folder / name).open("rb") as source, bundle.open(entry, "w", force_zip64=True) as target:
                while size > 0 and (block := source.read(min(BLOCK, size))):
                    size -= len(block)
                    target.write(block)
                    yield outlet.take()
    yield outlet.take()
