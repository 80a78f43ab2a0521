"""Explains what was recorded: every frame of a film or a folder, or one picture, by the same parts as a live stream."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias

import av

from stream.behind import Behind
from stream.earlier import Earlier, find_earlier, part_of
from stream.engine import Engine
from stream.film_writer import FilmWriter
from stream.folder import OnePicture, PictureFolder
from stream.look import Artist, Look
from stream.media import Film, Losses, MediaError, open_film
from stream.names import SIDECAR
from stream.overlay import DrawnMap
from stream.picture import exif_of
from stream.picture_writer import FolderWriter, PictureWriter
from stream.planes import fitted
from stream.reader import Batch, Reader, Source
from stream.recorded import RecordedFilm
from stream.sidecar import SidecarFrame, SidecarWriter, about_model, read_sidecar, rewrite

BEHIND = 6
"""Painted frames and packets of sound that may wait for the encoder."""

Progress = Callable[[int, int], None]
"""Is told the frames done and the frames expected (0 where nobody knows)."""
SoundWriter: TypeAlias = "Callable[[av.Packet[Any]], None]"


class Writer(Protocol):
    """Takes the painted frames; what it made gets its name when it is closed."""

    def write(self, frame: av.VideoFrame) -> None:
        """Add a frame."""

    def skip(self) -> None:
        """Take the next frame over from an earlier run."""

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
    earlier: int = 0
    """Frames that an earlier run had made."""


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
    resume: bool = False
    """Whether to go on with what an earlier run left."""


@dataclass(frozen=True, slots=True)
class Step:
    """A frame and what is known of it."""

    frame: av.VideoFrame
    known: SidecarFrame
    done: bool = False
    """Whether an earlier run painted it."""
    size: tuple[int, int] | None = None
    """Of the frame in whose place it stands."""


Steps: TypeAlias = "Iterable[Step | av.Packet[Any]]"
"""Frames in order, and sound between them."""


def explain_film(source: Path | BinaryIO, output: Path, work: Pass, *, frames: Path | None = None) -> Explained:
    """Explain a video into `output` (.mp4) and its sidecar beside it (.jsonl); raises `MediaError`.

    `frames` is a folder for the painted frames as pictures.
    """
    check_apart(source, output, "film")
    with open_film(source, work.stop) as film:
        return _explain_original(film, output, work, frames)


def explain_recording(folder: Path, output: Path, work: Pass, *, frames: Path | None = None) -> Explained:
    """Explain the camera's picture of a recording, all its files, into one film; raises `MediaError`."""
    return _explain_original(RecordedFilm.of(folder), output, work, frames)


def _explain_original(film: Film | RecordedFilm, output: Path, work: Pass, frames: Path | None) -> Explained:
    sidecar = output.with_suffix(".jsonl")
    earlier = None
    if work.resume:
        folders = [frames] if frames is not None else []
        earlier = find_earlier(header_of(film, work), output, sidecar, folders, film.time_base)
    kept, count = (earlier.film, earlier.count) if earlier is not None else (None, 0)
    with ExitStack() as made:
        video = FilmWriter(output, film, keep_metadata=work.keep_metadata, kept=kept, count=count)
        made.callback(video.discard)
        writers: list[Writer] = [video]
        if frames is not None:
            writers.append(FolderWriter(frames, kept=earlier.folders[0] if earlier is not None else None))
            made.callback(writers[-1].discard)
        return explain(film, work, writers, output, sidecar, video.write_sound, earlier)


def explain_folder(source: Path, output: Path, work: Pass) -> Explained:
    """Explain a folder of frames into a folder of pictures and `predictions.jsonl`; raises `MediaError`."""
    folder, sidecar = PictureFolder(source), output / SIDECAR
    check_apart(source, output, "folder")
    earlier = None
    if work.resume:
        earlier = find_earlier(header_of(folder, work), None, sidecar, [output], folder.time_base)
    with ExitStack() as made:
        writer = FolderWriter(output, kept=earlier.folders[0] if earlier is not None else None)
        made.callback(writer.discard)
        return explain(folder, work, [writer], output, sidecar, earlier=earlier)


def explain_one(source: Path, output: Path, work: Pass) -> Explained:
    """Explain a picture file into another one; raises `PictureError`."""
    check_apart(source, output, "picture")
    picture = OnePicture(source)
    return explain(picture, work, [PictureWriter(output, exif_of(source) if work.keep_metadata else b"")], output, None)


def check_apart(source: Path | BinaryIO, output: Path, kind: str) -> None:
    """Raise `MediaError` where a result would be written over what it is made of."""
    if isinstance(source, Path) and output.exists() and source.exists() and output.samefile(source):
        raise MediaError(f"{output} is the {kind} itself. Give another name for the explained one.")


def header_of(source: Source, work: Pass) -> dict[str, Any]:
    """The sidecar's header."""
    contract, look, time_base = work.engine.contract, work.look, source.time_base
    return {
        **about_model(contract, work.engine.sha256),
        "fit": look.fit or contract.fit,
        **look.described(),
        "every": work.every,
        "settings": asdict(look.view),
        "time_base": [time_base.numerator, time_base.denominator],
    }


def explain(
    source: Source,
    work: Pass,
    writers: Sequence[Writer],
    output: Path,
    sidecar: Path | None,
    write_sound: SoundWriter | None = None,
    earlier: Earlier | None = None,
) -> Explained:
    """Explain what a source gives, into writers and a sidecar; `output` is what a person calls the result.

    The writers are closed where all went well; who made them discards them otherwise. Raises `MediaError`.
    """
    artist = Artist.of(work.look, work.engine.contract)
    count = earlier.count if earlier is not None else 0
    with ExitStack() as stack:
        lines = _Lines(sidecar, header_of(source, work), earlier) if sidecar is not None else None
        if lines is not None:
            stack.enter_context(lines)
        reader = Reader(source, work.engine, artist, every=work.every, known=count)
        last = lines.last if lines is not None else None
        steps = _answered(source, stack.enter_context(reader), artist, work, earlier, last)
        return draw(source, steps, artist, writers, output, lines, write_sound, work.progress, work.stop)


def draw(
    source: Source,
    steps: Steps,
    artist: Artist,
    writers: Sequence[Writer],
    output: Path,
    lines: _Lines | None,
    write_sound: SoundWriter | None,
    progress: Progress | None,
    stop: threading.Event | None,
) -> Explained:
    """Paint each frame with what is known of it, and hand it to the writers, which work in a thread of their own."""
    count, earlier, first, known = 0, 0, 0, None
    asked = stopped = False
    try:
        with Behind("writer", BEHIND) as behind:
            for step in steps:
                if isinstance(step, av.Packet):
                    if write_sound is not None:
                        behind.do(partial(write_sound, step))
                    continue
                if asked:
                    stopped = True
                    break
                known = step.known
                first = known.pts if not count else first
                count, earlier = count + 1, earlier + step.done
                if step.done:
                    for writer in writers:
                        behind.do(writer.skip)
                else:
                    shown = artist.draw(step.frame, known.maps, known.view, known.hidden)
                    if step.size is not None and shown is step.frame:
                        shown = fitted(shown, *step.size)
                    for writer in writers:
                        behind.do(partial(writer.write, shown))
                    if lines is not None:
                        behind.do(partial(lines.write, known))
                if progress is not None:
                    progress(count, source.frames)
                # What an earlier run had is taken over whole: it is not lost by another stop.
                asked = stop is not None and stop.is_set() and not step.done
            else:
                stopped = asked and not source.frames  # a pipe ends where it is stopped
            behind.finish()
        for writer in writers:
            writer.close()
        seconds = float((known.pts - first) * source.time_base) if known is not None else 0.0
        if lines is not None:
            end = float(known.pts * source.time_base) if known is not None else 0.0
            joins = [at for at in source.losses.joins if at <= end]
            lines.keep({**({"stopped": round(seconds, 6)} if stopped else {}), **({"joins": joins} if joins else {})})
    except (OSError, av.FFmpegError) as error:
        raise MediaError(f"{output} cannot be written ({error.strerror or error}).") from error
    maps = known.maps if known is not None else ()
    sidecar = lines.result if lines is not None else None
    return Explained(output, sidecar, count, source.losses, stopped, seconds, maps, earlier)


class _Lines(SidecarWriter):
    """A sidecar that gets its name when it is kept, and goes where it is not, unless it was there before."""

    def __init__(self, path: Path, header: dict[str, Any], earlier: Earlier | None) -> None:
        self.result = path
        self._part = part = part_of(path)
        self._header = header
        self._went_on = earlier is not None and earlier.sidecar == part
        self.last: SidecarFrame | None = None
        """The last line of an earlier run."""
        part.parent.mkdir(exist_ok=True)
        if earlier is not None:
            rewrite(part, header, earlier.sidecar, earlier.count)
            self.last = deque(read_sidecar(part)[1], 1).pop()
        super().__init__(part, header, go_on=earlier is not None)
        if self.last is not None:
            self._settings = asdict(self.last.view)

    def keep(self, found: dict[str, Any]) -> None:
        """Give it its name; `found` is what the header has to say besides, known only now."""
        self.close()
        if found:
            rewrite(self._part, {**self._header, **found}, self._part)
        self._part.replace(self.result)

    def __exit__(self, *_: object) -> None:
        self.close()
        if not self._went_on:
            self._part.unlink(missing_ok=True)


def _answered(
    source: Source,
    batches: Iterable[Batch],
    artist: Artist,
    work: Pass,
    earlier: Earlier | None,
    last: SidecarFrame | None,
) -> Iterator[Step | av.Packet[Any]]:
    """Each frame with the newest explanation, or what an earlier run said of it; `last` is the last of these."""
    maps: tuple[DrawnMap, ...] = ()
    asked = 0
    if last is not None:
        maps, asked = last.maps, last.pts - round((last.age_ms or 0) / 1000 / float(source.time_base))
    done = iter(earlier.pts if earlier is not None else ())
    for batch in batches:
        explanation = batch.answer.result() if batch.answer is not None else None
        index = 0
        for item, has_answer in batch.items:
            if isinstance(item, av.Packet):
                yield item
                continue
            assert item.pts is not None
            if (pts := next(done, None)) is not None:
                if pts != item.pts:
                    raise MediaError(f"What was kept is of another film than {source.name}. Begin anew: --overwrite.")
                yield Step(item, SidecarFrame(item.pts, None, maps, work.look.view), done=True)
                continue
            if has_answer:
                assert explanation is not None
                maps, asked = artist.maps(explanation, index), item.pts
                index += 1
            age = 1000 * float((item.pts - asked) * source.time_base)
            yield Step(item, SidecarFrame(item.pts, age, maps, work.look.view))
