"""A hidden file `.whycam-….lock` in a folder of results that says which run works there, and on what.

The run locks it (`recording.lock`); a killed run's file is no longer locked. It contains lines of JSON: the run, the
names that it writes or reads, and the names that are done. They are names, not paths, because the folder may be
mounted elsewhere in a container or on another computer. A cut-off last line is ignored.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import secrets
import socket
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from whycam.stream.recording.lock import HeldFile, is_held_file

GATE = ".whycam.lock"
"""Locked while a run reads the claims of others and adds its own."""
_NAME = re.compile(r"\.whycam-[0-9a-f]{16}\.lock")


@dataclass(frozen=True, slots=True)
class Worker:
    """A run of a command."""

    command: str
    pid: int | None = None
    host: str = ""
    since: datetime | None = None

    @classmethod
    def this(cls, command: str) -> Worker:
        """This process, or the command whose child it is, started now."""
        parent = multiprocessing.parent_process()
        pid = os.getpid() if parent is None or parent.pid is None else parent.pid
        return cls(command, pid, socket.gethostname(), datetime.now().astimezone())

    @classmethod
    def of(cls, value: dict[str, Any]) -> Worker:
        """Parse a claim's entry; raises `ValueError`, `LookupError` or `TypeError` if it is invalid."""
        since = datetime.fromisoformat(value["since"])
        return cls(str(value["command"]), int(value["pid"]), str(value["host"] or ""), since)

    def as_json(self) -> dict[str, Any]:
        """Its entry in a claim and in the output of `--json`."""
        since = self.since.isoformat(timespec="seconds") if self.since is not None else None
        return {"command": self.command, "pid": self.pid, "host": self.host or None, "since": since}

    def __str__(self) -> str:
        process = f"process {self.pid}" if self.pid is not None else ""
        if self.host and self.host != socket.gethostname():
            process += f" on {self.host}"
        about = ", ".join(filter(None, (process, self._since())))
        return f"{self.command} ({about})" if about else self.command

    def _since(self) -> str:
        if self.since is None:
            return ""
        since = self.since.astimezone()
        is_today = since.date() == datetime.now().astimezone().date()
        return f"since {since:%H:%M:%S}" if is_today else f"since {since:%Y-%m-%d %H:%M}"


@dataclass(frozen=True, slots=True)
class Claim:
    """Another run's claim in a folder."""

    worker: Worker
    writes: frozenset[str]
    reads: frozenset[str]
    folds: bool
    """Whether the folder is case-insensitive."""

    def conflicts(self, name: str, *, is_written: bool) -> bool:
        """Whether that run prevents writing, or reading, a file of this name."""
        names = self.writes | self.reads if is_written else self.writes
        return name in names or (self.folds and _folded(name) in map(_folded, names))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


class OwnClaim:
    """This run's claim in a folder, until it is removed. Raises `OSError` if it cannot be written."""

    def __init__(self, folder: Path, worker: Worker, writes: Iterable[str], reads: Iterable[str]) -> None:
        self._file = HeldFile(folder / f".whycam-{secrets.token_hex(8)}.lock")
        try:
            self._file.append(
                _line({"whycam": 1, **worker.as_json()}) + _line({"writes": [*writes], "reads": [*reads]})
            )
        except OSError:
            self._file.remove()
            raise

    def done(self, name: str) -> None:
        """Release a name."""
        with suppress(OSError):  # on a full disk it stays claimed until the end
            self._file.append(_line({"done": name}))

    def remove(self) -> None:
        """Release everything."""
        self._file.remove()


def claims_in(folder: Path, *, tidy: bool = False) -> list[Claim]:
    """The claims in a folder; empty if it cannot be read. `tidy` removes the files of killed runs."""
    found = []
    with suppress(OSError):
        for path in [Path(entry) for entry in os.scandir(folder) if _NAME.fullmatch(entry.name)]:
            with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):  # removed meanwhile, or damaged
                if is_held_file(path):
                    found.append(_read(path))
                elif tidy:
                    path.unlink()
    return found


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _read(path: Path) -> Claim:
    lines = [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    names: dict[str, set[str]] = {"writes": set(), "reads": set()}
    for line in lines[1:]:
        for kind, known in names.items():
            known.update(line.get(kind, ()))
            known.discard(line.get("done", ""))
    folds = path.with_name(path.name.upper()).exists()
    return Claim(Worker.of(lines[0]), frozenset(names["writes"]), frozenset(names["reads"]), folds)
