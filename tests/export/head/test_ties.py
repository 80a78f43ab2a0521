"""Maps that read the gradient at each cell, at a layer whose cells tie in a max pooling behind it.

Behind a ReLU whole windows are zero, at ReLU6's bound whole windows are six. There a max pooling has no derivative;
frameworks give the gradient to the first cell of the largest. The expected maps are written out here, in float64 on
the file's own activations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tests.support.models import tiny_models
from tests.support.models.nets import Net
from whycam.export.exporter import Wanted, export
from whycam.export.reverse.backward import Backward
from whycam.export.sources.find_source import find_source
from whycam.export.verify.activations import observe
from whycam.export.verify.agreement import Agreement, Disagreement
from whycam.stream.inference.explainer import Explainer

Array = NDArray[np.float64]
POOLS: dict[str, tuple[int, int, int]] = {"side by side": (2, 2, 0), "overlapping": (3, 2, 1), "of one step": (3, 1, 1)}
"""Kernel, stride and padding."""
CASES = [
    *((method, "overlapping", "Relu") for method in ("hirescam", "layer-cam", "xgrad-cam", "grad-cam++")),
    *(("grad-cam++", pool, "Relu") for pool in ("side by side", "of one step")),
    *((method, "overlapping", "Clip") for method in ("hirescam", "grad-cam++")),
]
SIZE, CHANNELS, CLASSES = 16, 6, 6
IMAGES = tiny_models.images(3)
TARGETS = np.array([[0, 3]] * len(IMAGES))


def network(activation: str, pool: tuple[int, int, int]) -> Net:
    net = Net((3, 2 * SIZE, 2 * SIZE), seed=4)
    weights = net.normal(CHANNELS, 3, 3, 3, spread=0.3)
    net("Conv", "x", weights, net.normal(CHANNELS), strides=[2, 2], pads=[1, 1, 1, 1])
    net("Relu") if activation == "Relu" else net("Clip", net.last, net.keep(0.0), net.keep(0.8))
    kernel, stride, pad = pool
    net("MaxPool", kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)
    net("Relu", net("Conv", net.last, net.normal(9, CHANNELS, 3, 3, spread=0.2), net.normal(9), pads=[1, 1, 1, 1]))
    net("Gemm", net("Flatten", net("GlobalAveragePool")), net.normal(9, CLASSES), net.normal(CLASSES))
    return net


def exported(net: Net, method: str, folder: Path) -> tuple[Agreement, Path]:
    path = folder / "out.onnx"
    onnx.save(net.model(), folder / "net.onnx")
    wanted = Wanted(layers=(net.nodes[1].output[0],), methods=(method,))
    return export(find_source(str(folder / "net.onnx")), wanted, path, lambda _: None), path


def pooled(layer: Array, pool: tuple[int, int, int]) -> tuple[Array, NDArray[np.intp]]:
    """The largest cell of each window, and its place in the map's rows: the first, where several are."""
    kernel, stride, pad = pool
    out = (layer.shape[2] + 2 * pad - kernel) // stride + 1
    largest = np.full((*layer.shape[:2], out, out), -np.inf)
    places = np.zeros(largest.shape, np.intp)
    for row, column, y, x in np.ndindex(out, out, kernel, kernel):
        at = (row * stride + y - pad, column * stride + x - pad)
        if min(at) < 0 or max(at) >= SIZE:
            continue
        larger = layer[:, :, at[0], at[1]] > largest[:, :, row, column]
        largest[:, :, row, column] = np.where(larger, layer[:, :, at[0], at[1]], largest[:, :, row, column])
        places[:, :, row, column] = np.where(larger, at[0] * SIZE + at[1], places[:, :, row, column])
    return largest, places


def gradient_of_log_odds(net: Net, layer: Array, pool: tuple[int, int, int]) -> Array:
    """Of `TARGETS` by the layer, (N, K, channels, h, w)."""
    kernel, bias, dense, offset = (value.astype(np.float64) for value in list(net.stored.values())[-4:])
    seen, places = pooled(layer, pool)
    side = seen.shape[2]
    taps = [(y, x, (..., slice(y, y + side), slice(x, x + side))) for y, x in np.ndindex(3, 3)]
    wide = np.pad(seen, ((0, 0), (0, 0), (1, 1), (1, 1)))
    mixed = sum(np.einsum("oc,nchw->nohw", kernel[:, :, y, x], wide[at]) for y, x, at in taps) + bias[:, None, None]
    logits = np.maximum(mixed, 0).mean((2, 3)) @ dense + offset
    found = np.zeros((*TARGETS.shape, *layer.shape[1:]))
    for n, k in np.ndindex(TARGETS.shape):
        others = np.exp(logits[n] - logits[n].max())
        others[TARGETS[n, k]] = 0
        by_logits = -others / others.sum()
        by_logits[TARGETS[n, k]] += 1
        by_mixed = (dense @ by_logits)[:, None, None] / side**2 * (mixed[n] > 0)
        by_wide = np.zeros(wide.shape[1:])
        for y, x, at in taps:
            by_wide[at] += np.einsum("oc,ohw->chw", kernel[:, :, y, x], by_mixed)
        for channel, by_pooled in enumerate(by_wide[:, 1:-1, 1:-1]):
            np.add.at(found[n, k, channel].reshape(-1), places[n, channel].ravel(), by_pooled.ravel())
    return found


def drawn(method: str, gradient: Array, layer: Array) -> Array:
    """The map (N, K, h, w) by its paper's equation, 0…1."""
    values, total = layer[:, None], layer.sum((2, 3))[:, None, :, None, None]
    if method == "hirescam":
        heat = (gradient * values).sum(2)
    elif method == "layer-cam":
        heat = (gradient.clip(0) * values).sum(2)
    elif method == "xgrad-cam":
        shares = np.divide(gradient * values, total, out=np.zeros(gradient.shape), where=total > 0)
        heat = (shares.sum((3, 4), keepdims=True) * values).sum(2)
    else:
        weights = (gradient.clip(0) / (2 + gradient * total)).sum((3, 4), keepdims=True)
        heat = (weights * values).sum(2)
    peak = heat.max((2, 3), keepdims=True)
    return np.asarray(np.divide(heat.clip(0), peak, out=np.zeros(heat.shape), where=peak > 0))


@pytest.mark.parametrize(("method", "pool", "activation"), CASES)
def test_where_cells_tie_the_first_has_the_gradient(method: str, pool: str, activation: str, tmp_path: Path) -> None:
    """`export` verifies the file; then it is compared with the gradient that is written out here."""
    net = network(activation, POOLS[pool])
    agreement, path = exported(net, method, tmp_path)
    assert agreement.float64_median is not None
    assert agreement.float64_median < 2e-6
    layer = Explainer(path).contract.feature
    assert layer.startswith(activation)
    values = observe(onnx.load(path), [layer], IMAGES, TARGETS)[layer].astype(np.float64)
    assert (values.reshape(len(IMAGES), CHANNELS, 8, 2, 8, 2).max((3, 5)) == 0).any(), "no window of zeros"
    expected = drawn(method, gradient_of_log_odds(net, values, POOLS[pool]), values)
    np.testing.assert_allclose(Explainer(path).explain(IMAGES, [0, 3]).heatmaps, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "method"), [("Relu", "grad-cam++"), ("Clip", "grad-cam++"), ("Clip", "hirescam")]
)
def test_the_check_notices_a_gradient_that_goes_to_the_last_of_them(
    activation: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = Backward.once

    def last(self: Backward, operator: str, *inputs: str, **attributes: Any) -> str:
        chooses = {"select_last_index": 1} if operator == "ArgMax" else {}
        return once(self, operator, *inputs, **attributes, **chooses)

    monkeypatch.setattr(Backward, "once", last)
    with pytest.raises(Disagreement, match="in float64 in the median"):
        exported(network(activation, POOLS["overlapping"]), method, tmp_path)
