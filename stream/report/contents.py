"""The contents of a report, used by the page and by the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from whycam.models.contract import METHOD
from whycam.stream.inference.preprocess import Fit
from whycam.stream.media.losses import MediaError, plural
from whycam.stream.overlay.styles import make_style
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import map_title
from whycam.stream.report.canvas import Tone
from whycam.stream.report.key_frames import KeyFrame, key_frames
from whycam.stream.report.measures import FilmMeasures
from whycam.stream.report.statistics import Findings, Floats, percent
from whycam.stream.report.time_chart import clock, tones
from whycam.stream.video.planes import Bytes

MAPS = 6
"""Most mean heatmaps."""
ROWS = 12
"""Most classes in the table."""
MAP_WIDTH = 260
"""Width of a mean heatmap, in pixels."""
_FITS = {"stretch": "the whole frame, squeezed", "crop": "the middle of the frame, in its proportions"}
_SCALES = {"own": "each map's own maximum", "steady": "one scale for neighbouring frames and all classes"}


@dataclass(frozen=True, slots=True, eq=False)
class MeanMap:
    """The mean heatmap of a class, or of all frames."""

    label: str
    note: str
    tone: Tone | None
    image: Bytes
    """RGB (H, W, 3), in the film's heat colours and proportions."""


@dataclass(frozen=True, slots=True)
class Row:
    """A class in the table."""

    label: str
    tone: Tone | None
    share: float
    """Fraction of frames in which it was the best."""
    best: str
    mean: str
    highest: str
    at: str


class Contents:
    """A report's contents: `video` is the explained film or folder, `name` the original's name in the report.

    `drawn_as` maps the sidecar's views to those that were drawn. Raises `MediaError` if there is no frame.
    """

    def __init__(
        self, sidecar: Path, video: Path, name: str, drawn_as: Callable[[View], View] = lambda view: view
    ) -> None:
        self.findings = findings = Findings.of(sidecar, drawn_as)
        if not findings.pts:
            raise MediaError(f"{sidecar} contains no frame, so there is nothing to report.")
        self.name = name
        self.tones = tones(findings)
        self.key_frames: list[KeyFrame] = key_frames(video, findings)
        self._video = video
        header = findings.header
        self._fit = Fit(header.get("fit", "stretch"), tuple(header.get("size", (1, 1))))
        self.colours = make_style(header.get("style", "blend"), self._fit).colours(findings.view.colormap, 1)[0]
        """The film's colour table, RGB (256, 3) over the heat 0…255."""

    @property
    def subtitle(self) -> str:
        """Its length, and the network."""
        header, count = self.findings.header, len(self.findings.pts)
        length = f"{plural(count, 'frame')}, {clock(self.findings.seconds, 0.1)}"
        return f"{length} · {header.get('model', 'unknown model')}"

    @property
    def answer(self) -> list[tuple[str, str]]:
        """The classes that were best most often, with their share of frames."""
        count = len(self.findings.pts)
        return [(each.label, percent(each.best / count)) for each in self.findings.classes[:3] if each.best]

    @property
    def left_out(self) -> int:
        """Number of stretches without a key frame."""
        return sum(1 for run in self.findings.runs if run.class_id >= 0) - len(self.key_frames)

    @cached_property
    def maps(self) -> list[MeanMap]:
        """The mean heatmaps; that of all frames is first, or the two halves of what is a difference."""
        findings = self.findings
        drawn = "what was drawn" if not findings.view.pinned else "the classes that were held"
        whole = MeanMap("All frames", drawn, None, self._heat(findings.heat))
        halves = [
            MeanMap(each.label, "mean of the difference", self.tones.get(each.class_id), self._heat(each.heat))
            for each in findings.halves
        ]
        best = [
            MeanMap(
                each.label,
                f"best in {plural(each.best, 'frame')}",
                self.tones.get(each.class_id),
                self._heat(each.heat),
            )
            for each in findings.classes
            if each.best and each.heat is not None
        ]
        return [*([] if findings.view.compares and halves else [whole]), *halves, *best][:MAPS]

    @property
    def footnote(self) -> str:
        """What the heatmaps are."""
        method = str(self.findings.header.get("map", {}).get("method", METHOD))
        shows = "against" if method == "negative" else "for"
        return (
            f"Heatmaps are {'Grad-CAM' if method == METHOD else f'made by the method {method}'}: they show which parts "
            f"of the picture are evidence {shows} a class, not whether the network is right. Made by whycam."
        )

    @property
    def rows(self) -> list[Row]:
        """The table of classes."""
        findings, count = self.findings, len(self.findings.pts)
        return [
            Row(
                each.label,
                self.tones.get(each.class_id),
                each.best / count,
                percent(each.best / count),
                percent(float(each.scores.mean())),
                percent(float(each.scores.max())),
                clock(float(findings.times[each.highest]), 0.1),
            )
            for each in findings.classes[:ROWS]
        ]

    @property
    def measures(self) -> FilmMeasures | None:
        """Whether the heatmaps are faithful, if that was measured."""
        return FilmMeasures.of_header(self.findings.header)

    @property
    def settings(self) -> list[tuple[str, str]]:
        """How it was made: names and values."""
        header, view = self.findings.header, self.findings.view
        labels = {each.class_id: each.label for each in self.findings.classes}
        names = [labels.get(number, str(number)) for number in view.pinned]
        explained = f"the {header.get('score', 'probability')} of {', '.join(names) or 'the best class of each frame'}"
        if view.compares:
            explained = f"the difference of two logits: why {names[0]} and not {names[1]}, and the other way round"
        rows = [
            ("File", self._video.name),
            ("Network", str(header.get("model", ""))),
            ("Checksum (SHA-256)", str(header.get("sha256", ""))),
            ("Explained", explained),
            ("Map", map_title(header.get("map", {}))),
            ("The network sees", _FITS.get(str(header.get("fit")), "")),
            ("Style and layout", f"{header.get('style', 'blend')}, {header.get('layout', 'overlay')}"),
            ("Colours", f"{view.colormap}, opacity {view.opacity:g}"),
            ("Full heat", _SCALES[view.scale]),
        ]
        if header.get("every", 1) > 1:
            rows.append(("Explained frames", f"one of {header['every']}, the others show its heat"))
        if "stopped" in header:
            rows.append(("Stopped", f"before the end, after {header['stopped']:.1f} s"))
        return [(key, value) for key, value in rows if value]

    def proportions(self) -> tuple[int, int]:
        """Height and width of the part that the network sees."""
        if not self.key_frames:
            return 1, 1
        height, width = self.key_frames[0].image.shape[:2]
        if self.findings.header.get("layout") == "side-by-side":
            width //= 2
        part = self._fit.rectangle(width, height)
        return part.height, part.width

    def _heat(self, grid: Floats) -> Bytes:
        rows, columns = self.proportions()
        size = (MAP_WIDTH, max(1, round(MAP_WIDTH * rows / columns)))
        large = cv2.resize(grid.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        return np.asarray(self.colours[np.clip(np.rint(large), 0, 255).astype(np.uint8)])
