"""Options shared by several commands, and the line that says which model runs where."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from whycam.models.contract import HEATMAPS
from whycam.stream.cli.console import screen
from whycam.stream.inference.engine import Engine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.providers import Device
from whycam.stream.offline.explain import open_model
from whycam.stream.offline.targets import asked_view, named
from whycam.stream.overlay.colormaps import Colormap
from whycam.stream.overlay.layouts import LayoutName
from whycam.stream.overlay.styles import StyleName
from whycam.stream.overlay.view import View


def output_path(given: str | None) -> tuple[Path | None, bool]:
    """The path of `-o`, and whether it is a folder because it ends in a slash."""
    return (Path(given), given.endswith(("/", os.sep))) if given else (None, False)


def introduce(engine: Engine, console: Console = screen) -> None:
    """Print which model runs where, and which of its maps is drawn if it is not the file's first."""
    console.print(
        f"Model: {engine.contract.name} on {engine.provider.removesuffix('ExecutionProvider')} "
        "(another one: --model; `whycam models` lists them)",
        markup=False,
    )
    contract = engine.contract
    if contract.drawn != HEATMAPS:
        drawn = contract.drawn_map()
        console.print(
            f"Map: {drawn.title}, {drawn.grid[0]} x {drawn.grid[1]} (another one: --method, --layer; "
            "`whycam models` lists them)",
            markup=False,
        )
    if engine.device_problem:
        console.print(engine.device_problem, markup=False)


@dataclass(frozen=True, slots=True)
class MapChoice:
    """The model, and what is explained of it by which map; picklable."""

    model: Path
    device: Device
    targets: tuple[str, ...] = ()
    difference: tuple[str, str] | None = None
    method: str | None = None
    layer: str | None = None

    def open(self) -> Explainer:
        """The model with this map; raises `ContractError` if its file does not have it."""
        compares = self.difference is not None
        return open_model(self.model, self.method, self.layer, device=self.device, compares=compares)

    def view(self, view: View, labels: Sequence[str], console: Console) -> View:
        """A view with the requested classes pinned, which are printed; raises `TargetError`."""
        asked = asked_view(view, self.targets, self.difference, labels)
        if asked.pinned:
            names = [named((each,), labels) for each in asked.pinned]
            text = (
                f"why {names[0]} and not {names[1]}, and the other way round" if asked.difference else ", ".join(names)
            )
            console.print(f"Explained: {text}", markup=False)
        return asked


ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="A name that `whycam models` lists, or an .onnx file.")
]
_EXPLAINED = "What is explained"
MethodOption = Annotated[
    str | None,
    typer.Option(
        "--method",
        rich_help_panel=_EXPLAINED,
        metavar="NAME",
        help="How the map is made, of the methods in the model's file (default: its first map).",
    ),
]
LayerOption = Annotated[
    str | None,
    typer.Option(
        "--layer",
        rich_help_panel=_EXPLAINED,
        metavar="NAME",
        help="Of which layer it is, of those in the file: a name, a part of it, or a grid such as 14x14.",
    ),
]
DifferenceOption = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--difference",
        rich_help_panel=_EXPLAINED,
        metavar="A B",
        help="Why A and not B? One map in two colours: what speaks for class A, and what for B.",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel="Phones", help="The folder for the certificate and the code (default: this user's settings)."
    ),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where the model runs.")]
PortOption = Annotated[int, typer.Option("--port", min=1, max=65535, help="The page's port.")]
LanPortOption = Annotated[
    int, typer.Option("--lan-port", min=1, max=65535, rich_help_panel="Phones", help="The port for phones.")
]
RecordingsOption = Annotated[Path, typer.Option(help="The folder for recordings.")]

_LOOKS = "How it looks"
LayoutOption = Annotated[
    LayoutName | None, typer.Option("--layout", rich_help_panel=_LOOKS, help="What is shown (default: overlay).")
]
StyleOption = Annotated[
    StyleName | None,
    typer.Option("--style", rich_help_panel=_LOOKS, help="blend, or book: drawn as in the book (default: blend)."),
]
ColormapOption = Annotated[
    Colormap | None,
    typer.Option("--colormap", rich_help_panel=_LOOKS, help="The colours of heat (default: inferno; book: jet)."),
]
OpacityOption = Annotated[
    float | None,
    typer.Option(
        "--opacity",
        min=0,
        max=1,
        rich_help_panel=_LOOKS,
        help="Opacity of the hottest place (default: 0.7; book: 0.4).",
    ),
]
TopOption = Annotated[
    int | None,
    typer.Option("--top", min=1, max=20, rich_help_panel=_LOOKS, help="How many classes the label names (default: 1)."),
]
SureOption = Annotated[
    float | None,
    typer.Option(
        "--sure", min=0, max=1, rich_help_panel=_LOOKS, help="The label says 'not sure' below this probability."
    ),
]
LabelOption = Annotated[
    bool | None,
    typer.Option(
        "--label/--no-label", rich_help_panel=_LOOKS, help="The label box (default: on; book's overlay: off)."
    ),
]
LegendOption = Annotated[
    bool | None,
    typer.Option(
        "--legend/--no-legend", rich_help_panel=_LOOKS, help="A bar that explains the colours (default: off)."
    ),
]
TargetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        "-t",
        rich_help_panel=_EXPLAINED,
        metavar="NAME|NUMBER",
        help="A class instead of the best one; may be given several times.",
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace existing results.")]
ReportOption = Annotated[
    bool,
    typer.Option(
        "--report",
        rich_help_panel="Other output",
        help="A page (.html) and an image (.png) about the film.",
    ),
]
MetadataOption = Annotated[
    bool,
    typer.Option("--keep-metadata", rich_help_panel="Other output", help="Copy location, date and other metadata."),
]
