"""`whycam models`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from whycam.models import catalog
from whycam.stream.cli.console import screen


def models(
    remove: Annotated[str | None, typer.Option(metavar="NAME", help="Delete a model made on this computer.")] = None,
    rename: Annotated[
        tuple[str, str] | None, typer.Option(metavar="NAME NEW", help="Rename a model that you exported.")
    ] = None,
) -> None:
    """List the models that whycam knows, remove or rename one."""
    if remove is not None:
        screen.print(f"Removed: {catalog.remove(remove)}", markup=False)
    if rename is not None:
        screen.print(f"Renamed: {catalog.rename(*rename)}", markup=False)
    table = Table("name", "ready", "licence", "weights", box=None, pad_edge=False)
    for known in catalog.known():
        cells = (known.name, "yes" if known.ready else f"no: {known.make}", known.licence, known.source)
        table.add_row(*map(Text, cells))
    screen.print(table)
    screen.print("Any explainable .onnx file can be given with --model as well.")
