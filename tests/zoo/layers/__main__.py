"""`python -m tests.zoo.layers`: explains layers of all networks, one process each, and writes docs/layers.md.

A run that was interrupted goes on where it was; a complete one starts anew. `--only NAME` tries anew what has that in
its name, `--minutes N` begins no further network after so many.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from time import monotonic

from tests.support import ROOT, derived
from tests.zoo.layers.networks import keys
from tests.zoo.layers.row import LAYERS, NetworkRow, read_lines, read_rows, write_rows

DONE = ROOT / "build/zoo/layers.jsonl"
"""The rows of a run that is not complete."""
LIMIT = 900
"""Seconds for one network."""


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.zoo.layers", description=__doc__)
    parser.add_argument("--only", default="", metavar="NAME")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    try_all(options.only, options.minutes)
    derived.main()


def try_all(only: str = "", minutes: float = float("inf"), done: Path = DONE, table: Path = LAYERS) -> None:
    """Try the networks that the file `done` of an interrupted run lacks, or anew those whose key has `only` in it."""
    chosen = [key for key in keys() if only.lower() in key.lower()]
    done.parent.mkdir(parents=True, exist_ok=True)
    if only:
        done = done.with_name("only-layers.jsonl")
        done.unlink(missing_ok=True)
    until = monotonic() + 60 * minutes
    for key in chosen:
        if key not in read_lines(done) and monotonic() < until:
            row = attempted(key, done)
            print(f"{key}: {len(row.layers)} layers {row.sentence}", flush=True)
            known = read_rows(table) | read_lines(done)
            write_rows((known[each] for each in keys() if each in known), table)
    if only or set(chosen) <= set(read_lines(done)):
        done.unlink(missing_ok=True)


def attempted(key: str, done: Path) -> NetworkRow:
    """The row of a network, which its own process adds to the file `done`, or else this one."""
    log = done.with_name("last-layers.log")
    problem = "Its process died."
    with log.open("w", encoding="utf-8") as file:
        try:
            command = [sys.executable, "-m", "tests.zoo.layers.attempt", key, str(done)]
            subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            problem = f"It took longer than {LIMIT // 60} minutes."
    found = read_lines(done).get(key)
    if found is None:
        found = NetworkRow(key, sentence=problem)
        with done.open("a", encoding="utf-8") as file:
            file.write(found.to_json() + "\n")
    return found


if __name__ == "__main__":
    main()
