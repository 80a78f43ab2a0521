"""Checks a file whose last layer can be replaced with layers of other numbers of classes, on a few images."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from whycam.export.verify.agreement import compare
from whycam.models.class_set import ClassSet
from whycam.models.contract import Contract, LastLayer

FEW = 3
"""Classes of the smaller set, and how many are explained."""
MORE = 7
"""By how many the larger set has more classes than the file."""
IMAGES = 3


class OtherClasses(NamedTuple):
    """What was compared, and the largest differences."""

    counts: tuple[int, ...]
    """The numbers of classes."""
    maps: int
    float64: float
    """Of the maps from float64 on the network with the other layer, in the median where gates may flip."""
    scores: float

    def __str__(self) -> str:
        counts = " and ".join(map(str, self.counts))
        return (
            f"With a last layer for {counts} other classes: {self.maps} heatmaps at most {self.float64:.1e} from "
            f"float64, probabilities {self.scores:.1e}"
        )


def check_other_classes(path: Path, contract: Contract, images: NDArray[np.uint8]) -> OtherClasses:
    """Compare all maps and the scores with float64 for random last layers; raises `Disagreement`.

    `contract` is the file's and names its last layer.
    """
    layer = contract.last_layer
    assert layer is not None
    sets = random_sets(path, layer, (FEW, len(contract.labels) + MORE))
    targets = range(-1, -1 - FEW, -1)
    found = []
    for spec in contract.listed_maps():
        for class_set in sets:
            agreement = compare(path, images[:IMAGES], targets, output=spec.output, class_set=class_set)
            agreement.check()
            found.append(agreement)
    return OtherClasses(
        tuple(len(each.labels) for each in sets),
        sum(each.maps for each in found),
        max(each.float64 if each.float64_median is None else each.float64_median for each in found),
        max(each.scores or 0.0 for each in found),
    )


def random_sets(path: Path, layer: LastLayer, counts: tuple[int, ...]) -> list[ClassSet]:
    """Class sets with random weights that are spread as the file's own."""
    stored = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    weights, bias = (numpy_helper.to_array(stored[name]) for name in (layer.weights, layer.bias))
    random = np.random.default_rng(0)

    def like(values: NDArray[np.float32], *shape: int) -> NDArray[np.float32]:
        return random.normal(values.mean(), values.std(), shape).astype(np.float32)

    named = [(tuple(f"class {number}" for number in range(count)), count) for count in counts]
    return [ClassSet(labels, like(weights, layer.width, count), like(bias, count)) for labels, count in named]
