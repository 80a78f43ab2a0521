"""Chooses the layer that is drawn where nobody says one: the last whose mean gradient is not 0."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from whycam.export.graph.onnx_graph import PREFIX, Graph
from whycam.export.graph.sizes import Sizes
from whycam.export.head.ends import find_ends
from whycam.export.head.grad_cam import append_cam, prepared
from whycam.export.reverse.backward import UnsupportedLayer
from whycam.export.reverse.layers import candidates, find_layer
from whycam.models.contract import Task
from whycam.stream.inference.explainer import evaluate

MAX_TRIED = 12
"""Layers, from the last one on."""
ASKED = 8
"""Classes whose maps are looked at, on two images."""


def layer_named(model: ModelProto, name: str) -> str:
    """The tensor of a layer, by its name, its node's, or its grid; raises `UnsupportedLayer`."""
    graph = Graph(prepared(model))
    return find_layer(graph, Sizes(graph.model), name).tensor


def default_layer(model: ModelProto, task: Task | None = None) -> str | None:
    """The last layer of a classifier of `image` to which there is a reverse pass; None if there is none.

    The network's input is no layer of its: an image has colours, not features.

    Raises `UnsupportedLayer` if no class has evidence in any layer on two random images.
    """
    graph = Graph(prepared(model))
    sizes = Sizes(graph.model)
    logits = find_ends(graph, task).logits
    layers = [each.feature.tensor for each in candidates(graph, sizes, logits)]
    tried = [layer for layer in layers if not layer.startswith(PREFIX)][::-1][:MAX_TRIED]
    dead = False
    for layer in tried:
        shows = _shows(model, layer, task)
        if shows:
            return layer
        dead |= shows is False
    if dead:
        reason = "on random images no class has evidence in any layer, as with weights that are not trained"
        raise UnsupportedLayer(None, reason)
    return None


def _shows(model: ModelProto, layer: str, task: Task | None) -> bool | None:
    """Whether a class has evidence in a layer: where only a class token goes on, no other cell has a gradient.

    None if there is no reverse pass to it.
    """
    try:
        made = append_cam(model, task=task, layer=layer)
    except UnsupportedLayer:
        return None
    height, width = (dim.dim_value for dim in made.graph.input[0].type.tensor_type.shape.dim[1:3])
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3)).astype(np.uint8)
    classes = np.arange(min(ASKED, find_ends(Graph(made)).classes))
    feeds: dict[str, NDArray[Any]] = {"image": images, "target": np.stack([classes, classes])}
    (evidence,) = evaluate(made.SerializeToString(), feeds, ["evidence"])
    return bool((evidence > 0).any())
