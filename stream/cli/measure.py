"""`whycam measure`: whether a model's heatmaps are faithful, as a table, a page and a JSON file."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from whycam.models import catalog
from whycam.models.contract import MapSpec
from whycam.models.permuted import permute_weights
from whycam.stream.cli.console import screen
from whycam.stream.cli.debug import DebugOption
from whycam.stream.cli.options import DeviceOption, OverwriteOption
from whycam.stream.inference.explainer import Explainer, RuntimeMissing
from whycam.stream.inference.providers import Device
from whycam.stream.measure.faithfulness import Way
from whycam.stream.measure.network import ExplainedNetwork
from whycam.stream.measure.page import page, table_of
from whycam.stream.measure.pointing import read_boxes
from whycam.stream.measure.study import BASELINES, Study, study
from whycam.stream.measure.subjects import files_of, subjects_of
from whycam.stream.media.losses import MediaError

PAGE = Path("measure.html")


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
    boxes: Annotated[
        Path | None,
        typer.Option(help="Where objects are: a CSV file with image,class,left,top,right,bottom in pixels."),
    ] = None,
    device: DeviceOption = "auto",
    debug: DebugOption = False,  # noqa: ARG001 - its callback sets the log
) -> None:
    """Measure, by changing images, whether a model's heatmaps show what its answers depend on: a table and a page."""
    if importlib.util.find_spec("scipy") is None:
        raise RuntimeMissing('`whycam measure` needs SciPy: pip install "whycam[measure]".')
    path, figures = catalog.find(model), output.with_suffix(".json")
    for file in (output, figures):
        if file.exists() and not overwrite:
            raise MediaError(f"{file} already exists. Give another name with -o, or --overwrite.")
    files = files_of(images)
    found = _study(path, files, target, boxes, device)
    output.write_text(page(found), "utf-8")
    figures.write_text(json.dumps(found.as_json(), indent=1) + "\n", "utf-8")
    _print(found)
    screen.print(f"-> {output}, {figures}", markup=False)


def _study(path: Path, files: list[Path], target: str | None, boxes: Path | None, device: Device) -> Study:
    explainer = Explainer(path, device=device)
    contract, network = explainer.contract, ExplainedNetwork(explainer)
    subjects = subjects_of(files, contract, network, target, {} if boxes is None else read_boxes(boxes))
    with tempfile.TemporaryDirectory(prefix="whycam-") as folder:
        ways = {name_of(spec): _ways(path, spec, Path(folder), device) for spec in contract.listed_maps()}
        with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
            task = progress.add_task("Measuring", total=len(subjects) * (len(ways) + len(BASELINES)))
            labels = [contract.labels[each.class_id] for each in subjects]
            return study(contract.name, network, subjects, labels, ways, after_each=lambda: progress.advance(task))


def name_of(spec: MapSpec) -> str:
    """A map's name in the table."""
    return f"{spec.method} of {spec.layer}" if spec.layer else spec.method


def _ways(path: Path, spec: MapSpec, folder: Path, device: Device) -> tuple[Way, Way | None]:
    """How the model explains by one of its maps, and how it does with permuted weights: its own best class."""
    way = ExplainedNetwork(Explainer(path, device=device, output=spec.output)).heat
    permuted = folder / f"{spec.output}.onnx"
    try:
        permuted.write_bytes(permute_weights(path.read_bytes(), spec.layer))
    except ValueError:  # there are none
        return way, None
    other = ExplainedNetwork(Explainer(permuted, device=device, output=spec.output))
    return way, lambda image, _: other.heat(image, other.best(image))


def _print(found: Study) -> None:
    columns, rows = table_of(found)
    table = Table(box=None, pad_edge=False)
    table.add_column("map")
    for column in columns:
        table.add_column(f"{column.name}\n({column.is_better})", justify="right")
    for name, cells in rows:
        table.add_row(name, *(f"[bold]{cell.text}[/]" if cell.is_best else cell.text for cell in cells))
    screen.print(table)
