"""The examples for systemd and Docker pass their linters, and name only existing options."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

DEPLOY = ROOT / "docs" / "deploy"
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "whycam.service"
    text = (DEPLOY / "whycam.service").read_text()
    unit.write_text(text.replace("/opt/whycam/bin/whycam", sys.executable))  # which must exist
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_the_unit_has_few_privileges() -> None:
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(DEPLOY / "whycam.service")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:]


@pytest.mark.skipif(HADOLINT is None, reason="there is no hadolint")
def test_hadolint_accepts_the_dockerfile() -> None:
    assert HADOLINT is not None
    done = subprocess.run([HADOLINT, str(DEPLOY / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_container_is_not_root_and_has_a_health_check() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert text.index("USER 10001") < text.index("ENTRYPOINT")
    assert "/healthz" in text
    assert "--read-only" in (DEPLOY / "README.md").read_text()


@pytest.mark.parametrize("name", ["Dockerfile", "whycam.service", "README.md"])
def test_every_option_that_is_named_exists(name: str) -> None:
    command = [sys.executable, "-m", "whycam", "serve", "--help"]
    help_text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={"COLUMNS": "200"}).stdout
    ours = r"--(lan|lan-port|recordings|config|max-disk|keep|log|udp-ports|ice-address|device)\b"
    named = {match[0] for match in re.finditer(ours, (DEPLOY / name).read_text())}
    assert len(named) >= 3
    assert named <= set(re.findall(r"--[a-z-]+", help_text)), help_text
