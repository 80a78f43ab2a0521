"""A network's gradient as the reverse pass writes it, beside differences in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from tests.support.models.nets import Net
from whycam.export.graph.onnx_graph import Graph
from whycam.export.graph.sizes import Dims, Sizes
from whycam.export.reverse.backward import Backward, Gradient
from whycam.export.reverse.summed import Cells, cell_sum
from whycam.export.reverse.walk import Walk
from whycam.export.verify.double import DoubleGraph
from whycam.stream.inference.explainer import evaluate

Array = NDArray[Any]
STEP = 1e-5


def numeric(model: ModelProto, x: Array, seed: Array) -> Array:
    """d(Σ seed · output) / dx for each of K seeds (K, *output), by central differences in float64.

    An entry is moved in all images at once: the output's rows are the images, and one does not see another. All moves
    are one batch.
    """
    if not len(seed):
        return np.zeros((0, *x.shape))
    run, size = DoubleGraph(model), int(np.prod(x.shape[1:]))
    moves = STEP * np.concatenate([np.eye(size), -np.eye(size)]).reshape(2 * size, 1, *x.shape[1:])
    batch = (x.astype(np.float64) + moves).reshape(-1, *x.shape[1:])
    (moved,) = run({"x": batch}, [model.graph.output[0].name])
    up, down = moved.reshape(2, size, len(x), -1)
    rows = seed.reshape(len(seed), len(x), -1)
    found = np.einsum("kno,eno->kne", rows, (up - down) / (2 * STEP))
    return np.asarray(found.reshape(len(seed), *x.shape))


class Question(NamedTuple):
    """Images, and a gradient by the output of the network for them, for each of K classes."""

    x: Array
    seed: Array

    @property
    def feeds(self) -> dict[str, Array]:
        """By the name of an input of `Appended.model`."""
        return {"x": self.x, "seed": self.seed, "classes": np.zeros((len(self.x), len(self.seed)), np.int64)}


def asked(net: Net, images: int, k: int) -> Question:
    """Random ones for N = `images` and K = `k`."""
    random = np.random.default_rng(net.seed + 1)
    x = random.normal(size=(images, *net.shape)).astype(np.float32)
    (output,) = evaluate(net.model().SerializeToString(), {"x": x}, [net.last])
    return Question(x, random.normal(size=(k, *output.shape)).astype(np.float32))


class Appended:
    """A network's graph to which a reverse pass from `seed` is appended."""

    def __init__(self, net: Net) -> None:
        self.model = net.model()
        graph, sizes = Graph(self.model), Sizes(self.model)
        self.model.graph.input.append(helper.make_tensor_value_info("classes", TensorProto.INT64, ["N", "K"]))
        self.model.graph.input.append(helper.make_tensor_value_info("seed", TensorProto.FLOAT, None))
        self.b = Backward(graph, sizes, "classes")
        self.seed = Gradient("seed", sizes.of(net.last))

    def values(self, gradient: Gradient, dims: Dims, question: Question) -> Array:
        """Those of a gradient by a tensor of `dims`."""
        full = self.b.full(gradient, dims).tensor
        self.model.graph.output.append(helper.make_tensor_value_info(full, TensorProto.FLOAT, None))
        return run_all(self.model, question.feeds, full)[0]


def written(net: Net, images: int, k: int) -> tuple[Array, Array]:
    """The gradient by `x` as the reverse pass writes it, and by differences; for N = `images` and K = `k`."""
    question, appended = asked(net, images, k), Appended(net)
    found = Walk(appended.b, "x", net.last).back(appended.seed)
    assert found is not None
    gradient = appended.values(found, appended.b.sizes.of("x"), question)
    return gradient, numeric(net.model(), *question)


def run_all(model: ModelProto, feeds: dict[str, Array], name: str) -> list[Array]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    used = {each.name for each in session.get_inputs()}
    return list(session.run([name], {key: value for key, value in feeds.items() if key in used}))


def agree(net: Net, *, images: Sequence[int] = (1, 3), k: Sequence[int] = (2,), tolerance: float = 2e-4) -> None:
    for number, classes in [(n, k[0]) for n in images] + [(images[-1], each) for each in k[1:]]:
        found, expected = written(net, number, classes)
        assert found.shape == expected.shape
        scale = max(1.0, float(np.abs(expected).max(initial=0)))
        np.testing.assert_allclose(found, expected, atol=tolerance * scale)


def summed(net: Net, images: int, k: int, cells: Cells) -> tuple[Array, Array, bool]:
    """The gradient summed over the cells of `x`, (K, N, channels): by the rules for sums, and by differences.

    Last, whether a rule for sums applied.
    """
    question, appended = asked(net, images, k), Appended(net)
    walk = Walk(appended.b, "x", net.last, cells)
    rest = walk.back(appended.seed)
    own = appended.b.sizes.of("x")
    parts = [*walk.sums, *([] if rest is None else [cell_sum(appended.b, rest, own, cells)])]
    dims = (own[0], own[cells.channel])
    found = np.sum([appended.values(each, dims, question) for each in parts], 0)
    exact = numeric(net.model(), *question)
    exact = exact[:, :, cells.skip :] if cells.skip else exact
    return found, exact.sum(tuple(axis + 1 for axis in cells.space)), bool(walk.sums)
