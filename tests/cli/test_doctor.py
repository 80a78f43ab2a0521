"""Findings of `whycam doctor` on computers with and without problems."""

from __future__ import annotations

import os
import socket
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tests.support.models import tiny_models
from tests.support.servers.server_process import free_port, lan_arguments, serving
from whycam.stream.cli import doctor
from whycam.stream.cli.doctor import Finding, examine
from whycam.stream.server.certificate import own_certificate
from whycam.stream.server.lan import Address
from whycam.stream.video.encoder import HARDWARE, backends, problem_of


def found(folder: Path, port: int = 1) -> dict[str, Finding]:
    findings = examine(port=port, recordings=folder / "recordings", lan_port=2, config=folder / "config")
    return {finding.what: finding for finding in findings}


def test_a_computer_without_problems_gets_no_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "lan_addresses", lambda: (Address("127.0.0.1", "wlan0"),))
    findings = found(tmp_path)
    assert [f for f in findings.values() if not f.ok] == []
    model = findings["model efficientnet-lite0"].says
    assert "ms per image on CPUExecutionProvider" in model
    assert "sha256" in model
    assert {"encoder libvpx", "recordings", "onnxruntime", "Python"} <= set(findings)


def test_it_says_which_encoder_is_used_and_why_not_another(tmp_path: Path) -> None:
    findings = found(tmp_path)
    assert findings["encoder libvpx"].says == "works, used for VP8"
    assert findings[f"encoder {backends()['H264'].name}"].says == "works, used for H264"
    for backend in HARDWARE:
        assert (problem_of(backend) or "works") in findings[f"encoder {backend.name}"].says


def test_a_port_in_use_is_found(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finding = found(tmp_path, port)[f"port {port}"]
    assert not finding.ok
    assert finding.says == "used by another program"
    assert str(port + 1) in finding.advice


def test_a_running_whycam_is_distinguished_from_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lan_port = free_port()
    monkeypatch.setattr(doctor, "lan_addresses", lambda: (Address("127.0.0.1", "wlan0"),))
    model = ["--model", str(tiny_models.bright_spot(tmp_path / "bright.onnx"))]
    with serving(tmp_path, arguments=[*model, *lan_arguments(tmp_path, lan_port)]) as server:
        port = int(server.url.rpartition(":")[2])
        findings = {
            finding.what: finding
            for finding in examine(port=port, recordings=server.recordings, lan_port=lan_port, config=tmp_path)
        }
    computer, phones = findings[f"port {port}"], findings[f"port {lan_port}"]
    # On a busy machine it reports that its answers are late.
    assert computer.says.startswith("whycam serves here: bright spot, cameras: 0, viewers: 0. ")
    assert phones.says == "whycam serves here, for phones"
    assert computer.ok
    assert phones.ok


def test_the_addresses_for_phones_are_listed_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "lan_addresses", lambda: (Address("127.0.0.1", "wlan0"), Address("127.0.0.2", "eth0")))
    findings = found(tmp_path)
    says = findings["phones"].says
    assert says.index("127.0.0.1 (wlan0)") < says.index("127.0.0.2 (eth0)")
    for words in ("hotspot", "no internet", "firewall", "TCP 2", "--udp-ports"):
        assert words in says
    assert findings["port 2"].ok
    monkeypatch.setattr(doctor, "lan_addresses", tuple)
    finding = found(tmp_path)["network"]
    assert "no video, not even to the same computer" in finding.says
    assert "hotspot" in finding.advice


def test_the_certificate_is_checked_and_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "lan_addresses", lambda: (Address("192.168.1.5", "wlan0"),))
    monkeypatch.setattr(doctor, "_port", lambda _address, port, _option, _whycam: Finding(f"port {port}", "free"))
    assert "none yet" in found(tmp_path)["certificate"].says
    assert not (tmp_path / "config").exists()
    own_certificate(tmp_path / "config", ["192.168.1.4"])
    says = found(tmp_path)["certificate"].says
    assert "192.168.1.4" in says
    assert "renewed at the next start, for 192.168.1.5" in says
    (tmp_path / "config" / "server.crt").write_text("damaged")
    assert "makes a new one" in found(tmp_path)["certificate"].says


def test_two_runtimes_that_overwrite_each_other_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda _: "1.0")
    assert "overwrite" in doctor._runtime().advice

    def none(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(doctor, "version", none)
    assert "whycam[cpu]" in doctor._runtime().advice


@pytest.mark.parametrize("only", doctor.RUNTIMES)
def test_any_single_runtime_is_ok(only: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package != only:
            raise PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr(doctor, "version", version)
    finding = doctor._runtime()
    assert finding.ok
    assert finding.says.startswith(f"{only} 1.0: ")


def test_the_limits_are_listed(tmp_path: Path) -> None:
    lines = found(tmp_path)["limits"].says.splitlines()
    assert lines[1] == "    8 cameras at once"
    assert max(map(len, lines)) < 90


def test_a_disk_with_little_room_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MIN_FREE", 1 << 60)
    assert "Nothing is recorded" in found(tmp_path)["recordings"].advice
    assert not (tmp_path / "recordings").exists()


def test_an_unusable_recordings_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recordings").write_text("")
    assert "is a file" in found(tmp_path)["recordings"].advice
    (tmp_path / "recordings").unlink()
    monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may run as root
    assert "Nothing can be written" in found(tmp_path)["recordings"].advice


def test_missing_optional_parts_are_no_problem(tmp_path: Path) -> None:
    found = {each.what: each for each in examine(port=free_port(), recordings=tmp_path, lan_port=free_port())}
    assert not found["encoder libx264"].absent
    hardware = [found[f"encoder {backend.name}"] for backend in HARDWARE]
    assert all(each.ok and each.absent == each.says.startswith("not available") for each in hardware)
