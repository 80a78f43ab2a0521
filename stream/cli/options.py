"""Options shared by several commands, and the line that says which model runs where."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from whycam.stream.cli.console import screen
from whycam.stream.inference.engine import Engine
from whycam.stream.inference.providers import Device
from whycam.stream.overlay.colormaps import Colormap
from whycam.stream.overlay.layouts import LayoutName
from whycam.stream.overlay.styles import StyleName


def introduce(engine: Engine, console: Console = screen) -> None:
    """Print which model runs where."""
    console.print(
        f"Model: {engine.contract.name} on {engine.provider.removesuffix('ExecutionProvider')} "
        "(another one: --model; `whycam models` lists them)",
        markup=False,
    )
    if engine.device_problem:
        console.print(engine.device_problem, markup=False)


ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="A name that `whycam models` lists, or an .onnx file.")
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
        rich_help_panel="What is explained",
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
