"""Claims on what a run will write: another run leaves it alone and says which run works on it."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from whycam.stream.offline.recording_source import is_recording
from whycam.stream.offline.results.claim_file import GATE, Claim, OwnClaim, Worker, claims_in
from whycam.stream.recording.lock import TRIES, NoLocks, gate, is_held
from whycam.stream.recording.paths import began

logger = logging.getLogger(__name__)

FOLDERS = 100
"""Most folders claimed at the start, each with an open file; further ones are claimed when they are needed."""


class Busy(ValueError):
    """Another run works on what this one would write or read."""

    def __init__(self, path: Path, worker: Worker, *, is_written: bool) -> None:
        other = ", or give another name with -o" if is_written else ""
        super().__init__(f"{path}: {worker} is at work on it. Wait until it ends{other}.")
        self.worker = worker


@dataclass(frozen=True, slots=True)
class Use:
    """The paths that one task writes and reads; a folder includes its contents."""

    writes: tuple[Path, ...]
    reads: tuple[Path, ...] = ()


class _Place(NamedTuple):
    """A path of a use, with its resolved folder and name."""

    folder: Path
    name: str
    path: Path
    is_written: bool


class Claims:
    """A run's claims, from the start until each use is `done`; a context manager.

    A use that another run works on is not claimed, and `check` raises. Files that are only read are claimed only in
    folders of results: nothing is written to other folders. If a folder cannot be written or locked, the run continues
    without claims there: the writer of the results reports the write error, and the log reports missing locks.
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
        # All runs use the same order, so that of two simultaneous runs one gets everything that both need.
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
        """Whether other runs work on all uses."""
        return len(self._busy) == len(self._wanted)

    def check(self, use: Use) -> None:
        """Raise `Busy` if another run works on it."""
        for folder in sorted({place.folder for place in self._wanted[use]}):
            self._claim(folder)
        if use in self._busy:
            raise self._busy[use]

    def done(self, use: Use) -> None:
        """Release what no other use needs."""
        if use not in self._busy:
            self._release(use)

    def close(self) -> None:
        """Release everything."""
        for claim in self._claims.values():
            claim.remove()
        self._claims.clear()
        for folder in reversed(self._made):
            with suppress(OSError):  # usually it contains results
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
        """Claim what is needed in a folder, unless that was tried before."""
        if folder not in self._unclaimed:
            return
        del self._unclaimed[folder]
        try:
            self._compare_and_claim(folder)
        except NoLocks as error:
            logger.warning("%s has no locks (%s). Make sure that no other whycam writes there.", folder, error.strerror)
        except OSError as error:
            logger.debug("Nothing is claimed in %s: %s", folder, error)

    def _compare_and_claim(self, folder: Path) -> None:
        for _ in range(TRIES):
            self._make(folder)
            with suppress(FileNotFoundError), gate(folder / GATE):  # the run that made the folder may have removed it
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
        """Note the uses on which other runs work in a folder."""
        for other in others:
            for use, place in self._in[folder]:
                if use not in self._busy and other.conflicts(place.name, is_written=place.is_written):
                    self._note(use, Busy(place.path, other.worker, is_written=place.is_written))

    def _note(self, use: Use, busy: Busy) -> None:
        self._release(use)
        self._busy[use] = busy

    def _release(self, use: Use) -> None:
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
        for folder, name in _resolved_names(path)
    ]


def _resolved_names(path: Path) -> set[tuple[Path, str]]:
    """Folder and name of a path and of its link target: a film replaces a link, images are written to its target."""
    found = [Path(os.path.realpath(path))]
    if path.name not in ("", ".."):
        found.append(Path(os.path.realpath(path.parent), path.name))
    return {(each.parent, each.name) for each in found}
