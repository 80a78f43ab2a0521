"""whycam shows, live, what a neural network looks at: the command, and the library's face.

import whycam
explained = whycam.explain("dog.jpg")
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def _check_neighbours() -> None:
    """Say so when a file such as `models.py` in the current folder hides a package of ours."""
    here = Path(__file__).resolve().parent
    for name in ("models", "stream"):
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if found != here / name / "__init__.py":
            raise SystemExit(
                f"whycam needs its own package '{name}' in {here}, but Python finds {found or 'none'}. "
                "Start whycam in another folder, or rename that file."
            )


_check_neighbours()

# ruff: noqa: E402 - the neighbours are checked before any of them is imported
import asyncio
import logging
import os
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Optional, get_args

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from models import catalog
from models.contract import Contract, Score
from stream.device import DEVICES, Device
from stream.encoder import ENCODERS, backends
from stream.engine import EngineDown, LocalEngine
from stream.explainer import BEST, Explainer, RuntimeMissing
from stream.media import MediaError
from stream.overlay import COLORMAPS, View
from stream.planes import Bytes

if TYPE_CHECKING:
    from stream.lan import Lan

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Shows, live, what a neural network looks at.",
)


exports = typer.Typer(no_args_is_help=True, help="Make a model file that explains itself.")
cli.add_typer(exports, name="export")
screen = Console(highlight=False, soft_wrap=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        screen.print(f"whycam {version('whycam')}")
        raise typer.Exit


@cli.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Options that stand before a command."""


@dataclass(frozen=True, slots=True)
class Explained:
    """What the network sees in one picture, for each target; unless asked otherwise the five best classes."""

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    classes: tuple[int, ...]
    heatmaps: Bytes  # (K, h, w) 0…255 for 0…1 of each map's own maximum
    picture: Bytes  # (H, W, 3) RGB, upright
    overlay: Bytes  # (H, W, 3) RGB, the first heatmap drawn onto the picture


def explain(picture: str | Path | Bytes, *, model: str | None = None, targets: tuple[int, ...] = BEST) -> Explained:
    """Explain one picture: a file, or RGB uint8 (H, W, 3).

    A target is a class number, or −1 for the best class, −2 for the second. Raises `ValueError` for what cannot be
    read, and `RuntimeMissing` where onnxruntime is not installed.
    """
    from stream.picture import explain_picture

    maps, plain, painted = explain_picture(picture, Explainer(catalog.find(model)), targets)
    return Explained(
        tuple(m.label for m in maps),
        tuple(m.score for m in maps),
        tuple(m.class_id for m in maps),
        np.stack([m.grid for m in maps]),
        plain,
        painted,
    )


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


@cli.command()
def serve(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(help="The page's port.", min=1, max=65535)] = 8080,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    recordings: Annotated[Path, typer.Option(help="The folder for recordings.")] = Path("recordings"),
    no_record: Annotated[bool, typer.Option("--no-record", help="Record nothing.")] = False,
    encoder: Annotated[
        str, typer.Option(help=f"What encodes the live picture as H.264: {', '.join(ENCODERS)}.")
    ] = "auto",
    ice_server: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            rich_help_panel="Network",
            help="stun:HOST:PORT or turn:USER:SECRET@HOST:PORT; without one nothing outside is asked.",
        ),
    ] = None,
    ice_address: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            rich_help_panel="Network", help="A local address for media (default 127.0.0.1, with --lan the LAN's too)."
        ),
    ] = None,
    udp_ports: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(rich_help_panel="Network", metavar="LO-HI", help="UDP ports that media may use (default: any)."),
    ] = None,
    lan: Annotated[
        bool,
        typer.Option("--lan/--no-lan", rich_help_panel="Phones", help="Let phones in this computer's network join."),
    ] = False,
    host: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            rich_help_panel="Phones", metavar="ADDR", help="Only this address of the computer (default: all)."
        ),
    ] = None,
    lan_port: Annotated[int, typer.Option(rich_help_panel="Phones", help="The port for phones.", min=1, max=65535)] = (
        8443
    ),
    cert: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(rich_help_panel="Phones", help="A certificate chain (PEM) that browsers trust; needs --key."),
    ] = None,
    key: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(rich_help_panel="Phones", help="The key of --cert (PEM, no password)."),
    ] = None,
    new_token: Annotated[
        bool, typer.Option("--new-token", rich_help_panel="Phones", help="A new code: every phone joins again.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Open a page that explains a camera, live: this computer's, and with --lan those of phones near it."""
    from stream.model_process import Order
    from stream.process_engine import ProcessEngine

    # A core is left to decoding and encoding. The model loads while the server's modules do.
    order = Order(catalog.find(model), _device(device), threads=max(1, (os.cpu_count() or 2) - 1))
    engine = ctx.with_resource(closing(ProcessEngine(order)))

    from stream.lan import Lan, lan_addresses, own_address
    from stream.private import config_folder
    from stream.rtc import LOOPBACK, Media
    from stream.server import serve_until_stopped
    from stream.session import Settings

    if (cert is None) != (key is None):
        raise ValueError("--cert and --key belong together. Give both, or none of them.")
    if not lan and (host or cert or new_token):
        raise ValueError("--host, --cert, --key and --new-token are for phones. Add --lan.")
    door = None
    if lan:
        addresses = [own_address(host)] if host else [address.ip for address in lan_addresses()]
        given = (cert, key) if cert and key else None
        door = Lan.prepared(addresses, lan_port, config or config_folder(), given=given, new_token=new_token)
    own = dict.fromkeys([*(door.addresses if door else ()), LOOPBACK])
    media = Media(tuple(ice_address or own), _port_range(udp_ports), tuple(ice_server or ()))
    media.check()
    encoders = backends(encoder)
    _introduce(engine.contract, engine.about.provider, engine.about.device_problem)
    if not no_record:
        _check_recordings(recordings)
    settings = Settings(media=media, encoders=encoders, recordings=None if no_record else recordings.resolve())
    screen.print(
        f"Recordings: {settings.recordings} (none: --no-record)" if settings.recordings else "Recordings: none"
    )

    def ready() -> None:
        screen.print(f"This computer: [bold]http://localhost:{port}[/bold]")
        if door is not None:
            _invite(door)
        screen.print("Ctrl-C ends.")

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("stream").setLevel(logging.INFO)
    asyncio.run(serve_until_stopped(engine, settings, port, ready, door))


@cli.command()
def process(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A video file.")],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="The explained video, .mp4 (default: INPUT-output.mp4 beside it)."),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    opacity: Annotated[float, typer.Option(help="How much the hottest place is covered.", min=0, max=1)] = 0.7,
    colormap: Annotated[str, typer.Option(help=f"One of {', '.join(COLORMAPS)}.")] = "inferno",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that is there.")] = False,
) -> None:
    """Explain every frame of a recorded video."""
    from stream.offline import explain_file, output_path

    target = output or output_path(source)
    view = View(opacity=opacity, colormap=colormap)  # type: ignore[arg-type] # View checks it
    if target.suffix.lower() != ".mp4":
        raise MediaError(f"The output is an MP4; give it a name that ends in .mp4, not '{target.name}'.")
    for path in (target, target.with_suffix(".jsonl")):
        if path.exists() and not overwrite:
            raise MediaError(f"{path} is there already. Give another name with -o, or --overwrite.")
    explainer = Explainer(catalog.find(model), device=_device(device))
    _introduce(explainer.contract, explainer.providers[0], explainer.device_problem)
    # In this process: a model that dies ends the work in any case, and a film's batches need no journey.
    engine = LocalEngine(explainer)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} frames/s"),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=screen, transient=True) as bar:
            task = bar.add_task(source.name, total=None, rate="–")

            def progress(done: int, expected: int) -> None:
                speed = bar.tasks[0].speed
                bar.update(task, completed=done, total=max(expected, done), rate=f"{speed:.1f}" if speed else "–")

            start = time.perf_counter()
            explained = explain_file(source, target, engine, view, progress=progress)
            rate = explained.frames / (time.perf_counter() - start)
    except KeyboardInterrupt:
        screen.print(f"Stopped; nothing was left at {target}.")
        raise typer.Exit(130) from None
    finally:
        engine.close()
    frames = "1 frame" if explained.frames == 1 else f"{explained.frames} frames"
    screen.print(f"{frames}, {rate:.1f} a second -> {explained.video} and {explained.sidecar.name}")
    screen.print("Location and other metadata of the original were not copied.")


@exports.command("vgg16")
def export_vgg16(
    weights: Annotated[
        str, typer.Option(help="imagenet (Keras downloads 553 MB), random, or a file: .weights.h5, .h5, .keras.")
    ] = "imagenet",
    score: Annotated[str, typer.Option(help="What is explained: probability or logit.")] = "probability",
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="An .onnx file (default: where whycam finds it from then on)."),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store the weights in half precision.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Quantize to 8 bits, for a faster processor.")] = False,
    verify_with: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A folder of pictures to verify with (default: 32 synthetic scenes)."),
    ] = None,
    calibrate_with: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="With --int8: a folder of pictures like those that it will see."),
    ] = None,
) -> None:
    """Make an explainable VGG16, the network of the book; it becomes the default model. Needs 'whycam[export]'."""
    scores = {name: name for name in get_args(Score)}
    if score not in scores:
        raise ValueError(f"The score is {' or '.join(scores)}, not '{score}'.")
    from export.command import export_vgg16 as export

    path = export(
        weights,
        scores[score],
        output,
        half=half,
        int8=int8,
        verify_with=verify_with,
        calibrate_with=calibrate_with,
        say=lambda text: screen.print(text, markup=False),
    )
    how = "It is the default model from now on." if output is None else f"Take it with --model {path}"
    screen.print(f"Ready: {path}. {how}", markup=False)


@cli.command()
def models() -> None:
    """List the models that whycam knows."""
    table = Table("name", "ready", "licence", "weights", box=None, pad_edge=False)
    for known in catalog.known():
        table.add_row(known.name, "yes" if known.ready else f"no: {known.make}", known.licence, known.source)
    screen.print(table)
    screen.print("Any explainable .onnx file can be given with --model as well.")


@cli.command()
def doctor(
    port: Annotated[int, typer.Option(help="The port to look at.", min=1, max=65535)] = 8080,
    recordings: Annotated[Path, typer.Option(help="The folder for recordings.")] = Path("recordings"),
    device: DeviceOption = "auto",
    lan_port: Annotated[int, typer.Option(help="The port for phones to look at.", min=1, max=65535)] = 8443,
    config: ConfigOption = None,
) -> None:
    """Look over this computer: what is well, what is not, and what to do."""
    from stream.doctor import examine
    from stream.private import config_folder

    sick = 0
    for finding in examine(
        port=port,
        recordings=recordings,
        device=_device(device),
        lan_port=lan_port,
        config=config or config_folder(),
    ):
        sick += not finding.well
        screen.print(
            "[green]✓[/green]" if finding.well else "[red]✗[/red]", f"[bold]{finding.what}[/bold]", finding.says
        )
        if not finding.well:
            screen.print("  ", finding.advice, markup=False)
    if sick:
        raise typer.Exit(1)


def _device(name: str) -> Device:
    for device in DEVICES:
        if device == name:
            return device
    raise ValueError(f"There is no device '{name}'. Choose one of {', '.join(DEVICES)}.")


def _introduce(contract: Contract, provider: str, device_problem: str | None) -> None:
    screen.print(
        f"Model: {contract.name} on {provider.removesuffix('ExecutionProvider')} "
        "(another one: --model; `whycam models` lists them)"
    )
    if device_problem:
        screen.print(device_problem, markup=False)


def _check_recordings(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"Recordings cannot lie in {folder} ({error.strerror}). Name another folder.") from error
    if not os.access(folder, os.W_OK):
        raise ValueError(f"Recordings cannot lie in {folder}: it cannot be written. Name another folder.")


def _invite(lan: Lan) -> None:
    """Print how phones come in: the likely URL with its QR code, then the other addresses."""
    from stream.lan import IF_UNREACHABLE, NO_NETWORK
    from stream.qr import terminal_qr

    urls = lan.invitations()
    if not urls:
        screen.print(NO_NETWORK, markup=False)
        return
    screen.print("Phone:", urls[0], markup=False)
    code = terminal_qr(urls[0])
    try:
        code.encode(screen.encoding)
    except UnicodeEncodeError:
        screen.print("This terminal cannot show the QR code; http://localhost shows it.")
    else:
        # Black on white whatever the terminal's colours are: scanners want it so. Some fonts leave a gap between
        # lines, which is black too where both halves are.
        for line in code.splitlines():
            row = Text(line, style="black on bright_white")
            row.highlight_regex("█+", "on black")
            screen.print(row)
    for url in urls[1:]:
        screen.print("or, in another network:", url, markup=False)
    if lan.certificate is not None and lan.certificate.authority is not None:
        screen.print(f"The phone's browser warns once: {lan.bases()[0]}help tells why, and what to do.", markup=False)
    screen.print(IF_UNREACHABLE.format(port=lan.port), markup=False)


def _port_range(text: str | None) -> range | None:
    if text is None:
        return None
    low, dash, high = text.partition("-")
    if not (dash and low.isdigit() and high.isdigit() and 0 < int(low) <= int(high) < 65536):
        raise typer.BadParameter(f"UDP ports are written LO-HI, such as 50000-50100, not '{text}'.")
    return range(int(low), int(high) + 1)


def main() -> None:
    """Run the command; what a person can mend is told in one sentence."""
    try:
        cli()
    except (EngineDown, RuntimeMissing, ValueError, OSError) as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(str(error), style="red", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
