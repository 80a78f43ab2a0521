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

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
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
from whycam.export.head.last_layer import declare, open_last_layer
from whycam.export.head.layer import Layer, Source
from whycam.export.head.maps import close, draw_maps, outputs_of
from whycam.export.head.methods import Method, find_method
from whycam.export.head.reverse_pass import ReversePass, input_layer
from whycam.export.head.seeds import Seed, of_logit, resolved_classes, seed_of
from whycam.export.head.tail import find_tail
from whycam.export.reverse.layers import find_layer
from whycam.models.contract import METHOD, MULTI_LABEL, OUTPUTS, SIGNED, Score, Task


def append_cam(
    model: ModelProto,
    *,
    score: Score = "probability",
    method: str | Sequence[str] = METHOD,
    task: Task | None = None,
    layer: str | Sequence[str | None] | None = None,
    maps: Mapping[str | None, Sequence[str]] | None = None,
    replaceable: bool = False,
) -> ModelProto:
    """A copy of a plain classifier with the input `target` and the outputs of the contract (see `models.contract`).

    The classifier keeps its input; its single output, probabilities or logits, becomes `scores`. `task` says what
    logits are for, one class of many by default. `layer` is a tensor whose maps are drawn; by default it is the last
    feature map, for which the closed form needs less than the reverse pass; None in a sequence is that one. Of several
    layers and methods every layer gets a map by every method; `heatmaps` is the first, the others are `heatmaps_2` and
    so on, with `evidence_2`; `maps`, in place of `method` and `layer`, are the methods of each layer. A method by the
    network's input has no layer. `signed` maps are of each class's logit:
    they have no evidence and are not normalised, so that they go with another method's, which comes first.
    `replaceable`: the last layer's weights and bias are inputs with a default, for any number of classes, and the
    vector before it is an output (`export.head.last_layer.opened` names them).

    Raises `UnsupportedTail` if the closed form does not cover the tail, `UnsupportedLayer` if there is no reverse pass
    to a layer, `ValueError` for a model that is not a classifier of images with a fixed size and a dynamic batch, or
    that has another task, for a `method` that is not in `export.head.methods`, and for `signed` maps without others;
    `FixedClasses` if the last layer cannot be replaced but should be.
    """
    wanted = maps or _every(layer, method)
    _check_signed(wanted)
    ready = prepared(model, sum(len(names) for names in wanted.values()))
    last_layer = open_last_layer(ready, task) if replaceable else None
    graph = Graph(ready, (last_layer.weights, last_layer.bias) if last_layer else ())
    ends = find_ends(graph, task)
    plain = {key: list(names) for key, names in wanted.items()} == {None: [METHOD]}
    sizes = None if plain else Sizes(graph.model)  # of the network's other tensors
    found = _found(graph, sizes, ends, wanted)
    if last_layer:
        ends = ends._replace(written=graph.add("Shape", [last_layer.bias]))

    probabilities = ends.probabilities or _activated(graph, ends)
    graph.add("Reshape", [probabilities, graph.integers(-1, ends.written)], "scores")
    logits = graph.add("Reshape", [ends.logits, graph.integers(-1, ends.written)])  # (N, C)
    classes = resolved_classes(graph, logits, ends.written)  # (N, K)
    seed = seed_of(score, ends.task)
    explained = Explained(graph, sizes, ends, seed, partial(seed, graph, classes, logits, ends.written))
    of_logits = explained
    if seed is not of_logit:
        of_logits = Explained(graph, sizes, ends, of_logit, partial(of_logit, graph, classes, logits, ends.written))
    made = [(_layer(graph, given, explained, of_logits), given.methods) for given in found]
    closed = close(graph, ends.written, draw_maps(graph, made))
    if last_layer:
        declare(closed, last_layer)
    return closed


def _check_signed(wanted: Mapping[str | None, Sequence[str]]) -> None:
    """Raise `ValueError` for signed maps without a map of the same layer before them that can be drawn."""
    for names in wanted.values():
        before = names[: list(names).index(SIGNED)] if SIGNED in names else [METHOD]
        if not any(find_method(name).source == "layer" for name in before):
            raise ValueError(
                f"A {SIGNED} map is not drawn by itself: give a method before it that draws its layer, as {METHOD} "
                "does."
            )


class Given(NamedTuple):
    """A layer to explain, with its tail if the closed form applies."""

    feature: Feature
    tail: list[NodeProto] | None
    methods: Mapping[str, Method]
    source: Source = "layer"


def _every(layer: str | Sequence[str | None] | None, method: str | Sequence[str]) -> dict[str | None, Sequence[str]]:
    """Every layer by every method."""
    layers: Sequence[str | None] = [layer] if layer is None or isinstance(layer, str) else layer
    return dict.fromkeys(layers, [method] if isinstance(method, str) else list(dict.fromkeys(method)))


def _found(graph: Graph, sizes: Sizes | None, ends: Ends, wanted: Mapping[str | None, Sequence[str]]) -> list[Given]:
    """What is explained: the layers, and the input if a method asks for it."""
    found: list[Given] = []
    named = {name: find_method(name) for names in wanted.values() for name in names}
    for source in dict.fromkeys(each.source for each in named.values()):
        if source != "layer":
            assert sizes is not None
            own = {name: each for name, each in named.items() if each.source == source}
            found.append(Given(input_layer(graph, sizes), None, own, source))
            continue
        for layer, names in wanted.items():
            own = {name: named[name] for name in names if named[name].source == source}
            if sizes is None or layer is None:
                found.append(Given(*find_tail(graph, ends), own))
            else:
                found.append(Given(find_layer(graph, sizes, layer), None, own))
    return found


class Explained:
    """The gradient of what is explained, from the logits back to any layer; written when it is read first."""

    def __init__(self, graph: Graph, sizes: Sizes | None, ends: Ends, seed: Seed, by_logits: Callable[[], str]) -> None:
        """`by_logits` writes, with `seed`, the gradient by the logits, (N, K, C).

        Without `sizes` there are its sums at the last layer only.
        """
        self._graph, self._sizes, self._ends, self._seed, self._by_logits = graph, sizes, ends, seed, by_logits

    @cached_property
    def _gradient(self) -> Gradient:
        return Gradient(self._by_logits(), self._ends.written)

    @cached_property
    def _reverse(self) -> ReversePass:
        assert self._sizes is not None
        return ReversePass(self._graph, self._sizes, self._ends, self._seed, self._gradient.tensor)

    def sums(self, given: Given) -> str:
        """Summed over the cells, (N, K, channels)."""
        if given.tail is not None:
            return by_channel(self._graph, given.feature, given.tail, self._gradient).tensor
        return self._reverse.sums(given.feature)

    def at_cells(self, given: Given) -> str:
        """At each cell, (N, K, channels, cells)."""
        reverse, feature = self._reverse, given.feature
        return reverse.on_the_way(feature) if given.source == "path" else reverse.at_cells(feature)


def _layer(graph: Graph, given: Given, explained: Explained, of_logits: Explained) -> Layer:
    sums, cells, logits = (partial(each, given) for each in (explained.sums, explained.at_cells, of_logits.sums))
    return Layer(graph, given.feature, sums, cells, given.source, logits)


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
