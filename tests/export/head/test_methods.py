"""A CAM method is one function in the head's table and one in the check's; a file is checked by the one it names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from tests.support.models import tiny_models
from tests.support.models.nets import Net
from whycam.export.exporter import Wanted, export
from whycam.export.head import methods
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.layer import Layer
from whycam.export.head.maps import appended
from whycam.export.head.reverse_pass import NETWORK
from whycam.export.head.tail import find_feature
from whycam.export.preprocess import take_images
from whycam.export.reverse import walk
from whycam.export.reverse.backward import Backward, UnsupportedLayer
from whycam.export.reverse.pointwise import POINTWISE
from whycam.export.save import save
from whycam.export.sources.find_source import find_source
from whycam.export.verify import methods as definitions
from whycam.export.verify.activations import observe
from whycam.export.verify.agreement import Agreement, Disagreement, compare
from whycam.export.verify.double import DoubleGraph
from whycam.models.contract import HEATMAPS, METHOD, OUTPUTS, SIGNED, WHOLE, ContractError, MapSpec, Score
from whycam.models.pruning import keep_outputs
from whycam.stream.inference.explainer import Explainer, evaluate

LABELS = tuple(f"class {number}" for number in range(6))
DRAWN = tuple(name for name in methods.METHODS if name != SIGNED)
ABOUT = tiny_models.contract([f"class {number}" for number in range(10)], "probability", "stretch", "tiny")


def for_alone(layer: Layer) -> str:
    """Grad-CAM without the channels with negative weights."""
    return layer.graph.add("MatMul", [layer.graph.add("Relu", [layer.alpha]), layer.features])


def for_alone_defined(gradient: definitions.Floats, features: definitions.Floats) -> definitions.Floats:
    weights = np.clip(gradient.sum((3, 4)) / np.prod(features.shape[2:]), 0, None)  # (K, N, channels)
    heat = (weights.swapaxes(0, 1)[..., None, None] * features[:, None]).sum(2)
    return np.where(heat > 0, heat, 0)


@pytest.fixture
def plain() -> ModelProto:
    return tiny_models.classifier(classes=10)


def written(model: ModelProto, path: Path) -> Path:
    save(model, replace(ABOUT, feature=find_feature(model).tensor), path)
    return path


def read_method(path: Path) -> str:
    return Explainer(path).contract.drawn_map().method


def checked(path: Path) -> Agreement:
    agreement = compare(path, tiny_models.images(4))
    agreement.check()
    return agreement


def test_both_tables_have_the_same_methods() -> None:
    assert set(methods.METHODS) == set(definitions.DEFINITIONS)


def test_another_method_is_drawn_and_checked_by_its_definition(
    plain: ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "METHODS", {**methods.METHODS, "for-alone": methods.Method(for_alone)})
    model = append_cam(plain, method="for-alone")
    path = written(model, tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="'for-alone' has no definition"):
        checked(path)
    monkeypatch.setitem(definitions.DEFINITIONS, "for-alone", for_alone_defined)
    agreement = checked(path)
    assert agreement.empty < agreement.maps
    assert read_method(path) == "for-alone"
    monkeypatch.setitem(definitions.DEFINITIONS, "for-alone", definitions.grad_cam)
    with pytest.raises(Disagreement, match="Heatmaps differ from for-alone"):
        checked(path)


@pytest.mark.parametrize(("made", "listed"), [("for-alone", METHOD), (METHOD, "for-alone")])
def test_a_file_that_names_another_method_is_not_written(
    plain: ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str, listed: str
) -> None:
    monkeypatch.setattr(methods, "METHODS", {**methods.METHODS, "for-alone": methods.Method(for_alone)})
    model = append_cam(plain, method=made)
    feature = find_feature(model)
    spec = MapSpec("heatmaps", feature.tensor, listed, (feature.height, feature.width), WHOLE)
    with pytest.raises(ValueError, match=f"made by {made} and cover .*, the contract says {listed}"):
        save(model, replace(ABOUT, feature=feature.tensor, maps=(spec,)), tmp_path / "wrong.onnx")


def test_the_error_for_an_unknown_method_lists_the_known_ones(plain: ModelProto) -> None:
    with pytest.raises(ValueError, match=r"no CAM method 'cam'\. Choose one of grad-cam"):
        append_cam(plain, method="cam")


# The methods of the table.


def network(shape: tuple[int, int, int] = (3, 32, 32)) -> Net:
    """An inner layer with negative values, more cells than channels, and a last one that pools."""
    net = Net(shape, seed=4)
    net("Relu", net("Conv", "x", net.normal(6, 3, 3, 3, spread=0.3), net.normal(6), strides=[2, 2], pads=[1, 1, 1, 1]))
    net("Conv", net.last, net.normal(8, 6, 3, 3, spread=0.2), strides=[2, 2], pads=[1, 1, 1, 1])
    net("HardSwish")
    net("Relu", net("Conv", net.last, net.normal(70, 8, 3, 3, spread=0.2), net.normal(70), pads=[1, 1, 1, 1]))
    net("Flatten", net("GlobalAveragePool"))
    net("Relu", net("Gemm", net.last, net.normal(70, 12, spread=0.4), net.normal(12)))
    net("Gemm", net.last, net.normal(12, 6), net.normal(6))
    return net


def exported(net: Net, folder: Path, *names: str, layers: Sequence[str] = (), score: Score = "probability") -> Path:
    onnx.save(net.model(), folder / "net.onnx")
    wanted = Wanted(layers=tuple(layers), methods=names, score=score)
    export(find_source(str(folder / "net.onnx")), wanted, folder / "out.onnx", lambda _: None)
    return folder / "out.onnx"


def heat(path: Path, targets: Sequence[int] = (-1, 2), output: str = HEATMAPS, count: int = 2) -> NDArray[np.float32]:
    return Explainer(path, output=output).explain(tiny_models.images(count), targets).heatmaps


@pytest.mark.parametrize("score", ["probability", pytest.param("logit", marks=pytest.mark.long)])
@pytest.mark.parametrize("name", DRAWN)
def test_every_method_is_exact_at_the_last_layer_and_at_an_inner_one(name: str, score: Score, tmp_path: Path) -> None:
    """`export` refuses the file otherwise; the next test shows that it does."""
    path = exported(network(), tmp_path, name, layers=["16x16", "8x8"], score=score)
    maps = Explainer(path).contract.listed_maps()
    assert {each.method for each in maps} == {name}
    assert len(maps) == (1 if methods.METHODS[name].source != "layer" else 2)
    for each in maps:
        shown = heat(path, output=each.output)
        assert shown.max() == 1
        assert len(np.unique(shown)) > 10


@pytest.mark.parametrize(("layer", "name"), [("16x16", each) for each in DRAWN] + [("", "hirescam")])
def test_the_check_notices_a_rule_that_is_a_little_wrong(
    layer: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = methods.METHODS[name]

    def wrong(given: Layer) -> str:
        """The further down, the hotter, by a thousandth."""
        factor = np.linspace(1, 1.001, given.cells).astype(np.float32)
        return given.graph.add("Mul", [right.rule(given), given.graph.store(factor)])

    monkeypatch.setattr(methods, "METHODS", {**methods.METHODS, name: right._replace(rule=wrong)})
    with pytest.raises(Disagreement, match=f"differ from {re.escape(name)} in float64"):
        exported(network(), tmp_path, name, layers=[layer] if layer else [])
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("name", ["hirescam", "layer-cam", "input-x-gradient", "integrated-gradients"])
def test_the_check_notices_a_wrong_gradient(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a HardSwish without the second term of its derivative: the map follows from it by its definition."""

    def without_its_slope(b: Backward, node: NodeProto, _place: int) -> str:
        return b.pointwise("HardSigmoid", node.input[0], alpha=1 / 6, beta=0.5)

    monkeypatch.setattr(walk, "POINTWISE", dict(POINTWISE) | {"HardSwish": without_its_slope})
    with pytest.raises(Disagreement, match="in float64 in the median"):
        exported(network(), tmp_path, name, layers=["16x16"])


@pytest.mark.parametrize("name", ["hirescam", "layer-cam", "xgrad-cam", "grad-cam++"])
def test_a_layer_of_zeros_before_a_max_pooling_is_exact(name: str, tmp_path: Path) -> None:
    """Where a ReLU has left a window of zeros the pooling has no derivative, and the gradient does not count."""
    net = Net((3, 32, 32), seed=4)
    net("Relu", net("Conv", "x", net.normal(6, 3, 3, 3, spread=0.3), net.normal(6), pads=[1, 1, 1, 1]))
    net("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    net("Relu", net("Conv", net.last, net.normal(9, 6, 3, 3, spread=0.2), net.normal(9), pads=[1, 1, 1, 1]))
    net("Gemm", net("Flatten", net("GlobalAveragePool")), net.normal(9, 6), net.normal(6))
    path = exported(net, tmp_path, name, layers=["32x32"])
    values = observe(onnx.load(path), ["Relu1"], tiny_models.images(2), np.zeros((2, 1), np.int64))["Relu1"]
    assert (values.reshape(2, 6, 16, 2, 16, 2).max((3, 5)) == 0).any()
    assert heat(path).max() == 1


@pytest.mark.parametrize("count", [1, 3])
def test_one_file_holds_all_methods_and_computes_the_one_that_is_asked_for(count: int, tmp_path: Path) -> None:
    plain = take_images(network().model(), mean=[127], scale=[64])
    model = append_cam(plain, method=DRAWN, layer=["16x16", "8x8"])
    save(model, replace(ABOUT, labels=LABELS, feature=""), tmp_path / "all.onnx")
    maps = Explainer(tmp_path / "all.onnx").contract.listed_maps()
    assert len(maps) == 2 * 7 + 2
    assert [each.output for each in maps][:3] == ["heatmaps", "heatmaps_2", "heatmaps_3"]
    assert [each.layer == maps[0].layer for each in maps[:4]] == [True, False, True, False]
    for each in maps:
        explainer = Explainer(tmp_path / "all.onnx", output=each.output)
        assert len(explainer._session.get_outputs()) == 4
        found = explainer.explain(tiny_models.images(count), [-1, 2])
        alone = append_cam(plain, method=each.method, layer=None if each.layer == NETWORK else each.layer)
        save(alone, replace(ABOUT, labels=LABELS, feature=""), tmp_path / "one.onnx")
        expected = Explainer(tmp_path / "one.onnx").explain(tiny_models.images(count), [-1, 2])
        np.testing.assert_allclose(found.heatmaps, expected.heatmaps, atol=2e-6)
        np.testing.assert_allclose(found.evidence, expected.evidence, rtol=1e-5)
        nothing = explainer.explain(tiny_models.images(count), [])
        assert nothing.heatmaps.shape == (count, 0, *found.heatmaps.shape[2:])


@pytest.mark.parametrize("name", ["input-x-gradient", "integrated-gradients"])
def test_a_network_that_takes_numbers_is_its_own_input(name: str) -> None:
    """As `append_cam` is used by itself: without bytes and their preprocessing."""
    images = tiny_models.images(2)
    inputs = ((images.astype(np.float32) - 127) / 64).transpose(0, 3, 1, 2)
    target = np.array([[-1, 0]] * 2)
    plain = network().model()
    (alone,) = evaluate(append_cam(plain, method=name).SerializeToString(), {"x": inputs, "target": target}, [HEATMAPS])
    whole = append_cam(take_images(plain, mean=[127], scale=[64]), method=name).SerializeToString()
    (expected,) = evaluate(whole, {"image": images, "target": target}, [HEATMAPS])
    np.testing.assert_allclose(alone, expected, atol=1e-5)


def test_what_is_not_asked_for_is_not_computed(tmp_path: Path) -> None:
    plain = take_images(network().model(), mean=[127], scale=[64])
    several = append_cam(plain, method=["grad-cam", "integrated-gradients"]).SerializeToString()
    kept = onnx.load_from_string(keep_outputs(several, OUTPUTS))
    default = append_cam(plain)
    assert [node.op_type for node in kept.graph.node] == [node.op_type for node in default.graph.node]


def test_each_map_s_agreement_is_in_the_file_and_on_the_page(tmp_path: Path) -> None:
    onnx.save(network().model(), tmp_path / "net.onnx")
    said: list[str] = []
    wanted = Wanted(methods=("layer-cam", "negative"))
    page = tmp_path / "page.html"
    export(find_source(str(tmp_path / "net.onnx")), wanted, tmp_path / "out.onnx", said.append, page)
    parity = Explainer(tmp_path / "out.onnx").contract.parity
    assert 0 < parity["float64"] < 1e-5
    assert set(parity["maps"]) == {"heatmaps_2"}
    assert 0 < parity["maps"]["heatmaps_2"]["float64"] < 1e-5
    assert sum(line.startswith(("layer-cam at", "negative at")) for line in said) == 2
    for name in ("layer-cam", "negative"):
        assert f"Heatmaps differ from {name} in float64 by" in page.read_text("utf-8")


@pytest.mark.parametrize(
    "size", [(56, 40), *(pytest.param(each, marks=pytest.mark.long) for each in ((57, 64), (64, 113)))]
)
def test_a_map_of_pixels_has_cells_of_whole_pixels(size: tuple[int, int], tmp_path: Path) -> None:
    path = exported(network((3, *size)), tmp_path, "input-x-gradient")
    (spec,) = Explainer(path).contract.listed_maps()
    side = -(-max(size) // 56)
    assert spec.grid == (-(-size[0] // side), -(-size[1] // side))
    assert spec.region == (0, 0, spec.grid[1] * side / size[1], spec.grid[0] * side / size[0])


def test_integrated_gradients_add_up_to_the_rise_of_the_score() -> None:
    """The axiom of completeness, from an input of zeros to the image: sixteen points of a kinked way leave 2 %."""
    plain = take_images(network().model(), mean=[127], scale=[64])
    model = append_cam(plain, score="logit", method="integrated-gradients")
    (spec,) = appended(model)
    images, target = tiny_models.images(2), np.array([[0, 3], [1, 5]])
    seen = observe(model, [spec.gradient, NETWORK], images, target)
    inputs = seen[NETWORK].astype(np.float64)
    total = (seen[spec.gradient].reshape(2, 2, *inputs.shape[1:]) * inputs[:, None]).sum((2, 3, 4))
    run = DoubleGraph(network().model())
    (high,), (low,) = (run({"x": each}, [network().last]) for each in (inputs, np.zeros_like(inputs)))
    risen = np.take_along_axis(high - low, target, 1)
    np.testing.assert_allclose(total, risen, atol=0.05 * np.abs(risen).max())


def test_negative_is_what_speaks_against(tmp_path: Path) -> None:
    """Of two classes, what speaks against one speaks for the other."""
    net = network()
    net("Gemm", net.last, net.normal(6, 2), net.normal(2))
    path = exported(net, tmp_path, "grad-cam", "negative")
    np.testing.assert_allclose(heat(path, [0, 1]), heat(path, [1, 0], "heatmaps_2"), atol=2e-6)


def test_eigen_cam_is_the_same_for_every_class_and_never_upside_down(tmp_path: Path) -> None:
    path = exported(network(), tmp_path, "eigen-cam", layers=["16x16", "8x8"])
    for output in (HEATMAPS, "heatmaps_2"):
        shown = heat(path, [0, 1, 5], output)
        assert np.array_equal(shown[:, 0], shown[:, 1])
        assert np.array_equal(shown[:, 0], shown[:, 2])
    contract = Explainer(path).contract
    values = observe(onnx.load(path), [contract.feature], tiny_models.images(2), np.zeros((2, 1), np.int64))
    total = values[contract.feature].sum(1)
    assert total.min() >= 0, "behind a ReLU"
    shown = heat(path, [0])[:, 0]
    for one, other in zip(shown, total, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.5


def test_a_network_in_8_bits_has_no_gradient_at_each_cell() -> None:
    net = Net((3, 32, 32))
    net("Relu", net("Conv", "x", net.normal(4, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1]))
    scale, zero = net.keep(0.1), net.keep(0, np.uint8)
    net("Flatten", net("GlobalAveragePool"))
    net("DequantizeLinear", net("QuantizeLinear", net.last, scale, zero), scale, zero)
    net("Gemm", net.last, net.normal(4, 3))
    plain = take_images(net.model(), mean=[127], scale=[64])
    append_cam(plain, method=["grad-cam", "negative", "eigen-cam"])
    with pytest.raises(UnsupportedLayer, match="DequantizeLinear"):
        append_cam(plain, method="hirescam")


def test_bytes_without_a_known_preprocessing_have_no_input_to_explain() -> None:
    net = Net((32, 32, 3))
    net("Transpose", net("Cast", "x", to=1), perm=[0, 3, 1, 2])
    net("Relu", net("Conv", net.last, net.normal(4, 3, 3, 3), strides=[2, 2]))
    net("Gemm", net("Flatten", net("GlobalAveragePool")), net.normal(4, 3))
    model = net.model()
    model.graph.input[0].type.tensor_type.elem_type = 2
    with pytest.raises(UnsupportedLayer, match="its input are bytes"):
        append_cam(model, method="input-x-gradient")


def test_a_map_without_evidence_is_not_drawn(tmp_path: Path) -> None:
    plain = take_images(network().model(), mean=[127], scale=[64])
    model = append_cam(plain, method=["grad-cam", "hirescam"])
    first, second = appended(model)
    feature = replace(ABOUT, labels=LABELS, maps=(first, second._replace(evidence="")))
    helper.set_model_props(model, {})
    save(model, feature, tmp_path / "out.onnx")
    Explainer(tmp_path / "out.onnx")
    with pytest.raises(ContractError, match="no evidence of its map 'heatmaps_2'"):
        Explainer(tmp_path / "out.onnx", output="heatmaps_2")
    with pytest.raises(ContractError, match=r"no map 'heatmaps_3'\. It has heatmaps, heatmaps_2"):
        Explainer(tmp_path / "out.onnx", output="heatmaps_3")


def test_a_mean_over_sixteen_points_may_be_further_from_float64() -> None:
    """A gate may flip at each of them: of ResNet18 with random weights the median is 2.3e-5."""
    found = Agreement(images=1, maps=5, empty=0, float64=6e-5, float64_median=2.3e-5)
    with pytest.raises(Disagreement, match="in the median"):
        found.check()
    replace(found, method="integrated-gradients").check()
    with pytest.raises(Disagreement, match=r"at most 0\.0001 is allowed"):
        replace(found, method="integrated-gradients", float64_median=1.1e-4).check()
