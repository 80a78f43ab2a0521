"""The server's handle on the process that explains a film (`stream.uploads.worker`).

The child is a fresh interpreter that lowers its priority before it imports anything. The order goes to it as a pickle,
its answers are lines of JSON: they come from a process that has decoded somebody's file.
"""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whycam.models.contract import HEATMAPS
from whycam.stream.inference.providers import Device

# The server decides when this process ends: Ctrl-C and a service manager's SIGTERM go to both.
BOOT = """
import pickle, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.path[:] = pickle.load(sys.stdin.buffer)
from whycam.stream.low_priority import lower_priority
lower_priority(10, 900, idle=True)  # ended before the live model, when memory runs out
from whycam.stream.uploads.worker import main
main()
"""
MAX_LINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class FilmOrder:
    """What to explain; picklable."""

    folder: Path
    """The job's folder, which contains the film."""
    name: str
    model: Path
    device: Device
    mark: str
    sure: float
    """Below this probability the label in the film says 'not sure'."""
    output: str = HEATMAPS
    """Of the model's maps the one that is drawn."""


class FilmProcess:
    """A child that works on one film: iterate over its `answers`, then `end` it."""

    def __init__(self, order: FilmOrder) -> None:
        priority = 0
        if sys.platform == "win32":
            priority = subprocess.IDLE_PRIORITY_CLASS
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-c", BOOT, order.name],  # the name is shown in process lists only
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            creationflags=priority,
            start_new_session=True,  # see `lower_priority`
        )
        self.pid = self._process.pid
        assert self._process.stdin is not None
        with suppress(OSError):  # it was killed already
            for message in (sys.path, order):  # so that the child finds the same packages
                pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()

    def answers(self) -> Iterator[dict[str, Any]]:
        """Its lines until it ends."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline(MAX_LINE):
            with suppress(ValueError, RecursionError):
                answer = json.loads(line)
                if isinstance(answer, dict):
                    yield answer

    def kill(self) -> None:
        """End it at once; `answers` ends, too."""
        self._process.kill()

    def end(self) -> str:
        """Wait until it has ended; says how."""
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        if code >= 0:
            return f"exit code {code}"
        name = {number.value: number.name for number in signal.Signals}.get(-code, f"signal {-code}")
        return f"{name}{', as when memory runs out' if name == 'SIGKILL' else ''}"
