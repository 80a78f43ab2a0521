"""`python -m tests.zoo.layers.attempt KEY FILE`: explains one network's layers, in a process of its own."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from tests.bench import head_cost
from tests.zoo.attempt import machine, packages
from tests.zoo.layers.row import LayerRow, NetworkRow
from tests.zoo.trial import NotHad, Tried
from tests.zoo.trials import trials
from whycam.export import exporter
from whycam.export.save import save
from whycam.export.verify.activations import evaluated, with_outputs
from whycam.export.verify.autodiff import Question
from whycam.export.verify.synthetic_images import scenes
from whycam.models.pruning import keep_outputs
from whycam.stream.inference.explainer import BEST

IMAGES, PAIRS, MOST = 8, 15, 3
"""Images, runs with and without maps, and layers of a network."""
GATES = ("Relu", "Clip")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a file computes."""

    maps: NDArray[np.float32]  # (N, K, h, w)
    classes: NDArray[np.int64]  # (N, K)
    features: NDArray[np.float32]  # (N, channels, h, w)
    gates: Sequence[NDArray[np.bool_]]
    """Which entries each gate behind the layer passes, (N, width)."""


def main() -> None:
    """Try it and add its row."""
    key, rows = sys.argv[1], Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        try:
            row = attempt(key, trials()[key].make(Path(folder)), Path(folder))
        except (NotHad, ValueError) as error:
            row = NetworkRow(key, sentence=str(error).replace(f"{folder}/", ""))
    with rows.open("a", encoding="utf-8") as file:
        file.write(row.to_json() + "\n")


def attempt(key: str, tried: Tried, folder: Path) -> NetworkRow:
    """The row of a network; raises `ValueError` if it cannot be explained."""
    row = NetworkRow(key, packages=packages(), machine=machine(), load=round(os.getloadavg()[0], 1))
    found, milliseconds = [], 0.0
    for name in chosen(tried):
        path = folder / "layer.onnx"
        wanted = replace(tried.wanted, layers=(name,) if name else (), name="tried")
        made = exporter.explainable(tried.classifier, wanted, print)
        about = save(made.model, made.about, path)
        layer = about.drawn_map().layer
        grid, accuracy = _accuracy(tried, made, layer)
        cost = [head_cost.measure(path, count, pairs=PAIRS) for count in (1, len(BEST))]
        milliseconds = milliseconds or cost[0].milliseconds
        whole = path.read_bytes()
        bare = len(keep_outputs(whole, ["scores"]))
        one, five = (round(each.median, 3) for each in cost)
        found.append(LayerRow(layer, grid, *accuracy, one, five, round((len(whole) - bare) / bare, 4)))
        print(found[-1], flush=True)
    return replace(row, layers=tuple(found), milliseconds=round(milliseconds, 1))


def chosen(tried: Tried) -> list[str]:
    """Up to three layers from the last one on: empty for the default, then the last of finer grids, or earlier ones."""
    made = exporter.explainable(tried.classifier, replace(tried.wanted, name="tried"), print)
    shown = made.about.feature
    known = [each.feature for each in exporter.layers(tried.classifier, tried.wanted, lambda _: None)]
    last = next((each for each in known if each.tensor == shown), known[-1])
    finer = {each.height: each.tensor for each in known if each.height > last.height}
    found = [finer[height] for height in sorted(finer)][: MOST - 1]
    same = [each.tensor for each in known if each.height == last.height and each.tensor != shown]
    earlier = [same[len(same) * part // 3] for part in (2, 1)] if len(same) > MOST else []
    return ["", *found, *earlier][:MOST]


def _accuracy(
    tried: Tried, made: exporter.Explainable, layer: str
) -> tuple[tuple[int, int], tuple[float | None, float | None, int | None, float | None]]:
    """The grid; median, most, images with flipped gates, and most in the others, of PyTorch's gradient in float64."""
    height, width = (dim.dim_value for dim in made.model.graph.input[0].type.tensor_type.shape.dim[1:3])
    images = scenes(IMAGES, height, width)
    seen = _seen(made, layer, images)
    grid = (seen.maps.shape[2], seen.maps.shape[3])
    framework = tried.classifier.framework
    assert framework is not None
    network = framework._network  # type: ignore[attr-defined]
    network.double()
    inputs = made.preprocessing.apply(images, made.channels)
    question = Question(inputs, seen.features, seen.classes, made.about.score, made.about.task, made.output)
    theirs = framework.autodiff(question)
    network.float()
    if theirs.heatmaps is None:
        return grid, (None, None, None, None)
    apart = np.abs(seen.maps - np.nan_to_num(theirs.heatmaps)).max((2, 3))  # (N, K)
    paired = [each.shape for each in seen.gates] == [each.shape for each in theirs.gates]
    flipped = np.zeros(len(images), bool)
    for ours, other in zip(seen.gates, theirs.gates, strict=False):
        flipped |= (ours != other).any(1) if paired else False
    rest = apart[~flipped] if paired else apart[:0]
    count = int(flipped.sum()) if paired else None
    most = float(rest.max()) if rest.size else None
    return grid, (float(np.median(apart)), float(apart.max()), count, most)


def _seen(made: exporter.Explainable, layer: str, images: NDArray[np.uint8]) -> Seen:
    model = made.model
    gates = _gates_behind(list(model.graph.node), layer)
    names = ["heatmaps", "classes", layer, *(node.output[0] for node in gates)]
    target = np.array([BEST] * len(images), np.int64)
    values = evaluated(with_outputs(model, names), names, images, target)
    height, width = values["heatmaps"].shape[2:]
    layered: NDArray[Any] = values[layer]
    if layered.ndim == 3:
        cells = layered[:, layered.shape[1] - height * width :]
        layered = cells.reshape(len(images), height, width, -1).transpose(0, 3, 1, 2)
    elif layered.shape[1:3] == (height, width) and layered.shape[2:] != (height, width):
        layered = layered.transpose(0, 3, 1, 2)
    passed = [_passed(node, values[node.output[0]]) for node in gates]
    return Seen(values["heatmaps"], values["classes"].astype(np.int64), layered, passed)


def _passed(node: NodeProto, output: NDArray[Any]) -> NDArray[np.bool_]:
    found = output > 0 if node.op_type == "Relu" else (output > output.min()) & (output < output.max())
    return np.asarray(found.reshape(len(output), -1))


def _gates_behind(nodes: Sequence[NodeProto], layer: str) -> list[NodeProto]:
    """The network's ReLUs and Clips behind a layer, in order."""
    behind, wanted, found = {layer}, {"scores"}, []
    for node in nodes:
        if not behind.isdisjoint(node.input):
            behind.update(node.output)
    for node in reversed(nodes):
        if wanted.isdisjoint(node.output):
            continue
        wanted.update(node.input)
        if node.op_type in GATES and not behind.isdisjoint(node.input):
            found.append(node)
    return found[::-1]


if __name__ == "__main__":
    main()
