"""What commands print: `screen` for results on stdout, `problems` for errors on stderr, and the log with --debug."""

from __future__ import annotations

import io
import logging
import sys
from typing import Annotated

import typer
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


def log_details(is_wanted: bool) -> bool:
    """Print whycam's log with all details, such as tracebacks, on standard error if that is wanted."""
    if is_wanted:
        logging.basicConfig(level=logging.WARNING)
        logging.getLogger("whycam").setLevel(logging.DEBUG)
    return is_wanted


DebugOption = Annotated[
    bool,
    typer.Option("--debug", callback=log_details, help="Print details of errors, such as tracebacks, for a report."),
]
