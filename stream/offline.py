"""Explains what was recorded: every frame of a film or a folder, or one picture, by the same parts as a live stream."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias

import av
import numpy as np

from stream.engine import Engine
from stream.explainer import Explanation
from stream.film_writer import FilmWriter
from stream.folder import OnePicture, PictureFolder
from stream.look import Artist, Look
from stream.media import Losses, MediaError, open_film
from stream.overlay import DrawnMap
from stream.picture import exif_of
from stream.picture_writer import FolderWriter, PictureWriter
from stream.planes import Bytes
from stream.sidecar import SidecarFrame, SidecarWriter

BATCH = 4
"""Pictures that are explained together."""
MAX_ITEMS = 256
"""Frames and packets of sound in a batch: sound may go on where the picture does not."""
AHEAD = 4
"""Batches that may be decoded before the first of them is painted: 16 frames, 50 MB at 1080p."""
MAX_PIXELS = 16_000_000
"""In the frames of a batch: of larger frames there are fewer."""

Item: TypeAlias = "av.VideoFrame | av.Packet[Any]"
Progress = Callable[[int, int], None]
"""Is told the frames done and the frames expected (0 where nobody knows)."""


class Source(Protocol):
    """Gives frames."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    @property
    def time_base(self) -> Fraction:
        """Of the frames' pts."""

    @property
    def frames(self) -> int:
        """How many are expected; 0 where nobody knows."""

    @property
    def losses(self) -> Losses:
        """What could not be read so far."""

    def read(self) -> Iterator[Item]:
        """The frames in order, and sound between them."""


class Writer(Protocol):
    """Takes the painted frames; what it made gets its name when it is closed."""

    def write(self, frame: av.VideoFrame) -> None:
        """Add a frame."""

    def close(self) -> None:
        """Finish."""

    def discard(self) -> None:
        """Leave nothing behind."""


@dataclass(frozen=True, slots=True)
class Explained:
    """What came of a film, a folder or a picture."""

    output: Path
    sidecar: Path | None
    frames: int
    losses: Losses
    stopped: bool = False
    """Whether somebody stopped it before the end."""
    seconds: float = 0.0
    """How far it came, of the film's own time."""
    best: tuple[DrawnMap, ...] = ()
    """Of the last frame: its maps, the best class first."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Frames whose explanation is on its way, and the sound that lies before, between and behind them."""

    items: list[tuple[Item, bool]]  # whether it is a frame that the engine was asked about
    answer: Future[Explanation] | None


@dataclass(frozen=True, slots=True)
class Pass:
    """How frames are explained and drawn, and who is told and asked while it goes on."""

    engine: Engine
    look: Look = field(default_factory=Look)
    every: int = 1
    """Of so many frames one is explained; those between show its heat."""
    keep_metadata: bool = False
    """Whether location, date and other metadata of the original go into the result."""
    progress: Progress | None = None
    stop: threading.Event | None = None
    """Set by somebody who wants what is done by now."""


def explain_film(source: Path | BinaryIO, output: Path, work: Pass, *, frames: Path | None = None) -> Explained:
    """Explain a video into `output` (.mp4) and its sidecar beside it (.jsonl); raises `MediaError`.

    `frames` is a folder for the painted frames as pictures.
    """
    if isinstance(source, Path) and output.exists() and source.exists() and output.samefile(source):
        raise MediaError(f"{output} is the film itself. Give another name for the explained one.")
    with open_film(source, work.stop) as film, ExitStack() as made:
        video = FilmWriter(output, film, keep_metadata=work.keep_metadata)
        made.callback(video.discard)
        writers: list[Writer] = [video]
        if frames is not None:
            writers.append(FolderWriter(frames))
            made.callback(writers[-1].discard)
        return explain(film, work, writers, output, output.with_suffix(".jsonl"), video.write_sound)


def explain_folder(source: Path, output: Path, work: Pass) -> Explained:
    """Explain a folder of frames into a folder of pictures and `predictions.jsonl`; raises `MediaError`."""
    folder = PictureFolder(source)
    if output.exists() and output.samefile(source):
        raise MediaError(f"{output} is the folder itself. Give another name for the explained one.")
    with ExitStack() as made:
        writer = FolderWriter(output)
        made.callback(writer.discard)
        return explain(folder, work, [writer], output, output / "predictions.jsonl")


def explain_one(source: Path, output: Path, work: Pass) -> Explained:
    """Explain a picture file into another one; raises `PictureError`."""
    if output.exists() and source.exists() and output.samefile(source):
        raise MediaError(f"{output} is the picture itself. Give another name for the explained one.")
    picture = OnePicture(source)
    return explain(picture, work, [PictureWriter(output, exif_of(source) if work.keep_metadata else b"")], output, None)


def explain(
    source: Source,
    work: Pass,
    writers: Sequence[Writer],
    output: Path,
    sidecar: Path | None,
    write_sound: Callable[[av.Packet[Any]], None] | None = None,
) -> Explained:
    """Explain what a source gives, into writers and a sidecar; `output` is what a person calls the result.

    The writers are closed where all went well; who made them discards them otherwise. Raises `MediaError`.
    """
    artist = Artist(work.look, work.engine.contract)
    count, now = 0, 0
    start: int | None = None
    maps: tuple[DrawnMap, ...] = ()
    with ExitStack() as stack:
        lines = _Lines(sidecar, source, work) if sidecar is not None else None
        if lines is not None:
            stack.enter_context(lines)
        batches = stack.enter_context(_Reader(source, work))
        try:
            for frame, asked, maps in _answered(batches, artist, write_sound):
                assert frame.pts is not None
                shown = artist.draw(frame, maps)
                for writer in writers:
                    writer.write(shown)
                now = frame.pts
                start = now if start is None else start
                if lines is not None:
                    age = 1000 * float((now - asked) * source.time_base)
                    lines.write(SidecarFrame(now, age, maps, work.look.view))
                count += 1
                if work.progress is not None:
                    work.progress(count, source.frames)
                if work.stop is not None and work.stop.is_set():
                    break
            for writer in writers:
                writer.close()
            if lines is not None:
                lines.keep()
        except (OSError, av.FFmpegError) as error:
            raise MediaError(f"{output} cannot be written ({error.strerror or error}).") from error
    stopped = work.stop is not None and work.stop.is_set() and count != source.frames
    seconds = float((now - (start or 0)) * source.time_base)
    return Explained(output, sidecar, count, source.losses, stopped, seconds, maps)


class _Lines(SidecarWriter):
    """A sidecar that gets its name when it is kept, and goes where it is not."""

    def __init__(self, path: Path, source: Source, work: Pass) -> None:
        contract, look = work.engine.contract, work.look
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._part.parent.mkdir(exist_ok=True)
        time_base = source.time_base
        super().__init__(
            self._part,
            {
                "model": contract.name,
                "sha256": work.engine.sha256,
                "score": contract.score,
                "fit": look.fit or contract.fit,
                "style": look.style,
                "layout": look.layout,
                "settings": asdict(look.view),
                "time_base": [time_base.numerator, time_base.denominator],
            },
        )

    def keep(self) -> None:
        """Give it its name."""
        self.close()
        os.replace(self._part, self._path)

    def __exit__(self, *_: object) -> None:
        self.close()
        self._part.unlink(missing_ok=True)


def _answered(
    batches: Iterable[_Batch], artist: Artist, write_sound: Callable[[av.Packet[Any]], None] | None
) -> Iterator[tuple[av.VideoFrame, int, tuple[DrawnMap, ...]]]:
    """Each frame, the pts of the one whose explanation it shows, and that; sound is written on the way."""
    asked = 0
    maps: tuple[DrawnMap, ...] = ()
    for batch in batches:
        explanation = batch.answer.result() if batch.answer is not None else None
        index = 0
        for item, has_answer in batch.items:
            if isinstance(item, av.Packet):
                if write_sound is not None:
                    write_sound(item)
                continue
            if has_answer:
                assert explanation is not None
                maps, asked = artist.maps(explanation, index), item.pts or 0
                index += 1
            yield item, asked, maps


class _Reader:
    """Decodes ahead in a thread of its own and asks the engine, so that the model never waits for a frame."""

    def __init__(self, source: Source, work: Pass) -> None:
        self._source = source
        self._work = work
        self._artist = Artist(work.look, work.engine.contract)
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
            items: list[tuple[Item, bool]] = []
            pictures: list[Bytes] = []
            pixels, count = 0, 0
            for item in self._source.read():
                if self._stopped.is_set():
                    return
                asked = False
                if isinstance(item, av.VideoFrame):
                    asked = count % self._work.every == 0
                    pixels, count = pixels + item.width * item.height, count + 1
                    if asked:
                        pictures.append(self._artist.picture(item))
                items.append((item, asked))
                if len(pictures) == BATCH or len(items) >= MAX_ITEMS or pixels >= MAX_PIXELS:
                    self._put(items, pictures)
                    items, pictures, pixels = [], [], 0
            self._put(items, pictures)
        except Exception as error:  # noqa: BLE001 - raised again where the frames are waited for
            self._queue.put(error)
        self._queue.put(None)

    def _put(self, items: list[tuple[Item, bool]], pictures: list[Bytes]) -> None:
        answer = self._work.engine.explain(np.stack(pictures), self._artist.targets) if pictures else None
        self._queue.put(_Batch(items, answer))
