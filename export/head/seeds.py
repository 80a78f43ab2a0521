"""Which classes are explained, and where their gradient begins: at the logits.

For `score="probability"`, what is explained is the log-odds log(p_c / (1 − p_c)), for `score="logit"` the logit z_c
(see `export.head.grad_cam`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from whycam.export.graph.onnx_graph import Graph, Length
from whycam.models.contract import SINGLE_LABEL, Score, Task

Seed = Callable[[Graph, str, str, Length], str]
"""From classes (N, K), logits (N, C) and C to the gradient by the logits, (N, K, C)."""


def seed_of(score: Score, task: Task) -> Seed:
    """The log-odds of one label of several are its logit."""
    return _of_log_odds if score == "probability" and task == SINGLE_LABEL else of_logit


def resolved_classes(graph: Graph, logits: str, count: Length) -> str:
    """`target` with its ranks resolved: −1−j becomes the class with the j-th largest logit.

    Ranked by logits, because probabilities tie where they round to 0. Resolved before OneHot, which reads −1 as the
    last class.
    """
    zero = graph.integers(0)
    _, order = graph.add_two("TopK", [logits, graph.integers(count)], axis=-1)  # (N, C)
    ranked = graph.add("Less", ["target", zero])
    rank = graph.add("Where", [ranked, graph.add("Sub", [graph.integers(-1), "target"]), zero])
    best = graph.add("GatherElements", [order, rank], axis=1)  # (N, C), (N, K) -> (N, K)
    return graph.add("Where", [ranked, best, "target"], "classes")


def _one_hot(graph: Graph, classes: str, count: Length) -> str:
    return graph.add("OneHot", [classes, graph.integers(count), graph.store(np.array([0, 1], np.float32))], axis=-1)


def of_logit(graph: Graph, classes: str, _logits: str, count: Length) -> str:
    """∂z_c/∂z = e_c, as (N, K, C)."""
    return _one_hot(graph, classes, count)


def _of_log_odds(graph: Graph, classes: str, logits: str, count: Length) -> str:
    """∂(z_c − log Σ_{i≠c} exp z_i)/∂z = e_c − softmax of the other classes, as (N, K, C)."""
    hot = _one_hot(graph, classes, count)
    row = graph.add("Unsqueeze", [logits, graph.integers(1)])  # (N, 1, C)
    explained = graph.add("Cast", [hot], to=TensorProto.BOOL)
    others = graph.add("Softmax", [graph.add("Where", [explained, graph.number(-np.inf), row])], axis=-1)
    return graph.add("Sub", [hot, others])
