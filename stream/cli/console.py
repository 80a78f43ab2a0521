"""Consoles of the commands: `screen` for results on stdout, `problems` for errors on stderr."""

from __future__ import annotations

import io
import sys

from rich.console import Console

screen = Console(highlight=False, soft_wrap=True)
problems = Console(stderr=True, highlight=False, soft_wrap=True)


def survive_any_encoding() -> None:
    """Print marks in place of what the output's encoding lacks, such as a redirected one's on Windows (cp1252)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_json(line: str) -> None:
    """Print a line of JSON as UTF-8, whatever the output's encoding is."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.flush()
        sys.stdout.buffer.write(line.encode() + b"\n")
        sys.stdout.buffer.flush()
    else:
        print(line, flush=True)  # noqa: T201
