"""Options that several commands share, and how a word or a number on the command line is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional, TypeVar, get_args

import typer
from rich.console import Console

from whycam.models.contract import Contract, Fitting
from whycam.stream.cli.console import screen
from whycam.stream.inference.providers import DEVICES, Device
from whycam.stream.overlay.colormaps import COLORMAPS
from whycam.stream.overlay.layouts import LAYOUTS
from whycam.stream.overlay.styles import STYLES

FITTINGS = get_args(Fitting)
Word = TypeVar("Word", bound=str)


def number(option: str, low: int, high: int | None = None, kind: type[float] = int, **about: Any) -> Any:
    """An option for a number; one that is none, too small or too large is refused in words."""
    wanted = f"{'a whole number' if kind is int else 'a number'} from {low} {'on' if high is None else f'to {high}'}"

    def read(text: object) -> float:
        try:
            value = kind(str(text))
        except ValueError:
            value = math.nan
        if not low <= value <= (math.inf if high is None else high):
            raise typer.BadParameter(f"Give {wanted}, not '{text}'.")
        return value

    return typer.Option(option, parser=read, metavar="N" if high is None else f"{low}-{high}", **about)


def one_of(what: str, given: str, words: Sequence[Word]) -> Word:
    """The word that was given; raises `ValueError` for one that is not among them."""
    for word in words:
        if word == given:
            return word
    raise ValueError(f"There is no {what} '{given}'. Choose one of {', '.join(words)}.")


def find_device(name: str) -> Device:
    """The device of that name; raises `ValueError`."""
    return one_of("device", name, DEVICES)


def check_words(style: str | None, layout: str | None, fit: str | None = None) -> None:
    """Raise `ValueError` for words that mean nothing."""
    for option, word, words in (("style", style, STYLES), ("layout", layout, LAYOUTS), ("fit", fit, FITTINGS)):
        if word is not None:
            one_of(option, word, words)


def introduce(contract: Contract, provider: str, device_problem: str | None, console: Console = screen) -> None:
    """Print which model runs where."""
    console.print(
        f"Model: {contract.name} on {provider.removesuffix('ExecutionProvider')} "
        "(another one: --model; `whycam models` lists them)",
        markup=False,
    )
    if device_problem:
        console.print(device_problem, markup=False)


ModelOption = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it at run time
    typer.Option("--model", "-m", help="A name that `whycam models` lists, or an .onnx file."),
]
ConfigOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        rich_help_panel="Phones", help="The folder for the certificate and the code (default: this user's settings)."
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help=f"Where the model runs: {', '.join(DEVICES)}.")]

_LOOKS = "How it looks"
LayoutOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--layout", rich_help_panel=_LOOKS, help=f"One of {', '.join(LAYOUTS)} (default: overlay)."),
]
StyleOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--style", rich_help_panel=_LOOKS, help="blend, or book: the book's own picture (default: blend)."),
]
ColormapOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--colormap", rich_help_panel=_LOOKS, help=f"One of {', '.join(COLORMAPS)} (default: inferno; book: jet)."
    ),
]
OpacityOption = Annotated[
    Optional[float],  # noqa: UP045
    number("--opacity", 0, 1, float, rich_help_panel=_LOOKS, help="Of the hottest place (default: 0.7; book: 0.4)."),
]
TopOption = Annotated[
    Optional[int],  # noqa: UP045
    number("--top", 1, 20, rich_help_panel=_LOOKS, help="How many classes the label names (default: 1)."),
]
SureOption = Annotated[
    Optional[float],  # noqa: UP045
    number("--sure", 0, 1, float, rich_help_panel=_LOOKS, help="The label says 'not sure' below this probability."),
]
LabelOption = Annotated[
    Optional[bool],  # noqa: UP045
    typer.Option(
        "--label/--no-label", rich_help_panel=_LOOKS, help="The label box (default: on; book's overlay: off)."
    ),
]
LegendOption = Annotated[
    Optional[bool],  # noqa: UP045
    typer.Option("--legend/--no-legend", rich_help_panel=_LOOKS, help="Say what the colours mean (default: off)."),
]
TargetOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--target",
        "-t",
        rich_help_panel="What is explained",
        metavar="NAME|NUMBER",
        help="A class instead of the best one; may be given several times.",
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace results that are there.")]
ReportOption = Annotated[
    bool,
    typer.Option(
        "--report",
        rich_help_panel="What else is left",
        help="A page (.html) and a picture (.png) about the film.",
    ),
]
MetadataOption = Annotated[
    bool,
    typer.Option(
        "--keep-metadata", rich_help_panel="What else is left", help="Copy location, date and other metadata."
    ),
]
