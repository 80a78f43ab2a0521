"""What a rule of the reverse pass is, and the part of a gradient that it may return."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from onnx import NodeProto

from whycam.export.reverse.backward import Backward, Gradient


class Part(NamedTuple):
    """The gradient of a slice of a tensor: the rest of its entries along the axis is 0."""

    gradient: Gradient
    axis: int
    start: int


Rule = Callable[[Backward, NodeProto, int, Gradient], Gradient | Part]
"""From a node, the place of an input and the gradient by the output to the gradient by that input."""
