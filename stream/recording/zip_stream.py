"""Files as one ZIP, made while it is sent: only the current block is in memory, and nothing on disk."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

BLOCK = 1 << 18
"""Bytes read at a time."""


class _Outlet:
    """A file without seeking that buffers what is written until `take`."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._blocks.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Does nothing, like `close`."""

    close = flush

    def take(self) -> bytes:
        data = b"".join(self._blocks)
        self._blocks.clear()
        return data


def bundled(folder: Path, files: Mapping[str, int]) -> Iterator[bytes]:
    """The ZIP of a folder's files, block by block; stored without compression, because films do not shrink.

    Each file contributes at most the given number of bytes, so that a growing one ends where it did when it was
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
