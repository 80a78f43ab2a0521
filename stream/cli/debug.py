"""The option --debug."""

from __future__ import annotations

import logging
from typing import Annotated

import typer


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
