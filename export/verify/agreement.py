"""Compares a model file's heatmaps with float64 on its own activations, and with automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from whycam.export.verify.activations import BATCH, Activations, evaluated, with_outputs
from whycam.export.verify.autodiff import Autodiff
from whycam.export.verify.directional import Directional
from whycam.export.verify.methods import OF_PIXELS, ON_A_WAY, in_blocks
from whycam.export.verify.placement import MAX_SHIFT, Probe
from whycam.export.verify.reference import Reference
from whycam.models.class_set import ClassSet
from whycam.models.contract import HEATMAPS, METHOD, MULTI_LABEL, SIGNED, Contract, MapSpec, Score
from whycam.models.taught_model import put_in
from whycam.stream.inference.explainer import BEST, Explainer, checked_targets
from whycam.stream.inference.map_region import place

TOLERANCE = 1e-5
"""Largest allowed difference of a heatmap, 0…1, from float64 on the same activations."""
MEDIAN_TOLERANCE = 2e-5
"""The same for maps of an inner layer, in the median over them."""
WAY_TOLERANCE = 1e-4
"""The same for a mean over many points, at each of which another gate may flip between float32 and float64."""
EPSILON = float(np.finfo(np.float32).eps)
MAX_CANCELLED = 10
"""By how much `TOLERANCE` may grow for a map whose terms cancel, of which float32 holds less."""
DEVIATION_TOLERANCE = 1e-3
"""Largest allowed difference of an activation after the feature map from float64, relative to its tensor's maximum."""
AUTODIFF_TOLERANCE = 2e-5
"""Largest allowed median difference from automatic differentiation, which evaluates the network differently."""
SCORE_TOLERANCE = 1e-4
"""Largest allowed difference of a probability from that of the original network."""
PROBED = 2
"""Images on which the place of the maps is checked."""

UNWRITTEN = ("images", "method", "shift", "float64_limit")
"""What of an agreement is not in a model file, or under another name."""
Ask = Callable[[NDArray[np.int64], NDArray[np.float32]], Autodiff]
"""From the classes (N, K) and the feature map (N, channels, h, w) to what a framework says of them."""


class Disagreement(ValueError):
    """A model's heatmaps differ from those of its reference."""


class Check(NamedTuple):
    """One comparison: 'X differ' by `value`, of which at most `limit` is allowed; None: not compared."""

    name: str
    value: float | None
    limit: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """The differences of a file's heatmaps, 0…1, from their references."""

    images: int
    maps: int
    empty: int
    """Maps without positive evidence, all zero here and in the reference."""
    float64: float
    """The difference from float64 on the same activations, of the map that comes closest to its limit."""
    float64_limit: float = TOLERANCE
    """This map's limit: above `TOLERANCE` where terms cancel, because float32 holds less of such a map."""
    float64_median: float | None = None
    """The median over the maps; only for an inner layer, behind which gates flip between float32 and float64."""
    deviation: float | None = None
    """The largest difference of the activations after the feature map from float64, relative to each tensor's maximum;
    None for a network that rounds there, because its kernels may saturate on some processors."""
    autodiff: float | None = None
    """The largest difference from automatic differentiation, over the maps that can be compared."""
    autodiff_median: float | None = None
    """The median over those maps of each map's largest difference."""
    flipped: int | None = None
    """Maps excluded from that: a unit of the dense layers is clipped in one network and not in the other, so every map
    of its image changes. The unit is within float32's rounding of the bound, as the scores show."""
    saturated: int | None = None
    """Maps excluded from that: the probability rounds to 1 or 0, where automatic differentiation gives 0/0."""
    scores: float | None = None
    """The largest difference of a probability."""
    method: str = METHOD
    """By whose definition they were compared."""
    shift: float = 0.0
    """How far the maps are drawn from what the feature map responds to, in cells."""

    def checks(self) -> tuple[Check, ...]:
        """What was compared, with its limit."""
        return (
            self._from_float64(),
            Check("The layers after the feature map differ from float64", self.deviation, DEVIATION_TOLERANCE),
            Check("Heatmaps differ from autodiff in the median", self.autodiff_median, AUTODIFF_TOLERANCE),
            Check("Probabilities differ from the network's", self.scores, SCORE_TOLERANCE),
            Check("Heatmaps are shifted, in cells,", self.shift, MAX_SHIFT),
        )

    def _from_float64(self) -> Check:
        name = f"Heatmaps differ from {self.method} in float64"
        if self.float64_median is None:
            return Check(name, self.float64, self.float64_limit)
        limit = WAY_TOLERANCE if self.method in ON_A_WAY else MEDIAN_TOLERANCE
        return Check(f"{name} in the median", self.float64_median, limit)

    def check(self) -> None:
        """Raise `Disagreement` if a difference is above its limit."""
        if self.shift == float("inf"):
            raise Disagreement(
                "Where patches are put on images, the feature map does not change most at their place, or hardly at "
                "all, so it cannot be said which part of the image a cell of the heatmap belongs to."
            )
        for name, value, limit in self.checks():
            if value is not None and not value <= limit:  # also for NaN
                raise Disagreement(f"{name} by {value:.1e}, at most {limit:.2g} is allowed.")

    def metadata(self) -> dict[str, float | int]:
        """The entry `whycam.parity` of the model file, to three digits; it calls the images `pictures`."""
        found = {name: value for name, value in asdict(self).items() if name not in UNWRITTEN}
        values = {"pictures": self.images} | {name: value for name, value in found.items() if value is not None}
        return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in values.items()}

    def __str__(self) -> str:
        text = f"{self.maps} heatmaps of {self.images} images: at most {self.float64:.1e} from float64"
        if self.flipped is None:
            return f"{text} ({self.empty} empty)"
        if self.autodiff is not None:
            text += f"; from automatic differentiation {self.autodiff_median:.1e} (median), {self.autodiff:.1e} (most)"
        return f"{text}; left out: {self.flipped} with a flipped gate, {self.saturated} saturated, {self.empty} empty"


def metadata_of(agreements: Mapping[str, Agreement]) -> dict[str, Any]:
    """The entry `whycam.parity` of a file: that of `heatmaps`, and under `maps` those of its other outputs."""
    others = {output: each.metadata() for output, each in agreements.items() if output != HEATMAPS}
    return agreements[HEATMAPS].metadata() | ({"maps": others} if others else {})


def compare(
    path: Path,
    images: NDArray[np.uint8],
    targets: Sequence[int] | NDArray[np.int64] = BEST,
    *,
    autodiff: Ask | None = None,
    output: str = HEATMAPS,
    class_set: ClassSet | None = None,
) -> Agreement:
    """Explain images (N, H, W, 3) with a model file, for K targets each, and compare the maps of one of its outputs.

    `autodiff` gets the classes (N, K) that the file explained, and its feature map (N, channels, h, w), and explains
    them for the first of these images, or for all. With a `class_set` the file runs with that last layer, and what it
    gives, scores included, is compared with the network that has this layer. Raises `Disagreement` if the file's
    heatmaps change when its activations become outputs.
    """
    contract = Explainer(path).contract
    spec, score = contract.map_of(output), contract.score
    grid = contract.input_size if spec.method in OF_PIXELS else spec.grid
    target = checked_targets(contract, targets, len(images), class_set)
    if not target.size:
        raise ValueError("There is nothing to compare: give one image or more, and one target or more for each.")
    few = slice(0, BATCH)
    drawn, scores = _explained(path, contract, spec, images[few], target[few], class_set)
    probe = Probe(images[:PROBED], spec.region)
    load = partial(_network, path, contract, class_set)
    embedding = [contract.last_layer.embedding] if contract.last_layer and class_set is not None else []
    seen, read, probed = _recorded(load, spec, grid, images, target, probe, embedding)
    reference = _reference(load(), spec, grid)
    maps, classes = seen[spec.output], seen["classes"].astype(np.int64)
    # With further outputs, fused kernels may be split. In an 8-bit network that changes some roundings, and in a rare
    # image another order of summation flips a gate. Hence the median.
    if not _median_difference(drawn, place(maps[few], spec.region), _unit(maps[few], spec)) <= TOLERANCE:
        raise Disagreement(f"{path.name} gives other heatmaps when its activations are outputs.")
    agreement = replace(
        _by_float64(reference, read, score, spec),
        shift=probe.shift(in_blocks(reference.channels_first(probed), spec.grid)).largest,
    )
    if class_set is not None:
        return replace(agreement, scores=_off(scores, contract, class_set, seen))
    if autodiff is None:
        return agreement
    gates = reference.gates(seen) if isinstance(reference, Reference) else []
    scores, features = seen["scores"], reference.channels_first(seen[spec.layer])
    del reference, seen  # releases VGG16's weights, because `autodiff` needs memory for its own
    return _with_autodiff(agreement, autodiff(classes, features), maps, scores, gates, spec)


def _network(path: Path, contract: Contract, class_set: ClassSet | None) -> ModelProto:
    """The file's model, with a class set's last layer put in."""
    model = onnx.load(path)
    if class_set is not None:
        assert contract.last_layer is not None  # `checked_targets` has seen it
        put_in(model, contract.last_layer, class_set)
    return model


def _off(scores: NDArray[np.float32], contract: Contract, class_set: ClassSet, seen: Activations) -> float:
    """The largest difference of probabilities (N, C) from those of a class set's layer in float64."""
    assert contract.last_layer is not None
    rows = seen[contract.last_layer.embedding][: len(scores)].astype(np.float64)
    logits = rows @ class_set.weights.astype(np.float64) + class_set.bias
    if contract.task == MULTI_LABEL:
        exact = 1 / (1 + np.exp(-logits))
    else:
        powers = np.exp(logits - logits.max(1, keepdims=True))
        exact = powers / powers.sum(1, keepdims=True)
    return float(np.abs(scores - exact).max())


def _explained(
    path: Path,
    contract: Contract,
    spec: MapSpec,
    images: NDArray[np.uint8],
    target: NDArray[np.int64],
    class_set: ClassSet | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The maps as they are drawn, or, of signed ones, as they go with those of their layer; and the scores."""
    if spec.method != SIGNED:
        found = Explainer(path, output=spec.output).explain(images, target, class_set)
        return found.heatmaps, found.scores
    beside = next((each.output for each in contract.drawable_maps() if each.layer == spec.layer), HEATMAPS)
    found = Explainer(path, output=beside, signed=True).explain(images, target, class_set)
    if found.signed is None:
        raise Disagreement(f"{path.name} has no map of '{spec.layer}' with which '{spec.output}' could be drawn.")
    return found.signed, found.scores


def _recorded(
    load: Callable[[], ModelProto],
    spec: MapSpec,
    grid: tuple[int, int],
    images: NDArray[np.uint8],
    target: NDArray[np.int64],
    probe: Probe,
    embedding: Sequence[str] = (),
) -> tuple[Activations, Activations, NDArray[np.float32]]:
    """The activations that a comparison needs: of all images, of those for float64, and the layer's of a probe."""
    model = load()
    reference = _reference(model, spec, grid)
    names = ["scores", "classes", spec.output, *([spec.maxima] if spec.maxima else []), *reference.needed]
    names += [name for name in embedding if name not in names]
    differs = isinstance(reference, Directional)
    inner = [spec.gradient] if differs and spec.gradient else []
    # Differences need one batch, with the sizes that it has; in front of them the whole network takes long.
    once = images[: _asked(spec)] if differs else images
    opened = with_outputs(model, names + inner)
    del model, reference  # loaded again later: the session has its own copy of half a gigabyte of weights
    seen = evaluated(opened, names, images, target)
    read = evaluated(opened, names + inner, once, target[: len(once)]) if differs else seen
    best = np.full((len(probe.images), 1), -1, np.int64)
    return seen, read, evaluated(opened, [spec.layer], probe.images, best)[spec.layer]


def _asked(spec: MapSpec) -> int:
    """On how many images differences are taken: the whole network is evaluated for a map of pixels, or many times."""
    if spec.method in ON_A_WAY:
        return 1
    return 2 if spec.method in OF_PIXELS else BATCH


def _reference(model: ModelProto, spec: MapSpec, grid: tuple[int, int]) -> Reference | Directional:
    """The derivatives that are written down, where they are all there; else differences in float64."""
    reference = Reference(model, spec.layer, grid)
    written = reference.covers and spec.method not in ON_A_WAY
    return reference if written else Directional(model, spec.layer, grid)


def _by_float64(
    reference: Reference | Directional, seen: dict[str, NDArray[np.float32]], score: Score, spec: MapSpec
) -> Agreement:
    maps, images, method = seen[spec.output], len(seen[spec.output]), spec.method
    empty = (maps == 0).all((2, 3))  # (N, K)
    if isinstance(reference, Directional):
        found = reference.compare(seen, score, spec)
        return Agreement(
            images=images,
            maps=empty.size,
            empty=int(empty.sum()),
            float64=float(found.each.max(initial=0)),
            float64_median=float(np.median(found.each)),
            deviation=found.deviation,
            method=method,
        )
    exact, cancelled = reference.defined(seen, seen["classes"].astype(np.int64), score, method)
    held = np.clip(cancelled * EPSILON / TOLERANCE, 1, MAX_CANCELLED)
    apart = np.abs(maps - exact).max((2, 3)) / _unit(exact, spec)  # (N, K)
    worst = np.unravel_index(np.argmax(apart / held), apart.shape)  # one map beyond its own limit is one too many
    return Agreement(
        images=images,
        maps=empty.size,
        empty=int(np.sum(empty & (exact == 0).all((2, 3)))),
        float64=float(apart[worst]),
        float64_limit=float(TOLERANCE * held[worst]),
        deviation=None if reference.rounds else reference.deviation(seen),
        method=method,
    )


def _unit(maps: NDArray[Any], spec: MapSpec) -> NDArray[Any]:
    """In what differences of maps are counted, (N, K): 1, or of signed maps, which are not normalised, the largest."""
    if spec.method != SIGNED:
        return np.ones(maps.shape[:2])
    largest = np.abs(maps).max((2, 3))
    return np.where(largest > 0, largest, 1)


def _median_difference(drawn: NDArray[np.float32], maps: NDArray[np.float32], unit: NDArray[Any] | float = 1) -> float:
    """The median of each map's largest difference, over the maps that are not empty in both."""
    shown = ((drawn != 0) | (maps != 0)).any((2, 3))  # (N, K)
    apart = np.abs(drawn - maps).max((2, 3)) / unit
    return float(np.median(apart[shown])) if shown.any() else 0.0


def _with_autodiff(
    agreement: Agreement,
    autodiff: Autodiff,
    maps: NDArray[np.float32],
    scores: NDArray[np.float32],
    gates: Sequence[NDArray[np.bool_]],
    spec: MapSpec,
) -> Agreement:
    count = next(len(each) for each in (autodiff.heatmaps, autodiff.scores) if each is not None)
    maps, scores, gates = maps[:count], scores[:count], [each[:count] for each in gates]
    apart = None if autodiff.scores is None else float(np.abs(scores - autodiff.scores).max())
    if autodiff.heatmaps is None:
        return replace(agreement, scores=apart)
    flipped = np.zeros(len(maps), bool)
    if len(autodiff.gates) == len(gates):
        for ours, theirs in zip(gates, autodiff.gates, strict=True):
            flipped |= (ours != theirs).any(1)
    finite = np.isfinite(autodiff.heatmaps).all((2, 3))  # (N, K)
    saturated = ~finite & (maps > 0).any((2, 3)) & ~flipped[:, None]
    compared = finite & ~flipped[:, None]
    worst = (np.abs(maps - autodiff.heatmaps).max((2, 3)) / _unit(autodiff.heatmaps, spec))[compared]
    return replace(
        agreement,
        autodiff=float(worst.max()) if worst.size else None,
        autodiff_median=float(np.median(worst)) if worst.size else None,
        flipped=int(flipped.sum()) * maps.shape[1],
        saturated=int(saturated.sum()),
        scores=apart,
    )
