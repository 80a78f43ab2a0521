"""All measures of one way to explain, over several images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from whycam.stream.inference.preprocess import Rectangle
from whycam.stream.measure.curves import Curve, deletion, insertion
from whycam.stream.measure.masking import masked
from whycam.stream.measure.network import Heat, Network
from whycam.stream.measure.pointing import Box, hits
from whycam.stream.measure.road import road
from whycam.stream.measure.sanity import similarity
from whycam.stream.video.planes import Bytes

Way = Callable[[Bytes, int], Heat]
"""A way to explain: the heatmap of an image (H, W, 3) for a class."""


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """The measures of one heatmap, or their means over images. None: not measured."""

    deletion: float
    """Area below the deletion curve; low is good."""
    insertion: float
    """Area below the insertion curve; high is good."""
    road_hottest: float
    """ROAD: the mean probability with the hottest pixels removed; low is good."""
    road_coldest: float
    """With the coldest removed; high is good."""
    drop: float
    """The share of the probability that is lost if only the hot places are shown; low is good."""
    rises: float
    """The share of images whose probability rises by that; high is good."""
    pointing: float | None = None
    """The share of images whose hottest place lies on the object; high is good."""
    sanity: float | None = None
    """The rank correlation with the map of a network whose weights are permuted; near 0 is good."""


class Subject(NamedTuple):
    """An image whose explanation is measured."""

    name: str
    image: Bytes
    """The network's input, RGB (H, W, 3)."""
    class_id: int
    seen: Rectangle
    """The part of the photograph that the input shows."""
    boxes: Sequence[Box] = ()
    """Where objects of this class are, in pixels of the photograph."""


class Measured(NamedTuple):
    """One image's measures, with the curves that a page draws."""

    values: Faithfulness
    deletion: Curve
    insertion: Curve
    heat: Heat


def measure(network: Network, subject: Subject, explain: Way, forgetful: Way | None = None) -> Measured:
    """Measure a way to explain on one image.

    `forgetful` explains in the same way a network whose weights are permuted; without, there is no sanity check.
    """
    image, class_id = subject.image, subject.class_id
    heat = explain(image, class_id)
    deleted, inserted = (curve(network, image, class_id, heat) for curve in (deletion, insertion))
    hottest, coldest = road(network, image, class_id, heat)
    left = masked(network, image, class_id, heat)
    values = Faithfulness(
        deleted.area,
        inserted.area,
        hottest,
        coldest,
        left.drop,
        float(left.rises),
        float(hits(heat, subject.seen, subject.boxes)) if subject.boxes else None,
        None if forgetful is None else similarity(heat, forgetful(image, class_id)),
    )
    return Measured(values, deleted, inserted, heat)


def mean(all_values: Sequence[Faithfulness]) -> Faithfulness:
    """The mean of each measure over the images for which there is one."""
    means: dict[str, float | None] = {}
    for name in (field.name for field in fields(Faithfulness)):
        known = [value for value in (getattr(each, name) for each in all_values) if value is not None]
        means[name] = float(np.mean(known)) if known else None
    return Faithfulness(**means)  # type: ignore[arg-type] # what is always measured has a mean


def standard_error(values: Sequence[float]) -> float:
    """Of a mean; 0 for a single value."""
    return float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0


def random_heat(image: Bytes, class_id: int) -> NDArray[np.float32]:
    """A baseline: noise with cells of 32 pixels, another one for each image. No better than this is no explanation."""
    height, width = image.shape[:2]
    seed = int(image[::7, ::7].astype(np.uint64).sum()) + class_id
    cells = np.random.default_rng(seed).random((max(2, height // 32), max(2, width // 32))).astype(np.float32)
    return np.asarray(np.clip(cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1), np.float32)


def central_heat(image: Bytes, class_id: int) -> NDArray[np.float32]:  # noqa: ARG001 - the same for all classes
    """A baseline: hot in the middle, where photographers put what they mean."""
    height, width = image.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.asarray(np.exp(-2 * (x * x + y * y)), np.float32)
