"""Max poolings of a graph in float64 that can keep their choice: which cell of each window is the largest.

Where several cells tie, as the zeros behind a ReLU do, a max pooling has no derivative, and differences depend on the
direction. Frameworks give the gradient to the first of them. A pooling that keeps the choice of a point has exactly
that derivative there; where no cells tie, it is the derivative of the pooling.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper
from onnx.reference.op_run import OpRun

from whycam.export.verify.operators import windows_of

DOMAIN = "whycam.verify"
"""The operator's; onnx has none that takes a choice."""
OPSET = helper.make_opsetid(DOMAIN, 1)
CHOOSE: NDArray[np.int64] = np.zeros(0, np.int64)
"""In place of a kept choice: the pooling chooses."""


class KeptMaxPool(OpRun):  # type: ignore[misc, unused-ignore]
    """From a map (N, channels, h, w) and a choice, or `CHOOSE`, to the pooled map, and the choice that was used."""

    op_domain = DOMAIN

    def _run(self, x: NDArray[Any], kept: NDArray[np.int64], **_: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
        windows, out = windows_of(self.onnx_node, x.shape[2:])  # (pooled cells, cells of a window)
        flat = x.reshape(*x.shape[:2], -1)
        if not kept.size:
            seen = np.where(windows >= 0, flat[..., windows], -np.inf)
            kept = windows[np.arange(len(windows)), seen.argmax(-1)]  # the first of several that tie
        return np.take_along_axis(flat, kept, 2).reshape(*x.shape[:2], *out), kept


def keeping(node: NodeProto) -> NodeProto | None:
    """A max pooling over height and width as a `KeptMaxPool`; None for any other node."""
    given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if node.op_type != "MaxPool" or len(node.output) != 1 or len(given["kernel_shape"]) != 2:
        return None
    pooled = node.output[0]
    names = [pooled, chosen_by(pooled)]
    return helper.make_node("KeptMaxPool", [node.input[0], kept_by(pooled)], names, domain=DOMAIN, **given)


def kept_by(pooled: str) -> str:
    """The graph's input for the choice of the pooling whose output is `pooled`."""
    return f"{pooled}/kept"


def chosen_by(pooled: str) -> str:
    """The tensor that is that pooling's choice."""
    return f"{pooled}/chosen"
