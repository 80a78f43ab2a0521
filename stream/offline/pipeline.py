"""The offline loop: a source gives frames, a renderer draws them, writers store them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import av

from whycam.stream.inference.engine import Engine
from whycam.stream.media.frames.preparation import LARGE_PIXELS
from whycam.stream.media.losses import Losses, MediaError
from whycam.stream.offline.fingerprint import fingerprint
from whycam.stream.offline.prefetch import Batch, FrameSample, Reader, Source
from whycam.stream.offline.results.resume import ResumeState, part_of
from whycam.stream.offline.write_behind import WriteBehind
from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.overlay.renderer import Look, Renderer
from whycam.stream.recording.sidecar import SidecarFrame, SidecarWriter, about_model, read_sidecar, rewrite
from whycam.stream.report.measures import FilmMeasures
from whycam.stream.video.planes import Bytes, fitted

BEHIND = 6
"""Most painted frames and sound packets that wait for the encoder."""

Progress = Callable[[int, int], None]
"""Called with the frames done and the frames expected (0 if unknown)."""
SoundWriter: TypeAlias = "Callable[[av.Packet[Any]], None]"


class Writer(Protocol):
    """Stores the painted frames; the result gets its name in `close`."""

    def write(self, frame: av.VideoFrame) -> None:
        """Add a frame."""

    def skip(self, frame: av.VideoFrame) -> None:
        """Take over the next frame, `frame` of the source, from an earlier run."""

    def close(self) -> None:
        """Finish the result and give it its name."""

    def discard(self) -> None:
        """Remove an unfinished result."""


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """Result of a film, a folder or an image."""

    output: Path
    sidecar: Path | None
    frames: int
    losses: Losses
    stopped: bool = False
    """Whether it was stopped before the end."""
    seconds: float = 0.0
    """Duration explained, in the film's time."""
    best: tuple[DrawnMap, ...] = ()
    """The last frame's maps, best class first."""
    earlier: int = 0
    """Frames that an earlier run had made."""
    measures: FilmMeasures | None = None
    """Whether its heatmaps are faithful, if that was asked for."""


class Measuring(Protocol):
    """Measures whether heatmaps are faithful; `stream.measure`, which imports this package, has one."""

    @property
    def frames(self) -> int:
        """How many frames of each input are measured."""

    def of(
        self, engine: Engine, images: Sequence[Bytes], target: int, stop: threading.Event | None
    ) -> FilmMeasures | None:
        """The measures of a class (−1: the best one) in the network's inputs of frames; None if it was stopped."""


@dataclass(frozen=True, slots=True)
class ProcessJob:
    """How frames are explained and drawn, with a callback for progress and an event to stop."""

    engine: Engine
    look: Look = field(default_factory=Look)
    every: int = 1
    """One of `every` frames is explained; those between show its heat."""
    keep_metadata: bool = False
    """Whether location, date and other metadata of the original go into the result."""
    progress: Progress | None = None
    stop: threading.Event | None = None
    """Set to end early with what is done."""
    resume: bool = False
    """Whether to continue an earlier run's result."""
    measuring: Measuring | None = None


@dataclass(frozen=True, slots=True)
class FrameResult:
    """A frame and its sidecar line."""

    frame: av.VideoFrame
    known: SidecarFrame
    done: bool = False
    """Whether an earlier run painted it."""
    size: tuple[int, int] | None = None
    """Width and height of the frame that it replaces, for a frozen frame."""


Steps: TypeAlias = "Iterable[FrameResult | av.Packet[Any]]"
"""Frames in order, and sound between them."""


def header_of(source: Source, work: ProcessJob) -> dict[str, Any]:
    """The sidecar's header."""
    time_base = source.time_base
    return {**settings_of(work), "time_base": [time_base.numerator, time_base.denominator]}


def settings_of(work: ProcessJob) -> dict[str, Any]:
    """The part of the header that is the same for all sources: the model, and how its heat is drawn."""
    contract, look = work.engine.contract, work.look
    return {
        **about_model(contract, work.engine.sha256),
        "fit": look.fit or contract.fit,
        **look.described(),
        "every": work.every,
        "settings": look.view.settings(),
    }


def explain(
    source: Source,
    work: ProcessJob,
    writers: Sequence[Writer],
    output: Path,
    sidecar: Path | None,
    write_sound: SoundWriter | None = None,
    earlier: ResumeState | None = None,
    files: Mapping[int, str] | None = None,
) -> ProcessResult:
    """Explain a source's frames into writers and a sidecar; `output` names the result in messages.

    `files` are the names of photographs by pts, for the sidecar.
    The writers are closed on success; otherwise the caller, who made them, discards them. Raises `MediaError`.
    """
    renderer = Renderer.of(work.look, work.engine.contract)
    count = earlier.count if earlier is not None else 0
    with ExitStack() as stack:
        lines = _Lines(sidecar, header_of(source, work), earlier, files or {}) if sidecar is not None else None
        if lines is not None:
            stack.enter_context(lines)
        sample = FrameSample(work.measuring.frames if work.measuring is not None else 0)
        reader = Reader(source, work.engine, renderer, every=work.every, known=count, sample=sample)
        last = lines.last if lines is not None else None
        steps = _answered(source, stack.enter_context(reader), renderer, work, earlier, last)
        done = draw(source, steps, renderer, writers, output, lines, write_sound, work.progress, work.stop)
    return done if done.stopped else _measured(done, work, sample.images)


def _measured(done: ProcessResult, work: ProcessJob, images: Sequence[Bytes]) -> ProcessResult:
    """The result with the measures of its first drawn class, if they are asked for; they are in its sidecar, too."""
    if work.measuring is None:
        return done
    measures = work.measuring.of(work.engine, images, next(iter(work.look.view.pinned), -1), work.stop)
    if measures is None:
        done.losses.notes.append("Measuring was stopped; there are no measures.")
    elif done.sidecar is not None:
        header, _ = read_sidecar(done.sidecar)
        rewrite(done.sidecar, {**header, "measures": measures.as_json()}, done.sidecar)
    return replace(done, measures=measures)


def draw(
    source: Source,
    steps: Steps,
    renderer: Renderer,
    writers: Sequence[Writer],
    output: Path,
    lines: _Lines | None,
    write_sound: SoundWriter | None,
    progress: Progress | None,
    stop: threading.Event | None,
) -> ProcessResult:
    """Paint each frame by its sidecar line and pass it to the writers, which run in a separate thread."""
    count, earlier, first, known = 0, 0, 0, None
    film: dict[str, Any] = {}
    asked = stopped = False
    try:
        with WriteBehind("writer", BEHIND) as behind:
            for step in steps:
                if isinstance(step, av.Packet):
                    if write_sound is not None:
                        behind.do(partial(write_sound, step))
                    continue
                if asked:
                    stopped = True
                    break
                known = step.known
                if not count:
                    first, film = known.pts, fingerprint(step.frame)
                    if step.frame.width * step.frame.height >= LARGE_PIXELS:
                        behind.limit(1)
                count, earlier = count + 1, earlier + step.done
                _hand_over(step, renderer, writers, lines, behind)
                if progress is not None:
                    progress(count, source.frames)
                # An earlier run's frames are all taken over, so that another stop does not lose them.
                asked = stop is not None and stop.is_set() and not step.done
                del step  # while the next frame is awaited, this one is the writers' only
            else:
                stopped = asked and not source.frames  # a pipe ends when it is stopped
            behind.finish()
        for writer in writers:
            writer.close()
        seconds = float((known.pts - first) * source.time_base) if known is not None else 0.0
        if lines is not None:
            end = float(known.pts * source.time_base) if known is not None else 0.0
            lines.keep({"film": film, **_ending(source.losses, end, seconds if stopped else None)})
    except (OSError, av.FFmpegError) as error:
        raise MediaError(f"{output} cannot be written ({error.strerror or error}).") from error
    maps = known.maps if known is not None else ()
    sidecar = lines.result if lines is not None else None
    return ProcessResult(output, sidecar, count, source.losses, stopped, seconds, maps, earlier)


def _hand_over(
    step: FrameResult, renderer: Renderer, writers: Sequence[Writer], lines: _Lines | None, behind: WriteBehind
) -> None:
    """Paint a frame for the writers and the sidecar, unless it is from an earlier run."""
    if step.done:
        for writer in writers:
            behind.do(partial(writer.skip, step.frame))
        return
    shown = renderer.draw(step.frame, step.known.maps, step.known.view, step.known.hidden)
    if step.size is not None and shown is step.frame:
        shown = fitted(shown, *step.size)
    for writer in writers:
        behind.do(partial(writer.write, shown))
    if lines is not None:
        behind.do(partial(lines.write, step.known))


def _ending(losses: Losses, end: float, stopped: float | None) -> dict[str, Any]:
    """Entries of a sidecar's header that are known at the end: `stopped` and `joins`, up to the last frame at `end`."""
    joins = [at for at in losses.joins if at <= end]
    return {**({} if stopped is None else {"stopped": round(stopped, 6)}), **({"joins": joins} if joins else {})}


class _Lines(SidecarWriter):
    """A sidecar that gets its name in `keep`; otherwise it is removed, unless an earlier run had left it."""

    def __init__(
        self, path: Path, header: dict[str, Any], earlier: ResumeState | None, files: Mapping[int, str]
    ) -> None:
        self.result = path
        self._files = files
        self._part = part = part_of(path)
        self._header = header
        self._resumed = earlier is not None and earlier.sidecar == part
        self.last: SidecarFrame | None = None
        """The last line of an earlier run."""
        part.parent.mkdir(exist_ok=True)
        if earlier is not None:
            rewrite(part, header, earlier.sidecar, earlier.count)
            self.last = deque(read_sidecar(part)[1], 1).pop()
        super().__init__(part, header, append=earlier is not None)
        if self.last is not None:
            self._settings = self.last.view.settings()

    def write(self, frame: SidecarFrame) -> None:
        """Append a frame's line, with the name of its photograph."""
        super().write(replace(frame, file=self._files.get(frame.pts)))

    def keep(self, found: dict[str, Any]) -> None:
        """Give it its name; `found` is added to the header, for what is known only at the end."""
        self.close()
        if found:
            rewrite(self._part, {**self._header, **found}, self._part)
        self._part.replace(self.result)

    def __exit__(self, *_: object) -> None:
        self.close()
        if not self._resumed:
            self._part.unlink(missing_ok=True)


def _answered(
    source: Source,
    batches: Iterable[Batch],
    renderer: Renderer,
    work: ProcessJob,
    earlier: ResumeState | None,
    last: SidecarFrame | None,
) -> Iterator[FrameResult | av.Packet[Any]]:
    """Each frame with the newest explanation, or as an earlier run left it; `last` is that run's last line."""
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
                    raise MediaError(
                        f"The kept frames are of another film than {source.name}. Start again with --overwrite."
                    )
                yield FrameResult(item, SidecarFrame(item.pts, None, maps, work.look.view), done=True)
                continue
            if has_answer:
                assert explanation is not None
                maps, asked = renderer.maps(explanation, index), item.pts
                index += 1
            age = 1000 * float((item.pts - asked) * source.time_base)
            yield FrameResult(item, SidecarFrame(item.pts, age, maps, work.look.view))
