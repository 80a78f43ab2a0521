"""Hiding the evidence: how far a probability falls, compared with hiding as much elsewhere, for several fills.

    python -m tests.bench.hiding [IMAGE ...]

Without images, scikit-image's photographs are used, each with the model's best class. 'Elsewhere' is the mean of the
same region moved to four other places. Figures are sums over all images, as shares of the summed plain probabilities.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from whycam.models import catalog
from whycam.stream.inference.explainer import Explainer
from whycam.stream.overlay.occlusion import mask_of, occlude
from whycam.stream.video.planes import Bytes, as_bytes

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
PLACES = 4

Fill = Callable[[Bytes, Bytes], None]
"""Covers a layer (H, W) in place."""


def constant(level: Callable[[Bytes], float]) -> Fill:
    def fill(layer: Bytes, covered: Bytes) -> None:
        _mix(layer, np.full(layer.shape, level(layer)), covered)

    return fill


def blurred(layer: Bytes, covered: Bytes) -> None:
    _mix(layer, np.asarray(cv2.GaussianBlur(layer, (0, 0), layer.shape[1] / 8), np.float64), covered)


def _mix(layer: Bytes, other: NDArray[np.float64], covered: Bytes) -> None:
    part = covered / 255
    layer[:] = np.rint(layer * (1 - part) + other * part).astype(np.uint8)


FILLS: dict[str, Fill] = {
    "whycam's": occlude,
    "blur": blurred,
    "mean colour": constant(lambda layer: float(layer.mean())),
    "grey": constant(lambda _: 127.0),
}


def main() -> None:
    """Print a row for each fill."""
    explainer = Explainer(catalog.find(), threads=1)
    images = [_read(Path(path)) for path in sys.argv[1:]] or [_photograph(name) for name in PHOTOGRAPHS]
    measured = [measure(explainer, image, np.random.default_rng(7)) for image in images]
    table = Table("fill", "falls by, the hottest", "elsewhere", "hottest lower in", box=None)
    before = sum(plain for plain, _ in measured)
    for name in FILLS:
        hottest = np.array([found[name][0] for _, found in measured])
        elsewhere = np.array([np.mean(found[name][1:]) for _, found in measured])
        table.add_row(
            name,
            f"{1 - hottest.sum() / before:.0%}",
            f"{1 - elsewhere.sum() / before:.0%}",
            f"{np.mean(hottest < elsewhere):.0%}",
        )
    Console(soft_wrap=True).print(table)
    print(f"{len(images)} images; mean probability {before / len(images):.2f}")


def measure(
    explainer: Explainer, image: Bytes, random: np.random.Generator
) -> tuple[float, dict[str, Sequence[float]]]:
    """The best class's probability, and by fill: with its hottest region covered, and with as much elsewhere."""
    rows, columns = explainer.contract.input_size
    seen = as_bytes(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA))
    found = explainer.explain(seen[None], [-1])
    class_id = int(found.classes[0, 0])
    covered = mask_of(np.rint(found.heatmaps[0, 0] * 255).astype(np.uint8), (columns, rows))
    moves = [(int(random.integers(rows // 4, 3 * rows // 4)), int(random.integers(columns // 4, 3 * columns // 4)))
             for _ in range(PLACES)]  # fmt: skip
    masks = [covered, *(np.roll(covered, move, (0, 1)) for move in moves)]
    return float(found.scores[0, class_id]), {
        name: explainer.explain(np.stack([_filled(seen, mask, fill) for mask in masks]), [])
        .scores[:, class_id]
        .tolist()
        for name, fill in FILLS.items()
    }


def _filled(seen: Bytes, covered: Bytes, fill: Fill) -> Bytes:
    channels = [np.ascontiguousarray(seen[..., index]) for index in range(3)]
    for channel in channels:
        fill(channel, covered)
    return as_bytes(cv2.merge(channels))


def _read(path: Path) -> Bytes:
    image = cv2.imread(str(path))
    if image is None:
        raise SystemExit(f"{path} is not an image that can be read.")
    return as_bytes(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def _photograph(name: str) -> Bytes:
    return as_bytes(np.ascontiguousarray(getattr(skimage.data, name)()))


if __name__ == "__main__":
    main()
