"""The report as one image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whycam.stream.report.canvas import Raster, Tone
from whycam.stream.report.contents import Contents
from whycam.stream.report.time_chart import clock, draw_timechart
from whycam.stream.video.planes import Bytes


def sheet(contents: Contents) -> Bytes:
    """RGB (H, W, 3): title, chart, key frames, mean heatmaps."""
    width, margin, gap = 1040.0, 40.0, 16.0
    inner = width - 2 * margin
    longest = sorted(contents.key_frames, key=lambda key: -key.run.count)[:6]
    keys = [key for key in contents.key_frames if key in longest]
    key_width = (inner - 5 * gap) / 6
    key_height = max((key_width * k.image.shape[0] / k.image.shape[1] for k in keys), default=0.0)
    maps = contents.maps
    rows, columns = contents.proportions()
    map_height = key_width * rows / columns
    tops = np.cumsum([margin, 84, 340, 34 + key_height + 54 if keys else 0, 34 + map_height + 54])
    sheet = Raster(round(width), round(float(tops[-1]) + 4), 1.5)
    sheet.text(margin, tops[0] + 26, contents.name, "ink", 30)
    answer = ", then ".join(f"{label} {share}" for label, share in contents.answer)
    sheet.text(margin, tops[0] + 54, f"{contents.subtitle} · {answer}" if answer else contents.subtitle, "muted", 15)
    chart = _Shifted(sheet, margin - 8, float(tops[1]))
    draw_timechart(chart, contents.findings, inner + 16, 310)
    _legend(contents, sheet, margin + 36, float(tops[1]) + 322, inner - 36)
    if keys:
        sheet.text(margin, tops[2] + 20, "The longest stretches of one best class", "ink", 17)
    for number, key in enumerate(keys):
        x, y = margin + number * (key_width + gap), float(tops[2]) + 34
        sheet.image(x, y, key_width, key_width * key.image.shape[0] / key.image.shape[1], key.image)
        _caption(
            sheet, x, y + key_height, key_width, key.found.label, f"{key.percent} · {key.name or clock(key.time, 0.1)}"
        )
    sheet.text(margin, tops[3] + 20, "Where it looked on average", "ink", 17)
    for number, mean in enumerate(maps):
        x, y = margin + number * (key_width + gap), float(tops[3]) + 34
        sheet.image(x, y, key_width, map_height, mean.image)
        _caption(sheet, x, y + map_height, key_width, mean.label, mean.note)
    return sheet.pixels


def _caption(sheet: Raster, x: float, y: float, width: float, label: str, note: str) -> None:
    max_letters = max(6, int(width / 7.2))
    sheet.text(x, y + 20, label if len(label) <= max_letters else f"{label[: max_letters - 1]}…", "ink", 14)
    sheet.text(x, y + 38, note, "muted", 12)


def _legend(contents: Contents, sheet: Raster, x: float, y: float, width: float) -> None:
    place = x
    for each in contents.findings.classes:
        tone = contents.tones.get(each.class_id)
        needed = 34 + 7.4 * len(each.label)
        if tone is None or place + needed > x + width:
            return
        sheet.box(place, y - 9, 10, 10, tone)
        sheet.text(place + 16, y, each.label, "ink", 13)
        place += needed


class _Shifted:
    """A canvas with its origin at (x, y) of another one. See `stream.report.canvas.Canvas`."""

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
