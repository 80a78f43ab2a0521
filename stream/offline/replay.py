"""Draws a film again from its sidecar, in other colours or for other stored classes, without the model."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from whycam.stream.inference.preprocess import Fit
from whycam.stream.media.film_reader import Film, open_film
from whycam.stream.media.film_writer import FilmWriter
from whycam.stream.media.image_folder import ImageFolder
from whycam.stream.media.image_writer import FolderWriter, numbered
from whycam.stream.media.losses import MediaError, listed, plural
from whycam.stream.offline.assignment import RATE, FilmAtRate
from whycam.stream.offline.explain import check_apart
from whycam.stream.offline.fingerprint import difference
from whycam.stream.offline.inputs import Input, find_inputs, output_of
from whycam.stream.offline.pipeline import FrameResult, ProcessResult, Progress, SoundWriter, Writer, draw
from whycam.stream.offline.recording_source import RecordedFilm, is_recording
from whycam.stream.offline.results.claims import Claims, Use
from whycam.stream.offline.targets import find_targets, named
from whycam.stream.overlay.colormaps import Colormap
from whycam.stream.overlay.renderer import DESCRIBED, Look, Renderer
from whycam.stream.overlay.styles import usual_view
from whycam.stream.overlay.view import View
from whycam.stream.recording.paths import SIDECAR
from whycam.stream.recording.sidecar import SidecarError, SidecarFrame, map_title, read_sidecar
from whycam.stream.report.report import write_report
from whycam.stream.video.planes import copied

SQUARE = (224, 224)
"""The input size for old sidecars, which do not store it; only the proportions matter."""


MAX_MORE, MAX_MORE_PART = 2, 0.1
"""A film may have so many frames, or this part, more or fewer than were explained: some cannot be read."""
_MILLISECOND = Fraction(1, 1000)  # the time base of WebM


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes for the replay; None keeps the original setting."""

    look: dict[str, Any] = field(default_factory=dict)
    """Fields of a `Look`: layout, style, top, sure, label, legend."""
    targets: tuple[str, ...] = ()
    """Names or numbers of stored classes."""
    opacity: float | None = None
    colormap: Colormap | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """Result of a replay."""

    explained: ProcessResult
    unknown: int
    """Frames left out: the sidecar has no line for them, or the film lacks the frozen frame that they showed."""
    without: int
    """Frames without heat, because none of the requested classes is stored for them."""
    targets: str = ""
    """The requested classes, for a sentence: `banana (954), espresso (967)`."""
    map: str = ""
    """The map that the sidecar holds (`map_title`); empty for an old sidecar."""
    reports: tuple[Path, ...] = ()


class Replay:
    """A sidecar and how to draw it; raises `SidecarError`, and `TargetError` for a class that is not stored."""

    def __init__(self, sidecar: Path, changes: Changes) -> None:
        header, _ = read_sidecar(sidecar)
        self._sidecar = sidecar
        self._header = header
        given = {key: header[key] for key in DESCRIBED if key in header} | changes.look
        self.look = Look(**given)
        stored = stored_labels(sidecar) if changes.targets else {}
        self._pinned = find_targets(changes.targets, stored, owner="The sidecar")
        self.targets = named(self._pinned, stored)
        self.map = map_title(header.get("map", {}))
        self._changes = changes
        self._other_style = self.look.style != header.get("style", "blend")
        self.time_base = Fraction(*header["time_base"])
        self.renderer = Renderer(self.look, Fit(header.get("fit", "stretch"), tuple(header.get("size", SQUARE))))
        self.is_live = "layout" not in header
        """Whether the sidecar is that of a live recording."""
        self.known = self.unknown = self.without = 0

    def view(self, drawn: View) -> View:
        """The view that replaces a line's own."""
        opacity, colormap = self._changes.opacity, self._changes.colormap
        if self._other_style:  # the other style has its own defaults for opacity and colours
            usual = usual_view(self.look.style, (), opacity, colormap)
            opacity, colormap = usual.opacity, usual.colormap
        return replace(
            drawn,
            pinned=self._pinned or drawn.pinned,
            opacity=drawn.opacity if opacity is None else opacity,
            colormap=colormap or drawn.colormap,
        )

    def is_at_rate(self, film: Film) -> bool:
        """Whether the sidecar describes a film at another rate, as an assignment's."""
        return not self.is_live and self.time_base == 1 / RATE != film.time_base

    def check_count(self, frames: int, name: str) -> None:
        """Raise `MediaError` if a film or folder of `frames` cannot be what the sidecar describes."""
        if self.is_live or "stopped" in self._header or not frames:
            return
        count = sum(1 for _ in read_sidecar(self._sidecar)[1])
        if abs(frames - count) > max(MAX_MORE, MAX_MORE_PART * count):
            raise MediaError(
                f"{name} is not what {self._sidecar} describes: it has {plural(frames, 'frame')}, and {count} were "
                "explained. Give the original."
            )

    def _check_first(self, frame: av.VideoFrame, name: str) -> None:
        if (found := difference(self._header.get("film") or {}, frame)) != "":
            raise MediaError(f"{name} is not what {self._sidecar} describes: {found}. Give the original.")

    def steps(self, source: Film | FilmAtRate | RecordedFilm | ImageFolder) -> Iterator[FrameResult | av.Packet[Any]]:
        """The frames that have a line in the sidecar, and the sound between them.

        Raises `MediaError` if the first frame is another than the explained one.
        """
        is_first = True
        off = max(self.time_base, source.time_base, _MILLISECOND) / 2
        frozen = {line.frozen for line in read_sidecar(self._sidecar)[1] if line.frozen is not None}
        still: dict[int, av.VideoFrame] = {}
        lines = read_sidecar(self._sidecar)[1]
        line = next(lines, None)
        for item in source.read():
            if isinstance(item, av.Packet):
                yield item
                continue
            assert item.pts is not None
            if is_first:
                self._check_first(item, source.name)
                is_first = False
            time = item.pts * source.time_base
            while line is not None and line.pts * self.time_base < time - off:
                line = next(lines, None)
            found = line if line is not None and line.pts * self.time_base <= time + off else None
            for pts in [pts for pts in frozen if abs(pts * self.time_base - time) <= off]:
                still = {pts: copied(item)}  # only one frame is frozen at a time
            step = self._step(item, found, still)
            if step is None:
                self.unknown += 1
            else:
                self.known += 1
                yield step
            if found is not None:
                line = next(lines, None)

    def _step(
        self, frame: av.VideoFrame, line: SidecarFrame | None, still: dict[int, av.VideoFrame]
    ) -> FrameResult | None:
        if line is None or (line.frozen is not None and line.frozen not in still):
            return None
        assert frame.pts is not None
        if line.frozen is None:
            return FrameResult(frame, self._drawn(line, frame.pts))
        shown = copied(still[line.frozen])
        shown.pts = frame.pts
        return FrameResult(shown, self._drawn(line, frame.pts), size=(frame.width, frame.height))

    def _drawn(self, line: SidecarFrame, pts: int) -> SidecarFrame:
        maps = line.maps
        if self._pinned and maps and not any(m.class_id in self._pinned for m in maps):
            maps = ()  # otherwise the best class would be drawn instead
            self.without += 1
        return replace(line, pts=pts, maps=maps, view=self.view(line.view))


def stored_labels(sidecar: Path) -> dict[int, str]:
    """Labels of the classes that have maps, by class id."""
    return {m.class_id: m.label for line in read_sidecar(sidecar)[1] for m in line.maps}


def replay_once(
    sidecar: Path,
    video: Path,
    output: Path | None,
    changes: Changes,
    *,
    is_folder: bool = False,
    overwrite: bool = False,
    report: bool = False,
    keep_metadata: bool = False,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Replayed:
    """Draw `video`, the film or folder of the sidecar, again into `output` (None: beside it).

    `is_folder`: `output` is the folder of the result. For a live recording `video` is a camera film or the recording's
    folder. `sidecar` may be the folder that contains it. Raises `MediaError`, `SidecarError`, and `Busy` if another run
    works on the sidecar, the film or the result.
    """
    sidecar = _sidecar_in(sidecar) if sidecar.is_dir() else sidecar
    given = find_inputs([str(video)])[0]
    if given.kind == "picture":
        raise MediaError(f"{video} is an image; a replay needs a film or a folder. Explain the image again.")
    output = output_of(given, output, many=is_folder, what="replay")
    base = output / "report.mp4" if given.kind == "folder" else output
    reports = (base.with_suffix(".html"), base.with_suffix(".png")) if report else ()
    # A run that makes a folder of images claims the folder, not the sidecar in it.
    read = sidecar.parent if sidecar.name == SIDECAR else sidecar
    use = Use((output, *(() if given.kind == "folder" else reports)), (read, video))
    with Claims("replay", [use]) as claims:
        claims.check(use)
        if not sidecar.exists():
            raise SidecarError(
                f"There is no {sidecar}. `whycam process` writes a sidecar beside each film that it makes."
            )
        again = Replay(sidecar, changes)
        check_apart(video, output, "film")
        there = [path for path in (*reports, output) if path.exists() and not (path.is_dir() and not numbered(path))]
        if there and not overwrite:
            raise MediaError(f"{there[0]} already exists. Give another name with -o, or --overwrite.")
        try:
            explained = _draw(again, given, output, keep_metadata, progress, stop)
        except MediaError as error:
            if not again.unknown or again.known:
                raise
            raise MediaError(f"{sidecar} has no frame of {video}. Give the film that it was made from.") from error
        if reports:
            write_report(sidecar, output, video.name, reports, again.view)
    return Replayed(explained, again.unknown, again.without, again.targets, again.map, reports)


def _sidecar_in(folder: Path) -> Path:
    """The sidecar in a folder: of a recording, of a folder of images, or the only one of films."""
    if (folder / SIDECAR).exists() or not (others := sorted(folder.glob("*.jsonl"))):
        return folder / SIDECAR
    if len(others) > 1:
        names = listed([each.name for each in others])
        raise SidecarError(f"{folder} has several sidecars: {names}. Give one of them.")
    return others[0]


def _draw(
    again: Replay,
    given: Input,
    output: Path,
    keep_metadata: bool,
    progress: Progress | None,
    stop: threading.Event | None,
) -> ProcessResult:
    with ExitStack() as stack:
        source: Film | FilmAtRate | RecordedFilm | ImageFolder
        sound: SoundWriter | None = None
        if given.kind == "folder":
            source = folder = ImageFolder(given.path)
            again.check_count(folder.frames, given.name)
            writer: Writer = FolderWriter(output, names=folder.results)
        else:
            of_a_recording = given.kind == "recording" or (again.is_live and is_recording(given.path.parent))
            film = RecordedFilm.of(given.path) if of_a_recording else stack.enter_context(open_film(given.path))
            source, rate = film, None
            if isinstance(film, Film) and again.is_at_rate(film):
                source, rate = FilmAtRate(film, RATE), RATE
            elif isinstance(film, Film):
                again.check_count(film.video.frames, given.name)
            writer = film_writer = FilmWriter(output, film, rate=rate, keep_metadata=keep_metadata)
            sound = film_writer.write_sound
        stack.callback(writer.discard)
        return draw(source, again.steps(source), again.renderer, [writer], output, None, sound, progress, stop)
