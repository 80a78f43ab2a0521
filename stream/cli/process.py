"""`whycam process`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from whycam.models import catalog
from whycam.models.contract import Fitting
from whycam.stream.cli.console import DebugOption, print_json, problems, screen, survive_any_encoding
from whycam.stream.cli.options import (
    ColormapOption,
    DeviceOption,
    DifferenceOption,
    LabelOption,
    LayerOption,
    LayoutOption,
    LegendOption,
    MapChoice,
    MetadataOption,
    MethodOption,
    ModelOption,
    OpacityOption,
    OverwriteOption,
    ReportOption,
    StyleOption,
    SureOption,
    TargetOption,
    TopOption,
    introduce,
    output_path,
)
from whycam.stream.cli.progress import Bar, json_line, left_metadata_out, sentences, stopped_by_ctrl_c, table
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.measure.film import FilmMeasuring, check_scipy
from whycam.stream.media.losses import MediaError, listed
from whycam.stream.offline.assignment import HandIn, do_assignment
from whycam.stream.offline.batch import Outcome, Task, carry_out, exit_code, plan, refused
from whycam.stream.offline.child import Report, explain_in_children
from whycam.stream.offline.exit_code import ExitCode
from whycam.stream.offline.inputs import Input, find_inputs
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.offline.results.claims import Claims
from whycam.stream.offline.results.own_results import without_results
from whycam.stream.overlay.renderer import Look
from whycam.stream.overlay.styles import usual_view

_EXPLAINED, _OUTPUT = "What is explained", "Other output"
InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Films, images, folders of images, recordings, patterns such as '*.mov', addresses; - is standard input.",
    ),
]
OutputOption = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="The result; a folder for several inputs, if it exists, or if it ends in / (default: beside each input).",
    ),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Continue a run that was stopped or killed; skip finished results.")
]
NetworkOption = Annotated[
    bool, typer.Option("--allow-network", help="Read addresses, such as https://… and rtsp://…; otherwise none is.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="For scripts: a line of JSON for each input; everything else goes to stderr.")
]
EveryOption = Annotated[
    int, typer.Option(min=1, rich_help_panel=_EXPLAINED, help="Explain every Nth frame; those between show its heat.")
]
MeasureOption = Annotated[
    int | None,
    typer.Option(
        "--measure",
        min=1,
        max=100,
        rich_help_panel=_OUTPUT,
        metavar="N",
        help="Measure whether the heatmaps of N frames, spread over each film, are faithful; takes seconds a frame.",
    ),
]
FitOption = Annotated[
    Fitting | None,
    typer.Option(
        rich_help_panel=_EXPLAINED,
        help="stretch: the whole frame; crop: its middle, the rest unpainted (default: the model's own).",
    ),
]
FramesOption = Annotated[
    Path | None,
    typer.Option(rich_help_panel=_OUTPUT, metavar="DIR", help="Write a film's painted frames as images, too."),
]
AssignmentOption = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel=_OUTPUT,
        metavar="DIR",
        help="Everything to hand in for the book's assignment, at 25 frames a second (style: book).",
    ),
]


def process(
    inputs: InputsArgument,
    output: OutputOption = None,
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    allow_network: NetworkOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    target: TargetOption = None,
    difference: DifferenceOption = None,
    method: MethodOption = None,
    layer: LayerOption = None,
    every: EveryOption = 1,
    fit: FitOption = None,
    layout: LayoutOption = None,
    style: StyleOption = None,
    colormap: ColormapOption = None,
    opacity: OpacityOption = None,
    top: TopOption = None,
    sure: SureOption = None,
    label: LabelOption = None,
    legend: LegendOption = None,
    report: ReportOption = False,
    frames: FramesOption = None,
    measure: MeasureOption = None,
    assignment: AssignmentOption = None,
    keep_metadata: MetadataOption = False,
    debug: DebugOption = False,  # noqa: ARG001 - its callback sets the log
) -> None:
    """Explain films and images: every frame, upright, in sync with its sound."""
    style = style or ("book" if assignment else "blend")
    view = usual_view(style, (), opacity, colormap)
    look = Look(view, layout or "overlay", style, fit, top or 1, sure or 0.0, legend=legend or False)
    look = replace(look, label=label if label is not None else not (look.style == "book" and look.layout == "overlay"))
    given, results = without_results(find_inputs(inputs))
    if results:
        names = listed([each.name for each in results])
        (problems if as_json else screen).print(
            f"Left out as results of whycam: {names}. To explain one, give it alone.", markup=False
        )
    if resume and (live := [each for each in given if each.is_live]):
        raise MediaError(f"--resume needs a file: {live[0].name} cannot be read again.")
    if not allow_network and (far := [each for each in given if each.kind == "address"]):
        raise MediaError(f"{far[0].name} is an address. whycam connects to it only with --allow-network.")
    path, is_folder = output_path(output)
    hand_in = _hand_in(given, assignment, path, frames)
    tasks = (
        [Task(given[0], hand_in.video)] if hand_in else plan(given, path, frames, report=report, is_folder=is_folder)
    )
    if measure:
        check_scipy("whycam process --measure")
        if difference:
            raise ValueError("--measure is of one class's map. Leave --difference out, or --measure.")
    choice = MapChoice(catalog.find(model), device, tuple(target or ()), difference, method, layer)
    if not tasks:
        raise typer.Exit(ExitCode.OK)
    if (report or frames) and any(each.kind == "picture" for each in given):
        (problems if as_json else screen).print("A single image has no report and no frames; films and folders have.")
    measuring = FilmMeasuring(measure) if measure else None
    run = _Run(choice, look, measuring, every, keep_metadata, resume, overwrite, as_json, tasks, hand_in)
    run.carry_out()
    run.conclude()
    raise typer.Exit(exit_code(run.outcomes))


def _hand_in(given: Sequence[Input], folder: Path | None, output: Path | None, frames: Path | None) -> HandIn | None:
    """The files to hand in for an assignment; None without --assignment."""
    if folder is None:
        return None
    if len(given) != 1 or given[0].kind != "film" or output or frames:
        raise MediaError("--assignment takes one film, and no -o or --frames.")
    return HandIn(given[0].path, folder)


@dataclass(frozen=True, slots=True)
class _Run:
    """The parsed command, and its outcomes."""

    choice: MapChoice
    look: Look
    measuring: FilmMeasuring | None
    every: int
    keep_metadata: bool
    resume: bool
    overwrite: bool
    as_json: bool
    tasks: list[Task]
    hand_in: HandIn | None
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def say(self) -> Console:
        """The console for sentences: stderr with --json, where stdout is for programs."""
        return problems if self.as_json else screen

    def carry_out(self) -> None:
        """Explain all inputs; several in a child process, which native code may crash."""
        if len(self.tasks) > 1 and not any(task.given.is_inherited for task in self.tasks):
            crashed = partial(self._print, seconds=0.0)
            self.outcomes.extend(explain_in_children(self.tasks, self.explain_these, crashed))
        else:
            self.explain_these(self.tasks, self.outcomes.append)

    def explain_these(self, tasks: Sequence[Task], reported: Report) -> None:
        """Explain the tasks on which no other run works; prints each outcome and passes it on."""
        survive_any_encoding()  # in the child of a batch, too
        uses = [self.hand_in.use] if self.hand_in else [task.use for task in tasks]
        with Claims("process", uses) as claims:
            if claims.all_busy:  # no model is needed to report that
                for task, use in zip(tasks, uses, strict=True):
                    if (busy := refused(task, use, claims)) is not None:
                        self._print(busy, 0.0)
                        reported(busy)
                return
            try:
                self._explain(tasks, claims, reported)
            except KeyboardInterrupt:
                self.say.print("Stopped immediately; the current film has no result.")
                raise typer.Exit(ExitCode.STOPPED) from None

    def conclude(self) -> None:
        """Print the table of all inputs, and what was not copied."""
        if len(self.tasks) > 1:
            self.say.print(table(self.outcomes))
        if not self.keep_metadata and any(map(left_metadata_out, self.outcomes)):
            self.say.print("Location and other metadata of the original were not copied (--keep-metadata copies them).")

    def _explain(self, tasks: Sequence[Task], claims: Claims, reported: Report) -> None:
        explainer = self.choice.open()
        # In this process: a model that crashes ends the run in any case, and batches need no copy between processes.
        with closing(LocalEngine(explainer)) as engine:
            introduce(engine, self.say)
            look = replace(self.look, view=self.choice.view(self.look.view, engine.contract.labels, self.say))
            with stopped_by_ctrl_c() as stop, Bar(self.say) as bar:
                work = ProcessJob(
                    engine, look, self.every, self.keep_metadata, bar.progress, stop, self.resume, self.measuring
                )
                for outcome in self._outcomes(tasks, work, claims, bar):
                    self._print(outcome, bar.seconds)
                    reported(outcome)

    def _outcomes(self, tasks: Sequence[Task], work: ProcessJob, claims: Claims, bar: Bar) -> Iterator[Outcome]:
        if self.hand_in:
            bar.begin(tasks[0].given.name)
            done = do_assignment(self.hand_in.source, self.hand_in.folder, work, overwrite=self.overwrite)
            yield Outcome(tasks[0], done)
            return
        yield from carry_out(
            tasks,
            work,
            claims,
            overwrite=self.overwrite,
            stdin=sys.stdin.buffer,
            begun=lambda task: bar.begin(task.given.name),
        )

    def _print(self, outcome: Outcome, seconds: float) -> None:
        if self.as_json:
            print_json(json_line(outcome, seconds))
            return
        failed = outcome.explained is None
        for sentence in sentences(outcome, seconds):
            (problems if failed else screen).print(sentence, markup=False, style="red" if failed else None)
