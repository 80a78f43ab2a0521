"""The CAM methods by name: what is drawn of a feature map, given how each of its channels speaks for a class.

`export.verify.methods` says the same once more, from each method's definition; a file is held against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from whycam.export.head.onnx_graph import Graph
from whycam.models.contract import METHOD

MapRule = Callable[[Graph, str, str], str]
"""From α, the gradient averaged over the map's cells (N, K, channels), and the feature map A (N, channels, cells), to
the maps (N, K, cells) before they are normalised: never negative, and 0 where nothing speaks for the class."""


def grad_cam(graph: Graph, alpha: str, features: str) -> str:
    """relu(Σ_k α_k A_k) (Selvaraju et al. 2017, arXiv:1610.02391)."""
    return graph.add("Relu", [graph.add("MatMul", [alpha, features])])


METHODS: Mapping[str, MapRule] = MappingProxyType({METHOD: grad_cam})


def map_rule(name: str) -> MapRule:
    """The method of that name; raises `ValueError`."""
    if name not in METHODS:
        raise ValueError(f"There is no CAM method '{name}'. Choose one of {', '.join(METHODS)}.")
    return METHODS[name]
