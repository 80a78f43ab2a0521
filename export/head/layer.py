"""A layer as a CAM method reads it: its values, and the gradient by them, as tensors in the graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Literal

from whycam.export.graph.feature import Feature
from whycam.export.graph.onnx_graph import Graph

Source = Literal["layer", "input", "path"]
"""By what a method differentiates: a layer of the network, its input, or the points between zeros and its input."""


class Layer:
    """Each tensor is written into the graph when it is read first, so that a graph holds only what its methods need."""

    def __init__(
        self,
        graph: Graph,
        feature: Feature,
        sums: Callable[[], str],
        gradient: Callable[[], str],
        source: Source,
        logit_sums: Callable[[], str],
    ) -> None:
        """`sums` writes the gradient's sums over the cells (N, K, channels), `gradient` what `gradient` returns.

        `logit_sums` writes the same sums of the logit's gradient.
        """
        self.graph = graph
        self.feature = feature
        self.source = source
        self.gradient_read = False
        """Whether `gradient` was read since this was last set to False."""
        self.channels = feature.channels
        self.cells = feature.height * feature.width
        self._sums, self._gradient, self._logit_sums = sums, gradient, logit_sums

    @cached_property
    def alpha(self) -> str:
        """The gradient's mean over the cells, (N, K, channels)."""
        return self.graph.add("Mul", [self._sums(), self.graph.number(1 / self.cells)])

    @cached_property
    def logit_alpha(self) -> str:
        """The mean of the logit's gradient over the cells, (N, K, channels), whatever is explained."""
        return self.graph.add("Mul", [self._logit_sums(), self.graph.number(1 / self.cells)])

    @property
    def gradient(self) -> str:
        """The gradient at each cell, (N, K, channels, cells)."""
        self.gradient_read = True
        return self._at_cells

    @cached_property
    def _at_cells(self) -> str:
        return self._gradient()

    @cached_property
    def features(self) -> str:
        """The values A, (N, channels, cells)."""
        graph, feature = self.graph, self.feature
        values = feature.tensor
        if feature.skip:
            ends = graph.integers(feature.skip), graph.integers(feature.skip + self.cells), graph.integers(1)
            values = graph.add("Slice", [values, *ends])
        if not feature.channels_last:
            return graph.add("Reshape", [values, graph.integers(0, self.channels, self.cells)])
        rows = graph.add("Reshape", [values, graph.integers(0, self.cells, self.channels)])
        return graph.add("Transpose", [rows], perm=[0, 2, 1])

    @cached_property
    def wide(self) -> str:
        """The values beside a gradient, (N, 1, channels, cells)."""
        return self.graph.add("Unsqueeze", [self.features, self.graph.integers(1)])

    def for_each_class(self, maps: str) -> str:
        """Maps (N, 1, cells) as (N, K, cells)."""
        graph = self.graph
        size = graph.add("Concat", [graph.add("Shape", ["classes"]), graph.integers(self.cells)], axis=0)
        return graph.add("Expand", [maps, size])
