"""The difference of two classes: what speaks for the first rather than for the second, and the other way round.

A signed map S_c = Σ_k α_k A_k, with α_k the mean of ∂z_c/∂A_k over the cells, is linear in the gradient of the logit
z_c. D = S_a − S_b is therefore exactly the signed Grad-CAM map of z_a − z_b. It is one map in two colours: relu(D) is
drawn for a, relu(−D) for b, both in parts of max |D|.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from whycam.models.contract import SIGNED, Contract, ContractError
from whycam.stream.inference.explanation import Explanation
from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes


def with_difference(maps: Sequence[DrawnMap], explanation: Explanation, index: int, view: View) -> tuple[DrawnMap, ...]:
    """The maps of one image of a batch; those of the view's two pinned classes are their difference if it asks for it.

    Without signed maps in the explanation, or if it lacks one of the classes, the maps remain as they are; each map
    says what it is (`DrawnMap.against`).
    """
    classes = explanation.classes[index].tolist()
    if explanation.signed is None or not view.compares or not {*view.pinned} <= {*classes}:
        return tuple(maps)
    first, second = view.pinned
    signed = explanation.signed[index]
    grids, peak = difference(signed[classes.index(first)], signed[classes.index(second)])
    labels = {each.class_id: each.label for each in maps}
    halves = {first: (grids[0], labels[second]), second: (grids[1], labels[first])}
    return tuple(
        replace(each, grid=halves[each.class_id][0], evidence=peak, against=halves[each.class_id][1])
        if each.class_id in halves
        else each
        for each in maps
    )


def difference(first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[tuple[Bytes, Bytes], float]:
    """Two signed maps (h, w): what speaks for the first and for the second, 255 for max |D|, and max |D|.

    Both are 0 everywhere, and max |D| is 0, if the maps are equal or not finite.
    """
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return (np.zeros(first.shape, np.uint8), np.zeros(first.shape, np.uint8)), 0.0
    signed = first.astype(np.float64) - second  # (h, w)
    peak = float(np.abs(signed).max(initial=0))
    parts = signed / (peak or 1.0)
    first_half, second_half = (np.rint(255 * np.maximum(part, 0)).astype(np.uint8) for part in (parts, -parts))
    return (first_half, second_half), peak


def check_difference(contract: Contract) -> None:
    """Raise `ContractError` if a model has no signed map of the layer that is drawn."""
    problem = difference_problem(contract)
    if problem:
        raise ContractError(problem)


def difference_problem(contract: Contract) -> str:
    """Why a model draws no difference, and what to do; empty if it has a signed map of the layer that is drawn."""
    if contract.signed_map() is not None:
        return ""
    layers = [f"'{each.layer}'" for each in contract.listed_maps() if each.method == SIGNED]
    remedy = f"Export it with one: `whycam export … --method {SIGNED}`, beside others."
    if layers:
        remedy = f"It has one of {', '.join(layers)}: draw a map of that layer, or export it with more."
    return (
        f"{contract.name} has no signed map of '{contract.drawn_map().layer}', of which a difference of two classes is "
        f"made. {remedy}"
    )
