"""What a network saw in a whole film, on one page that needs no other file, and the same as a picture."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from whycam.stream.inference.preprocess import Fit
from whycam.stream.media.film_reader import open_film
from whycam.stream.media.image import read_image, write_image
from whycam.stream.media.image_writer import kept_images
from whycam.stream.media.losses import MediaError, plural
from whycam.stream.overlay.styles import make_style
from whycam.stream.overlay.view import View
from whycam.stream.report.canvas import DARK, LIGHT, Raster, Svg, Tone
from whycam.stream.report.statistics import Findings, Floats, Found, Run
from whycam.stream.report.time_chart import clock, draw_timechart, tones
from whycam.stream.video.planes import Bytes, rgb_of

KEY_FRAMES = 12
"""Of the longest stretches with one best class."""
MAPS = 6
ROWS = 12
"""Classes in the table."""
SIDE = 420
"""The longer side of a key frame's picture, in pixels."""
NEAR_S = 12.0
"""Sooner than this it is quicker to decode on than to look for a keyframe."""


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A frame where the best class changed, as it was drawn."""

    run: Run
    time: float
    until: float
    found: Found
    picture: Bytes

    @property
    def percent(self) -> str:
        """How sure the network was."""
        return _percent(float(self.found.scores[self.run.first]))


class Report:
    """The report of a result and its sidecar: `write` leaves the page and the picture.

    `video` is the explained film, or a folder of explained pictures; `name` is what a person calls the original.
    `drawn_as` says how the sidecar's views were drawn in fact. Raises `MediaError` where there is no frame.
    """

    def __init__(
        self, sidecar: Path, video: Path, name: str, drawn_as: Callable[[View], View] = lambda view: view
    ) -> None:
        self._findings = findings = Findings.of(sidecar, drawn_as)
        if not findings.pts:
            raise MediaError(f"{sidecar} tells of no frame, so there is nothing to report.")
        self._name = name
        self._video = video
        self._tones = tones(findings)
        by_class = {each.class_id: each for each in findings.classes}
        runs = findings.changes(KEY_FRAMES)
        shown = pictures_of(video, [run.first for run in runs], findings)
        ends = [*findings.times[1:], findings.seconds]
        self._keys = [
            Key(
                run,
                float(findings.times[run.first]),
                float(ends[run.first + run.count - 1]),
                by_class[run.class_id],
                shown[run.first],
            )
            for run in runs
            if run.first in shown
        ]
        header = findings.header
        self._fit = Fit(header.get("fit", "stretch"), tuple(header.get("size", (1, 1))))
        self._colours = make_style(header.get("style", "blend"), self._fit).colours(findings.view.colormap, 1)[0]

    def write(self, page: Path, picture: Path) -> None:
        """Leave the page (.html) and the picture (.png); raises `MediaError` where they cannot be written."""
        part = page.with_name(page.name + ".part")
        try:
            part.write_text(self.html(), encoding="utf-8")
            os.replace(part, page)
        except OSError as error:
            raise MediaError(f"{page} cannot be written ({error.strerror}).") from error
        write_image(picture, self.png())

    # What is said, on the page and in the picture.

    def _subtitle(self) -> str:
        header, count = self._findings.header, len(self._findings.pts)
        return (
            f"{plural(count, 'frame')}, {clock(self._findings.seconds, 0.1)} · {header.get('model', 'unknown model')}"
        )

    def _answer(self) -> list[tuple[str, str]]:
        """The classes that were best most often, and of how many frames."""
        count = len(self._findings.pts)
        return [(each.label, _percent(each.best / count)) for each in self._findings.classes[:3] if each.best]

    def _maps(self) -> list[tuple[str, str, Floats, Tone | None]]:
        findings = self._findings
        drawn = "what was drawn" if not findings.view.pinned else "the classes that were held"
        rest = [
            (each.label, f"best in {plural(each.best, 'frame')}", each.heat, self._tones.get(each.class_id))
            for each in findings.classes[: MAPS - 1]
            if each.best
        ]
        return [("All frames", drawn, findings.heat, None), *rest]

    def _heat(self, grid: Floats, width: int) -> Bytes:
        """A mean heatmap in the film's colours and proportions."""
        rows, columns = self._proportions()
        size = (width, max(1, round(width * rows / columns)))
        large = cv2.resize(grid.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        return np.asarray(self._colours[np.clip(np.rint(large), 0, 255).astype(np.uint8)])

    def _proportions(self) -> tuple[int, int]:
        """Height and width of the part that the network sees."""
        if not self._keys:
            return 1, 1
        height, width = self._keys[0].picture.shape[:2]
        if self._findings.header.get("layout") == "side-by-side":
            width //= 2
        part = self._fit.rectangle(width, height)
        return part.height, part.width

    def _settings(self) -> list[tuple[str, str]]:
        header, view = self._findings.header, self._findings.view
        labels = {each.class_id: each.label for each in self._findings.classes}
        held = ", ".join(labels.get(number, str(number)) for number in view.pinned)
        rows = [
            ("File", self._video.name),
            ("Network", str(header.get("model", ""))),
            ("Checksum (SHA-256)", str(header.get("sha256", ""))),
            ("Explained", f"the {header.get('score', 'probability')} of {held or 'the best class of each frame'}"),
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

    # The page.

    def html(self) -> str:
        """The page."""
        name = escape(self._name)
        said = [f"<b>{escape(label)}</b> in {share} of the frames" for label, share in self._answer()]
        answer = f'<p class="answer">Mostly {", then ".join(said)}.</p>' if said else ""
        parts = [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name} · whycam</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
            "style-src 'unsafe-inline'\">",
            f"<style>{_css()}</style></head><body>",
            f"<header><h1>{name}</h1><p>{escape(self._subtitle())}</p>{answer}</header><main>",
            f"<section><h2>What it thought it saw</h2>{self._chart()}</section>",
            f"<section><h2>The longest stretches of one best class</h2>{self._key_figures()}</section>",
            f"<section><h2>Where it looked, in the mean</h2>{self._map_figures()}</section>",
            f'<section><h2>Classes</h2><div class="scroll">{self._table()}</div></section>',
            f"<section><h2>How it was made</h2><dl>{self._settings_list()}</dl></section>",
            '</main><footer class="note">Heatmaps are Grad-CAM: they show which places of the picture speak for a '
            "class, not whether the network is right. Made by whycam.</footer></body></html>\n",
        ]
        return "".join(parts)

    def _chart(self) -> str:
        made = []
        for css_class, width, height in (("wide", 1040, 360), ("narrow", 400, 300)):
            svg = Svg(width, height)
            draw_timechart(svg, self._findings, width, height)
            names = ", ".join(each.label for each in self._findings.classes if each.class_id in self._tones)
            made.append(svg.markup(f"Probabilities over time of {names}; the table below has their numbers", css_class))
        note = (
            "Lines: the probability of each class; 0 where it was not among those that were stored, the five best as a "
            "rule. Ribbon: the best class. Colours as in the table below."
        )
        return f'{"".join(made)}<p class="note">{note}</p>'

    def _key_figures(self) -> str:
        if not self._keys:
            return '<p class="note">No frame was explained.</p>'
        left = sum(1 for run in self._findings.runs if run.class_id >= 0) - len(self._keys)
        note = f'<p class="note">The longest stretches; {left} shorter ones are left out.</p>' if left > 0 else ""
        figures = [
            f'<figure><img alt="{escape(key.found.label)}, {key.percent}, {clock(key.time, 0.1)}" '
            f'width="{key.picture.shape[1]}" height="{key.picture.shape[0]}" src="{_data(key.picture)}"><figcaption>'
            f"{self._dot(self._tones.get(key.found.class_id))}<b>{escape(key.found.label)}</b> {key.percent}"
            f"<span>{clock(key.time, 0.1)} to {clock(key.until, 0.1)}</span></figcaption></figure>"
            for key in self._keys
        ]
        height, width = self._keys[0].picture.shape[:2]
        wide = 9.6 if width <= height else 16
        return f'<div class="frames" style="--wide: {wide}rem">{"".join(figures)}</div>{note}'

    def _map_figures(self) -> str:
        figures = []
        for label, note, grid, tone in self._maps():
            picture = self._heat(grid, 260)
            figures.append(
                f'<figure><img alt="Mean heatmap: {escape(label)}" width="{picture.shape[1]}" '
                f'height="{picture.shape[0]}" src="{_data(picture)}"><figcaption>{self._dot(tone)}'
                f"<b>{escape(label)}</b><span>{escape(note)}</span></figcaption></figure>"
            )
        steps = ", ".join(f"rgb({r} {g} {b})" for r, g, b in self._colours[::15].tolist())
        scale = f'<div class="scale" style="background: linear-gradient(to right, {steps})"></div>'
        ends = '<div class="ends"><span>no evidence</span><span>the most</span></div>'
        return f'{scale}{ends}<div class="maps">{"".join(figures)}</div>'

    def _dot(self, tone: Tone | None) -> str:
        return f'<span class="dot" style="display: inline-block; background: var(--{tone})"></span>' if tone else ""

    def _table(self) -> str:
        findings, count = self._findings, len(self._findings.pts)
        rows = []
        for each in findings.classes[:ROWS]:
            share, tone = each.best / count, self._tones.get(each.class_id)
            bar = f'<span class="bar" style="width: {5 * share:.2f}rem; background: var(--{tone or "none"})"></span>'
            rows.append(
                f'<tr><th scope="row">{self._dot(tone)}{escape(each.label)}</th><td>{bar}{_percent(share)}</td>'
                f"<td>{_percent(float(each.scores.mean()))}</td><td>{_percent(float(each.scores.max()))}</td>"
                f"<td>{clock(float(findings.times[each.highest]), 0.1)}</td></tr>"
            )
        heads = ("class", "best in", "mean", "highest", "at")
        head = "".join(f'<th scope="col">{text}</th>' for text in heads)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"

    def _settings_list(self) -> str:
        return "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in self._settings())

    # The picture.

    def png(self) -> Bytes:
        """The picture, RGB (H, W, 3): title, chart, key frames, mean heatmaps."""
        width, margin, gap = 1040.0, 40.0, 16.0
        inner = width - 2 * margin
        longest = sorted(self._keys, key=lambda key: -key.run.count)[:6]
        keys = [key for key in self._keys if key in longest]
        key_width = (inner - 5 * gap) / 6
        key_height = max((key_width * k.picture.shape[0] / k.picture.shape[1] for k in keys), default=0.0)
        maps = self._maps()
        rows, columns = self._proportions()
        map_height = key_width * rows / columns
        tops = np.cumsum([margin, 84, 340, 34 + key_height + 54 if keys else 0, 34 + map_height + 54])
        sheet = Raster(round(width), round(float(tops[-1]) + 4), 1.5)
        sheet.text(margin, tops[0] + 26, self._name, "ink", 30)
        answer = ", then ".join(f"{label} {share}" for label, share in self._answer())
        sheet.text(margin, tops[0] + 54, f"{self._subtitle()} · {answer}" if answer else self._subtitle(), "muted", 15)
        chart = _Shifted(sheet, margin - 8, float(tops[1]))
        draw_timechart(chart, self._findings, inner + 16, 310)
        self._legend(sheet, margin + 36, float(tops[1]) + 322, inner - 36)
        if keys:
            sheet.text(margin, tops[2] + 20, "The longest stretches of one best class", "ink", 17)
        for number, key in enumerate(keys):
            x, y = margin + number * (key_width + gap), float(tops[2]) + 34
            sheet.picture(x, y, key_width, key_width * key.picture.shape[0] / key.picture.shape[1], key.picture)
            self._caption(
                sheet, x, y + key_height, key_width, key.found.label, f"{key.percent} · {clock(key.time, 0.1)}"
            )
        sheet.text(margin, tops[3] + 20, "Where it looked, in the mean", "ink", 17)
        for number, (label, note, grid, _) in enumerate(maps):
            x, y = margin + number * (key_width + gap), float(tops[3]) + 34
            sheet.picture(x, y, key_width, map_height, self._heat(grid, 260))
            self._caption(sheet, x, y + map_height, key_width, label, note)
        return sheet.pixels

    def _caption(self, sheet: Raster, x: float, y: float, width: float, label: str, note: str) -> None:
        max_letters = max(6, int(width / 7.2))
        sheet.text(x, y + 20, label if len(label) <= max_letters else f"{label[: max_letters - 1]}…", "ink", 14)
        sheet.text(x, y + 38, note, "muted", 12)

    def _legend(self, sheet: Raster, x: float, y: float, width: float) -> None:
        place = x
        for each in self._findings.classes:
            tone = self._tones.get(each.class_id)
            needed = 34 + 7.4 * len(each.label)
            if tone is None or place + needed > x + width:
                return
            sheet.box(place, y - 9, 10, 10, tone)
            sheet.text(place + 16, y, each.label, "ink", 13)
            place += needed


class _Shifted:
    """A canvas whose corner lies elsewhere on another one. See `stream.report.canvas.Canvas`."""

    def __init__(self, canvas: Raster, x: float, y: float) -> None:
        self._canvas, self._x, self._y = canvas, x, y

    def line(self, points: Sequence[tuple[float, float]], tone: Tone, width: float) -> None:
        self._canvas.line(self._moved(points), tone, width)

    def area(self, points: Sequence[tuple[float, float]], tone: Tone, opacity: float) -> None:
        self._canvas.area(self._moved(points), tone, opacity)

    def box(self, x: float, y: float, width: float, height: float, tone: Tone, title: str = "") -> None:
        self._canvas.box(x + self._x, y + self._y, width, height, tone, title)

    def text(self, x: float, y: float, text: str, tone: Tone, size: float, anchor: str = "start") -> None:
        self._canvas.text(x + self._x, y + self._y, text, tone, size, anchor)  # type: ignore[arg-type]

    def _moved(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x + self._x, y + self._y) for x, y in points]


_FITS = {"stretch": "the whole frame, squeezed", "crop": "the middle of the frame, in its proportions"}
_SCALES = {"own": "each map's own maximum", "steady": "one scale for neighbouring frames and all classes"}


def pictures_of(video: Path, frames: Sequence[int], findings: Findings) -> dict[int, Bytes]:
    """Some frames of a result, by their number, made small; those that cannot be read are left out."""
    if video.is_dir():
        where, count = kept_images(video)
        names = {number: where / f"result-{number + 1:04d}.jpg" for number in frames if number < count}
        return {number: _small(read_image(path)) for number, path in names.items()}
    return _film_pictures(video, frames, findings)


def _film_pictures(video: Path, frames: Sequence[int], findings: Findings) -> dict[int, Bytes]:
    numerator, denominator = findings.header["time_base"]
    wanted = [(number, findings.pts[number] * numerator / denominator) for number in sorted(frames)]
    found: dict[int, Bytes] = {}
    with open_film(video) as film:
        assert film.video.time_base is not None
        base = float(film.video.time_base)
        off = findings.step / 2
        at = float("-inf")
        decoded = film.container.decode(film.video)
        for number, time in wanted:
            if time - at > NEAR_S:
                film.container.seek(int(time / base), stream=film.video)
                decoded = film.container.decode(film.video)
            for frame in decoded:
                at = float((frame.pts or 0) * base)
                if at >= time - off:
                    found[number] = _small(rgb_of(frame))
                    break
    return found


def _small(rgb: Bytes) -> Bytes:
    image = Image.fromarray(rgb)
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image)


def _data(rgb: Bytes) -> str:
    file = BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _css() -> str:
    def declared(colours: Mapping[Tone, str]) -> str:
        return "\n".join(f"  --{tone}: {value};" for tone, value in colours.items())

    text = (files("whycam.stream.report") / "report.css").read_text(encoding="utf-8")
    return text.replace("LIGHT", declared(LIGHT)).replace("DARK", declared(DARK))


def _percent(part: float) -> str:
    digits = 0 if part >= 0.0095 or not part else 1
    return f"{100 * part:.{digits}f}\N{NO-BREAK SPACE}%"
