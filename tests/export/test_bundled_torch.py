"""The bundled model's inner layers on eight images, by PyTorch's own differentiation in float64: `make test-models`.

The network is timm's definition, with the weights that the file stores. It was made without this check on one image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from whycam.export.graph.onnx_graph import Graph
from whycam.export.networks.build_bundled import REFERENCE, _folded
from whycam.export.verify.activations import evaluated, with_outputs
from whycam.export.verify.autodiff import Question
from whycam.export.verify.torch_autodiff import TorchNetwork
from whycam.models.catalog import EFFICIENTNET_LITE0
from whycam.models.contract import SIGNED, MapSpec
from whycam.models.pruning import keep_outputs
from whycam.stream.inference.explainer import Explainer

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-models")
timm = pytest.importorskip("timm", reason="timm is not installed: make test-models")
pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch's own
Array = NDArray[Any]

CONTRACT = Explainer(EFFICIENTNET_LITE0.path).contract
INNER = [each for each in CONTRACT.listed_maps() if each.layer != CONTRACT.feature]


@pytest.fixture(scope="module")
def stored() -> dict[str, Array]:
    """Eight images and their five best classes, by `make bundled-model`."""
    with np.load(REFERENCE) as file:
        return dict(file)


@pytest.fixture(scope="module")
def network(stored: dict[str, Array]) -> Any:
    """timm's definition in float64, with the file's weights; its logits are those of `make bundled-model`."""
    found = timm.create_model("tf_efficientnet_lite0").double().eval()
    bare = onnx.load_from_string(keep_outputs(EFFICIENTNET_LITE0.path.read_bytes(), ["scores"]))
    graph = Graph(bare)
    modules = list(found.modules())
    convolutions = [each for each in modules if isinstance(each, torch.nn.Conv2d)]
    norms = [each for each in modules if isinstance(each, torch.nn.BatchNorm2d)]
    nodes = [node for node in bare.graph.node if node.op_type == "Conv"]
    with torch.no_grad():
        for node, convolution, norm in zip(nodes, convolutions, norms, strict=True):
            kernel, bias = _folded(graph, node)
            convolution.weight.copy_(torch.from_numpy(kernel))
            norm.bias.copy_(torch.from_numpy(bias))
            norm.weight.fill_(1)
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)
        last = CONTRACT.last_layer
        assert last is not None
        rows, offset = (stored_in(bare, name) for name in (last.weights, last.bias))
        found.classifier.weight.copy_(torch.from_numpy(rows if last.transposed else rows.T))
        found.classifier.bias.copy_(torch.from_numpy(offset))
        logits = found(torch.from_numpy(prepared(stored["pictures"])).permute(0, 3, 1, 2))
    np.testing.assert_allclose(logits.numpy(), stored["logits"], atol=1e-5)
    return found


def stored_in(model: onnx.ModelProto, name: str) -> NDArray[np.float64]:
    (tensor,) = [each for each in model.graph.initializer if each.name == name]
    return np.asarray(numpy_helper.to_array(tensor), np.float64)


def prepared(images: Array) -> NDArray[np.float64]:
    return (images.astype(np.float64) - 127) / 128


@pytest.mark.parametrize("spec", INNER, ids=lambda spec: f"{spec.method} {spec.grid[0]}x{spec.grid[1]}")
def test_inner_layers_are_those_of_pytorch_in_float64(spec: MapSpec, network: Any, stored: dict[str, Array]) -> None:
    classes = stored["classes"].astype(np.int64)
    names = [spec.output, spec.layer]
    opened = with_outputs(onnx.load(EFFICIENTNET_LITE0.path), names)
    ours, features = evaluated(opened, names, stored["pictures"].astype(np.uint8), classes).values()
    score = "logit" if spec.method == SIGNED else CONTRACT.score
    inputs: Array = prepared(stored["pictures"])
    question = Question(inputs, features, classes, score, "single-label", "logits", spec.method)
    theirs = TorchNetwork(network).autodiff(question).heatmaps
    assert theirs is not None
    unit = np.abs(theirs).max((2, 3)) if spec.method == SIGNED else 1.0
    apart = np.abs(ours - np.nan_to_num(theirs)).max((2, 3)) / unit  # (N, K)
    worst = apart.max(1)
    print(f"median {np.median(apart):.1e}, most {apart.max():.1e}, {int((worst > 2e-5).sum())} images above 2e-5")
    assert np.median(apart) < 2e-5
