"""`whycam models`."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from whycam.models import catalog
from whycam.stream.cli.console import screen


def models() -> None:
    """List the models that whycam knows."""
    table = Table("name", "ready", "licence", "weights", box=None, pad_edge=False)
    for known in catalog.known():
        cells = (known.name, "yes" if known.ready else f"no: {known.make}", known.licence, known.source)
        table.add_row(*map(Text, cells))
    screen.print(table)
    screen.print("Any explainable .onnx file can be given with --model as well.")
