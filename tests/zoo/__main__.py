"""`python -m tests.zoo`: tries all networks, one process each, and writes docs/models.md and its data.

A run that was interrupted goes on where it was; a complete one starts anew.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT, derived
from tests.zoo import small_exports
from tests.zoo.row import ROWS, Row, read_lines, read_rows, write_rows
from tests.zoo.trial import Trial
from tests.zoo.trials import trials

DONE = ROOT / "build/zoo/rows.jsonl"
"""The rows of a run that is not complete."""
LIMIT = 600
"""Seconds for one network."""


def main() -> None:
    """Do what is asked for."""
    options = _options()
    if options.small_exports:
        small_exports.main()
        return
    if options.fresh:
        DONE.unlink(missing_ok=True)
    try_all(options.only)
    derived.main()


def try_all(only: str = "", done: Path = DONE, table: Path = ROWS) -> None:
    """Try all networks that the file `done` of an interrupted run lacks, or anew those whose key has `only` in it."""
    known = trials()
    chosen = [trial for key, trial in known.items() if only.lower() in key.lower()]
    if not chosen:
        raise SystemExit(f"No network is called '{only}'. There are: {'; '.join(known)}.")
    done.parent.mkdir(parents=True, exist_ok=True)
    if only:
        done = done.with_name("only.jsonl")
        done.unlink(missing_ok=True)
    earlier = read_lines(done)
    for number, trial in enumerate(chosen, 1):
        if trial.key not in earlier:
            print(f"{number}/{len(chosen)} {trial.key}: {attempted(trial, done).outcome}", flush=True)
    rows = read_rows(table) | read_lines(done)
    write_rows((rows[key] for key in known if key in rows), table)
    done.unlink(missing_ok=True)


def attempted(trial: Trial, done: Path) -> Row:
    """The row of a network, which its own process adds to the file `done`, or else this one."""
    command = [sys.executable, "-m", "tests.zoo.attempt", trial.key, str(done)]
    log = done.with_name("last.log")
    with log.open("w", encoding="utf-8") as file:
        try:
            subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, timeout=LIMIT)
            problem = ""
        except subprocess.TimeoutExpired:
            problem = f"It took longer than {LIMIT // 60} minutes."
    found = read_lines(done).get(trial.key)
    if found is None:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        found = Row(trial.key, "failed", sentence=problem or (lines or ["Its process died."])[-1])
        with done.open("a", encoding="utf-8") as file:
            file.write(found.to_json() + "\n")
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.zoo", description=__doc__)
    parser.add_argument("--only", default="", metavar="NAME", help="those whose row has this in its name, anew")
    parser.add_argument("--fresh", action="store_true", help="forget what an interrupted run has done")
    parser.add_argument("--small-exports", action="store_true", help="write tests/data/exports/ instead")
    return parser.parse_args()


if __name__ == "__main__":
    main()
