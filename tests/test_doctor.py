"""What `whycam doctor` finds on a computer that is well, and on one that is not."""

from __future__ import annotations

import socket
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from stream import doctor
from stream.doctor import Finding, examine


def found(folder: Path, port: int = 1) -> dict[str, Finding]:
    return {finding.what: finding for finding in examine(port=port, recordings=folder / "recordings")}


def test_a_computer_that_is_well_gets_no_advice(tmp_path: Path) -> None:
    findings = found(tmp_path)
    assert [f for f in findings.values() if not f.well] == []
    model = findings["model efficientnet-lite0"].says
    assert "ms a picture on CPUExecutionProvider" in model
    assert "sha256" in model
    assert {"encoder H264", "encoder VP8", "recordings", "onnxruntime", "Python"} <= set(findings)


def test_a_taken_port_is_found(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finding = found(tmp_path, port)[f"port {port}"]
    assert not finding.well
    assert str(port + 1) in finding.advice


def test_two_runtimes_that_overwrite_each_other_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda _: "1.0")
    assert "overwrite" in doctor._runtime().advice

    def none(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(doctor, "version", none)
    assert "whycam[cpu]" in doctor._runtime().advice


def test_a_disk_with_little_room_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MIN_FREE", 1 << 60)
    assert "Nothing is recorded" in found(tmp_path)["recordings"].advice
    assert not (tmp_path / "recordings").exists()
