"""Finds a classifier's end: its logits, what makes probabilities of them, and so what its scores are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from whycam.export.graph.onnx_graph import PREFIX, Graph, Length, attribute, kind
from whycam.export.head.covered import QUANTIZATION, UnsupportedTail
from whycam.export.head.quantization import MOVES
from whycam.models.contract import MULTI_LABEL, SINGLE_LABEL, Task

ACTIVATIONS: Mapping[str, Task] = MappingProxyType(
    {"Softmax": SINGLE_LABEL, "LogSoftmax": SINGLE_LABEL, "Sigmoid": MULTI_LABEL}
)
"""The operators that make probabilities of logits, and what these are then."""
ONE_NUMBER = (
    "The network ends in one number for each image. If it is the logit of 'yes', say so with --task yes-no. A number "
    "that is no class, such as an age or a weight, cannot be explained."
)


PROBABILITIES = frozenset({"Softmax", "Sigmoid", "HardSigmoid", "Exp"})
"""Operators behind which there are no logits any more; Exp is what is left of a softmax or sigmoid in parts."""
FIRST = MOVES | {"Clip", "Expand", "Gather", "Slice", "Split"}
"""Operators whose further inputs are shapes, axes and bounds."""
COMBINING = frozenset(
    FIRST
    | QUANTIZATION
    | {
        "Add",
        "AveragePool",
        "Cast",
        "Concat",
        "Div",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Max",
        "MaxPool",
        "Mean",
        "Min",
    }
    | {"Mul", "Neg", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Relu", "Sub", "Sum"}
)
"""Operators that make no logits of probabilities: they scale, choose or combine them."""
NO_LOGITS = (
    "Export the network so that it ends in its Softmax or Sigmoid, or in the logits before it: a softmax of these "
    "numbers would be wrong."
)


class Ends(NamedTuple):
    """A classifier's logits, its probabilities, the number of classes, and what the scores are."""

    logits: str
    probabilities: str | None
    """None if the network ends in logits, or in the logarithm of its probabilities."""
    classes: int
    task: Task
    written: Length
    """The number of classes as the head writes it: `classes`, or a tensor if the last layer can be replaced."""


def find_ends(graph: Graph, task: Task | None = None) -> Ends:
    """The end of a classifier, or of an explainable model; `task` is what the logits are for, if the graph is silent.

    Raises `ValueError` for a model that is no classifier, or whose graph says another task, and `UnsupportedTail` for
    one whose last numbers are neither logits nor what a Softmax or Sigmoid makes of them.
    """
    output = output_name(graph)
    last = activation_of(graph, output)
    logits = last.input[0] if last else output
    shape = graph.shape(logits) or []
    sizes = [size for size in shape[1:] if size != 1]
    if shape and not sizes and last is None:
        raise ValueError(ONE_NUMBER)
    if len(sizes) != 1 or sizes[0] is None:
        raise ValueError(f"The scores of a classifier are [N, C] with 2 or more classes, these are {shape}.")
    _check_logits(graph, logits)
    if last is None:
        return Ends(logits, None, sizes[0], task or SINGLE_LABEL, sizes[0])
    found = ACTIVATIONS[kind(last)]
    if found == SINGLE_LABEL and shape[attribute(last, "axis", -1)] != sizes[0]:
        raise UnsupportedTail(last, "it does not run over the classes")
    if task not in (None, found):
        raise ValueError(f"The network ends in a {kind(last)}, so it is a {found} classifier, not a {task} one.")
    probabilities = last.output[0] if kind(last) != "LogSoftmax" else None
    return Ends(logits, probabilities, sizes[0], found, sizes[0])


def output_of(graph: Graph) -> Literal["logits", "probabilities", "log-probabilities"]:
    """What a plain network's last numbers are."""
    last = activation_of(graph, output_name(graph))
    if last is None:
        return "logits"
    return "log-probabilities" if kind(last) == "LogSoftmax" else "probabilities"


def as_two_classes(model: ModelProto, *, logit: bool = False) -> bool:
    """Give a network that ends in one probability, of 'yes', the two classes 'no' and 'yes'; whether it was one.

    Its number z becomes the logits [0, z], whose softmax is 1 − sigmoid(z) and sigmoid(z). `logit` says that a number
    without a Sigmoid is z; otherwise only a network with one is changed. Raises `UnsupportedTail` for a z that
    is made of probabilities.
    """
    graph = Graph(model)
    output = output_name(graph)
    last = activation_of(graph, output)
    number = last.input[0] if last is not None else output
    shape = graph.shape(number) or [0]
    ends_so = kind(last) == "Sigmoid" if last is not None else logit
    if not ends_so or any(size != 1 for size in shape[1:]):
        return False
    _check_logits(graph, number)
    row, logits, scores = PREFIX + "yes", PREFIX + "no_and_yes", PREFIX + "two_scores"
    stored = {"one_row": np.array([-1, 1], np.int64), "to_two": np.array([[0, 1]], np.float32)}
    model.graph.initializer.extend(numpy_helper.from_array(value, PREFIX + name) for name, value in stored.items())
    model.graph.node.extend(
        [
            helper.make_node("Reshape", [number, PREFIX + "one_row"], [row], row),
            helper.make_node("MatMul", [row, PREFIX + "to_two"], [logits], logits),
            helper.make_node("Softmax", [logits], [scores], scores, axis=-1),
        ]
    )
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(scores, 1, ["N", 2]))
    return True


def output_name(graph: Graph) -> str:
    """The output with a classifier's scores; raises `ValueError` for a model with several."""
    names = [str(each.name) for each in graph.model.graph.output]
    if "scores" in names:
        return "scores"
    if len(names) != 1:
        raise ValueError(f"A classifier has one output, its scores; this model has {len(names)}: {names}.")
    return names[0]


def activation_of(graph: Graph, tensor: str) -> NodeProto | None:
    """The operator that makes a model's probabilities, perhaps reshaped or quantized; None if it ends in logits."""
    while (node := graph.producer(tensor)) is not None and kind(node) in MOVES | QUANTIZATION:
        tensor = node.input[0]
    return node if node is not None and kind(node) in ACTIVATIONS else None


def check_no_shares(rows: NDArray[np.floating]) -> None:
    """Raise `ValueError` for numbers (N, C) that sum to 1: probabilities, whatever made them, and no logits."""
    if (rows >= 0).all() and np.allclose(rows.sum(1), 1, atol=1e-3):
        raise ValueError(f"On random images the network's numbers sum to 1: they are probabilities. {NO_LOGITS}")


def _check_logits(graph: Graph, tensor: str) -> None:
    """Raise `UnsupportedTail` for a tensor that is made of nothing but probabilities."""
    node = _probable(graph, tensor)
    if node is not None:
        raise UnsupportedTail(node, "it makes probabilities, and what follows it makes no logits of them", NO_LOGITS)


def _probable(graph: Graph, tensor: str) -> NodeProto | None:
    """The operator of `PROBABILITIES` whose output a tensor only combines; None for logits."""
    node = graph.producer(tensor)
    if node is None or kind(node) in PROBABILITIES:
        return node
    if kind(node) not in COMBINING:
        return None
    found = [_probable(graph, name) for name in (node.input[:1] if kind(node) in FIRST else graph.moving(node))]
    if None in found and kind(node) != "Concat":  # a gate, as in x · sigmoid(x)
        return None
    return next((each for each in found if each is not None), None)
