"""Grad-CAM at inner layers: equal to today's closed form where both apply, to differences in float64 elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto

from tests.support.models import tiny_models
from tests.support.models.dense_tail_models import DenseTail
from tests.support.models.nets import Net
from whycam.export.default_layer import default_layer
from whycam.export.exporter import Wanted, export, layers
from whycam.export.graph.opset import NEWEST
from whycam.export.head.covered import UnsupportedTail
from whycam.export.head.grad_cam import append_cam
from whycam.export.preprocess import take_images
from whycam.export.reverse import walk
from whycam.export.reverse.backward import Backward, UnsupportedLayer
from whycam.export.reverse.pointwise import POINTWISE
from whycam.export.save import save
from whycam.export.sources.find_source import find_source
from whycam.export.verify.agreement import Agreement, Disagreement, compare
from whycam.stream.inference.explainer import BEST, Explainer

IMAGES = tiny_models.images(4)


def residual() -> Net:
    """Two stages with a residual branch, SiLU, a squeeze and excitation, max pooling, and HardSwish in the tail."""
    net = Net((3, 32, 32), seed=2)
    stem = net("Relu", net("Conv", "x", net.normal(8, 3, 3, 3, spread=0.3), strides=[2, 2], pads=[1, 1, 1, 1]))
    branch = net("Conv", stem, net.normal(8, 8, 3, 3, spread=0.2), pads=[1, 1, 1, 1])
    branch = net("Mul", branch, net("Sigmoid", branch))
    gate = net("Sigmoid", net("Conv", net("GlobalAveragePool", branch), net.normal(8, 8, 1, 1)))
    net("Add", stem, net("Mul", branch, gate))
    net("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    net("HardSwish", net("Conv", net.last, net.normal(12, 8, 3, 3, spread=0.2), pads=[1, 1, 1, 1]))
    net("Flatten", net("GlobalAveragePool"))
    net("HardSwish", net("Gemm", net.last, net.normal(12, 16), net.normal(16)))
    net("Gemm", net.last, net.normal(16, 6), net.normal(6))
    return net


def transformer() -> Net:
    """Patches, a class token, a block of attention with LayerNorm and GELU, and the class token's row at the end."""
    net = Net((3, 32, 32), seed=3)
    net("Conv", "x", net.normal(8, 3, 8, 8, spread=0.2), strides=[8, 8])
    tokens = net("Transpose", net("Reshape", net.last, net.keep([0, 8, 16], np.int64)), perm=[0, 2, 1])
    first = net(
        "Expand",
        net.normal(1, 1, 8),
        net("Concat", net("Shape", "x", start=0, end=1), net.keep([1, 1], np.int64), axis=0),
    )
    x = net("Concat", first, tokens, axis=1)
    normed = net("LayerNormalization", x, net.normal(8), net.normal(8), axis=-1)
    q, k, v = (net("MatMul", normed, net.normal(8, 8, spread=0.5)) for _ in range(3))
    scores = net("Softmax", net("MatMul", q, net("Transpose", k, perm=[0, 2, 1])), axis=-1)
    x = net("Add", x, net("MatMul", scores, v))
    inner = net(
        "Gelu", net("MatMul", net("LayerNormalization", x, net.normal(8), net.normal(8), axis=-1), net.normal(8, 16))
    )
    x = net("Add", x, net("MatMul", inner, net.normal(16, 8)))
    last = net("LayerNormalization", x, net.normal(8), net.normal(8), axis=-1)
    net("Gather", last, net.keep(0, np.int64), axis=1)
    net("Gemm", net.last, net.normal(8, 6), net.normal(6))
    return net


def written(net: Net, folder: Path, layer: str | None = None) -> tuple[Agreement, Explainer]:
    path = folder / "net.onnx"
    onnx.save(net.model(), path)
    wanted = Wanted(layers=(layer,) if layer else ())
    agreement = export(find_source(str(path)), wanted, folder / "out.onnx", lambda _: None)
    return agreement, Explainer(folder / "out.onnx")


@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize(
    "tail", [DenseTail(), DenseTail(pooling="overlapping", gate="Clip", norm="BatchNormalization")]
)
def test_at_the_last_feature_map_the_reverse_pass_equals_the_closed_form(
    tail: DenseTail, score: Any, tmp_path: Path
) -> None:
    about = tiny_models.contract([f"class {number}" for number in range(10)], score, "stretch", "both")
    maps = []
    for layer in (None, "feature"):
        save(append_cam(tail.model(), score=score, layer=layer), replace(about, feature="feature"), tmp_path / "m.onnx")
        found = Explainer(tmp_path / "m.onnx").explain(IMAGES, [-1, -2, 3])
        maps.append((found.heatmaps, found.evidence))
    np.testing.assert_allclose(maps[0][0], maps[1][0], atol=2e-6)
    np.testing.assert_allclose(maps[0][1], maps[1][1], rtol=1e-5)


@pytest.mark.parametrize("layer", ["16x16", "8x8", None])
def test_an_inner_layer_of_a_residual_network(layer: str | None, tmp_path: Path) -> None:
    agreement, explainer = written(residual(), tmp_path, layer=layer)
    assert explainer.contract.map_size == ((16, 16) if layer == "16x16" else (8, 8))
    assert agreement.float64_median is not None
    assert agreement.float64_median < 2e-6
    assert agreement.empty < agreement.maps
    found = explainer.explain(IMAGES[:1], [])  # no class asked for
    assert found.heatmaps.shape[:2] == (1, 0)


def test_the_reverse_pass_is_exact_in_the_newest_opset(tmp_path: Path) -> None:
    net = residual()
    net.opset = NEWEST
    agreement, _ = written(net, tmp_path, layer="16x16")
    assert onnx.load(tmp_path / "out.onnx").opset_import[0].version == NEWEST
    assert agreement.float64_median is not None
    assert agreement.float64_median < 2e-6


def test_vectors_that_stand_as_columns_stay_apart(tmp_path: Path) -> None:
    """A gate on [C, N]: what belongs to an image is a column there, and the maps of a batch are those of each image."""
    net = Net((3, 32, 32), seed=4)
    net("Relu", net("Conv", "x", net.normal(8, 3, 4, 4, spread=0.3), strides=[4, 4]))
    net("MatMul", net("Flatten", net("GlobalAveragePool")), net.normal(8, 6))
    net("Transpose", perm=[1, 0])
    net("Relu", net("Mul", net.last, net.normal(6, 1)))
    net("MatMul", net("Transpose", perm=[1, 0]), net.normal(6, 5))
    agreement, explainer = written(net, tmp_path)
    assert agreement.float64_median is not None
    assert agreement.float64_median < 2e-6
    assert agreement.empty < agreement.maps
    together = explainer.explain(IMAGES, [-1, 2]).heatmaps
    alone = np.concatenate([explainer.explain(image[None], [-1, 2]).heatmaps for image in IMAGES])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("images", [1, 3])
def test_tokens_lie_on_their_grid(images: int, tmp_path: Path) -> None:
    agreement, explainer = written(transformer(), tmp_path)
    contract = explainer.contract
    assert contract.map_size == (4, 4)
    assert contract.feature.startswith("LayerNormalization")
    assert agreement.float64_median is not None
    assert agreement.float64_median < 2e-6
    assert explainer.explain(IMAGES[:images], [-1, 2]).heatmaps.shape == (images, 2, 4, 4)


def test_the_default_layer_of_a_class_token_is_before_the_attention() -> None:
    """Behind it only the class token goes on, so that no other cell has a gradient."""
    model = take_images(transformer().model(), mean=[127], scale=[64])
    norms = [node.output[0] for node in model.graph.node if node.op_type == "LayerNormalization"]
    assert default_layer(model) == norms[0]


def of_one_cell(*before: tuple[int, int]) -> Net:
    """Convolutions, each with its kernel and its channels, and one whose map has a single cell."""
    net, size, channels = Net((3, 32, 32), seed=6), 32, 3
    for kernel, width in (*before, (0, 8)):
        step = kernel or size
        net("Relu", net("Conv", net.last, net.normal(width, channels, step, step, spread=0.2), strides=[step, step]))
        size, channels = size // step, width
    net("Gemm", net("Flatten", net("GlobalAveragePool")), net.normal(channels, 4))
    return net


def test_where_the_last_map_has_one_cell_the_layer_before_it_is_drawn_and_said(tmp_path: Path) -> None:
    onnx.save(of_one_cell((4, 12)).model(), tmp_path / "net.onnx")
    said: list[str] = []
    agreement = export(find_source(str(tmp_path / "net.onnx")), Wanted(), tmp_path / "out.onnx", said.append)
    assert agreement.float64_median is not None
    assert agreement.float64_median < 2e-6
    assert Explainer(tmp_path / "out.onnx").contract.map_size == (8, 8)
    assert any("has a single cell, so a heatmap has no place to show: the reverse pass goes to Relu" in s for s in said)


def test_a_network_of_one_cell_alone_is_refused_and_not_drawn_on_its_input(tmp_path: Path) -> None:
    onnx.save(of_one_cell().model(), tmp_path / "net.onnx")
    with pytest.raises(UnsupportedTail, match="a single cell, so a heatmap has no place to show"):
        export(find_source(str(tmp_path / "net.onnx")), Wanted(), tmp_path / "out.onnx", lambda _: None)


def test_layers_are_listed_with_their_grid_and_cost(tmp_path: Path) -> None:
    onnx.save(residual().model(), tmp_path / "net.onnx")
    listed = layers(find_source(str(tmp_path / "net.onnx")), Wanted(), lambda _: None)
    grids = [(each.feature.height, each.feature.width) for each in listed]
    assert (16, 16) in grids
    assert grids[-1] == (8, 8)
    costs = [each.cost for each in listed]
    assert costs == sorted(costs, reverse=True)
    assert 1 < costs[-1] < costs[0] <= 2


@pytest.mark.parametrize(
    ("layer", "words"),
    [("none", "no layer 'none'; --list-layers"), ("7x7", "no layer '7x7'"), ("Flatten", "has no height and width")],
)
def test_what_is_no_layer_is_refused(layer: str, words: str, tmp_path: Path) -> None:
    net = residual()
    name = next((node.output[0] for node in net.nodes if node.op_type == layer), layer)
    onnx.save(net.model(), tmp_path / "net.onnx")
    with pytest.raises(UnsupportedLayer, match=words):
        export(find_source(str(tmp_path / "net.onnx")), Wanted(layers=(name,)), tmp_path / "out.onnx", lambda _: None)
    assert not (tmp_path / "out.onnx").exists()


def test_a_normalisation_over_the_map_behind_a_layer_is_refused() -> None:
    """Its mean gradient is 0 by theory, and rounding noise in a file."""
    net = Net((3, 16, 16))
    conv = net("Conv", "x", net.normal(4, 3, 3, 3), pads=[1, 1, 1, 1])
    net("Relu", net("InstanceNormalization", conv, net.normal(4), net.normal(4)))
    net("Gemm", net("Flatten", net("GlobalAveragePool")), net.normal(4, 3))
    with pytest.raises(UnsupportedLayer, match="makes the mean gradient 0"):
        append_cam(take_images(net.model(), mean=[127], scale=[64]), layer=conv)


def test_a_dropout_in_training_is_refused() -> None:
    net = Net((3, 16, 16))
    conv = net("Conv", "x", net.normal(4, 3, 3, 3), pads=[1, 1, 1, 1])
    net("Dropout", conv, net.keep(0.5), net.keep(True, bool))
    net("Gemm", net("Flatten", net("GlobalAveragePool")), net.normal(4, 3))
    with pytest.raises(UnsupportedLayer, match="it is set to training"):
        append_cam(take_images(net.model(), mean=[127], scale=[64]), layer=conv)


@pytest.mark.parametrize("activation", ["Softmax", "Sigmoid"])
@pytest.mark.parametrize("wanted", [Wanted(), Wanted(layers=("16x16",)), Wanted(methods=("input-x-gradient",))])
def test_probabilities_that_are_scaled_do_not_get_a_softmax(activation: str, wanted: Wanted, tmp_path: Path) -> None:
    net = residual()
    net(activation)
    net("Mul", net.last, net.keep(100.0))  # in per cent
    onnx.save(net.model(), tmp_path / "net.onnx")
    with pytest.raises(UnsupportedTail, match=f"through {activation}"):
        export(find_source(str(tmp_path / "net.onnx")), wanted, tmp_path / "out.onnx", lambda _: None)


def test_a_network_without_evidence_is_refused(tmp_path: Path) -> None:
    """As those of torchvision with random weights whose last layer is zero."""
    net = transformer()
    net("Mul", net.last, net.keep(0.0))
    onnx.save(net.model(), tmp_path / "net.onnx")
    with pytest.raises(UnsupportedLayer, match="no class has evidence in any layer"):
        export(find_source(str(tmp_path / "net.onnx")), Wanted(), tmp_path / "out.onnx", lambda _: None)


def test_an_operator_without_a_rule_is_named() -> None:
    net = Net((3, 16, 16))
    conv = net("Conv", "x", net.normal(4, 3, 3, 3), pads=[1, 1, 1, 1])
    net("LRN", size=3)
    net("Gemm", net("Flatten", net("GlobalAveragePool")), net.normal(4, 3))
    with pytest.raises(UnsupportedLayer, match="LRN 'LRN1': there is no rule for this operator"):
        append_cam(take_images(net.model(), mean=[127], scale=[64]), layer=conv)


def test_the_check_notices_a_wrong_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HardSwish's derivative without its second term: a map that looks plausible."""

    def without_its_slope(b: Backward, node: NodeProto, _place: int) -> str:
        return b.pointwise("HardSigmoid", node.input[0], alpha=1 / 6, beta=0.5)

    monkeypatch.setattr(walk, "POINTWISE", dict(POINTWISE) | {"HardSwish": without_its_slope})
    with pytest.raises(Disagreement, match="in float64 in the median"):
        written(residual(), tmp_path, layer="16x16")


def test_a_file_of_an_inner_layer_is_compared_at_any_time(tmp_path: Path) -> None:
    written(residual(), tmp_path, layer="16x16")
    compare(tmp_path / "out.onnx", IMAGES, BEST).check()
