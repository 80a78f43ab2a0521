"""Explains several inputs in sequence; an input that fails is noted and does not stop the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import av

from whycam.stream.inference.engine import EngineDown
from whycam.stream.inference.explainer import RuntimeMissing
from whycam.stream.media.address import Address
from whycam.stream.media.image import ImageError
from whycam.stream.media.image_writer import numbered
from whycam.stream.media.losses import Losses, MediaError, listed, plural
from whycam.stream.offline.exit_code import ExitCode
from whycam.stream.offline.explain import explain_film, explain_folder, explain_one, explain_recording
from whycam.stream.offline.inputs import FILMS, STDIN, Input, output_of
from whycam.stream.offline.pipeline import ProcessJob, ProcessResult, settings_of
from whycam.stream.offline.results.claim_file import Worker
from whycam.stream.offline.results.claims import Busy, Claims, Use
from whycam.stream.offline.results.resume import is_done
from whycam.stream.offline.unexpected import report_unexpected
from whycam.stream.recording.paths import SIDECAR
from whycam.stream.recording.sidecar import SidecarError, read_sidecar
from whycam.stream.report.measures import FilmMeasures
from whycam.stream.report.report import write_report

Status = Literal["done", "damaged", "stopped", "failed", "busy"]


@dataclass(frozen=True, slots=True)
class Task:
    """An input and the paths of its results."""

    given: Input
    output: Path
    frames: Path | None = None
    """Folder for a film's painted frames; None: they are not written as images."""

    report: bool = False
    """Whether a report is made, too."""

    @property
    def sidecar(self) -> Path | None:
        """Path of the sidecar; None for a single image."""
        if self.given.kind == "picture":
            return None
        return self.output / SIDECAR if self.given.kind == "folder" else self.output.with_suffix(".jsonl")

    @property
    def reports(self) -> tuple[Path, ...]:
        """Paths of the report's page and image; empty without a report and for a single image."""
        if not self.report or self.given.kind == "picture":
            return ()
        base = self.output / "report.mp4" if self.given.kind == "folder" else self.output
        return base.with_suffix(".html"), base.with_suffix(".png")

    @property
    def use(self) -> Use:
        """The paths that it writes and reads, for `Claims`."""
        if self.given.is_missing:  # unless another run is making it just now
            return Use((), (self.given.path,))
        writes = [self.output]  # for a folder this includes all other results
        if self.given.kind in FILMS and self.sidecar is not None:
            writes += [self.sidecar, *self.reports]
        if self.frames is not None:
            writes.append(self.frames)
        return Use(tuple(writes), () if self.given.is_live else (self.given.path,))


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """Outcome of a task: a result, or the reason why there is none."""

    task: Task
    explained: ProcessResult | None = None
    problem: str = ""
    at_work: Worker | None = None
    """The other run that works on it."""

    def __repr__(self) -> str:
        """A line, as a notebook shows it; the fields' own would be a page."""
        if self.explained is None:
            return f"<Outcome {self.status}: {self.problem}>"
        frames = plural(self.explained.frames, "frame")
        return f"<Outcome {self.status}: {self.task.given.name} -> {self.explained.output}, {frames}>"

    @property
    def status(self) -> Status:
        """`damaged`: the input broke off, the result has the rest; `busy`: another run works on it."""
        if self.explained is None:
            return "busy" if self.at_work is not None else "failed"
        if self.explained.stopped:
            return "stopped"
        losses = self.explained.losses
        return "damaged" if losses.missing or losses.error or (losses.unread and losses.lost) else "done"


def plan(
    inputs: Sequence[Input],
    output: Path | None,
    frames: Path | None = None,
    *,
    report: bool = False,
    is_folder: bool = False,
) -> list[Task]:
    """A task for each input; `is_folder`: the output is a folder also for one. Raises `MediaError` if it cannot be."""
    many = len(inputs) > 1
    if many and not is_folder and output is not None and output.suffix and not output.is_dir():
        raise MediaError(f"For {len(inputs)} inputs the output is a folder, not '{output}'.")
    outputs = _outputs(inputs, output, many or is_folder)
    tasks = []
    for given, path in zip(inputs, outputs, strict=True):
        own = None
        if frames is not None and given.kind in FILMS:
            own = frames / path.stem if many else frames
        tasks.append(Task(given, path, own, report))
    return tasks


def _outputs(inputs: Sequence[Input], output: Path | None, many: bool) -> list[Path]:
    """The results' paths; where several would be the same, the inputs' suffixes are in them."""
    plain = [output_of(given, output, many=many) for given in inputs]
    counts = Counter(str(path).casefold() for path in plain)
    return [
        output_of(given, output, many=many, with_suffix=True) if counts[str(path).casefold()] > 1 else path
        for given, path in zip(inputs, plain, strict=True)
    ]


def carry_out(
    tasks: Sequence[Task],
    work: ProcessJob,
    claims: Claims,
    *,
    overwrite: bool,
    stdin: BinaryIO,
    begun: Callable[[Task], None] | None = None,
) -> Iterator[Outcome]:
    """Explain the inputs in order until `work.stop` is set; calls `begun` before each.

    `claims` are those of all tasks; a finished task's claims are released, a task of another run is skipped.
    """
    taken: dict[Path, Input] = {}
    for task in tasks:
        if work.stop is not None and work.stop.is_set():
            return
        if begun is not None:
            begun(task)
        if (busy := refused(task, task.use, claims)) is not None:
            yield busy
            continue
        try:
            _check(task, taken, overwrite or work.resume)
            _make_folder(task.output)
            explained = (work.resume and _done(task, work)) or _explain(task, work, stdin)
            if task.reports and task.sidecar is not None:
                write_report(task.sidecar, task.output, task.given.path.name, task.reports)
        except (MediaError, ImageError, SidecarError, OSError, av.FFmpegError) as error:
            outcome = Outcome(task, problem=str(error))
        except MemoryError:
            outcome = Outcome(task, problem=f"{task.given.name} needs more memory than there is.")
        except (EngineDown, RuntimeMissing):
            raise
        except Exception as error:  # noqa: BLE001 - the other inputs are not at fault
            outcome = Outcome(task, problem=report_unexpected(error, task.given.name))
        else:
            taken[task.output.resolve()] = task.given
            outcome = Outcome(task, explained)
        claims.done(task.use)
        yield outcome


def refused(task: Task, use: Use, claims: Claims) -> Outcome | None:
    """The outcome `busy` if another run uses the task's files; None if the task can begin."""
    try:
        claims.check(use)
    except Busy as busy:
        return Outcome(task, problem=str(busy), at_work=busy.worker)
    return None


def _check(task: Task, taken: dict[Path, Input], overwrite: bool) -> None:
    if task.given.is_missing:
        raise MediaError(f"There is no file {task.given.name}.")
    other = taken.get(task.output.resolve())
    if other is not None:
        raise MediaError(
            f"{task.output} is already the result of {other.name}. Explain {task.given.name} in a separate run."
        )
    if overwrite:
        return
    folders = [path for path in (task.frames, task.output if task.given.kind == "folder" else None) if path is not None]
    files = [*task.reports] if task.given.kind == "folder" else [task.output, *task.reports]
    if task.given.kind in FILMS and task.sidecar is not None:
        files.append(task.sidecar)
    if task.given.kind == "folder" and task.sidecar is not None:
        files.append(task.sidecar)
    there = [path for path in files if path.exists()] + [path for path in folders if numbered(path)]
    if there:
        raise MediaError(f"{there[0]} already exists. Give another name with -o, or --overwrite.")


def _done(task: Task, work: ProcessJob) -> ProcessResult | None:
    """The result of an earlier run, if that finished; otherwise None. Raises `MediaError` if its settings differ."""
    notes = ["An earlier run made it and measured nothing; --overwrite measures."] if work.measuring else []
    if task.sidecar is None:
        return ProcessResult(task.output, None, 1, Losses(notes=notes), earlier=1) if task.output.exists() else None
    frames = is_done(task.output, task.sidecar, settings_of(work))
    if not frames:
        return None
    measures = FilmMeasures.of_header(read_sidecar(task.sidecar)[0])
    losses = Losses(notes=[] if measures else notes)
    return ProcessResult(task.output, task.sidecar, frames, losses, earlier=frames, measures=measures)


def _make_folder(output: Path) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(
            f"{output} cannot be written: the folder {output.parent} cannot be created ({error.strerror})."
        ) from error


def _explain(task: Task, work: ProcessJob, stdin: BinaryIO) -> ProcessResult:
    given, output = task.given, task.output
    if given == STDIN:
        return explain_film(stdin, output, work, frames=task.frames)
    if given.kind == "pipe":
        with given.path.open("rb", buffering=0) as pipe:
            return explain_film(pipe, output, work, frames=task.frames)
    if given.kind == "address":
        return explain_film(Address(given.address, given.name), output, work, frames=task.frames)
    if given.kind == "recording":
        return explain_recording(given.path, output, work, frames=task.frames)
    if given.kind == "folder":
        return explain_folder(given.path, output, work)
    if given.kind == "picture":
        return explain_one(given.path, output, work)
    return explain_film(given.path, output, work, frames=task.frames)


def describe_losses(losses: Losses) -> list[str]:
    """Sentences about what could not be read of an input."""
    sentences = [*losses.notes]
    if losses.concealed:
        sentences.append(
            f"{plural(losses.concealed, 'frame')} could not be read completely; the result shows the frame before, or "
            "what the decoder repaired."
        )
    if losses.lost:
        noun = "image" if losses.unread else "frame"
        sentences.append(f"{plural(losses.lost, noun)} could not be read; the result lacks {_it(losses.lost)}.")
    if losses.unread:
        sentences.append(f"Not read: {listed(losses.unread)}.")
    if losses.silent:
        sentences.append("Its sound cannot be decoded (unknown codec, or too many channels); the result has none.")
    if losses.unheard:
        sentences.append(f"{losses.unheard:.1f} s of its sound could not be read; the result is silent there.")
    if losses.joins:
        places = listed([f"{at:.2f} s" for at in losses.joins])
        sentences.append(f"Its clock jumps at {places}, as where files are joined; the result's times are continuous.")
    if losses.missing:
        sentences.append(
            f"The file breaks off: {losses.missing:.1f} s of its stated duration are missing. The rest is explained."
        )
    elif losses.error:
        sentences.append(f"The file breaks off ({losses.error}). What came before is explained.")
    return sentences


def _it(count: int) -> str:
    return "it" if count == 1 else "them"


def exit_code(outcomes: Sequence[Outcome]) -> ExitCode:
    """The batch's exit code: the first of this order that an outcome has."""
    codes: dict[Status, ExitCode] = {
        "stopped": ExitCode.STOPPED,
        "busy": ExitCode.BUSY,
        "failed": ExitCode.FAILED,
        "damaged": ExitCode.DAMAGED,
    }
    found = {outcome.status for outcome in outcomes}
    return next((code for status, code in codes.items() if status in found), ExitCode.OK)
