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

from whycam.export.graph.onnx_graph import Graph
from whycam.export.head.ends import find_ends
from whycam.export.head.tail import find_tail
from whycam.export.verify.activations import observe
from whycam.export.verify.reference import Reference
from whycam.export.verify.synthetic_images import scenes
from whycam.models.catalog import EFFICIENTNET_LITE0
from whycam.models.contract import OPSET
from whycam.stream.inference.explainer import BEST, Explainer, Explanation

REFERENCE = Path(__file__).parents[1] / "data" / "lite0-reference.npz"
PATH = EFFICIENTNET_LITE0.path


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
    weights = graph.constant(next(node for node in tail if node.op_type == "MatMul").input[1])
    bias = graph.constant(next(node for node in tail if node.op_type == "Add").input[1])
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


def test_a_file_without_a_list_of_maps_gives_the_same_bytes_as_onnxruntime(explainer: Explainer) -> None:
    session = onnxruntime.InferenceSession(PATH, providers=["CPUExecutionProvider"])
    assert explainer.contract.metadata() == session.get_modelmeta().custom_metadata_map
    images = scenes(2, 224, 224, seed=3)
    target = np.broadcast_to(np.array(BEST, np.int64), (2, 5))
    raw = session.run(["scores", "classes", "heatmaps", "evidence"], {"image": images, "target": target})
    found = explainer.explain(images, BEST)
    ours = (found.scores, found.classes, found.heatmaps, found.evidence)
    assert [each.tobytes() for each in ours] == [each.tobytes() for each in raw]


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
    assert PATH.stat().st_size <= 10_000_000
    model = onnx.load(PATH)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert model.ir_version == 8
