"""A server's resource use, measured from outside: memory, threads, descriptors, tasks."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.support.processes import family
from tests.support.servers.server_process import Server


@dataclass(frozen=True)
class Held:
    """The resources of the server's and its model's process; tasks are those of the event loop."""

    mebibytes: float
    threads: int
    descriptors: int
    tasks: int

    def __str__(self) -> str:
        return f"{self.mebibytes:.0f} MiB, {self.threads} threads, {self.descriptors} descriptors, {self.tasks} tasks"


def health(server: Server) -> dict[str, Any]:
    """The answer of `/healthz`."""
    with urllib.request.urlopen(f"{server.url}/healthz", timeout=10) as answer:
        report = json.loads(answer.read())
        assert isinstance(report, dict)
        return report


def held(server: Server) -> Held:
    """The server's current resource use."""
    processes = family(server.process.pid)
    return Held(
        sum(process.memory_info().rss for process in processes) / 2**20,
        sum(process.num_threads() for process in processes),
        sum(process.num_fds() for process in processes),
        health(server)["tasks"],
    )


def until_empty(server: Server, seconds: float) -> float:
    """Wait until no session is left; returns the seconds it took."""
    start = time.monotonic()
    while health(server)["sessions"]:
        assert time.monotonic() - start < seconds, "sessions are left"
        time.sleep(0.1)
    return time.monotonic() - start
