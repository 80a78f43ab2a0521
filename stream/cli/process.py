"""`whycam process`."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from whycam.models import catalog
from whycam.stream.cli.console import problems, screen
from whycam.stream.cli.options import (
    ColormapOption,
    DeviceOption,
    LabelOption,
    LayoutOption,
    LegendOption,
    MetadataOption,
    ModelOption,
    OpacityOption,
    OverwriteOption,
    ReportOption,
    StyleOption,
    SureOption,
    TargetOption,
    TopOption,
    check_words,
    find_device,
    introduce,
    number,
)
from whycam.stream.cli.progress import Bar, json_line, left_metadata_out, sentences, stopped_by_ctrl_c, table
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.providers import Device
from whycam.stream.media.film_reader import MediaError
from whycam.stream.offline.assignment import HandIn, do_assignment
from whycam.stream.offline.batch import Outcome, Task, carry_out, exit_code, plan, refused
from whycam.stream.offline.claims import Claims
from whycam.stream.offline.exit_code import ExitCode
from whycam.stream.offline.inputs import find_inputs
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.offline.targets import find_targets, named
from whycam.stream.overlay.renderer import Look
from whycam.stream.overlay.styles import usual_view

_EXPLAINED, _LEFT = "What is explained", "What else is left"
InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Films, pictures, folders of frames, recordings, patterns such as '*.mov'; - is standard input.",
    ),
]
OutputOption = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads it at run time
    typer.Option("--output", "-o", help="The result; for several inputs a folder (default: beside each input)."),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on where an earlier run was stopped or killed; leave what is done.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="For scripts: a line of JSON for each input; all else goes to stderr.")
]
EveryOption = Annotated[
    int,
    number("--every", 1, rich_help_panel=_EXPLAINED, help="Explain one of so many frames; others keep its heat."),
]
FitOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        rich_help_panel=_EXPLAINED,
        help="stretch: the whole frame; crop: its middle, unpainted beside it (default: the model's own).",
    ),
]
FramesOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(rich_help_panel=_LEFT, metavar="DIR", help="A film's painted frames, as pictures too."),
]
AssignmentOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        rich_help_panel=_LEFT,
        metavar="DIR",
        help="Everything that the book's assignment hands in, at 25 frames a second (style: book).",
    ),
]


def process(
    inputs: InputsArgument,
    output: OutputOption = None,
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    target: TargetOption = None,
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
    assignment: AssignmentOption = None,
    keep_metadata: MetadataOption = False,
) -> None:
    """Explain films and pictures: every frame, upright, in step with its sound."""
    check_words(style, layout, fit)
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
    run = _Run(
        catalog.find(model),
        find_device(device),
        tuple(target or ()),
        look,
        every,
        keep_metadata=keep_metadata,
        resume=resume,
        overwrite=overwrite,
        as_json=as_json,
        tasks=tasks,
        hand_in=hand_in,
    )
    run.carry_out()
    if len(tasks) > 1:
        run.say.print(table(run.outcomes))
    if not keep_metadata and any(map(left_metadata_out, run.outcomes)):
        run.say.print("Location and other metadata of the original were not copied (--keep-metadata copies them).")
    raise typer.Exit(exit_code(run.outcomes))


@dataclass(frozen=True, slots=True)
class _Run:
    """What the command was asked for, once its words are understood."""

    model: Path
    device: Device
    targets: tuple[str, ...]
    look: Look
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
        """Where sentences go: with --json stdout is for programs."""
        return problems if self.as_json else screen

    def carry_out(self) -> None:
        """Explain what no other run is at work on."""
        uses = [self.hand_in.use] if self.hand_in else [task.use for task in self.tasks]
        with Claims("process", uses) as claims:
            if claims.all_busy:  # which can be said without a model
                for task, use in zip(self.tasks, uses, strict=True):
                    if (busy := refused(task, use, claims)) is not None:
                        self._tell(busy, 0.0)
                return
            try:
                self._explain(claims)
            except KeyboardInterrupt:
                self.say.print("Stopped at once; of the film at hand nothing was left.")
                raise typer.Exit(ExitCode.STOPPED) from None

    def _explain(self, claims: Claims) -> None:
        explainer = Explainer(self.model, device=self.device)
        introduce(explainer.contract, explainer.providers[0], explainer.device_problem, self.say)
        # In this process: a model that dies ends the work in any case, and a film's batches need no journey.
        with closing(LocalEngine(explainer)) as engine:
            look = self._look(engine.contract.labels)
            with stopped_by_ctrl_c() as stop, Bar(self.say) as bar:
                work = ProcessJob(engine, look, self.every, self.keep_metadata, bar.progress, stop, self.resume)
                if self.hand_in:
                    bar.begin(self.tasks[0].given.name)
                    done = do_assignment(self.hand_in.source, self.hand_in.folder, work, overwrite=self.overwrite)
                    self._tell(Outcome(self.tasks[0], done), bar.seconds)
                    return
                for outcome in carry_out(
                    self.tasks,
                    work,
                    claims,
                    overwrite=self.overwrite,
                    stdin=sys.stdin.buffer,
                    begun=lambda task: bar.begin(task.given.name),
                ):
                    self._tell(outcome, bar.seconds)

    def _look(self, labels: tuple[str, ...]) -> Look:
        """How it looks, with the classes that were asked for by name."""
        if not self.targets:
            return self.look
        pinned = find_targets(self.targets, labels)
        self.say.print(f"Explained: {named(pinned, labels)}", markup=False)
        return replace(self.look, view=replace(self.look.view, pinned=pinned))

    def _tell(self, outcome: Outcome, seconds: float) -> None:
        self.outcomes.append(outcome)
        if self.as_json:
            print(json_line(outcome, seconds), flush=True)  # noqa: T201
            return
        failed = outcome.explained is None
        for sentence in sentences(outcome, seconds):
            (problems if failed else screen).print(sentence, markup=False, style="red" if failed else None)
