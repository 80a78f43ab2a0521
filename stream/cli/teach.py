"""`whycam teach`: classes of one's own, learned from a folder of pictures and films; a model file that names them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from whycam.models import catalog
from whycam.models.companions import classes_file
from whycam.models.contract import ContractError
from whycam.models.model_file import contract_of
from whycam.stream.cli.console import DebugOption, screen
from whycam.stream.cli.options import DeviceOption, ModelOption, OverwriteOption
from whycam.stream.inference.explainer import Explainer
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.exit_code import ExitCode
from whycam.stream.teaching.dataset import Dataset, Images, check_teachable, read_dataset
from whycam.stream.teaching.material import Material, folder_material
from whycam.stream.teaching.page import page
from whycam.stream.teaching.summary import write_model
from whycam.stream.teaching.training import Trained, train
from whycam.stream.teaching.verdict import basis, percent, suspicions, unread

ENDING = ".onnx"


def teach(
    folder: Annotated[Path, typer.Argument(help="A folder whose folders are the classes, with pictures and films.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The model file (default: among the models with a name).")
    ] = None,
    overwrite: OverwriteOption = False,
    model: ModelOption = None,
    name: Annotated[
        str | None, typer.Option(help="The name of what is taught (default: the file's or folder's).")
    ] = None,
    every: Annotated[int, typer.Option(min=1, metavar="N", help="Of films, every Nth frame.")] = 1,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="PAGE.html", help="A page with heatmaps and mistakes.")
    ] = None,
    device: DeviceOption = "auto",
    debug: DebugOption = False,  # noqa: ARG001 - its callback sets the log
) -> None:
    """Learn classes of your own from a folder of pictures and films: a model file that names and explains them."""
    source = catalog.find(model)
    check_teachable(contract_of(source))
    labels, material = folder_material(folder)
    called = name or _name_of(output or folder)
    catalog.check_name(called)
    path = output or catalog.user_models() / f"{called}{ENDING}"
    _check_outputs(path, report, source, overwrite=overwrite)
    explainer = Explainer(source, device=device)
    learned_with = explainer.sha256
    try:
        screen.print(f"Model: {explainer.contract.name}, {len(labels)} classes", markup=False)
        with Images(explainer.contract.input_size) as images:
            trained = train(explainer, _read(explainer, labels, material, images, every))
            made = page(trained, explainer, called) if report is not None else ""
    except KeyboardInterrupt:
        # Not by `screen`: what it was printing when Ctrl-C came, it would print again.
        typer.echo("Stopped; nothing was written.")
        raise typer.Exit(ExitCode.STOPPED) from None
    _print(trained)
    write_model(source, trained.class_set, trained.summary(), called, path, learned_with=learned_with)
    if report is not None:
        report.write_text(made, "utf-8")
        screen.print(f"-> {report}", markup=False)
    for file in (classes_file(path), path):
        screen.print(f"-> {file}", markup=False)
    screen.print(f"Use it: whycam serve --model {called if output is None else path}", markup=False)


def _name_of(path: Path) -> str:
    """A model's name by its file or folder: 'My Kitchen' -> 'my-kitchen'."""
    stem = path.stem if path.suffix.lower() == ENDING else path.resolve().name
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")


def _check_outputs(path: Path, report: Path | None, source: Path, *, overwrite: bool) -> None:
    if path.suffix.lower() != ENDING:
        raise MediaError(f"The model's file ends in {ENDING}, not '{path.name}'. Give another name with -o.")
    if path.resolve() == source.resolve():
        raise ContractError(f"{path} is the model that is taught. Give another name with -o.")
    if report in (path, classes_file(path)):
        raise MediaError(f"{report} is a file of the model. Give the page another name with --report.")
    for file, option in ((path, "-o or --name"), (classes_file(path), "-o or --name"), (report, "--report")):
        if file is None:
            continue
        if file.exists() and not overwrite:
            raise MediaError(f"{file} already exists. Give another name with {option}, or --overwrite.")
        if file == report and not file.parent.is_dir():
            raise MediaError(f"There is no folder {file.parent} for the page. Make it, or give another name.")


def _read(
    explainer: Explainer, labels: tuple[str, ...], material: list[Material], images: Images, every: int
) -> Dataset:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    counter = TextColumn("{task.fields[examples]} pictures")
    with Progress(*columns, counter, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task("Reading", total=len(material), examples=0)
        done = iter(range(len(material)))
        return read_dataset(
            explainer,
            labels,
            material,
            images,
            every=every,
            begun=lambda each: progress.update(task, description=f"Reading {each.name}", completed=next(done)),
            after_each=lambda count: progress.update(task, examples=count),
        )


def _print(trained: Trained) -> None:
    for sentence in unread(trained.dataset.unread):
        screen.print(sentence, markup=False)
    table = Table(box=None, pad_edge=False)
    for title in ("class", "pictures", "tested", "right", "heat in the middle", "along the border"):
        table.add_column(title, justify="left" if title == "class" else "right", overflow="fold")
    for class_id, (label, look) in enumerate(zip(trained.dataset.labels, trained.looks, strict=True)):
        row = None if trained.held is None else trained.held.confusion[class_id]
        tested = 0 if row is None else int(row.sum())
        right = percent(row[class_id] / tested) if row is not None and tested else "–"
        place = (percent(look.place.middle), percent(look.place.border))
        table.add_row(Text(label), str(trained.counts[class_id]), str(tested), right, *place)
    screen.print(table)
    for sentence in (*basis(trained), *suspicions(trained)):
        screen.print(sentence, markup=False)
    if trained.held is not None:
        _print_confusion(trained.dataset.labels, trained.held.confusion.tolist())


def _print_confusion(labels: tuple[str, ...], confusion: list[list[int]]) -> None:
    screen.print("\nWhat is taken for what:")
    table = Table(box=None, pad_edge=False)
    table.add_column("what it is", overflow="fold")
    for label in labels:
        table.add_column(Text(label), justify="right", overflow="fold")
    for own, (label, row) in enumerate(zip(labels, confusion, strict=True)):
        cells = (f"[bold]{count}[/]" if other == own else str(count) for other, count in enumerate(row))
        table.add_row(Text(label), *cells)
    screen.print(table)
