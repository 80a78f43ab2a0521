"""`whycam explain`: the five best classes of one image, and the image with the best one's heat."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from whycam.models import catalog
from whycam.stream.cli.console import DebugOption, screen
from whycam.stream.cli.options import (
    DeviceOption,
    DifferenceOption,
    LayerOption,
    MapChoice,
    MetadataOption,
    MethodOption,
    ModelOption,
    OverwriteOption,
    TargetOption,
    introduce,
    output_path,
)
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.batch import describe_losses
from whycam.stream.offline.explain import explain_one
from whycam.stream.offline.inputs import find_inputs, output_of
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.offline.results.claims import Claims, Use
from whycam.stream.overlay.renderer import Look
from whycam.stream.overlay.view import View


def explain(
    image: Annotated[str, typer.Argument(help="An image file; `whycam process` takes films, folders and several.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="The result (default: …-output.jpg beside the image).")
    ] = None,
    overwrite: OverwriteOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    target: TargetOption = None,
    difference: DifferenceOption = None,
    method: MethodOption = None,
    layer: LayerOption = None,
    keep_metadata: MetadataOption = False,
    debug: DebugOption = False,  # noqa: ARG001 - its callback sets the log
) -> None:
    """Print the five best classes of an image, and write the image with the heat of the best one, or of --target."""
    (given, *others) = find_inputs([image])
    if given.kind != "picture" or others:
        raise MediaError(f"{image} is not one image. `whycam process` explains films, folders and several images.")
    folder_or_file, is_folder = output_path(output)
    path = output_of(given, folder_or_file, many=is_folder)
    use = Use((path,), (given.path,))
    with Claims("explain", [use]) as claims:
        claims.check(use)
        if not overwrite and path.exists():
            raise MediaError(f"{path} already exists. Give another name with -o, or --overwrite.")
        choice = MapChoice(catalog.find(model), device, tuple(target or ()), difference, method, layer)
        with closing(LocalEngine(choice.open())) as engine:
            introduce(engine)
            view = choice.view(View(), engine.contract.labels, screen)
            done = explain_one(given.path, path, ProcessJob(engine, Look(view), keep_metadata=keep_metadata))
    for each in done.best:
        screen.print(f"{100 * each.score:5.1f}%  {each.label} ({each.class_id})", markup=False)
    screen.print(f"-> {done.output}", markup=False)
    for sentence in describe_losses(done.losses):
        screen.print(sentence, markup=False)
