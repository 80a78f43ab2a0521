"""`whycam measure`: whether a model's heatmaps are faithful, as a table, a page and a JSON file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from whycam.models import catalog
from whycam.models.contract import Contract, MapSpec
from whycam.models.model_file import contract_of
from whycam.models.permuted import permute_weights
from whycam.stream.cli.console import DebugOption, screen
from whycam.stream.cli.options import DeviceOption, OverwriteOption
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.providers import Device
from whycam.stream.measure.comparison import Outcome
from whycam.stream.measure.film import check_scipy
from whycam.stream.measure.network import ExplainedNetwork
from whycam.stream.measure.page import Cell, page, table_of
from whycam.stream.measure.pointing import read_boxes
from whycam.stream.measure.study import BASELINES, Contender, Study, study
from whycam.stream.measure.subjects import files_of, subjects_of
from whycam.stream.media.losses import MediaError

PAGE = Path("measure.html")
MARKS: Mapping[Outcome, str] = {"better": "▲", "worse": "▼", "open": " "}


def measure(
    model: Annotated[str, typer.Argument(help="A name that `whycam models` lists, or an .onnx file.")],
    images: Annotated[list[str], typer.Argument(help="Image files, or folders of them.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page; the figures are beside it as .json.")
    ] = PAGE,
    overwrite: OverwriteOption = False,
    target: Annotated[
        str | None, typer.Option("--target", help="The class in all images (default: each image's best).")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", metavar="NAME", help="Only maps by this method; may be given several times."),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", metavar="NAME", help="Only maps of this layer; may be given several times."),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(help="Where objects are: a CSV file with image,class,left,top,right,bottom in pixels."),
    ] = None,
    device: DeviceOption = "auto",
    debug: DebugOption = False,  # noqa: ARG001 - its callback sets the log
) -> None:
    """Measure, by changing images, whether a model's heatmaps show what its answers depend on: a table and a page."""
    check_scipy("whycam measure")
    path, figures = catalog.find(model), output.with_suffix(".json")
    for file in (output, figures):
        if file.exists() and not overwrite:
            raise MediaError(f"{file} already exists. Give another name with -o, or --overwrite.")
    files = files_of(images)
    maps = chosen_maps(contract_of(path), method or (), layer or ())
    found = _study(path, maps, files, target, boxes, device)
    output.write_text(page(found), "utf-8")
    figures.write_text(json.dumps(found.as_json(), indent=1) + "\n", "utf-8")
    _print(found)
    screen.print(f"-> {output}, {figures}", markup=False)


def _study(
    path: Path, maps: Sequence[MapSpec], files: list[Path], target: str | None, boxes: Path | None, device: Device
) -> Study:
    explainer = Explainer(path, device=device)
    contract, network = explainer.contract, ExplainedNetwork(explainer)
    subjects = subjects_of(files, contract, network, target, {} if boxes is None else read_boxes(boxes))
    with tempfile.TemporaryDirectory(prefix="whycam-") as folder:
        contenders = {spec.title: _contender(path, spec, Path(folder), device) for spec in maps}
        with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
            task = progress.add_task("Measuring", total=len(subjects) * (len(contenders) + len(BASELINES)))
            return study(
                contract.name,
                network,
                subjects,
                [contract.labels[each.class_id] for each in subjects],
                contenders,
                contract.drawn_map().title,
                after_each=lambda: progress.advance(task),
            )


def chosen_maps(contract: Contract, methods: Sequence[str], layers: Sequence[str]) -> list[MapSpec]:
    """The maps by these methods and of these layers, by default all that can be drawn; raises `ContractError`."""
    found = [
        spec
        for method in methods or (None,)
        for layer in layers or (None,)
        for spec in contract.find_maps(method, layer)
    ]
    return [spec for spec in contract.drawable_maps() if spec in found]


def _contender(path: Path, spec: MapSpec, folder: Path, device: Device) -> Contender:
    """How the model explains by one of its maps, and how it does with permuted weights: its own best class."""
    way, grid = ExplainedNetwork(Explainer(path, device=device, output=spec.output)).heat, "x".join(map(str, spec.grid))
    permuted = folder / f"{spec.output}.onnx"
    try:
        permuted.write_bytes(permute_weights(path.read_bytes(), spec.layer))
    except ValueError:  # there are none
        return Contender(way, None, grid)
    other = ExplainedNetwork(Explainer(permuted, device=device, output=spec.output))
    return Contender(way, lambda image, _: other.heat(image, other.best(image)), grid)


def _print(found: Study) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("map")
    for column in found.columns:
        table.add_column(f"{column.name.replace(', ', chr(10))}\n({column.is_better})", justify="right")
    for name, cells in table_of(found):
        table.add_row(name, *map(_marked, cells))
    screen.print(table)
    if any(cell.compared and cell.compared.outcome != "open" for _, cells in table_of(found) for cell in cells):
        screen.print(
            f"▲ better, ▼ worse than {found.verdict.reference} in these images, more than chance makes.", markup=False
        )
    for sentence in found.verdict.sentences:
        screen.print(sentence, markup=False)


def _marked(cell: Cell) -> str:
    outcome = cell.compared.outcome if cell.compared else "open"
    text = f"[bold]{cell.text}[/]" if cell.is_best else cell.text
    return f"{text} {MARKS[outcome]}"
