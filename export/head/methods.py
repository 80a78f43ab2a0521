"""The CAM methods by name: from a feature map and each channel's weight for a class to the map that is drawn.

`export.verify.methods` implements the same methods independently, from their definitions, to check model files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from whycam.export.graph.onnx_graph import Graph
from whycam.models.contract import METHOD

MapRule = Callable[[Graph, str, str], str]
"""From α, the gradient averaged over the map's cells (N, K, channels), and the feature map A (N, channels, cells), to
the maps (N, K, cells) before normalisation: never negative, and 0 without positive evidence for the class."""


def grad_cam(graph: Graph, alpha: str, features: str) -> str:
    """relu(Σ_k α_k A_k) (Selvaraju et al. 2017, arXiv:1610.02391)."""
    return graph.add("Relu", [graph.add("MatMul", [alpha, features])])


METHODS: Mapping[str, MapRule] = MappingProxyType({METHOD: grad_cam})


def map_rule(name: str) -> MapRule:
    """The method of that name; raises `ValueError` for an unknown one."""
    if name not in METHODS:
        raise ValueError(f"There is no CAM method '{name}'. Choose one of {', '.join(METHODS)}.")
    return METHODS[name]
