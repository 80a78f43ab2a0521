"""Carried heatmaps: their correlation with the model's own map of each frame, and their flicker.

    python -m tests.bench.motion [VIDEO ...]

Without a film, cameras are moved over photographs. The first table compares the map of the best class of every n-th
frame with the maps of that class in the frames after it: not moved, carried by `HeatTracker`, and for a synthetic film
moved by the camera's true motion, the best that tracking can reach. 'At once' draws an answer from its own frame on;
'late' from the next request on, as with a model that is always busy. The figure is the correlation of the two maps as
drawn, mean and tenth percentile. 'Cost' is a frame's flow and warp on this machine. The second table is the flicker of
a still scene with camera noise: by how many levels the painted luma changes from frame to frame, as a mean over the
frame, and as a share of the change by the heat.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import av
import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from tests.support.films import media_samples
from whycam.models import catalog
from whycam.stream.inference.explainer import BEST, Explainer
from whycam.stream.inference.explanation import Explanation, joined
from whycam.stream.inference.map_region import placed_size
from whycam.stream.inference.preprocess import Fit
from whycam.stream.live.scale_smoothing import ScaleSmoother
from whycam.stream.live.tracker import FINER, HeatTracker
from whycam.stream.media.film_reader import open_film, read_film
from whycam.stream.overlay.heatmap import DrawnMap, drawn_maps, without_repeats
from whycam.stream.overlay.painter import Painter
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes, planes

LIVE = (640, 480)
EVERY = (4, 8, 12)
SIDE = 56
"""Of the compared maps, in pixels."""
STILLS, STILL_FRAMES, NOISE = 4, 40, 4.0
BATCH = 8

PATH = 120
"""Frames of a synthetic film."""

Frames = list[av.VideoFrame]
Affine = NDArray[np.float64]


def main() -> None:
    """Print both tables for the films given, or for cameras moved over photographs."""
    cv2.setNumThreads(1)
    explainer = Explainer(catalog.EFFICIENTNET_LITE0.path, threads=2)
    console = Console(width=120)
    for name, frames, camera in _films([Path(each) for each in sys.argv[1:]]):
        console.print(f"\n{name}: {len(frames)} frames, {frames[0].width}x{frames[0].height}")
        console.print(_tracking(explainer, frames, camera))
        console.print(_flicker(explainer, frames[:: -(-len(frames) // STILLS)]))


def _films(paths: Sequence[Path]) -> Iterator[tuple[str, Frames, Sequence[Affine] | None]]:
    """Name, frames, and, if known, the place of each frame in the scene."""
    for path in paths:
        yield path.name, _read(path), None
    for name in () if paths else ("coffee", "chelsea", "astronaut", "rocket"):
        photograph = getattr(skimage.data, name)()
        camera = [_place(photograph, number) for number in range(PATH)]
        yield f"over '{name}'", [_view(photograph, at, number) for number, at in enumerate(camera)], camera


def _read(path: Path) -> Frames:
    with open_film(path) as opened:
        return [_small(item) for item in read_film(opened) if isinstance(item, av.VideoFrame)]


def _small(frame: av.VideoFrame) -> av.VideoFrame:
    scale = LIVE[1] / min(frame.width, frame.height)
    return frame.reformat(width=round(frame.width * scale) & ~1, height=round(frame.height * scale) & ~1)


def _place(photograph: Bytes, number: int) -> Affine:
    """From pixels of the frame to those of the photograph, for a camera that moves around and comes nearer."""
    height, width = photograph.shape[:2]
    zoom = 0.75 + 0.15 * np.cos(number / 25)  # of the photograph
    seen = zoom * min(width / LIVE[0], height / LIVE[1])
    x = (width - LIVE[0] * seen) * (0.5 + 0.45 * np.sin(number / 17))
    y = (height - LIVE[1] * seen) * (0.5 + 0.45 * np.cos(number / 23))
    return np.array([[seen, 0, x], [0, seen, y], [0, 0, 1]])


def _view(photograph: Bytes, at: Affine, number: int) -> av.VideoFrame:
    moved = cv2.warpAffine(photograph, at[:2], LIVE, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return media_samples.frame(np.asarray(moved, np.uint8), number * media_samples.STEP)


def _truly_moved(grid: Bytes, made_for: Affine, now: Affine) -> Bytes:
    """A map moved by the camera's motion between two frames, on a grid finer by `FINER`, as a carried one."""
    rows, columns = grid.shape
    fine = (FINER * columns, FINER * rows)
    cells = np.array(
        [[LIVE[0] / fine[0], 0, 0.5 * LIVE[0] / fine[0]], [0, LIVE[1] / fine[1], 0.5 * LIVE[1] / fine[1]], [0, 0, 1]]
    )
    coarse = np.array([[columns / LIVE[0], 0, -0.5], [0, rows / LIVE[1], -0.5], [0, 0, 1]])
    back = coarse @ np.linalg.inv(made_for) @ now @ cells  # from a fine cell now to a cell then
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(grid, back[:2], fine, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _explained(explainer: Explainer, images: Sequence[Bytes], targets: Sequence[int]) -> Explanation:
    return joined(
        [explainer.explain(np.stack(images[start : start + BATCH]), targets) for start in range(0, len(images), BATCH)]
    )


def _tracking(explainer: Explainer, frames: Frames, camera: Sequence[Affine] | None) -> Table:
    fit = Fit(explainer.contract.fit, explainer.contract.input_size)
    images = [fit.image(frame) for frame in frames]
    best = _explained(explainer, images, [-1]).classes[:, 0]
    named = np.unique(best)
    maps = _explained(explainer, images, named.tolist()).heatmaps  # (frames, classes, h, w)
    grids = np.rint(255 * maps).astype(np.uint8)
    column = {int(class_id): index for index, class_id in enumerate(named)}
    table = Table("explained", "answer", "held", "tracked", "true motion", "lost", "cost", box=None)
    for late in (False, True):
        for every in EVERY:
            held, tracked, true, lost, flow_ms, warp_ms = [], [], [], 0, [], []
            tracker = HeatTracker(fit, placed_size(explainer.contract))
            for number, frame in enumerate(frames):
                start = perf_counter()
                tracker.see(frame)
                flow_ms.append(1000 * (perf_counter() - start))
                if number % every == 0:
                    tracker.mark(number)
                source = number - number % every - (every if late else 0)
                if source < 0 or source == number:
                    continue
                index = column[int(best[source])]
                drawn = DrawnMap(0, "", 0.0, grids[source, index], 1.0)
                start = perf_counter()
                carried = tracker.carry(source, [drawn])
                warp_ms.append(1000 * (perf_counter() - start))
                if not carried:
                    lost += 1
                    continue
                held.append(_likeness(drawn.grid, grids[number, index]))
                tracked.append(_likeness(carried[0].grid, grids[number, index]))
                if camera is not None:
                    moved = _truly_moved(drawn.grid, camera[source], camera[number])
                    true.append(_likeness(moved, grids[number, index]))
            table.add_row(
                f"every {every}",
                "late" if late else "at once",
                _summary(held),
                _summary(tracked),
                _summary(true),
                str(lost),
                f"{np.median(flow_ms):.2f} + {np.median(warp_ms):.2f} ms",
            )
    return table


def _likeness(one: Bytes, other: Bytes) -> float:
    """The correlation of two maps as drawn; NaN if one is constant."""
    a, b = (
        np.asarray(cv2.resize(grid, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.float64) for grid in (one, other)
    )
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size else float("nan")


def _summary(likeness: Sequence[float]) -> str:
    if not likeness:
        return ""
    known = np.array(likeness)[~np.isnan(likeness)]
    return f"{known.mean():.3f} {np.percentile(known, 10):.2f}"


def _flicker(explainer: Explainer, stills: Frames) -> Table:
    """The mean over the scenes, for maps drawn with their own maximum and with a steady scale."""
    fit = Fit(explainer.contract.fit, explainer.contract.input_size)
    random = np.random.default_rng(0)
    lumas: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for still in stills:
        images = [fit.image(_noisy(still, random)) for _ in range(STILL_FRAMES)]
        first = _explained(explainer, images[:1], BEST).classes[0]
        for which, hold in (("the best class", ()), ("the fifth, held", (int(first[4]),))):
            explanation = _explained(explainer, images, [*BEST, *hold])
            steady = ScaleSmoother()
            seen: dict[str, list[Bytes]] = {"own": [], "steady": []}
            for number in range(STILL_FRAMES):
                # Without label and score, which would be drawn too.
                unnamed = drawn_maps(explanation, number, [""] * len(explainer.contract.labels))
                own = without_repeats([replace(each, score=0.0) for each in unnamed])
                scales = steady.scales(number * media_samples.STEP, own)
                scaled = tuple(replace(each, scale=scale) for each, scale in zip(own, scales, strict=True))
                seen["own"].append(_painted(still, fit, own, View(hold)))
                seen["steady"].append(_painted(still, fit, scaled, View(hold)))
            bare = _painted(still, fit, own, View(hold, opacity=0))
            for scale, painted in seen.items():
                lumas.setdefault((which, scale), []).append((_change(painted), _heat(painted, bare)))
    table = Table("flicker of", "scale", "levels", "of the heat", box=None)
    for (which, scale), values in lumas.items():
        change, heat = np.mean(values, axis=0)
        table.add_row(which, scale, f"{change:.2f}", f"{change / heat:.0%}")
    return table


def _noisy(still: av.VideoFrame, random: np.random.Generator) -> av.VideoFrame:
    """The scene with a camera's noise in its luma: of each pixel, and of its exposure."""
    noisy = _copy(still)
    luma = planes(noisy)[0]
    noise = random.normal(0, NOISE, luma.shape) + random.normal(0, NOISE / 8)
    luma[:] = np.clip(np.rint(luma + noise), 0, 255)
    return noisy


def _copy(frame: av.VideoFrame) -> av.VideoFrame:
    same = av.VideoFrame(frame.width, frame.height, "yuv420p")
    same.colorspace, same.color_range = frame.colorspace, frame.color_range
    for to, plane in zip(planes(same), planes(frame), strict=True):
        np.copyto(to, plane)
    return same


def _painted(still: av.VideoFrame, fit: Fit, maps: Sequence[DrawnMap], view: View) -> Bytes:
    """The painted luma of the scene without its noise, so that only the heat changes."""
    frame = _copy(still)
    Painter(fit).paint(frame, maps, view)
    return planes(frame)[0].copy()


def _change(lumas: Sequence[Bytes]) -> float:
    """The mean absolute change from frame to frame, in levels."""
    return float(np.mean([cv2.absdiff(one, other).mean() for one, other in pairwise(lumas)]))


def _heat(lumas: Sequence[Bytes], bare: Bytes) -> float:
    """The mean absolute change by the heat, in levels."""
    return float(np.mean([cv2.absdiff(luma, bare).mean() for luma in lumas]))


if __name__ == "__main__":
    main()
