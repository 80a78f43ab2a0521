"""Targets create the environment they need: one per device, because the two onnxruntimes overwrite each other."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
INSTALL = re.compile(r'(\S+)/(?:bin|Scripts)/python -m pip install .*"\.\[([a-z0-9,]+)\]"')


def installs(verb: str, *arguments: str) -> list[tuple[str, set[str]]]:
    """Each environment and the extras that a target would install in it, in a fresh clone."""
    command = ["make", "--dry-run", "--always-make", verb, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [(found[1], set(found[2].split(","))) for found in INSTALL.finditer(done.stdout)]


@pytest.mark.parametrize("verb", ["setup", "serve", "test", "test-fast", "test-models", "test-long", "check", "bench"])
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_an_environment_has_the_runtime_of_one_device(verb: str, device: str) -> None:
    made = installs(verb, f"DEVICE={device}")
    assert made
    for environment, extras in made:
        other = environment in (".venv-export", ".venv-bundled", ".venv-models")
        assert extras & {"cpu", "gpu"} == {"cpu" if other else device}
        assert other or environment == (".venv" if device == "cpu" else ".venv-gpu")


def test_a_device_is_installed_even_if_another_one_is() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--old-file=.venv/.runtime", "serve", "DEVICE=gpu"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert '".[gpu]"' in done.stdout or (ROOT / ".venv-gpu" / ".runtime").exists()
    assert ".venv-gpu" in done.stdout
    assert "/whycam serve --lan" in done.stdout
