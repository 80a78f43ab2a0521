"""A batch in a child process: a crash of native code fails one input, and the others are explained."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from whycam.stream.media.losses import Losses, MediaError
from whycam.stream.offline.batch import Outcome, Task
from whycam.stream.offline.child import Report, explain_in_children
from whycam.stream.offline.inputs import Input
from whycam.stream.offline.pipeline import ProcessResult
from whycam.stream.offline.results.claim_file import Worker

NAMES = ("a.mov", "b.mov", "c.mov", "d.mov")


def tasks() -> list[Task]:
    return [Task(Input("film", Path(name)), Path(name).with_suffix(".mp4")) for name in NAMES]


def unexpected(outcome: Outcome) -> None:
    pytest.fail(outcome.problem)


def explained(tasks: Sequence[Task], report: Report, *, abort_at: str = "", kill_at: str = "", stop: str = "") -> None:
    """As the batch: explains in order, and its native code ends the process at some film."""
    for task in tasks:
        if task.given.name in abort_at.split():
            os.abort()
        if task.given.name in kill_at.split():
            os.kill(os.getpid(), signal.SIGKILL)
        report(Outcome(task, ProcessResult(task.output, None, os.getpid(), Losses())))
        if task.given.name == stop:
            return


def fails(tasks: Sequence[Task], report: Report) -> None:
    raise MediaError("The model does not run.")


def waits_for_ctrl_c(tasks: Sequence[Task], report: Report) -> None:
    try:
        report(Outcome(tasks[0], problem="begun"))
        time.sleep(60)
    except KeyboardInterrupt:
        report(Outcome(tasks[1], problem="stopped"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
@pytest.mark.parametrize(
    ("abort_at", "kill_at", "failed"),
    [("", "", ()), ("b.mov", "", (1,)), ("a.mov d.mov", "b.mov", (0, 1, 3)), ("", "d.mov", (3,))],
)
def test_a_crash_fails_one_input(abort_at: str, kill_at: str, failed: tuple[int, ...]) -> None:
    crashes: list[Outcome] = []
    outcomes = list(
        explain_in_children(tasks(), partial(explained, abort_at=abort_at, kill_at=kill_at), crashes.append)
    )
    assert [outcome.task.given.name for outcome in outcomes] == list(NAMES)
    assert [number for number, outcome in enumerate(outcomes) if outcome.status == "failed"] == list(failed)
    assert crashes == [outcomes[number] for number in failed]
    for crash in crashes:
        assert ("SIGKILL, as when memory runs out" if crash.task.given.name in kill_at else "SIGABRT") in crash.problem
    assert all(outcome.explained.frames != os.getpid() for outcome in outcomes if outcome.explained)


def test_a_batch_that_was_stopped_is_not_continued() -> None:
    outcomes = list(explain_in_children(tasks(), partial(explained, stop="b.mov"), unexpected))
    assert [outcome.task.given.name for outcome in outcomes] == ["a.mov", "b.mov"]


def test_an_error_of_the_child_is_raised_here() -> None:
    with pytest.raises(MediaError, match="The model does not run"):
        list(explain_in_children(tasks(), fails, unexpected))


def names_itself(tasks: Sequence[Task], report: Report) -> None:
    report(Outcome(tasks[0], problem=str(Worker.this("whycam process"))))


def test_a_claim_names_the_command_and_not_its_child() -> None:
    (outcome,) = explain_in_children(tasks(), names_itself, unexpected)
    assert f"process {os.getpid()}," in outcome.problem


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to all processes of the terminal")
def test_ctrl_c_is_passed_on_once() -> None:
    outcomes = explain_in_children(tasks(), waits_for_ctrl_c, unexpected)
    assert next(outcomes).problem == "begun"
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)
    assert [outcome.problem for outcome in outcomes] == ["stopped"]
