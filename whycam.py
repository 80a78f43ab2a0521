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
import math
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeVar, get_args

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models import catalog
from models.contract import Contract, Fitting, Score
from stream.claims import Busy
from stream.device import DEVICES, Device
from stream.encoder import ENCODERS, backends
from stream.engine import EngineDown, LocalEngine
from stream.exit_code import ExitCode
from stream.explainer import BEST, Explainer, RuntimeMissing
from stream.layouts import LAYOUTS
from stream.look import Look
from stream.media import MediaError
from stream.overlay import COLORMAPS
from stream.planes import Bytes
from stream.styles import STYLES, usual_view

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
problems = Console(stderr=True, highlight=False, soft_wrap=True)
FITTINGS = get_args(Fitting)


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


def _number(option: str, low: int, high: int | None = None, kind: type[float] = int, **about: Any) -> Any:
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


@cli.command()
def serve(
    ctx: typer.Context,
    port: Annotated[int, _number("--port", 1, 65535, help="The page's port.")] = 8080,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    recordings: Annotated[Path, typer.Option(help="The folder for recordings.")] = Path("recordings"),
    no_record: Annotated[bool, typer.Option("--no-record", help="Record nothing.")] = False,
    keep: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="AGE", help="Delete recordings older than that, such as 7d or 12h (default: keep all)."),
    ] = None,
    max_disk: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="SIZE", help="Delete the oldest recordings beyond that, such as 10GiB (default: keep all)."
        ),
    ] = None,
    encoder: Annotated[
        str, typer.Option(help=f"What encodes the live picture as H.264: {', '.join(ENCODERS)}.")
    ] = "auto",
    log: Annotated[str, typer.Option(metavar="FORM", help="What the log is for: text for you, json for programs.")] = (
        "text"
    ),
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
    lan_port: Annotated[int, _number("--lan-port", 1, 65535, rich_help_panel="Phones", help="The port for phones.")] = (
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

    from stream import names
    from stream.housekeeper import Housekeeper
    from stream.lan import Lan, lan_addresses, own_address
    from stream.logs import FORMATS, start_logging
    from stream.private import config_folder
    from stream.retention import Retention, parse_age, parse_size
    from stream.rtc import LOOPBACK, Media
    from stream.server import check_ports, serve_until_stopped
    from stream.session import Settings

    if (cert is None) != (key is None):
        raise ValueError("--cert and --key belong together. Give both, or none of them.")
    retention = Retention(parse_age(keep) if keep else None, parse_size(max_disk) if max_disk else None)
    if not lan and (host or cert or new_token):
        raise ValueError("--host, --cert, --key and --new-token are for phones. Add --lan.")
    addresses: list[str] = []
    if lan:
        addresses = [own_address(host)] if host else [address.ip for address in lan_addresses()]
        if port == lan_port and LOOPBACK in addresses:
            raise ValueError(f"--port and --lan-port are both {port}. Give two ports.")
    check_ports(port, addresses, lan_port)  # where it cannot serve it leaves no folder, and no new code
    door = None
    if lan:
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
    shelf = settings.recordings
    screen.print(f"Recordings: {f'{shelf} (none: --no-record)' if shelf else 'none'}", markup=False)
    before = frozenset(() if shelf is None else names.recordings(shelf))

    start_logging(_one_of("log format", log, FORMATS))
    if shelf is not None:
        ctx.with_resource(closing(Housekeeper(shelf, retention)))

    def ready() -> None:
        screen.print(f"This computer: [bold]http://localhost:{port}[/bold]")
        if door is not None:
            _invite(door)
        screen.print("Ctrl-C ends.")

    def stopping() -> None:
        screen.print("Ending: calls are closed, recordings are finished. Ctrl-C again ends it at once.")

    asyncio.run(serve_until_stopped(engine, settings, port, ready, door, stopping))
    made = [] if shelf is None else [folder for folder in names.recordings(shelf) if folder not in before]
    newest = f"; the newest is {made[-1]}" if made else ""
    screen.print(f"Ended. Recordings made: {len(made)}{newest}.", markup=False)


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
    _number("--opacity", 0, 1, float, rich_help_panel=_LOOKS, help="Of the hottest place (default: 0.7; book: 0.4)."),
]
TopOption = Annotated[
    Optional[int],  # noqa: UP045
    _number("--top", 1, 20, rich_help_panel=_LOOKS, help="How many classes the label names (default: 1)."),
]
SureOption = Annotated[
    Optional[float],  # noqa: UP045
    _number("--sure", 0, 1, float, rich_help_panel=_LOOKS, help="The label says 'not sure' below this probability."),
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


@cli.command()
def process(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Films, pictures, folders of frames, recordings, patterns such as '*.mov'; - is standard input.",
        ),
    ],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="The result; for several inputs a folder (default: beside each input)."),
    ] = None,
    overwrite: OverwriteOption = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier run was stopped or killed; leave what is done.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="For scripts: a line of JSON for each input; all else goes to stderr.")
    ] = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    target: TargetOption = None,
    every: Annotated[
        int,
        _number(
            "--every",
            1,
            rich_help_panel="What is explained",
            help="Explain one of so many frames; others keep its heat.",
        ),
    ] = 1,
    fit: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            rich_help_panel="What is explained",
            help="stretch: the whole frame; crop: its middle, unpainted beside it (default: the model's own).",
        ),
    ] = None,
    layout: LayoutOption = None,
    style: StyleOption = None,
    colormap: ColormapOption = None,
    opacity: OpacityOption = None,
    top: TopOption = None,
    sure: SureOption = None,
    label: LabelOption = None,
    legend: LegendOption = None,
    report: ReportOption = False,
    frames: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            rich_help_panel="What else is left", metavar="DIR", help="A film's painted frames, as pictures too."
        ),
    ] = None,
    assignment: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            rich_help_panel="What else is left",
            metavar="DIR",
            help="Everything that the book's assignment hands in, at 25 frames a second (style: book).",
        ),
    ] = None,
    keep_metadata: MetadataOption = False,
) -> None:
    """Explain films and pictures: every frame, upright, in step with its sound."""
    from stream.assignment import HandIn, do_assignment
    from stream.batch import Outcome, Task, carry_out, exit_code, plan, refused
    from stream.claims import Claims
    from stream.inputs import find_inputs
    from stream.offline import Pass
    from stream.targets import find_targets, named
    from stream.terminal import Bar, json_line, left_metadata_out, sentences, stopped_by_ctrl_c, table

    say = problems if as_json else screen
    _check_words(style, layout, fit)
    style = style or ("book" if assignment else "blend")
    view = usual_view(style, (), opacity, colormap)  # type: ignore[arg-type] # checked above, as are those below
    look = Look(view, layout or "overlay", style, fit, top or 1, sure or 0.0, legend=legend or False)  # type: ignore[arg-type]
    look = replace(look, label=label if label is not None else not (look.style == "book" and look.layout == "overlay"))
    given = find_inputs(inputs)
    if assignment and (len(given) != 1 or given[0].kind != "film" or output or frames):
        raise MediaError("--assignment takes one film, and no -o or --frames.")
    if resume and any(each.kind == "pipe" for each in given):
        raise MediaError("Standard input cannot be read again: --resume needs a file.")
    hand_in = HandIn(given[0].path, assignment) if assignment else None
    tasks = [Task(given[0], hand_in.video)] if hand_in else plan(given, output, frames, report=report)
    uses = [hand_in.use] if hand_in else [task.use for task in tasks]
    path, kind = catalog.find(model), _device(device)
    outcomes: list[Outcome] = []

    def tell(outcome: Outcome, seconds: float) -> None:
        outcomes.append(outcome)
        if as_json:
            print(json_line(outcome, seconds), flush=True)  # noqa: T201
            return
        console = problems if outcome.explained is None else screen
        for sentence in sentences(outcome, seconds):
            console.print(sentence, markup=False, style="red" if outcome.explained is None else None)

    def explain_all(claims: Claims, look: Look) -> None:
        explainer = Explainer(path, device=kind)
        _introduce(explainer.contract, explainer.providers[0], explainer.device_problem, say)
        # In this process: a model that dies ends the work in any case, and a film's batches need no journey.
        with closing(LocalEngine(explainer)) as engine:
            if target:
                held = find_targets(target, engine.contract.labels)
                look = replace(look, view=replace(look.view, hold=held))
                say.print(f"Explained: {named(held, engine.contract.labels)}", markup=False)
            with stopped_by_ctrl_c() as stop, Bar(say) as bar:
                work = Pass(engine, look, every, keep_metadata, bar.progress, stop, resume)
                if assignment:
                    bar.begin(given[0].name)
                    done = do_assignment(given[0].path, assignment, work, overwrite=overwrite)
                    results = iter([Outcome(tasks[0], done)])
                else:
                    results = carry_out(
                        tasks,
                        work,
                        claims,
                        overwrite=overwrite,
                        stdin=sys.stdin.buffer,
                        begun=lambda task: bar.begin(task.given.name),
                    )
                for outcome in results:
                    tell(outcome, bar.seconds)

    with Claims("process", uses) as claims:
        if claims.all_busy:  # which can be said without a model
            for task, use in zip(tasks, uses, strict=True):
                if (busy := refused(task, use, claims)) is not None:
                    tell(busy, 0.0)
        else:
            try:
                explain_all(claims, look)
            except KeyboardInterrupt:
                say.print("Stopped at once; of the film at hand nothing was left.")
                raise typer.Exit(ExitCode.STOPPED) from None
    if len(tasks) > 1:
        say.print(table(outcomes))
    if not keep_metadata and any(map(left_metadata_out, outcomes)):
        say.print("Location and other metadata of the original were not copied (--keep-metadata copies them).")
    raise typer.Exit(exit_code(outcomes))


@cli.command()
def replay(
    sidecar: Annotated[Path, typer.Argument(help="…-output.jsonl, predictions.jsonl, or the folder that holds it.")],
    video: Annotated[
        Path, typer.Argument(help="The film or folder that was explained; of a recording its folder or camera film.")
    ],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="The result (default: …-replay.mp4 beside the film)."),
    ] = None,
    overwrite: OverwriteOption = False,
    target: TargetOption = None,
    layout: LayoutOption = None,
    style: StyleOption = None,
    colormap: ColormapOption = None,
    opacity: OpacityOption = None,
    top: TopOption = None,
    sure: SureOption = None,
    label: LabelOption = None,
    legend: LegendOption = None,
    report: ReportOption = False,
    keep_metadata: MetadataOption = False,
) -> None:
    """Draw an explained film again from its sidecar, without the model: in other colours, another layout or class."""
    from stream.replay import Changes, replay_once
    from stream.terminal import Bar, replayed, stopped_by_ctrl_c

    _check_words(style, layout, None)
    given = {"layout": layout, "style": style, "top": top, "sure": sure, "label": label, "legend": legend}
    look = {key: value for key, value in given.items() if value is not None}
    changes = Changes(look, tuple(target or ()), opacity, colormap)
    try:
        with stopped_by_ctrl_c() as stop, Bar(screen) as bar:
            bar.begin(str(video))
            done = replay_once(
                sidecar,
                video,
                output,
                changes,
                overwrite=overwrite,
                report=report,
                keep_metadata=keep_metadata,
                progress=bar.progress,
                stop=stop,
            )
            for sentence in replayed(done, bar.seconds):
                screen.print(sentence, markup=False)
    except KeyboardInterrupt:
        screen.print("Stopped at once; nothing was left.")
        raise typer.Exit(ExitCode.STOPPED) from None
    raise typer.Exit(ExitCode.STOPPED if done.explained.stopped else ExitCode.OK)


def _check_words(style: str | None, layout: str | None, fit: str | None) -> None:
    """Raise `ValueError` for words that mean nothing."""
    for option, word, words in (("style", style, STYLES), ("layout", layout, LAYOUTS), ("fit", fit, FITTINGS)):
        if word is not None and word not in words:
            raise ValueError(f"There is no {option} '{word}'. Choose one of {', '.join(words)}.")


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
    r"""Make an explainable VGG16, the network of the book; it becomes the default model. Needs 'whycam\[export]'."""
    scores = {name: name for name in get_args(Score)}
    if score not in scores:
        raise ValueError(f"The score is {' or '.join(scores)}, not '{score}'.")
    from export.needs import check_needs

    check_needs("onnx")  # for the others it is soon enough when the arguments are known to be right
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
        cells = (known.name, "yes" if known.ready else f"no: {known.make}", known.licence, known.source)
        table.add_row(*map(Text, cells))
    screen.print(table)
    screen.print("Any explainable .onnx file can be given with --model as well.")


@cli.command()
def doctor(
    port: Annotated[int, _number("--port", 1, 65535, help="The port to look at.")] = 8080,
    recordings: Annotated[Path, typer.Option(help="The folder for recordings.")] = Path("recordings"),
    device: DeviceOption = "auto",
    lan_port: Annotated[int, _number("--lan-port", 1, 65535, help="The port for phones to look at.")] = 8443,
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
        sign = Text("–") if finding.absent else Text("✓", "green") if finding.well else Text("✗", "red")
        screen.print(sign, Text(finding.what, "bold"), Text(finding.says))
        if not finding.well:
            screen.print("  ", finding.advice, markup=False)
    screen.print("All is well." if not sick else "What has a ✗ needs something done: it says what.")
    if sick:
        raise typer.Exit(ExitCode.FAILED)


Word = TypeVar("Word", bound=str)


def _one_of(what: str, given: str, words: Sequence[Word]) -> Word:
    """The word that was given; raises `ValueError` for one that is not among them."""
    for word in words:
        if word == given:
            return word
    raise ValueError(f"There is no {what} '{given}'. Choose one of {', '.join(words)}.")


def _device(name: str) -> Device:
    return _one_of("device", name, DEVICES)


def _introduce(contract: Contract, provider: str, device_problem: str | None, console: Console = screen) -> None:
    console.print(
        f"Model: {contract.name} on {provider.removesuffix('ExecutionProvider')} "
        "(another one: --model; `whycam models` lists them)",
        markup=False,
    )
    if device_problem:
        console.print(device_problem, markup=False)


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
    screen.print("Watch only:", lan.invitations("viewer")[0].replace("#", "watch#"), markup=False)
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
    # A wrong call would end with 2, which says that a film broke off.
    usage_error: Any = typer.BadParameter.__base__
    usage_error.exit_code = ExitCode.FAILED
    try:
        cli()
    except Busy as error:
        problems.print(str(error), style="red", markup=False)
        sys.exit(ExitCode.BUSY)
    except (EngineDown, RuntimeMissing, ValueError, OSError) as error:
        problems.print(str(error), style="red", markup=False)
        sys.exit(ExitCode.FAILED)


if __name__ == "__main__":
    main()
