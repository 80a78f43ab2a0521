"""`whycam export`: its subcommands and options. Their packages are optional, so they are imported at run time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from whycam.models.contract import Score

exports = typer.Typer(no_args_is_help=True, help="Make a model file that explains itself.")
screen = Console(highlight=False, soft_wrap=True)


@exports.command("vgg16")
def vgg16(
    weights: Annotated[
        str, typer.Option(help="imagenet (Keras downloads 553 MB), random, or a file: .weights.h5, .h5, .keras.")
    ] = "imagenet",
    score: Annotated[Score, typer.Option(help="What is explained.")] = "probability",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="An .onnx file (default: the path of whycam's default model)."),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store the weights in half precision.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Quantize to 8 bits, for a faster processor.")] = False,
    verify_with: Annotated[
        Path | None,
        typer.Option(help="A folder of images to verify with (default: 32 synthetic scenes)."),
    ] = None,
    calibrate_with: Annotated[
        Path | None,
        typer.Option(help="With --int8: a folder of images like those to explain."),
    ] = None,
) -> None:
    r"""Make an explainable VGG16, the network of the book; it becomes the default model. Needs 'whycam\[export]'."""
    from whycam.export.requirements import check_needs

    check_needs("onnx")  # the other packages are checked after the arguments
    from whycam.export.pipeline import export_vgg16

    path = export_vgg16(
        weights,
        score,
        output,
        half=half,
        int8=int8,
        verify_with=verify_with,
        calibrate_with=calibrate_with,
        say=lambda text: screen.print(text, markup=False),
    )
    how = "It is the default model from now on." if output is None else f"Take it with --model {path}"
    screen.print(f"Ready: {path}. {how}", markup=False)
