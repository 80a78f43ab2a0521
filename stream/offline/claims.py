"""What a run will write, claimed: another run that would write it leaves it alone, and says who is at work on it."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from whycam.stream.offline.claim_file import GATE, Claim, OwnClaim, Worker, claims_in
from whycam.stream.offline.recording_source import is_recording
from whycam.stream.recording.lock import TRIES, NoLocks, gate, is_held
from whycam.stream.recording.paths import began

logger = logging.getLogger(__name__)

FOLDERS = 100
"""In so many claims lie at once, each with an open file; in others from the time on when their turn comes."""


class Busy(ValueError):
    """Another run is at work on what this one would write or read."""

    def __init__(self, path: Path, worker: Worker, *, is_written: bool) -> None:
        other = ", or give another name with -o" if is_written else ""
        super().__init__(f"{path}: {worker} is at work on it. Wait until it ends{other}.")
        self.worker = worker


@dataclass(frozen=True, slots=True)
class Use:
    """What one piece of work writes and reads; a folder stands for all that is in it."""

    writes: tuple[Path, ...]
    reads: tuple[Path, ...] = ()


class _Place(NamedTuple):
    """A path of a use, by the folder and the name that it has in truth."""

    folder: Path
    name: str
    path: Path
    is_written: bool


class Claims:
    """What a run will write, claimed from the start until it is `done`; a context manager.

    What another run is at work on is not claimed, and `check` says so. What is only read is claimed where results go,
    too: nothing is written into other folders. Where nothing can be written or locked the run goes on without claims:
    who writes the results says why they cannot be written, and the log that there are no locks.
    """

    def __init__(self, command: str, uses: Sequence[Use]) -> None:
        self._worker = Worker.this(f"whycam {command}")
        self._wanted = {use: _places(use) for use in uses}
        self._needed: defaultdict[Path, Counter[str]] = defaultdict(Counter)
        self._in: defaultdict[Path, list[tuple[Use, _Place]]] = defaultdict(list)
        for use, places in self._wanted.items():
            for place in places:
                self._needed[place.folder][place.name] += 1
                self._in[place.folder].append((use, place))
        # In one order in all runs, so that of two that begin at once one gets all that both want.
        self._unclaimed = dict.fromkeys(sorted({p.folder for ps in self._wanted.values() for p in ps if p.is_written}))
        self._claims: dict[Path, OwnClaim] = {}
        self._busy: dict[Use, Busy] = {}
        self._made: list[Path] = []
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    @property
    def all_busy(self) -> bool:
        """Whether others are at work on all of it."""
        return len(self._busy) == len(self._wanted)

    def check(self, use: Use) -> None:
        """Raise `Busy` where another run is at work on it."""
        for folder in sorted({place.folder for place in self._wanted[use]}):
            self._claim(folder)
        if use in self._busy:
            raise self._busy[use]

    def done(self, use: Use) -> None:
        """Let go what no other use needs."""
        if use not in self._busy:
            self._let_go(use)

    def close(self) -> None:
        """Let everything go."""
        for claim in self._claims.values():
            claim.remove()
        self._claims.clear()
        for folder in reversed(self._made):
            with suppress(OSError):  # as a rule there are results in it
                folder.rmdir()

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        for use in self._wanted:
            self._find_recorder(use)
        for folder in self._in.keys() - self._unclaimed.keys():
            self._compare(folder, claims_in(folder))
        for folder in [*self._unclaimed][:FOLDERS]:
            self._claim(folder)

    def _find_recorder(self, use: Use) -> None:
        for path in use.reads:
            with suppress(OSError):
                folder = path if path.is_dir() else path.parent
                if use not in self._busy and is_recording(folder) and is_held(folder):
                    worker = Worker("whycam serve", since=began(folder.resolve()))
                    self._note(use, Busy(path, worker, is_written=False))

    def _claim(self, folder: Path) -> None:
        """Claim what is needed in a folder, if that has not been tried yet."""
        if folder not in self._unclaimed:
            return
        del self._unclaimed[folder]
        try:
            self._compare_and_claim(folder)
        except NoLocks as error:
            logger.warning("%s has no locks (%s): see that no other whycam writes there.", folder, error.strerror)
        except OSError as error:
            logger.debug("Nothing is claimed in %s: %s", folder, error)

    def _compare_and_claim(self, folder: Path) -> None:
        for _ in range(TRIES):
            self._make(folder)
            with suppress(FileNotFoundError), gate(folder / GATE):  # who made the folder may have removed it
                self._compare(folder, claims_in(folder, tidy=True))
                needed = self._needed[folder]
                written = {place.name for _, place in self._in[folder] if place.is_written}
                if written := written & needed.keys():
                    self._claims[folder] = OwnClaim(folder, self._worker, written, needed.keys() - written)
                return

    def _make(self, folder: Path) -> None:
        missing = [each for each in (*reversed(folder.parents), folder) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        self._made += missing

    def _compare(self, folder: Path, others: Sequence[Claim]) -> None:
        """Find out on what in a folder others are at work."""
        for other in others:
            for use, place in self._in[folder]:
                if use not in self._busy and other.conflicts(place.name, is_written=place.is_written):
                    self._note(use, Busy(place.path, other.worker, is_written=place.is_written))

    def _note(self, use: Use, busy: Busy) -> None:
        self._let_go(use)
        self._busy[use] = busy

    def _let_go(self, use: Use) -> None:
        for place in self._wanted[use]:
            needed = self._needed[place.folder]
            needed[place.name] -= 1
            if needed[place.name]:
                continue
            del needed[place.name]
            if (claim := self._claims.get(place.folder)) is not None:
                claim.done(place.name)
                if not needed:
                    self._claims.pop(place.folder).remove()


def _places(use: Use) -> list[_Place]:
    return [
        _Place(folder, name, path, is_written)
        for paths, is_written in ((use.writes, True), (use.reads, False))
        for path in paths
        for folder, name in _true_names(path)
    ]


def _true_names(path: Path) -> set[tuple[Path, str]]:
    """Folder and name of a path, and of what it is a link to: a film takes the link's place, pictures go behind it."""
    found = [Path(os.path.realpath(path))]
    if path.name not in ("", ".."):
        found.append(Path(os.path.realpath(path.parent), path.name))
    return {(each.parent, each.name) for each in found}
