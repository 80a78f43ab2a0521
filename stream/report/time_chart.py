"""The chart of the report: probabilities over time as lines, and the best class as a ribbon below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np

from whycam.stream.overlay.colormaps import places_of
from whycam.stream.report.canvas import SERIES, Canvas, Tone
from whycam.stream.report.statistics import Findings, Floats, Found

POINTS = 400
"""Most points of a line; in a longer film a point is the mean of several frames."""
LINES = 6
"""More could not be followed."""
_LEFT, _RIGHT, _TOP, _BOTTOM, _RIBBON = 44.0, 8.0, 12.0, 26.0, 18.0
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


def tones(findings: Findings) -> dict[int, Tone]:
    """The colour of each class that is drawn as a line: those that were best most often, and two that were pinned."""
    first = {class_id: place for place, class_id in enumerate(dict.fromkeys(run.class_id for run in findings.runs))}
    # Ties are resolved as on the page of the recordings (`stream.recording.summary`), whose colours these are.
    ordered = sorted(findings.classes, key=lambda each: (-each.best, first.get(each.class_id, len(first))))
    places = places_of([each.class_id for each in ordered], findings.view.pinned)
    found = {each.class_id for each in ordered}
    lines = sorted(found & places.keys(), key=places.__getitem__)[:LINES]
    return {class_id: SERIES[places[class_id]] for class_id in lines}


def draw_timechart(canvas: Canvas, findings: Findings, width: float, height: float) -> None:
    """Draw the chart in the canvas's upper left corner, in this width and height."""
    left, right, top = _LEFT, width - _RIGHT, _TOP
    floor = height - _BOTTOM - _RIBBON - 8
    seconds = max(findings.seconds, 1e-6)

    def x(time: float) -> float:
        return left + (right - left) * time / seconds

    def y(score: float) -> float:
        return floor - (floor - top) * score

    for percent in (0, 25, 50, 75, 100):
        canvas.line([(left, y(percent / 100)), (right, y(percent / 100))], "grid", 1)
        canvas.text(left - 8, y(percent / 100) + 4, f"{percent} %" if percent else "0", "muted", 12, "end")
    chosen = tones(findings)
    lines = [each for each in findings.classes if each.class_id in chosen]
    for each in reversed(lines):  # the class that was best most often is on top
        times, scores = _thinned(findings.times + findings.step / 2, each)
        if len(times) == 1:
            times, scores = [0.0, seconds], [scores[0], scores[0]]
        for first, last in _seen(scores):
            points = [(x(time), y(score)) for time, score in zip(times[first:last], scores[first:last], strict=True)]
            canvas.area([(points[0][0], floor), *points, (points[-1][0], floor)], chosen[each.class_id], 0.12)
            canvas.line(points, chosen[each.class_id], 2)
    _ribbon(canvas, findings, x, floor + 8)
    step = next((each for each in _STEPS if seconds / each <= width / 90), seconds)
    for time in np.arange(0, seconds, step):
        canvas.text(x(time), height - 8, clock(time, step), "muted", 12, "start" if time == 0 else "middle")


def _ribbon(canvas: Canvas, findings: Findings, x: Callable[[float], float], y: float) -> None:
    labels = {each.class_id: each.label for each in findings.classes}
    ends = [*findings.times[1:], findings.seconds]
    colours = tones(findings)
    for run in findings.runs:
        begin, end = float(findings.times[run.first]), float(ends[run.first + run.count - 1])
        title = f"{labels.get(run.class_id, 'nothing known')}, {clock(begin, 0.1)} to {clock(end, 0.1)}"
        canvas.box(x(begin), y, max(x(end) - x(begin), 0.5), _RIBBON, colours.get(run.class_id, "none"), title)


def _seen(scores: Sequence[float]) -> list[tuple[int, int]]:
    """Ranges (first, end) of points with a probability, including the zeros beside them."""
    parts, first = [], 0
    for known, points in groupby(scores, key=lambda score: score > 0):
        last = first + len(list(points))
        if known:
            parts.append((max(first - 1, 0), min(last + 1, len(scores))))
        first = last
    return parts


def _thinned(times: Floats, each: Found) -> tuple[Sequence[float], Sequence[float]]:
    parts = min(POINTS, len(times))
    bounds = np.linspace(0, len(times), parts + 1).astype(int)
    counts = np.diff(bounds)
    return (np.add.reduceat(times, bounds[:-1]) / counts).tolist(), (
        np.add.reduceat(each.scores, bounds[:-1]) / counts
    ).tolist()


def clock(seconds: float, step: float = 1) -> str:
    """`1:05`, or `1:05.3` if steps are less than a second."""
    rounded = round(seconds, 1) if step < 1 else round(seconds)
    minutes, rest = divmod(rounded, 60)
    return f"{int(minutes)}:{rest:04.1f}" if step < 1 else f"{int(minutes)}:{int(rest):02d}"
