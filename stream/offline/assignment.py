"""The book's assignment in one run: a film's frames, the explained frames, a film of them, and a summary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter

from whycam.models.contract import METHOD
from whycam.stream.media.film_reader import Film, open_film
from whycam.stream.media.film_writer import FilmWriter
from whycam.stream.media.image_writer import FolderWriter, numbered
from whycam.stream.media.losses import Losses, MediaError
from whycam.stream.offline.batch import describe_losses
from whycam.stream.offline.inputs import usual_name
from whycam.stream.offline.pipeline import ProcessJob, ProcessResult, explain, header_of
from whycam.stream.offline.results.claims import Use
from whycam.stream.offline.results.resume import find_earlier
from whycam.stream.report.report import write_report
from whycam.stream.video.planes import fitted

RATE = Fraction(25)
"""Frames per second, as in the book."""
SUMMARY = "what-was-done.txt"


class FilmAtRate:
    """A film whose frames are repeated or dropped to reach a rate, like `ffmpeg -vf fps=…`.

    Each frame is also written unchanged to `thumbs`, if given. See `stream.offline.prefetch.Source`.
    """

    def __init__(self, film: Film, rate: Fraction, thumbs: FolderWriter | None = None) -> None:
        self._film = film
        self._rate = rate
        self._thumbs = thumbs
        self.name = film.name
        self.time_base = 1 / rate
        self.losses: Losses = film.losses

    @property
    def frames(self) -> int:
        """Expected number of frames."""
        return round(self._film.frames / self._film.rate * self._rate)

    def read(self) -> Iterator[av.VideoFrame | av.Packet[Any]]:
        """The frames, with pts in 1/rate, and the sound's packets between them."""
        graph: av.filter.Graph | None = None
        size = (0, 0)
        for item in self._film.read():
            if isinstance(item, av.Packet):
                yield item
                continue
            if graph is None:
                graph, size = self._graph(item), (item.width, item.height)
            graph.push(fitted(item, *size))
            yield from self._pulled(graph)
        if graph is not None:
            graph.push(None)
            yield from self._pulled(graph)

    def _graph(self, first: av.VideoFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=first.width, height=first.height, format=first.format, time_base=self._film.time_base
        )
        rate, sink = graph.add("fps", str(self._rate)), graph.add("buffersink")
        source.link_to(rate)
        rate.link_to(sink)
        graph.configure()
        return graph

    def _pulled(self, graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
        while True:
            try:
                frame = graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            if self._thumbs is not None:
                self._thumbs.write(frame)
            yield frame


@dataclass(frozen=True, slots=True)
class HandIn:
    """Paths of the files that are handed in for a film."""

    source: Path
    folder: Path

    @property
    def inputs(self) -> Path:
        """Folder of the film's frames."""
        return self.folder / usual_name(self.source.stem).removesuffix("-output")

    @property
    def results(self) -> Path:
        """Folder of the explained frames."""
        return self.folder / usual_name(self.source.stem)

    @property
    def video(self) -> Path:
        """The film of the explained frames."""
        return self.folder / f"{usual_name(self.source.stem)}.mp4"

    @property
    def sidecar(self) -> Path:
        """The film's sidecar."""
        return self.video.with_suffix(".jsonl")

    @property
    def reports(self) -> tuple[Path, Path]:
        """The report's page and image."""
        return self.folder / "report.html", self.folder / "report.png"

    @property
    def summary(self) -> Path:
        """The text that says how it was done."""
        return self.folder / SUMMARY

    @property
    def use(self) -> Use:
        """The paths that are written and read, for `Claims`."""
        writes = (self.video, self.sidecar, self.inputs, self.results, *self.reports, self.summary)
        return Use(writes, (self.source,))


def do_assignment(source: Path, folder: Path, work: ProcessJob, *, overwrite: bool = False) -> ProcessResult:
    """Write to `folder` what is handed in for the assignment; raises `MediaError`.

    `kitchen-input.mov` -> `kitchen/thumb0001.jpg` …, `kitchen-output/result-0001.jpg` …, `kitchen-output.mp4` with its
    sidecar, `report.html`, `report.png` and `what-was-done.txt`.
    """
    hand_in = HandIn(source, folder)
    inputs, results, video, sidecar = hand_in.inputs, hand_in.results, hand_in.video, hand_in.sidecar
    overwrite = overwrite or work.resume
    if not overwrite and (there := next((p for p in (video, hand_in.summary) if p.exists()), None)) is not None:
        raise MediaError(f"{there} already exists. Give another folder, or --overwrite.")
    if not overwrite and (numbered(inputs, "thumb") or numbered(results)):
        raise MediaError(f"{folder} already contains frames. Give another folder, or --overwrite.")
    with open_film(source) as film, ExitStack() as made:
        if video.exists() and video.samefile(source):
            raise MediaError(f"{video} is the film itself. Give another folder.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MediaError(f"{folder} cannot be written ({error.strerror}).") from error
        thumbs = FolderWriter(inputs, "thumb", is_result=False)
        made.callback(thumbs.discard)
        at_rate, earlier = FilmAtRate(film, RATE, thumbs), None
        if work.resume:
            earlier = find_earlier(header_of(at_rate, work), video, sidecar, [results], at_rate.time_base)
        kept, count, where = (earlier.film, earlier.count, earlier.folders[0]) if earlier else (None, 0, None)
        pictures = FolderWriter(results, kept=where)
        made.callback(pictures.discard)
        writer = FilmWriter(video, film, rate=RATE, keep_metadata=work.keep_metadata, kept=kept, count=count)
        made.callback(writer.discard)
        explained = explain(at_rate, work, [writer, pictures], video, sidecar, writer.write_sound, earlier)
        thumbs.keep_first(explained.frames)
        thumbs.close()
        rate = film.rate  # before the file is closed: afterwards PyAV reads freed memory
    write_report(sidecar, video, source.name, hand_in.reports)
    hand_in.summary.write_text(_summary(source, rate, explained, work, inputs.name, results.name), encoding="utf-8")
    return explained


def _summary(source: Path, rate: Fraction, made: ProcessResult, work: ProcessJob, inputs: str, results: str) -> str:
    contract, look = work.engine.contract, work.look
    what = {
        "book": f"{look.view.opacity:g} of the colour map {look.view.colormap} added to each frame, the sum rescaled",
        "blend": f"the colour map {look.view.colormap} laid over the frame, opacity {look.view.opacity:g}",
    }[look.style]
    drawn, names = contract.drawn_map(), [contract.labels[number] for number in look.view.pinned]
    method = "Grad-CAM" if drawn.method == METHOD else drawn.method
    explained = f"{method} of the {contract.score}"
    classes = ", ".join(names) or "the best class of each frame"
    if look.view.compares:
        explained, classes = "Grad-CAM of the difference of two logits", " and ".join(names)
    lines = [
        f"{source.name}, explained with whycam",
        "",
        f"1. {source.name} was read upright, {float(rate):.2f} frames a second, and brought to {RATE} a second:",
        f"   {made.frames} frames, {inputs}/thumb0001.jpg and on.",
        f"2. Each was shown to the network {contract.name} (weights: {contract.weights_source}),",
        f"   fitted to {contract.input_size[1]} x {contract.input_size[0]} pixels ({look.fit or contract.fit}).",
        f"3. {explained} at '{drawn.layer or 'its last feature map'}', for {classes}.",
        f"4. The heat was drawn: {what}.",
        f"   {made.frames} frames, {results}/result-0001.jpg and on.",
        f"5. {made.output.name}: these frames at {RATE} a second, with the film's sound;",
        f"   {made.output.stem}.jsonl: classes, probabilities and heatmaps of each frame.",
        "6. report.html, report.png: what the network saw in the whole film.",
        "",
        f"Model file SHA-256: {work.engine.sha256}",
        *describe_losses(made.losses),
        *(["It was stopped before the end."] if made.stopped else []),
    ]
    return "\n".join(lines) + "\n"
