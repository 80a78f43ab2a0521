"""Explains a batch in a child process, so that a crash of native code ends one input and not the others."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import TypeAlias

from whycam.stream.offline.batch import Outcome, Task

Report: TypeAlias = "Callable[[Outcome], None]"
Work: TypeAlias = "Callable[[Sequence[Task], Report], None]"
"""Explains tasks in order, and reports the outcome of each; picklable. It may end early, when it is stopped."""


def explain_in_children(tasks: Sequence[Task], work: Work, crashed: Report) -> Iterator[Outcome]:
    """The outcomes of a batch; where the child crashes, that task fails, and another child continues behind it.

    Calls `crashed` with the outcome of a crash, of which the child has printed nothing. Raises what `work` raises.
    """
    context = multiprocessing.get_context("spawn")
    rest = list(tasks)
    while rest:
        receiver, sender = context.Pipe(duplex=False)
        level = logging.getLogger("whycam").level
        child = context.Process(target=_run, args=(work, rest, sender, level), name="batch")
        with _signals_passed_to(child), receiver:
            child.start()
            sender.close()
            is_done = False
            with suppress(EOFError):
                while not is_done:
                    message = receiver.recv()
                    if isinstance(message, BaseException):
                        child.join()
                        raise message
                    is_done = message is None
                    if message is not None:
                        yield message
                        rest = rest[1:]
            child.join()
        if is_done:
            return
        if rest:
            outcome = Outcome(rest[0], problem=_crash(rest[0], child.exitcode or 0))
            crashed(outcome)
            yield outcome
            rest = rest[1:]


def _crash(task: Task, code: int) -> str:
    how = f"exit code {code}"
    if code < 0:
        with suppress(ValueError):
            how = signal.Signals(-code).name
    memory = ", as when memory runs out" if code == -9 else ""
    return (
        f"{task.given.name}: the process that explained it was ended ({how}{memory}); it has no result. Give it alone "
        "to see more, and please report it."
    )


def _run(work: Work, tasks: Sequence[Task], sender: Connection, level: int) -> None:
    """The child: its own process group, so that the terminal's Ctrl-C comes once, from the parent."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("whycam").setLevel(level)
    try:
        work(tasks, sender.send)
        sender.send(None)
    except BaseException as error:  # noqa: BLE001 - raised again in the parent
        sender.send(error)
    finally:
        sender.close()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _signals_passed_to(child: BaseProcess) -> Iterator[None]:
    """While the child runs, Ctrl-C is the child's, and Ctrl-Z stops both; Windows' terminal sends Ctrl-C to both."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if os.name == "nt" or child.pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGSTOP if number == signal.SIGTSTP else number)
        if number == signal.SIGTSTP:
            os.kill(os.getpid(), signal.SIGSTOP)

    names = [name for name in ("SIGINT", "SIGTSTP", "SIGCONT") if hasattr(signal, name)]
    before = {getattr(signal, name): signal.signal(getattr(signal, name), pass_on) for name in names}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
