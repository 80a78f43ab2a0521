"""Runs the command as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.support import ROOT
from tests.support.warm_python import Call, WarmPython

LONGEST_S = 120


def run(
    *arguments: str | Path, folder: Path, columns: int = 200, fresh: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `python -m whycam` in a process of its own, forked where the system can: that halves its time.

    `fresh`: in one that has imported nothing yet.
    """
    words = [*map(str, arguments)]
    environment = os.environ | {"COLUMNS": str(columns), "PYTHONPATH": str(ROOT)}
    if fresh or not hasattr(os, "fork"):
        return subprocess.run(
            [sys.executable, "-m", "whycam", *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
    with tempfile.TemporaryDirectory() as outputs:
        stdout, stderr = Path(outputs) / "stdout", Path(outputs) / "stderr"
        call = Call("whycam", words, str(folder), environment, str(stdout), str(stderr))
        code = _warm(os.getpid()).run(call, LONGEST_S)
        return subprocess.CompletedProcess(words, code, stdout.read_text("utf-8"), stderr.read_text("utf-8"))


@cache
def _warm(process: int) -> WarmPython:
    return WarmPython()
