"""Appends an exact Grad-CAM to a classifier's ONNX graph, in closed form: no gradient operator, stock operators only.

Grad-CAM for class c weights the feature map A[k, i, j] by the spatial mean of the gradient:

    α_k = 1/(H·W) Σ_ij ∂y_c/∂A_kij        heatmap_c = relu(Σ_k α_k A_k) / max

After the last feature map a classifier is a chain of operators whose gradient is known from the weights and the
forward pass: `closed_form` walks back through it. For any other layer, and for methods that need the gradient at each
cell, `reverse_pass` does. `methods` defines the maps of both.

For `score="probability"`, y_c is the log-odds log(p_c / (1 − p_c)). Its gradient is that of p_c without the factor
p_c (1 − p_c) > 0, which cancels in the normalised map, so the heatmap is the probability's. It is also defined where
p_c rounds to 1 and automatic differentiation of p_c returns 0/0. For `score="logit"`, y_c is the logit z_c. In a
multi-label classifier p_c is the sigmoid of z_c, so its log-odds are z_c.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from onnx import ModelProto, NodeProto

from whycam.export.graph.feature import Feature
from whycam.export.graph.global_pools import name_global_pools
from whycam.export.graph.observed_sizes import observe_sizes
from whycam.export.graph.onnx_graph import PREFIX, Graph, rename
from whycam.export.graph.opset import converted
from whycam.export.graph.sizes import Sizes
from whycam.export.head.closed_form import Gradient, by_channel
from whycam.export.head.ends import Ends, find_ends
from whycam.export.head.layer import Layer, Source
from whycam.export.head.maps import close, draw_maps, outputs_of
from whycam.export.head.methods import Method, find_method
from whycam.export.head.reverse_pass import ReversePass, input_layer
from whycam.export.head.seeds import resolved_classes, seed_of
from whycam.export.head.tail import find_tail
from whycam.export.reverse.layers import find_layer
from whycam.models.contract import METHOD, MULTI_LABEL, OUTPUTS, Score, Task


def append_cam(
    model: ModelProto,
    *,
    score: Score = "probability",
    method: str | Sequence[str] = METHOD,
    task: Task | None = None,
    layer: str | Sequence[str] | None = None,
) -> ModelProto:
    """A copy of a plain classifier with the input `target` and the outputs of the contract (see `models.contract`).

    The classifier keeps its input; its single output, probabilities or logits, becomes `scores`. `task` says what
    logits are for, one class of many by default. `layer` is a tensor whose maps are drawn; by default it is the last
    feature map, for which the closed form needs less than the reverse pass. Of several layers and methods every layer
    gets a map by every method; `heatmaps` is the first, the others are `heatmaps_2` and so on, with `evidence_2`. A
    method by the network's input has no layer.

    Raises `UnsupportedTail` if the closed form does not cover the tail, `UnsupportedLayer` if there is no reverse pass
    to a layer, `ValueError` for a model that is not a classifier of images with a fixed size and a dynamic batch, or
    that has another task, and for a `method` that is not in `export.head.methods`.
    """
    methods = {name: find_method(name) for name in ([method] if isinstance(method, str) else method)}
    layers: list[str | None] = [layer] if layer is None or isinstance(layer, str) else list(dict.fromkeys(layer))
    graph = Graph(prepared(model, len(layers) * len(methods)))
    ends = find_ends(graph, task)
    plain = layers == [None] and list(methods) == [METHOD]  # needs no sizes of the network's other tensors
    sizes = None if plain else Sizes(graph.model)
    found = _found(graph, sizes, ends, layers, methods)

    probabilities = ends.probabilities or _activated(graph, ends)
    graph.add("Reshape", [probabilities, graph.integers(-1, ends.classes)], "scores")
    logits = graph.add("Reshape", [ends.logits, graph.integers(-1, ends.classes)])  # (N, C)
    classes = resolved_classes(graph, logits, ends.classes)  # (N, K)
    seed = seed_of(score, ends.task)
    gradient = Gradient(seed(graph, classes, logits, ends.classes), ends.classes)
    reverse = ReversePass(graph, sizes, ends, seed, gradient.tensor) if sizes else None
    made = [_layer(graph, given, gradient, reverse) for given in found]
    return close(graph, ends.classes, draw_maps(graph, made, methods))


class Given(NamedTuple):
    """A layer to explain, with its tail if the closed form applies."""

    feature: Feature
    tail: list[NodeProto] | None
    source: Source = "layer"


def _found(
    graph: Graph, sizes: Sizes | None, ends: Ends, layers: Sequence[str | None], methods: Mapping[str, Method]
) -> list[Given]:
    """What is explained: the layers, and the input if a method asks for it."""
    found: list[Given] = []
    for source in dict.fromkeys(each.source for each in methods.values()):
        if source != "layer":
            assert sizes is not None
            found.append(Given(input_layer(graph, sizes), None, source))
            continue
        for name in layers:
            if sizes is None or name is None:
                found.append(Given(*find_tail(graph, ends)))
            else:
                found.append(Given(find_layer(graph, sizes, name), None))
    return found


def _layer(graph: Graph, given: Given, gradient: Gradient, reverse: ReversePass | None) -> Layer:
    def sums() -> str:
        if given.tail is not None:
            return by_channel(graph, given.feature, given.tail, gradient).tensor
        assert reverse is not None
        return reverse.sums(given.feature)

    def at_cells() -> str:
        assert reverse is not None
        return reverse.on_the_way(given.feature) if given.source == "path" else reverse.at_cells(given.feature)

    return Layer(graph, given.feature, sums, at_cells, given.source)


def prepared(model: ModelProto, maps: int = 1) -> ModelProto:
    """A copy in the contract's opset or a newer one, with its tensors renamed where the contract uses their names."""
    ready = converted(model)
    further = [name for number in range(1, maps) for name in outputs_of(number)]
    for name in ("target", *OUTPUTS, *further):
        rename(ready, name, PREFIX + name)
    stored = {tensor.name for tensor in ready.graph.initializer}
    images = [each for each in ready.graph.input if each.name not in stored]
    batch = images[0].type.tensor_type.shape.dim[0] if len(images) == 1 else None
    if batch is None or batch.HasField("dim_value"):
        raise ValueError("A classifier should have one input whose first axis, the batch, is dynamic. Export it so.")
    batch.dim_param = "N"
    for node in ready.graph.node:  # PyTorch writes there where in whose folders it was called
        del node.metadata_props[:]
        node.doc_string = ""
    del ready.graph.value_info[:]  # holds the exporter's names of sizes; ONNX infers them again
    observe_sizes(ready)
    name_global_pools(ready)
    return ready


def _activated(graph: Graph, ends: Ends) -> str:
    if ends.task == MULTI_LABEL:
        return graph.add("Sigmoid", [ends.logits])
    return graph.add("Softmax", [ends.logits], axis=-1)
