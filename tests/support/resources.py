"""What a server holds: memory, threads, descriptors, tasks; looked at from outside, before and after."""

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
    """Of the server's process and its model's; tasks are those of the event loop."""

    mebibytes: float
    threads: int
    descriptors: int
    tasks: int

    def __str__(self) -> str:
        return f"{self.mebibytes:.0f} MiB, {self.threads} threads, {self.descriptors} descriptors, {self.tasks} tasks"


def health(server: Server) -> dict[str, Any]:
    """What `/healthz` says."""
    with urllib.request.urlopen(f"{server.url}/healthz", timeout=10) as answer:
        told = json.loads(answer.read())
        assert isinstance(told, dict)
        return told


def held(server: Server) -> Held:
    """What it holds now."""
    processes = family(server.process.pid)
    return Held(
        sum(process.memory_info().rss for process in processes) / 2**20,
        sum(process.num_threads() for process in processes),
        sum(process.num_fds() for process in processes),
        health(server)["tasks"],
    )


def until_empty(server: Server, seconds: float) -> float:
    """Wait until no session is left; how long it took."""
    start = time.monotonic()
    while health(server)["sessions"]:
        assert time.monotonic() - start < seconds, "sessions are left"
        time.sleep(0.1)
    return time.monotonic() - start
