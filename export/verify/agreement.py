"""Holds an explainable model file against float64 on its own activations, and against automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto, external_data_helper

from whycam.export.verify.reference import Reference
from whycam.stream.inference.explainer import BEST, Explainer, checked_targets, evaluate

TOLERANCE = 1e-5
"""How far any heatmap in 0…1 may lie from float64 on the same activations."""
DEVIATION_TOLERANCE = 1e-3
"""How far an activation behind the feature map may lie from its float64 value, relative to its tensor's largest."""
AUTODIFF_TOLERANCE = 2e-5
"""How far half of the heatmaps may lie from automatic differentiation, which computes the network its own way."""
SCORE_TOLERANCE = 1e-4
"""How far a probability may lie from that of the network which automatic differentiation ran."""
BATCH = 4
"""Images that are explained at a time: VGG16's first layers take 60 MB for each."""


class Disagreement(ValueError):
    """A model's heatmaps are not those of its reference."""


class Autodiff(NamedTuple):
    """What automatic differentiation says of the same images and classes."""

    heatmaps: NDArray[np.floating]
    """(N, K, h, w), normalised; no number where the framework divides 0 by 0."""
    gates: Sequence[NDArray[np.bool_]] = ()
    """(N, width) for each ReLU and Clip of the classifier's tail, the first layer's first: which entries pass."""
    scores: NDArray[np.floating] | None = None
    """(N, C) probabilities."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a file's heatmaps, which lie in 0…1, are from their references."""

    images: int
    maps: int
    empty: int
    """Maps without positive evidence, all zero here and in the reference."""
    float64: float
    """Against float64 on the same activations: the largest difference over all maps."""
    deviation: float | None = None
    """How far the network's activations behind the feature map are from those evaluated in float64, relative to each
    tensor's largest value; None for a network that rounds there, whose kernels may saturate on some processors."""
    autodiff: float | None = None
    """Against automatic differentiation: the largest difference over the maps that can be compared."""
    autodiff_median: float | None = None
    """The median over those maps of each map's largest difference."""
    flipped: int | None = None
    """Maps left out of that: a unit of the dense layers is clipped here and not there, so every map of its image
    moves. It lies within float32's rounding of the bound, as the scores show."""
    saturated: int | None = None
    """Maps left out of that: the probability rounds to 1 or 0, where automatic differentiation yields 0/0."""
    scores: float | None = None
    """The largest difference of a probability."""

    def check(self) -> None:
        """Raise `Disagreement` where a difference is above what is right."""
        for name, value, limit in (
            ("Heatmaps differ from float64", self.float64, TOLERANCE),
            ("The layers behind the feature map differ from float64", self.deviation, DEVIATION_TOLERANCE),
            ("Heatmaps differ from autodiff in the median", self.autodiff_median, AUTODIFF_TOLERANCE),
            ("Probabilities differ from the network's", self.scores, SCORE_TOLERANCE),
        ):
            if value is not None and not value <= limit:  # no number is not right either
                raise Disagreement(f"{name} by {value:.1e}, at most {limit} is right.")

    def metadata(self) -> dict[str, float | int]:
        """What the model file says of it under `whycam.parity`, to three digits; there images are `pictures`."""
        values = {"pictures": self.images} | {k: v for k, v in asdict(self).items() if k != "images" and v is not None}
        return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in values.items()}

    def __str__(self) -> str:
        text = f"{self.maps} heatmaps of {self.images} images: at most {self.float64:.1e} from float64"
        if self.flipped is None:
            return f"{text} ({self.empty} empty)"
        if self.autodiff is not None:
            text += f"; from automatic differentiation {self.autodiff_median:.1e} (median), {self.autodiff:.1e} (most)"
        return f"{text}; left out: {self.flipped} with a flipped gate, {self.saturated} saturated, {self.empty} empty"


def compare(
    path: Path,
    images: NDArray[np.uint8],
    targets: Sequence[int] | NDArray[np.int64] = BEST,
    *,
    autodiff: Callable[[NDArray[np.int64]], Autodiff] | None = None,
) -> Agreement:
    """Explain images (N, H, W, 3) with a model file, for K targets each, and compare its heatmaps.

    `autodiff` is given the classes (N, K) that the file explained, and answers for the same images. Raises
    `Disagreement` where the file explains otherwise than the same graph does under observation.
    """
    explainer = Explainer(path)
    score, feature = explainer.contract.score, explainer.contract.feature
    method = explainer.contract.drawn_map().method
    target = checked_targets(explainer.contract, targets, len(images))
    if not target.size:
        raise ValueError("There is nothing to compare: give one image or more, and one target or more for each.")
    few = slice(0, BATCH)
    drawn = explainer.explain(images[few], target[few]).heatmaps
    del explainer  # a session of VGG16 takes 1 GB, and the next one comes
    model = onnx.load(path)
    names = ["scores", "classes", "heatmaps", *Reference(model, feature).needed]
    opened = _with_outputs(model, names)
    del model  # read again below: half a gigabyte of weights, beside a session that has its own
    seen = _evaluated(opened, names, images, target)
    del opened
    reference = Reference(onnx.load(path), feature)
    maps, classes = seen["heatmaps"], seen["classes"].astype(np.int64)
    # Two runs of one graph, with and without further outputs: kernels that were fused may come apart (in an 8-bit
    # network, where a rounding may then fall otherwise), and in a rare image another summation flips a gate.
    if not _median_difference(drawn, maps[few]) <= TOLERANCE:
        raise Disagreement(f"{path.name} does not draw the same heatmaps when its activations are read.")
    exact = reference.heatmaps(seen, classes, score, method)
    empty = (maps == 0).all((2, 3))  # (N, K)
    agreement = Agreement(
        images=len(images),
        maps=empty.size,
        empty=int(np.sum(empty & (exact == 0).all((2, 3)))),
        float64=float(np.abs(maps - exact).max(initial=0)),
        deviation=None if reference.rounds else reference.deviation(seen),
    )
    if autodiff is None:
        return agreement
    scores, gates = seen["scores"], reference.gates(seen)
    del reference, seen  # VGG16's weights, before somebody else needs room for theirs
    return _with_autodiff(agreement, autodiff(classes), maps, scores, gates)


def _median_difference(drawn: NDArray[np.float32], maps: NDArray[np.float32]) -> float:
    """The median of each map's largest difference, over the maps that are not empty in both."""
    shown = ((drawn != 0) | (maps != 0)).any((2, 3))  # (N, K)
    return float(np.median(np.abs(drawn - maps).max((2, 3))[shown])) if shown.any() else 0.0


def observe(
    model: ModelProto, tensors: Sequence[str], images: NDArray[np.uint8], targets: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """Tensors inside an explainable model, by name, for images and targets (N, K)."""
    return _evaluated(_with_outputs(model, tensors), tensors, images, targets)


def _with_outputs(model: ModelProto, tensors: Sequence[str]) -> bytes:
    outputs = {output.name for output in model.graph.output}
    if any(external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer):
        raise ValueError("The model's weights lie in a file beside it and are not read. Open it with onnx.load(path).")
    added = [name for name in dict.fromkeys(tensors) if name not in outputs]
    model.graph.output.extend(ValueInfoProto(name=name) for name in added)  # onnxruntime knows their types
    opened: bytes = model.SerializeToString()
    del model.graph.output[len(outputs) :]
    return opened


def _evaluated(
    opened: bytes, tensors: Sequence[str], images: NDArray[np.uint8], targets: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    values = evaluate(opened, {"image": images, "target": targets}, list(tensors), batch=BATCH)
    return dict(zip(tensors, values, strict=True))


def _with_autodiff(
    agreement: Agreement,
    autodiff: Autodiff,
    maps: NDArray[np.float32],
    scores: NDArray[np.float32],
    gates: Sequence[NDArray[np.bool_]],
) -> Agreement:
    flipped = np.zeros(len(maps), bool)
    for ours, theirs in zip(gates, autodiff.gates or gates, strict=True):
        flipped |= (ours != theirs).any(1)
    finite = np.isfinite(autodiff.heatmaps).all((2, 3))  # (N, K)
    saturated = ~finite & (maps > 0).any((2, 3)) & ~flipped[:, None]
    compared = finite & ~flipped[:, None]
    worst = np.abs(maps - autodiff.heatmaps).max((2, 3))[compared]
    return replace(
        agreement,
        autodiff=float(worst.max()) if worst.size else None,
        autodiff_median=float(np.median(worst)) if worst.size else None,
        flipped=int(flipped.sum()) * maps.shape[1],
        saturated=int(saturated.sum()),
        scores=None if autodiff.scores is None else float(np.abs(scores - autodiff.scores).max()),
    )
