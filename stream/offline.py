"""Explains a recorded file: every frame, in order, by the same parts as a live stream."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from stream.engine import Engine
from stream.explainer import BEST, Explanation
from stream.film_writer import FilmWriter
from stream.fit import Fit
from stream.media import Film, MediaError, open_film, read_film
from stream.overlay import Painter, View, drawn_maps, without_repeats
from stream.planes import Bytes
from stream.sidecar import SidecarFrame, SidecarWriter

BATCH = 4
"""Pictures that are explained together."""
MAX_ITEMS = 256
"""Frames and packets of sound in a batch: sound may go on where the picture does not."""
AHEAD = 4
"""Batches that may be decoded before the first of them is painted: 16 frames, 50 MB at 1080p."""


@dataclass(frozen=True, slots=True)
class ExplainedFilm:
    """What came of a file."""

    video: Path
    sidecar: Path
    frames: int


@dataclass(frozen=True, slots=True)
class _Batch:
    """Frames whose explanation is on its way, and the sound that lies before, between and behind them."""

    items: list[av.VideoFrame | av.Packet[Any]]
    answer: Future[Explanation] | None


def output_path(source: Path) -> Path:
    """Where the explained video goes unless somebody says otherwise: `kitchen.mov` -> `kitchen-output.mp4`."""
    return source.parent / f"{source.stem}-output.mp4"


def explain_file(
    source: Path,
    output: Path,
    engine: Engine,
    view: View | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> ExplainedFilm:
    """Explain a video into `output` (.mp4) and its sidecar beside it (.jsonl).

    `progress` is told the frames done and the frames expected (0 where nobody knows). Raises `MediaError`.
    """
    if output.exists() and output.samefile(source):
        raise MediaError(f"{output} is the film itself. Give another name for the explained one.")
    view = view or View()
    contract = engine.contract
    sidecar_path = output.with_suffix(".jsonl")
    sidecar_part = sidecar_path.with_name(sidecar_path.name + ".part")
    with open_film(source) as film:
        header = {
            "model": contract.name,
            "sha256": engine.sha256,
            "score": contract.score,
            "fit": contract.fit,
            "settings": asdict(view),
            "time_base": [film.time_base.numerator, film.time_base.denominator],
        }
        writer = FilmWriter(output, film)
        painter = Painter(Fit(contract.fit, contract.size))
        count = 0
        try:
            with SidecarWriter(sidecar_part, header) as sidecar:
                for frame, explanation, index in _explained(film, engine, view, writer):
                    maps = without_repeats(drawn_maps(explanation, index, contract.labels))
                    painter.paint(frame, maps, view)
                    writer.write(frame)
                    assert frame.pts is not None
                    sidecar.write(SidecarFrame(frame.pts, 0.0, maps, view))
                    count += 1
                    if progress is not None:
                        progress(count, film.frames)
            writer.close()
        except BaseException as error:
            writer.discard()
            sidecar_part.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise MediaError(f"{output} cannot be written ({error.strerror}).") from error
            raise
    os.replace(sidecar_part, sidecar_path)
    return ExplainedFilm(output, sidecar_path, count)


def _explained(
    film: Film, engine: Engine, view: View, writer: FilmWriter
) -> Iterator[tuple[av.VideoFrame, Explanation, int]]:
    """Each frame with the explanation of its batch and its place in it; sound goes to the writer on the way."""
    with _Reader(film, engine, view) as batches:
        for batch in batches:
            explanation = batch.answer.result() if batch.answer is not None else None
            index = 0
            for item in batch.items:
                if isinstance(item, av.Packet):
                    writer.write_sound(item)
                else:
                    assert explanation is not None
                    yield item, explanation, index
                    index += 1


class _Reader:
    """Decodes ahead in a thread of its own and asks the engine, so that the model never waits for a frame."""

    def __init__(self, film: Film, engine: Engine, view: View) -> None:
        self._film = film
        self._engine = engine
        self._targets = [*BEST[: len(engine.contract.labels)], *view.hold]
        self._fit = Fit(engine.contract.fit, engine.contract.size)
        self._queue: queue.Queue[_Batch | BaseException | None] = queue.Queue(AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader")

    def __enter__(self) -> Iterator[_Batch]:
        self._thread.start()
        return self._batches()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        while self._thread.is_alive():  # it may wait for room in the queue
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()

    def _batches(self) -> Iterator[_Batch]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _run(self) -> None:
        try:
            items: list[av.VideoFrame | av.Packet[Any]] = []
            pictures: list[Bytes] = []
            for item in read_film(self._film):
                if self._stopped.is_set():
                    return
                items.append(item)
                if isinstance(item, av.VideoFrame):
                    pictures.append(self._fit.picture(item))
                if len(pictures) == BATCH or len(items) >= MAX_ITEMS:
                    self._put(items, pictures)
                    items, pictures = [], []
            self._put(items, pictures)
        except av.FFmpegError as error:
            self._queue.put(MediaError(f"{Path(self._film.container.name).name} cannot be decoded ({error.strerror})."))
        except Exception as error:  # noqa: BLE001 - raised again where the frames are waited for
            self._queue.put(error)
        self._queue.put(None)

    def _put(self, items: list[av.VideoFrame | av.Packet[Any]], pictures: list[Bytes]) -> None:
        answer = self._engine.explain(np.stack(pictures), self._targets) if pictures else None
        self._queue.put(_Batch(items, answer))
