"""Holds an explainable model file against float64 on its own activations, and against automatic differentiation.

The float64 reference shares nothing with the head: it runs the classifier's tail forward in NumPy and takes central
differences of the explained score, one channel of the feature map at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from export.cam import Feature, find_ends, find_tail
from export.graph import Graph
from models.contract import IR_VERSION, OPSET, Score
from stream.explainer import BEST, Explainer, evaluate

TOLERANCE = 1e-5
"""How far a heatmap in 0…1 may lie from float64 on the same activations."""
STEP = 1e-4
"""Of the central differences: small beside a feature map's values, large beside float64's rounding."""
CHUNK = 64

Floats = NDArray[np.float64]


class Disagreement(ArithmeticError):
    """A model's heatmaps are not those of its reference."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a file's heatmaps, which lie in 0…1, are from their references: the largest difference over all maps."""

    pictures: int
    maps: int
    empty: int
    """Maps without positive evidence, all zero here and in the reference."""
    float64: float
    """Against float64 on the same activations."""
    autodiff: float | None
    """Against automatic differentiation, where that was given."""

    def check(self, *, autodiff: float = 1e-3) -> None:
        """Raise `Disagreement` where a difference is above `TOLERANCE`, or above `autodiff` for the second kind."""
        if not self.float64 <= TOLERANCE:
            raise Disagreement(f"Heatmaps differ from float64 by {self.float64:.1e}, at most {TOLERANCE} is right.")
        if self.autodiff is not None and not self.autodiff <= autodiff:
            raise Disagreement(f"Heatmaps differ from autodiff by {self.autodiff:.1e}, at most {autodiff} is right.")

    def metadata(self) -> dict[str, float | int]:
        """What the model file says of it under `whycam.parity`, to three digits."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in values.items()}


def compare(
    path: Path,
    pictures: NDArray[np.uint8],
    targets: Sequence[int] | NDArray[np.int64] = BEST,
    *,
    autodiff: NDArray[np.floating] | None = None,
) -> Agreement:
    """Explain pictures (N, H, W, 3) with a model file, for K targets each, and compare its heatmaps.

    `autodiff` are the same heatmaps (N, K, h, w), normalised, by somebody else's automatic differentiation.
    """
    explainer = Explainer(path)
    contract = explainer.contract
    found = explainer.explain(pictures, targets)
    model = onnx.load(path)
    activations = feature_map(model, contract.feature, pictures)
    exact = reference(model, activations, found.classes, contract.score)
    return Agreement(
        pictures=len(pictures),
        maps=found.evidence.size,
        empty=int(np.sum((found.evidence == 0) & (exact.max(axis=(2, 3)) == 0))),
        float64=float(np.abs(found.heatmaps - exact).max()),
        autodiff=None if autodiff is None else float(np.abs(found.heatmaps - autodiff).max()),
    )


def feature_map(model: ModelProto, feature: str, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The last feature map of an explainable model, [N, channels, h, w] or [N, h, w, channels] as the graph has it."""
    opened = ModelProto()
    opened.CopyFrom(model)
    opened.graph.output.append(helper.make_tensor_value_info(feature, TensorProto.FLOAT, None))
    target = np.zeros((len(pictures), 0), np.int64)
    (activations,) = evaluate(opened.SerializeToString(), {"image": pictures, "target": target}, [feature])
    return activations


def reference(model: ModelProto, activations: NDArray[np.float32], classes: NDArray[np.int64], score: Score) -> Floats:
    """Grad-CAM by definition, in float64: the heatmaps (N, K, h, w) of classes (N, K) on given activations."""
    graph = Graph(model)
    ends = find_ends(graph)
    feature, _ = find_tail(graph, ends)
    tail = _tail(graph, feature, ends.logits)
    explained = {"probability": _log_odds, "logit": _logit}[score]
    maps = [
        _heatmaps(tail, explained, feature, picture.astype(np.float64), chosen)
        for picture, chosen in zip(activations, classes, strict=True)
    ]
    return np.stack(maps)


def _heatmaps(
    tail: Callable[[Floats], Floats],
    explained: Callable[[Floats, NDArray[np.int64]], Floats],
    feature: Feature,
    activation: Floats,
    classes: NDArray[np.int64],
) -> Floats:
    """The heatmaps (K, h, w) of one picture."""
    alpha = np.empty((len(classes), feature.channels))
    for start in range(0, feature.channels, CHUNK):
        channels = range(start, min(start + CHUNK, feature.channels))
        shift = np.zeros((len(channels), *activation.shape))
        for row, channel in enumerate(channels):
            shift[row][(..., channel) if feature.channels_last else channel] = STEP
        up, down = explained(tail(activation + shift), classes), explained(tail(activation - shift), classes)
        # Shifting a whole channel adds up the gradients of its cells; α is their mean.
        alpha[:, channels] = ((up - down) / (2 * STEP * feature.height * feature.width)).T
    layout = "kc,hwc->khw" if feature.channels_last else "kc,chw->khw"
    maps: Floats = np.maximum(np.einsum(layout, alpha, activation), 0)
    peak = maps.max(axis=(1, 2), keepdims=True)
    shown = np.zeros_like(maps)
    np.divide(maps, peak, out=shown, where=peak > 0)
    return shown


def _logit(logits: Floats, classes: NDArray[np.int64]) -> Floats:
    chosen: Floats = logits[:, classes]  # (M, C) -> (M, K)
    return chosen


def _log_odds(logits: Floats, classes: NDArray[np.int64]) -> Floats:
    """log(p / (1 − p)) = z_c − log Σ_{i≠c} exp z_i."""
    odds = np.empty((len(logits), len(classes)))
    for column, chosen in enumerate(classes):
        others = np.delete(logits, chosen, axis=1)
        top = others.max(axis=1)
        odds[:, column] = logits[:, chosen] - top - np.log(np.exp(others - top[:, None]).sum(axis=1))
    return odds


def _tail(graph: Graph, feature: Feature, logits: str) -> Callable[[Floats], Floats]:
    """The classifier from its last feature map to its logits, in float64."""
    nodes, constants = [], {}
    wanted, met = [logits], set()
    while wanted:
        tensor = wanted.pop()
        if tensor == feature.tensor or tensor in met or not tensor:
            continue
        met.add(tensor)
        value = graph.constant(tensor)
        node = graph.producer(tensor)
        if value is not None:
            constants[tensor] = value.astype(np.float64) if value.dtype == np.float32 else value
        elif node is not None:
            nodes.append(node)
            wanted += node.input
    order = {node.output[0]: place for place, node in enumerate(graph.model.graph.node)}
    part = helper.make_graph(
        sorted(nodes, key=lambda node: order[node.output[0]]),
        "tail",
        [helper.make_tensor_value_info(feature.tensor, TensorProto.DOUBLE, None)],
        [helper.make_tensor_value_info(logits, TensorProto.DOUBLE, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    evaluator = ReferenceEvaluator(
        helper.make_model(part, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    )

    def run(activations: Floats) -> Floats:
        (found,) = evaluator.run(None, {feature.tensor: activations})
        return np.asarray(found, np.float64).reshape(len(activations), -1)

    return run
