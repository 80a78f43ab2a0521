"""The bundled model against PyTorch's definition of the network, and on photographs of known things."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import skimage.data
from numpy.typing import NDArray

from tests.support.models.graph_digest import graph_digest
from whycam.export.graph.onnx_graph import Graph
from whycam.export.head.ends import find_ends
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.tail import find_tail
from whycam.export.networks.build_bundled import MAPS, network_of
from whycam.export.verify.activations import observe
from whycam.export.verify.agreement import compare
from whycam.export.verify.other_classes import random_sets
from whycam.export.verify.reference import Reference
from whycam.export.verify.synthetic_images import scenes
from whycam.models.catalog import EFFICIENTNET_LITE0
from whycam.models.contract import OPSET
from whycam.models.pruning import keep_outputs
from whycam.stream.inference.explainer import BEST, Explainer
from whycam.stream.inference.explanation import Explanation

REFERENCE = Path(__file__).parents[1] / "data" / "lite0-reference.npz"
PATH = EFFICIENTNET_LITE0.path
OF_ONE_MAP = ["scores", "classes", "heatmaps", "evidence", "Squeeze_125"]
"""What is computed for the default map; the last is the vector before the last layer."""


@pytest.fixture(scope="module")
def torch() -> dict[str, NDArray[np.float32]]:
    """PyTorch's results for eight images, stored by `make bundled-model`."""
    with np.load(REFERENCE) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return Explainer(PATH)


@pytest.fixture(scope="module")
def explained(explainer: Explainer, torch: dict[str, NDArray[np.float32]]) -> Explanation:
    return explainer.explain(torch["pictures"].astype(np.uint8), BEST)


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def test_it_names_the_same_classes_as_pytorch(explained: Explanation, torch: dict[str, NDArray[np.float32]]) -> None:
    np.testing.assert_array_equal(explained.classes, torch["classes"])


def test_it_scores_as_pytorch(explained: Explanation, torch: dict[str, NDArray[np.float32]]) -> None:
    np.testing.assert_allclose(explained.scores, probabilities(torch["logits"]), atol=1e-5)


def test_it_draws_the_heatmaps_of_pytorchs_autograd(
    explained: Explanation, torch: dict[str, NDArray[np.float32]]
) -> None:
    # The whole network in float32, compared with float64 and the same stored weights: 7e-6 when it was made.
    np.testing.assert_allclose(explained.heatmaps, torch["heatmaps"], atol=3e-5)


def test_half_precision_of_the_stored_weights_changes_no_decision(
    explained: Explanation, torch: dict[str, NDArray[np.float32]]
) -> None:
    published = probabilities(torch["published_logits"])
    np.testing.assert_array_equal(explained.scores.argmax(1), published.argmax(1))
    np.testing.assert_allclose(explained.scores, published, atol=5e-3)


def test_its_heatmaps_are_those_of_float64_on_the_same_activations(
    explained: Explanation, torch: dict[str, NDArray[np.float32]]
) -> None:
    model = onnx.load(PATH)
    graph = Graph(model)
    ends = find_ends(graph)
    feature, tail = find_tail(graph, ends)
    dense = next(node for node in tail if node.op_type == "Gemm")
    weights, bias = graph.constant(dense.input[1]), graph.constant(dense.input[2])
    assert weights is not None
    assert bias is not None
    seen = observe(model, [feature.tensor], torch["pictures"].astype(np.uint8), explained.classes)
    maps = seen[feature.tensor].astype(np.float64)
    logits = maps.mean((2, 3)) @ weights + bias
    for n, k in np.ndindex(explained.classes.shape):
        chosen = explained.classes[n, k]
        others = np.exp(logits[n] - logits[n].max())
        others[chosen] = 0
        seed = -others / others.sum()
        seed[chosen] = 1
        heat = np.maximum(np.tensordot(weights @ seed / 49, maps[n], 1), 0)
        np.testing.assert_allclose(explained.heatmaps[n, k], heat / heat.max(), atol=1e-5)
        np.testing.assert_allclose(explained.evidence[n, k], heat.max(), rtol=1e-4)


def test_who_asks_for_no_other_map_runs_the_graph_of_the_file_that_had_one() -> None:
    """Its nodes and weights by name and in order, as in the file of before there were several."""
    kept = keep_outputs(PATH.read_bytes(), ["scores", "classes", "heatmaps", "evidence"])
    assert graph_digest(onnx.load_from_string(kept)) == "600db87e610f7a75"


def test_its_default_map_has_the_bytes_that_a_file_with_this_one_gives(explainer: Explainer, tmp_path: Path) -> None:
    session = onnxruntime.InferenceSession(PATH, providers=["CPUExecutionProvider"])
    assert explainer.contract.metadata() == session.get_modelmeta().custom_metadata_map
    alone = onnx.load_from_string(keep_outputs(PATH.read_bytes(), OF_ONE_MAP))
    kept = {each.key: each.value for each in alone.metadata_props if each.key != "whycam.maps"}
    onnx.helper.set_model_props(alone, kept)
    onnx.save(alone, tmp_path / "alone.onnx")
    one = Explainer(tmp_path / "alone.onnx")
    assert one.contract.drawn_map() == explainer.contract.drawn_map()
    assert [each.name for each in explainer._session.get_outputs()] == OF_ONE_MAP
    session = onnxruntime.InferenceSession(tmp_path / "alone.onnx", providers=["CPUExecutionProvider"])
    images = scenes(2, 224, 224, seed=3)
    target = np.broadcast_to(np.array(BEST, np.int64), (2, 5))
    raw = session.run(["scores", "classes", "heatmaps", "evidence"], {"image": images, "target": target})
    for found in (explainer.explain(images, BEST), one.explain(images, BEST)):
        ours = (found.scores, found.classes, found.heatmaps, found.evidence)
        assert [each.tobytes() for each in ours] == [each.tobytes() for each in raw]


def test_it_holds_the_methods_that_differ_at_three_layers(explainer: Explainer) -> None:
    contract = explainer.contract
    assert contract.drawn_map().output == "heatmaps"
    found: dict[tuple[int, int], list[str]] = {}
    for each in contract.listed_maps():
        found.setdefault(each.grid, []).append(each.method)
    assert found == {
        (7, 7): ["grad-cam", "grad-cam++", "layer-cam", "eigen-cam", "negative", "signed"],
        (14, 14): ["grad-cam", "layer-cam", "signed", "hirescam"],
        (28, 28): ["grad-cam", "layer-cam", "signed", "hirescam"],
    }
    assert all(contract.draws(each.output).signed_map() is not None for each in contract.drawable_maps())
    assert set(contract.parity["maps"]) == {each.output for each in contract.listed_maps()} - {"heatmaps"}
    assert all(each.get("float64_median", each["float64"]) <= 2e-5 for each in contract.parity["maps"].values())


def test_each_map_is_another_one_and_is_drawn(explainer: Explainer) -> None:
    image = cv2.resize(skimage.data.coffee(), (224, 224), interpolation=cv2.INTER_AREA).astype(np.uint8)[None]
    drawn = []
    for each in explainer.contract.drawable_maps():
        found = Explainer(PATH, output=each.output).explain(image, [-1, 0])  # nothing speaks against the best class
        assert found.heatmaps.shape[2:] == each.grid
        assert found.heatmaps.max() == 1
        drawn.append(np.stack([cv2.resize(heat, (28, 28)) for heat in found.heatmaps[0]]))
    for place, one in enumerate(drawn):
        assert all(np.abs(one - other).max() > 1e-3 for other in drawn[:place])


def test_the_signed_maps_of_its_last_layer_add_up_to_the_logits(torch: dict[str, NDArray[np.float32]]) -> None:
    images, classes = torch["pictures"][:2].astype(np.uint8), torch["classes"][:2].astype(np.int64)
    signed = Explainer(PATH, signed=True).explain(images, classes).signed
    assert signed is not None
    graph = Graph(onnx.load(PATH))
    _, tail = find_tail(graph, find_ends(graph))
    bias = graph.constant(next(node for node in tail if node.op_type == "Gemm").input[2])
    assert bias is not None
    logits = np.take_along_axis(torch["logits"][:2], classes, 1)
    np.testing.assert_allclose(signed.sum((2, 3)), logits - bias[classes], atol=1e-4)


def test_its_maps_cost_a_fiftieth_of_the_file() -> None:
    one = keep_outputs(PATH.read_bytes(), ["scores", "classes", "heatmaps", "evidence"])
    assert PATH.stat().st_size - len(one) < 0.02 * len(one)


def test_the_checks_reference_agrees_with_pytorch(torch: dict[str, NDArray[np.float32]]) -> None:
    model = onnx.load(PATH)
    reference = Reference(model, Explainer(PATH).contract.feature)
    classes = torch["classes"].astype(np.int64)
    seen = observe(model, reference.needed, torch["pictures"].astype(np.uint8), classes)
    np.testing.assert_allclose(reference.heatmaps(seen, classes, "probability"), torch["heatmaps"], atol=3e-5)


@pytest.mark.parametrize(("photograph", "name"), [("chelsea", "Egyptian cat"), ("coffee", "espresso")])
def test_it_knows_what_a_photograph_shows(explainer: Explainer, photograph: str, name: str) -> None:
    image = getattr(skimage.data, photograph)()
    small = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA).astype(np.uint8)
    found = explainer.explain(small[None], [-1])
    assert explainer.contract.labels[found.classes[0, 0]] == name
    assert found.scores.max() > 0.5


def test_its_metadata_names_its_source(explainer: Explainer) -> None:
    contract = explainer.contract
    assert contract.name == "efficientnet-lite0"
    assert (contract.input_size, contract.map_size) == ((224, 224), (7, 7))
    assert contract.licence == "Apache-2.0"
    assert contract.weights_source == EFFICIENTNET_LITE0.source
    assert contract.parity["float64"] <= 1e-5
    assert json.loads(json.dumps(contract.parity)) == contract.parity


def test_its_labels_are_a_thousand_different_names(explainer: Explainer) -> None:
    labels = explainer.contract.labels
    assert len({label.lower() for label in labels}) == 1000
    assert labels == tuple((PATH.parent / "imagenet-labels.txt").read_text("utf-8").splitlines())
    assert (labels[954], labels[620], labels[651]) == ("banana", "laptop", "microwave")


def test_it_is_small_sound_and_stock() -> None:
    assert PATH.stat().st_size <= 12_500_000  # 2.5 MB of it because the last layer is in float32, to be replaced
    model = onnx.load(PATH)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert model.ir_version == 8


@pytest.mark.parametrize(
    ("output", "classes", "images"),
    [
        ("heatmaps", 7, 2),
        pytest.param("heatmaps", 1007, 3, marks=pytest.mark.long),
        pytest.param("heatmaps_10", 3, 3, marks=pytest.mark.long),
        pytest.param("heatmaps_2", 3, 1, marks=pytest.mark.long),
    ],
)
def test_its_classes_can_be_replaced_and_the_new_ones_are_exact(
    explainer: Explainer, output: str, classes: int, images: int
) -> None:
    """The drawn and the signed map of its last layer, by the closed form, and one of an inner layer."""
    layer = explainer.contract.last_layer
    assert layer is not None
    (class_set,) = random_sets(PATH, layer, (classes,))
    agreement = compare(PATH, scenes(images, 224, 224, seed=5), (-1, -2), output=output, class_set=class_set)
    agreement.check()
    assert (agreement.float64_median or agreement.float64) <= 1e-5
    assert agreement.scores is not None
    assert agreement.scores <= 1e-6


def test_its_head_is_the_one_that_is_written_today() -> None:
    again = append_cam(network_of(onnx.load(PATH)), maps=MAPS, replaceable=True)
    assert graph_digest(again) == graph_digest(onnx.load(PATH))
