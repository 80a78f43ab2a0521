"""`whycam models`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from whycam.models import catalog
from whycam.models.companions import examples_file
from whycam.models.contract import ContractError
from whycam.models.model_file import contract_of
from whycam.models.taught_model import about_taught
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
    table = _table("name", "ready", "licence", "weights")
    for known in catalog.known():
        cells = (known.name, "yes" if known.ready else f"no: {known.make}", known.licence, _source(known))
        table.add_row(*map(Text, cells))
    screen.print(table)
    _print_maps()
    screen.print("Any explainable .onnx file can be given with --model as well.")


def _source(known: catalog.KnownModel) -> str:
    """Where a model's weights come from; of a taught one when it was taught, and whether its examples are kept."""
    about = about_taught(known.path) if known.ready else None
    if about is None:
        return known.source
    try:
        when = f", {datetime.fromisoformat(str(about.get('date'))):%Y-%m-%d}"
    except ValueError:
        when = ""
    kept = "kept" if examples_file(known.path).is_file() else "not kept"
    return f"taught on this computer{when}; examples {kept}"


def _table(*names: str) -> Table:
    """A table that cuts off no name, however narrow the terminal is."""
    return Table(*(Column(name, overflow="fold") for name in names), box=None, pad_edge=False)


def _print_maps() -> None:
    """The maps in each file; each layer is written once, because its name may be long."""
    screen.print("\nMaps (--method, --layer), default first:")
    table = _table("model", "layer", "grid", "methods")
    for known in catalog.known():
        if not known.ready:
            continue
        try:
            contract = contract_of(known.path)
        except ContractError as error:
            table.add_row(Text(known.name), Text(str(error)))
            continue
        layers: dict[tuple[str, tuple[int, int]], list[str]] = {}
        for each in sorted(contract.listed_maps(), key=lambda each: each.output != contract.drawn):
            layers.setdefault((each.layer, each.grid), []).append(each.method)
        name = known.name
        for (layer, (rows, columns)), methods in layers.items():
            table.add_row(Text(name), Text(layer), f"{rows}x{columns}", Text(", ".join(methods)))
            name = ""
    screen.print(table)
