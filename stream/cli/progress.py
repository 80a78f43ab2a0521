"""Progress and results of a batch on the terminal: a bar and sentences for each input, and a table at the end."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from whycam.stream.media.losses import plural
from whycam.stream.offline.batch import Outcome, describe_losses
from whycam.stream.offline.replay import Replayed
from whycam.stream.report.measures import COLUMNS, FilmMeasures

COUNT_WIDTH, RATE_WIDTH, TIME_WIDTH = 13, 16, 8
"""Columns for `12345/12345`, `123.4 frames/s` and `0:00:00`, each with a space."""
NAMED = 3
"""Number of best classes named for a single image."""


class Bar:
    """Progress bar of the current input."""

    def __init__(self, screen: Console) -> None:
        self._layout = BarLayout.of(screen.width)
        columns: list[ProgressColumn] = [
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(self._layout.bar),
            MofNCompleteColumn(),
        ]
        if self._layout.has_rate:
            columns.append(TextColumn("{task.fields[rate]} frames/s"))
        if self._layout.has_time:
            columns.append(TimeRemainingColumn())
        self._bar = Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
        self._task = self._bar.add_task("", total=None, rate="–")
        self._begun = 0.0

    def begin(self, name: str) -> None:
        """Reset the bar for the next input."""
        self._begun = time.perf_counter()
        self._bar.reset(self._task, description=shortened(name, self._layout.name), total=None, rate="–")

    def progress(self, done: int, expected: int) -> None:
        """See `stream.offline.pipeline.Progress`."""
        speed = self._bar.tasks[0].speed
        total = max(expected, done) or None
        self._bar.update(self._task, completed=done, total=total, rate=f"{speed:.1f}" if speed else "–")

    @property
    def seconds(self) -> float:
        """Seconds since the current input began."""
        return time.perf_counter() - self._begun

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


@dataclass(frozen=True, slots=True)
class BarLayout:
    """What a bar shows in a terminal of some width: name, bar and count always, rate and time if there is room."""

    name: int
    """Most characters of the input's name."""
    bar: int
    has_rate: bool
    has_time: bool

    @classmethod
    def of(cls, width: int) -> BarLayout:
        """The layout for a terminal of `width` columns, from 30 on."""
        bar, has_rate, has_time = max(6, min(40, width // 4)), width >= 64, width >= 48
        others = bar + COUNT_WIDTH + RATE_WIDTH * has_rate + TIME_WIDTH * has_time
        return cls(max(4, width - others - 1), bar, has_rate, has_time)


def shortened(name: str, room: int) -> str:
    """A name of at most `room` characters, without its middle: the end tells films of one camera apart."""
    if len(name) <= room:
        return name
    end = (room - 1) * 2 // 3
    return f"{name[: room - 1 - end]}…{name[len(name) - end :]}"


@contextmanager
def stopped_by_ctrl_c() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one raises `KeyboardInterrupt`."""
    event = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def sentences(outcome: Outcome, seconds: float) -> list[str]:
    """The result of one input."""
    explained, given = outcome.explained, outcome.task.given
    if explained is None:
        return [outcome.problem]
    if given.kind == "picture":
        best = ", ".join(f"{100 * m.score:.0f}% {m.label}" for m in explained.best[:NAMED]) or "from an earlier run"
        return [f"{best} -> {explained.output}", *measured(explained.measures), *describe_losses(explained.losses)]
    frames = plural(explained.frames, "frame")
    seconds -= explained.measures.took_s if explained.measures is not None else 0
    rate = f", {explained.frames / seconds:.1f} a second" if seconds > 0 else ""
    sidecar = f" and {explained.sidecar.name}" if explained.sidecar is not None else ""
    if explained.earlier:
        rate = f", of which {explained.earlier} are from an earlier run"
    left = f"{explained.output}{sidecar}"
    if given.kind == "folder" and explained.sidecar is not None:
        left = f"{explained.output}/ (pictures and {explained.sidecar.name})"
    lines = [f"{frames}{rate} -> {left}"]
    lines += [f"Report: {outcome.task.reports[0]} and {outcome.task.reports[1].name}"] if outcome.task.reports else []
    if explained.stopped:
        again = "" if given.is_live else ", --resume continues"
        lines.append(
            f"Stopped after {explained.seconds:.1f} s of {given.name}; the result can be played up to there{again}."
        )
    return lines + measured(explained.measures) + describe_losses(explained.losses)


def measured(measures: FilmMeasures | None) -> list[str]:
    """A line that says what was measured and how long that took, and one for each measure; none without measures."""
    if measures is None:
        return []
    rows = [
        f"  {column.name}: {mean} ({column.is_better} is good; noise in its place: {noise})"
        for column, mean, noise in measures.rows()
    ]
    said = f"Measured in {plural(measures.frames, 'frame')}, which took {measures.took_s:.1f} s"
    return [f"{said}; heatmaps of the {measures.score}, changes of the probability:", *rows]


def left_metadata_out(outcome: Outcome) -> bool:
    """Whether the input is a camera's file, which may store place and time; nothing is copied from other inputs."""
    explained = outcome.explained
    return outcome.task.given.kind in ("film", "picture") and explained is not None and not explained.stopped


def json_line(outcome: Outcome, seconds: float) -> str:
    """The result as a line of JSON (docs/process.md)."""
    explained, task = outcome.explained, outcome.task
    line: dict[str, Any] = {
        "whycam": 1,
        "input": task.given.name,
        "kind": task.given.kind,
        "status": outcome.status,
        "output": str(explained.output) if explained is not None else None,
        "sidecar": str(explained.sidecar) if explained is not None and explained.sidecar is not None else None,
        "report": [str(path) for path in task.reports] if explained is not None else [],
        "frames": explained.frames if explained is not None else 0,
        "earlier": explained.earlier if explained is not None else 0,
        "seconds": round(explained.seconds, 6) if explained is not None else 0.0,
        "took_s": round(seconds, 3),
        "losses": asdict(explained.losses) if explained is not None else None,
        "best": [
            {"class": m.class_id, "label": m.label, "score": m.score}
            for m in (explained.best if explained is not None else ())
        ],
        "measures": explained.measures.as_json() if explained is not None and explained.measures else None,
        "problem": outcome.problem or None,
        "at_work": outcome.at_work.as_json() if outcome.at_work is not None else None,
    }
    text = json.dumps(line, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a name that is not UTF-8 has lone surrogates; escaped, the line is UTF-8
        return json.dumps(line)
    return text


def replayed(done: Replayed, seconds: float) -> list[str]:
    """The result of drawing a film again."""
    explained = done.explained
    rate = f", {explained.frames / seconds:.1f} a second" if seconds > 0 else ""
    lines = [f"Explained: {done.targets}"] if done.targets else []
    lines += [f"Map: {done.map}"] if done.map else []
    lines.append(f"{plural(explained.frames, 'frame')}{rate} -> {explained.output}")
    if done.reports:
        lines.append(f"Report: {done.reports[0]} and {done.reports[1].name}")
    if done.without:
        lines.append(f"{plural(done.without, 'frame')} without heat: the class is not stored for them.")
    if done.unknown:
        lines.append(f"{plural(done.unknown, 'frame')} left out: the sidecar or the film lacks what was shown.")
    if explained.stopped:
        lines.append(f"Stopped after {explained.seconds:.1f} s; the result can be played up to there.")
    return lines + describe_losses(explained.losses)


def table(outcomes: Sequence[Outcome]) -> Table:
    """A table with a row for each input."""
    paths = [Column(each, overflow="fold") for each in ("input", "result")]  # a path is never cut off
    names = [column.name for column in COLUMNS[:2]] if any(_measures(each) for each in outcomes) else []
    made = Table(paths[0], "", Column("frames", no_wrap=True), *names, paths[1], box=None, pad_edge=False)
    colours = {"done": "green", "damaged": "yellow", "stopped": "yellow", "failed": "red", "busy": "yellow"}
    for outcome in outcomes:
        explained = outcome.explained
        result = outcome.problem if explained is None else str(explained.output)
        frames = "" if explained is None else str(explained.frames)
        # As Text: square brackets in a name would be parsed as markup.
        status = Text(outcome.status, colours[outcome.status])
        shown = [mean for _, mean, _ in measures.rows()][:2] if (measures := _measures(outcome)) else []
        figures = [*shown, *[""] * len(names)][: len(names)]
        made.add_row(Text(outcome.task.given.name), status, frames, *figures, Text(result))
    return made


def _measures(outcome: Outcome) -> FilmMeasures | None:
    return outcome.explained.measures if outcome.explained is not None else None
