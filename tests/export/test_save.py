"""A model file appears complete or not at all, also when two write it at the same time."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from tests.support.models import tiny_models


def test_two_concurrent_writes_leave_a_complete_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tiny.onnx"
    write = Path.write_bytes
    within: list[Path] = []

    def write_slowly(part: Path, data: bytes) -> int:
        if within:
            return write(part, data)
        within.append(part)
        with part.open("wb") as file:
            file.write(data[:100])
            tiny_models.model(path)  # a second write starts and finishes
            assert onnx.load(path).graph.node
            return 100 + file.write(data[100:])

    monkeypatch.setattr(Path, "write_bytes", write_slowly)
    tiny_models.model(path)
    onnx.checker.check_model(onnx.load(path))
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(part: Path, _data: bytes) -> int:
        part.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        tiny_models.model(tmp_path / "tiny.onnx")
    assert not list(tmp_path.iterdir())
