"""Explains one uploaded film in a process of its own, by the same path as `whycam process`.

The film may come from anyone who may upload: what crashes a decoder ends this process, and not the server.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import av

from whycam.models.contract import ContractError
from whycam.stream.inference.engine import EngineDown, LocalEngine
from whycam.stream.inference.explainer import Explainer, RuntimeMissing
from whycam.stream.media.film_reader import open_film
from whycam.stream.media.image import is_image
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.batch import Outcome, Task, carry_out, describe_losses
from whycam.stream.offline.inputs import Input
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.offline.results.claims import Claims
from whycam.stream.overlay.renderer import Look
from whycam.stream.private_files import write_private
from whycam.stream.recording import ownership, paths
from whycam.stream.recording.sidecar import about_model
from whycam.stream.recording.summary import ClassStatistics
from whycam.stream.report.report import write_report
from whycam.stream.uploads.child import FilmOrder
from whycam.stream.uploads.job import FILM, RESULT, Code

EXPLAINED, REPORT = "explained-000.mp4", "report"
PROGRESS_S = 0.25
"""Seconds between two reports of progress."""


class Refused(ValueError):
    """The film cannot be explained; has a code for the pages."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


def main() -> None:
    """The child's main function: reports progress and the outcome as lines of JSON, until the parent's end."""
    order: FilmOrder = pickle.load(sys.stdin.buffer)  # noqa: S301 - our parent wrote it
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    logging.basicConfig(level=logging.WARNING)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints goes to stderr

    def send(**answer: object) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    try:
        send(ended=True, frames=explained(order, _every(PROGRESS_S, send)), problem="", code=None)
    except Refused as error:
        send(ended=True, frames=0, problem=str(error), code=error.code)
    except (EngineDown, RuntimeMissing, ContractError) as error:
        send(ended=True, frames=0, problem=str(error), code="model")


def explained(order: FilmOrder, progress: Callable[[int, int], None]) -> int:
    """Explain the film into the job's result folder; the number of frames. Raises `Refused`."""
    film, result = order.folder / FILM, order.folder / RESULT
    _check(film, order.name)
    result.mkdir(mode=0o700, exist_ok=True)
    sidecar, output = result / paths.SIDECAR, result / EXPLAINED
    task = Task(Input("film", film), output)
    assert task.sidecar is not None
    if sidecar.exists():  # an earlier process was ended at its last steps
        sidecar.replace(task.sidecar)
    with closing(LocalEngine(Explainer(order.model, device=order.device, output=order.output))) as engine:
        work = ProcessJob(engine, Look(sure=order.sure), progress=progress, resume=True)
        with Claims("serve", [task.use]) as claims, open(os.devnull, "rb") as nothing:
            (outcome,) = carry_out([task], work, claims, overwrite=True, stdin=nothing)
        made = outcome.explained
        if made is None:
            raise Refused("failed", _named(outcome.problem, film, order.name))
        if not made.frames:
            raise Refused("not-a-film", f"{order.name} has no frame that can be decoded.")
        try:
            write_report(task.sidecar, output, order.name, [result / f"{REPORT}{end}" for end in (".html", ".png")])
        except (MediaError, OSError) as error:
            raise Refused("failed", _named(str(error), film, order.name)) from error
        about = about_model(engine.contract, engine.sha256)
    _write_note(order, outcome, about, task.sidecar, output)
    task.sidecar.replace(sidecar)
    return made.frames


def _check(film: Path, name: str) -> None:
    """Raise `Refused` for what is no film, by its content; its name says nothing."""
    if is_image(film):
        raise Refused("image", f"{name} is an image. Give a film; `whycam process` explains images.")
    try:
        open_film(film).close()
    except MediaError as error:
        raise Refused("not-a-film", _named(str(error), film, name)) from error


def _write_note(order: FilmOrder, outcome: Outcome, about: dict[str, Any], sidecar: Path, output: Path) -> None:
    """The note by which the recording library knows the folder; raises `OSError`."""
    statistics = ClassStatistics()
    statistics.catch_up(sidecar)
    with av.open(output) as container:
        stream = container.streams.video[0]
        size, begin = [stream.width, stream.height], float((stream.start_time or 0) * (stream.time_base or 0))
    assert outcome.explained is not None
    losses = describe_losses(outcome.explained.losses) if outcome.status == "damaged" else []
    note = {
        "whycam": 1,
        **about,
        "film": order.name,
        **({ownership.FIELD: order.mark} if order.mark else {}),
        "state": "ended",
        "status": {"state": "stopped", "reason": " ".join(losses), "code": "film-damaged"}
        if losses
        else {"state": "off", "reason": "", "code": None},
        "counts": {"explained_recorded": outcome.explained.frames, "sidecar_lines": outcome.explained.frames},
        "camera": [],
        "explained": [{"file": EXPLAINED, "codec": "H264", "size": size, "first_pts": 0, "first": round(begin, 6)}],
        **statistics.summary(),
    }
    write_private(order.folder / RESULT / paths.SESSION, json.dumps(note, indent=1, ensure_ascii=False).encode())


def _named(text: str, film: Path, name: str) -> str:
    """A message about the film with its own name, not that of the file as it is stored."""
    text = text.replace(str(film), name)
    return name + text.removeprefix(film.name) if text.startswith(f"{film.name} ") else text


def _every(seconds: float, send: Callable[..., None]) -> Callable[[int, int], None]:
    """Progress for a `ProcessJob`, sent at most that often."""
    sent = -seconds

    def progress(frames: int, expected: int) -> None:
        nonlocal sent
        now = time.monotonic()
        if now - sent >= seconds:
            sent = now
            send(frames=frames, expected=expected)

    return progress


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)
