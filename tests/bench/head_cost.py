"""The cost of the CAM head, and of a last layer that can be replaced: each compared with the graph without it.

    python -m tests.bench.head_cost [MODEL ...]

The second is a file as it is, compared with the same one whose last layer's weights are no inputs. Two threads. Each
pair runs both, one after the other, in an order that alternates; the figure is the median over the pairs of time with
it / time without, and the quartiles around it. A busy machine widens the quartiles but hardly changes the median.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
from rich.console import Console
from rich.table import Table

from whycam.export.verify.synthetic_images import scenes
from whycam.models import catalog
from whycam.models.pruning import keep_outputs
from whycam.stream.inference.explainer import BEST, Explainer

THREADS = 2
PAIRS = 25
WARM_UP = 3
OUTPUTS = ["scores", "classes", "heatmaps", "evidence"]

Run = Callable[[], object]


class Cost(NamedTuple):
    """Ratios of time, with it / without."""

    lower: float
    median: float
    upper: float
    milliseconds: float
    """The median without it."""


def main() -> None:
    """Print the cost of one and of five heatmaps, for the models given or for those that are ready."""
    paths = [Path(each) for each in sys.argv[1:]] or [model.path for model in catalog.known() if model.ready]
    table = Table("model", "without head", "K", "with head / without", "quartiles", box=None)
    for path in paths:
        for count in (1, 5):
            cost = measure(path, count)
            table.add_row(
                Explainer(path).contract.name,
                f"{cost.milliseconds:.0f} ms",
                str(count),
                f"{cost.median:.3f}",
                f"{cost.lower:.3f}–{cost.upper:.3f}",
            )
    Console(soft_wrap=True).print(table)
    table = Table("model", "fixed", "replaceable / fixed", "quartiles", box=None)
    for path in paths:
        if (contract := Explainer(path).contract).last_layer is not None:
            cost = replaceable(path)
            quartiles = f"{cost.lower:.3f}–{cost.upper:.3f}"
            table.add_row(contract.name, f"{cost.milliseconds:.0f} ms", f"{cost.median:.3f}", quartiles)
    Console(soft_wrap=True).print(table)


def replaceable(path: Path, *, pairs: int = 60) -> Cost:
    """The cost of weights that are inputs with a default, with five heatmaps of one image."""
    model = onnx.load_from_string(keep_outputs(path.read_bytes(), OUTPUTS))
    stored = {tensor.name for tensor in model.graph.initializer}
    size = Explainer(path).contract.input_size
    feeds = {"image": scenes(1, *size), "target": np.array([BEST[:5]], np.int64)}
    with session(model) as as_it_is:
        for each in [each for each in model.graph.input if each.name in stored]:
            model.graph.input.remove(each)
        with session(model) as fixed:
            return _compared(lambda: fixed.run(OUTPUTS, feeds), lambda: as_it_is.run(OUTPUTS, feeds), pairs)


def measure(path: Path, count: int, *, pairs: int = PAIRS) -> Cost:
    """The cost of `count` heatmaps per image."""
    explainer = Explainer(path, threads=THREADS)
    image = scenes(1, *explainer.contract.input_size)
    with without_head(path) as plain:

        def bare() -> object:
            return plain.run(["scores"], {"image": image})

        def headed() -> object:
            return explainer.explain(image, BEST[:count])

        return _compared(bare, headed, pairs)


def _compared(bare: Run, headed: Run, pairs: int) -> Cost:
    for _ in range(WARM_UP):
        bare()
        headed()
    times = np.array([_pair(bare, headed, swapped=bool(pair % 2)) for pair in range(pairs)])
    lower, median, upper = np.percentile(times[:, 1] / times[:, 0], [25, 50, 75])
    return Cost(float(lower), float(median), float(upper), float(np.median(times[:, 0])) * 1000)


def _pair(bare: Run, headed: Run, *, swapped: bool) -> tuple[float, float]:
    if swapped:
        later = _seconds(headed)
        return _seconds(bare), later
    return _seconds(bare), _seconds(headed)


def _seconds(run: Run) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


@contextmanager
def without_head(path: Path) -> Iterator[onnxruntime.InferenceSession]:
    """A session of a model's classifier alone."""
    model = onnx.load(path)
    producers = {name: node for node in model.graph.node for name in node.output}
    wanted, used = ["scores"], set()
    while wanted:
        node = producers.pop(wanted.pop(), None)
        if node is not None:
            used.add(node.output[0])
            wanted += node.input
    for part, keep in (
        (model.graph.node, lambda node: node.output[0] in used),
        (model.graph.input, lambda value: value.name == "image"),
        (model.graph.output, lambda value: value.name == "scores"),
    ):
        for each in [each for each in part if not keep(each)]:
            part.remove(each)
    with session(model) as plain:
        del model
        yield plain


@contextmanager
def session(model: onnx.ModelProto) -> Iterator[onnxruntime.InferenceSession]:
    """A session of a model, with the same options as `Explainer` uses."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        onnx.save(model, plain)
        yield onnxruntime.InferenceSession(plain, options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
