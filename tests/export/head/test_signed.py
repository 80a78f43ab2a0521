"""The signed map of each logit: linear in the gradient, so that two of them give the map of their difference."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto

from tests.support.command import run
from tests.support.models import tiny_models
from tests.support.models.nets import Net
from tests.support.models.plain_classifier import classifier
from whycam.export.command import _methods
from whycam.export.exporter import Wanted, export
from whycam.export.head import methods
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.layer import Layer
from whycam.export.head.maps import appended
from whycam.export.preprocess import take_images
from whycam.export.save import save
from whycam.export.sources.find_source import find_source
from whycam.export.verify.agreement import Disagreement, compare
from whycam.export.verify.double import DoubleGraph
from whycam.models.contract import OUTPUTS, SIGNED, ContractError, Score
from whycam.models.pruning import keep_outputs
from whycam.stream.inference.explainer import Explainer, evaluate

CLASSES = 6
LABELS = tuple(f"class {number}" for number in range(CLASSES))
ABOUT = replace(tiny_models.contract(list(LABELS), "probability", "stretch", "tiny"), feature="")
STEP = 1e-7
SCORES: tuple[Score, ...] = ("probability", "logit")


def network(*, dense: int = 12) -> Net:
    """Two inner layers behind which units are gated, one of them with negative values; then a mean over the cells."""
    net = Net((3, 32, 32), seed=5)
    net("Relu", net("Conv", "x", net.normal(6, 3, 3, 3, spread=0.3), net.normal(6), strides=[2, 2], pads=[1, 1, 1, 1]))
    net("HardSwish", net("Conv", net.last, net.normal(8, 6, 3, 3, spread=0.2), strides=[2, 2], pads=[1, 1, 1, 1]))
    net("Relu", net("Conv", net.last, net.normal(20, 8, 3, 3, spread=0.2), net.normal(20), pads=[1, 1, 1, 1]))
    net("Flatten", net("GlobalAveragePool"))
    if dense:
        net("Relu", net("Gemm", net.last, net.normal(20, dense, spread=0.4), net.normal(dense)))
    net("Gemm", net.last, net.normal(dense or 20, CLASSES), net.normal(CLASSES))
    return net


def plain(net: Net) -> ModelProto:
    return take_images(net.model(), mean=[127], scale=[64])


def written(folder: Path, net: Net, *, score: Score = "probability", layers: Sequence[str] | None = None) -> Path:
    model = append_cam(plain(net), score=score, method=["grad-cam", SIGNED], layer=layers)
    save(model, replace(ABOUT, score=score), folder / "model.onnx")
    return folder / "model.onnx"


def maps_at(path: Path, place: int, targets: Sequence[int], count: int = 2) -> NDArray[np.float64]:
    """The signed maps (N, K, h, w) beside the drawable map of that number."""
    drawn = Explainer(path).contract.drawable_maps()[place]
    found = Explainer(path, output=drawn.output, signed=True).explain(tiny_models.images(count), targets)
    assert found.signed is not None
    return found.signed.astype(np.float64)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("layers", [(), pytest.param(("16x16", "8x8"), marks=pytest.mark.long)])
def test_a_file_with_signed_maps_passes_the_check(layers: tuple[str, ...], score: Score, tmp_path: Path) -> None:
    onnx.save(network().model(), tmp_path / "net.onnx")
    said: list[str] = []
    wanted = Wanted(layers=layers, methods=("grad-cam", SIGNED), score=score)
    export(find_source(str(tmp_path / "net.onnx")), wanted, tmp_path / "out.onnx", said.append)
    contract = Explainer(tmp_path / "out.onnx").contract
    signed = [each for each in contract.listed_maps() if each.method == SIGNED]
    assert [each.layer for each in signed] == [each.layer for each in contract.drawable_maps()]
    assert not any(each.maxima or each.gradient for each in signed)
    assert sum(line.startswith("signed at") for line in said) == max(len(layers), 1)
    assert 0 < contract.parity["maps"][signed[0].output]["float64"] < 1e-5
    for place in range(len(contract.drawable_maps())):
        maps = maps_at(tmp_path / "out.onnx", place, [0, 3])
        assert maps.min() < 0 < maps.max()


def a_little_wrong(given: Layer) -> str:
    """The further down, the larger, by a thousandth."""
    factor = np.linspace(1, 1.001, given.cells).astype(np.float32)
    return given.graph.add("Mul", [methods.signed(given), given.graph.store(factor)])


def without_its_negative_part(given: Layer) -> str:
    return given.graph.add("Relu", [methods.signed(given)])


def of_what_is_explained(given: Layer) -> str:
    """With the gradient of the log-odds."""
    return methods.grad_cam(given)


@pytest.mark.parametrize("wrong", [a_little_wrong, without_its_negative_part, of_what_is_explained])
@pytest.mark.parametrize("layer", ["", "16x16"])
def test_the_check_notices_a_wrong_signed_map(
    layer: str, wrong: Callable[[Layer], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log-odds differ from the logit by what the other classes add."""
    monkeypatch.setattr(methods, "METHODS", {**methods.METHODS, SIGNED: methods.Method(wrong)})
    onnx.save(network().model(), tmp_path / "net.onnx")
    wanted = Wanted(layers=(layer,) if layer else (), methods=("grad-cam", SIGNED))
    with pytest.raises(Disagreement, match="differ from signed in float64"):
        export(find_source(str(tmp_path / "net.onnx")), wanted, tmp_path / "out.onnx", lambda _: None)
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("place", [0, 1])
def test_the_difference_of_two_is_the_map_of_the_difference(place: int, score: Score, tmp_path: Path) -> None:
    """Against z_a − z_b differentiated numerically in float64, at two cells of each map."""
    net = network()
    path = written(tmp_path, net, score=score, layers=["16x16", "8x8"])
    maps = maps_at(path, place, [1, 4])
    ours = maps[:, 0] - maps[:, 1]
    assert ours.min() < 0 < ours.max()
    layer = Explainer(path).contract.drawable_maps()[place].layer
    images = tiny_models.images(2)
    inputs = ((images.astype(np.float64) - 127) / 64).transpose(0, 3, 1, 2)
    exact = DoubleGraph(net.model())
    (values,) = exact({"x": inputs}, [layer])
    behind = DoubleGraph(part_behind(net, layer))
    cells = values.shape[2] * values.shape[3]
    for row, column in ((0, 1), (5, 3)):
        direction = np.broadcast_to(values[:, :, row, column][:, :, None, None] / cells, values.shape)
        (up,), (down,) = (behind({layer: values + sign * STEP * cells * direction}, [net.last]) for sign in (1, -1))
        slope = (up - down) / (2 * STEP * cells)
        np.testing.assert_allclose(ours[:, row, column], slope[:, 1] - slope[:, 4], atol=2e-5 * np.abs(ours).max())


def part_behind(net: Net, layer: str) -> ModelProto:
    """The network from a layer on."""
    model = net.model()
    place = next(place for place, node in enumerate(model.graph.node) if layer in node.output)
    del model.graph.node[: place + 1]
    model.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info(layer, 1, None))
    return model


@pytest.mark.parametrize("score", SCORES)
def test_behind_a_mean_and_one_dense_layer_the_cells_add_up_to_the_logit_without_its_bias(
    score: Score, tmp_path: Path
) -> None:
    net = network(dense=0)
    path = written(tmp_path, net, score=score)
    bias = list(net.stored.values())[-1].astype(np.float64)
    images = tiny_models.images(3)
    inputs = ((images.astype(np.float64) - 127) / 64).transpose(0, 3, 1, 2)
    (logits,) = DoubleGraph(net.model())({"x": inputs}, [net.last])
    targets = list(range(CLASSES))
    total = maps_at(path, 0, targets, 3).sum((2, 3))
    np.testing.assert_allclose(total, logits - bias, atol=1e-5 * np.abs(logits).max())


def test_of_one_label_of_several_the_positive_part_is_grad_cam(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = append_cam(plain(network()), task="multi-label", method=["grad-cam", SIGNED])
    save(model, ABOUT, path)
    found = Explainer(path, signed=True).explain(tiny_models.images(2), [0, -1])
    assert found.signed is not None
    drawn = found.heatmaps * found.evidence[..., None, None]
    np.testing.assert_allclose(np.maximum(found.signed, 0), drawn, atol=1e-6 * drawn.max())


@pytest.mark.parametrize(("count", "classes"), [(1, []), (3, []), (3, [0, -1]), (1, [5])])
def test_any_number_of_images_and_classes_has_signed_maps(count: int, classes: list[int], tmp_path: Path) -> None:
    path = written(tmp_path, network(), layers=["16x16", "8x8"])
    for place, side in ((0, 16), (1, 8)):
        assert maps_at(path, place, classes, count).shape == (count, len(classes), side, side)


def test_a_layer_without_evidence_has_a_signed_map_of_zeros(tmp_path: Path) -> None:
    net = network()
    net("Mul", net.last, net.keep(0))
    path = written(tmp_path, net)
    assert not maps_at(path, 0, [0, 1]).any()
    compare(path, tiny_models.images(2), output="heatmaps_2").check()


@pytest.mark.parametrize("layers", [None, ["16x16", "8x8"]])
def test_who_does_not_ask_for_signed_maps_runs_the_graph_that_there_was(layers: list[str] | None) -> None:
    ready = plain(network())
    kept = onnx.load_from_string(
        keep_outputs(append_cam(ready, method=["grad-cam", SIGNED], layer=layers).SerializeToString(), OUTPUTS)
    )
    before = onnx.load_from_string(keep_outputs(append_cam(ready, layer=layers).SerializeToString(), OUTPUTS))
    assert [node.op_type for node in kept.graph.node] == [node.op_type for node in before.graph.node]
    assert [each.name for each in kept.graph.output] == [each.name for each in before.graph.output]


def test_the_last_layer_keeps_its_closed_form_beside_an_inner_one() -> None:
    ready = plain(network())
    several = append_cam(ready, layer=[None, "16x16"], method=["grad-cam", SIGNED]).SerializeToString()
    kept = onnx.load_from_string(keep_outputs(several, OUTPUTS))
    assert [node.op_type for node in kept.graph.node] == [node.op_type for node in append_cam(ready).graph.node]
    assert [each.grid for each in appended(onnx.load_from_string(several))] == [(8, 8), (16, 16)] * 2


@pytest.mark.parametrize("given", [[SIGNED], [SIGNED, "grad-cam"], ["input-x-gradient", SIGNED]])
def test_signed_maps_alone_are_refused(given: list[str]) -> None:
    with pytest.raises(ValueError, match="is not drawn by itself: give a method before it that draws its layer"):
        append_cam(plain(network()), method=given)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ([], ("grad-cam",)),
        ([SIGNED], ("grad-cam", SIGNED)),
        ([SIGNED, "layer-cam", SIGNED], ("layer-cam", SIGNED)),
        (["negative", "layer-cam"], ("negative", "layer-cam")),
    ],
)
def test_the_command_puts_signed_maps_beside_others(given: list[str], made: tuple[str, ...]) -> None:
    assert _methods(given) == made


def test_a_signed_map_is_exported_by_the_command_and_not_drawn(tmp_path: Path) -> None:
    onnx.save(classifier(), tmp_path / "mine.onnx")
    done = run("export", "mine.onnx", "-o", "out.onnx", "--method", "signed", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    listed = json.loads(Explainer(tmp_path / "out.onnx").contract.metadata()["whycam.maps"])
    assert [each["method"] for each in listed] == ["grad-cam", "signed"]
    with pytest.raises(ContractError, match="cannot be drawn"):
        Explainer(tmp_path / "out.onnx", output="heatmaps_2")


def test_it_is_of_the_logits_whatever_is_explained() -> None:
    net = network()
    made = [append_cam(plain(net), score=score, method=["grad-cam", SIGNED], layer="16x16") for score in SCORES]
    feeds = {"image": tiny_models.images(2), "target": np.array([[-1, 2]] * 2)}
    one, other = (evaluate(each.SerializeToString(), feeds, ["heatmaps_2"])[0] for each in made)
    np.testing.assert_allclose(one, other, atol=1e-6 * np.abs(other).max())
