"""Every method on a ResNet18 against pytorch-grad-cam, or PyTorch's own differentiation where that package differs.

pytorch-grad-cam adds 1e-6 to Grad-CAM++'s divisor 2 g² + …: of a gradient of 1e-3 that is a third, so the equation is
written here again without it. Its EigenCAM subtracts the mean from the activations first, unlike the paper's, and
leaves the sign to the singular value decomposition. It has no gradient by the input. `make test-models` has both
packages, `make test` has neither.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from whycam.export.head.grad_cam import append_cam
from whycam.export.head.maps import appended
from whycam.export.head.methods import METHODS
from whycam.export.preprocess import take_images
from whycam.export.sources.find_source import find_source
from whycam.export.verify.synthetic_images import scenes
from whycam.stream.inference.explainer import evaluate

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-models")
package = pytest.importorskip("pytorch_grad_cam", reason="pytorch-grad-cam is not installed: make test-models")
pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch's own
SIZE = 128
CLASSES = [3, 500, 998]
THEIRS = {
    "grad-cam": "GradCAM",
    "hirescam": "HiResCAM",
    "grad-cam++": "GradCAMPlusPlus",
    "xgrad-cam": "XGradCAM",
    "layer-cam": "LayerCAM",
}
STAGES = {"layer4": "4x4", "layer3": "8x8"}
Array = NDArray[Any]


def normalised(signed: Array) -> Array:
    heat = np.maximum(signed, 0)
    return np.asarray(heat / np.maximum(heat.max((-2, -1), keepdims=True), 1e-30))


def plus_plus(activations: Array, gradients: Array) -> Array:
    """Equation 19 of arXiv:1710.11063 in float64, with the derivatives of Y = exp(S) divided by Y."""
    a, g = activations.astype(np.float64), gradients.astype(np.float64)
    divisor = 2 * g**2 + a.sum((2, 3), keepdims=True) * g**3
    share = np.where(g != 0, g**2 / np.where(divisor != 0, divisor, 1), 0)
    weights = (share * np.maximum(g, 0)).sum((2, 3), keepdims=True)
    return np.asarray((weights * a).sum(1))


@pytest.fixture(scope="module")
def resnet() -> tuple[Any, Any]:
    """PyTorch's network and its graph."""
    classifier = find_source("torchvision:resnet18", "random", (SIZE, SIZE))
    network = classifier.framework._network  # type: ignore[union-attr]
    return network, classifier.model


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return scenes(2, SIZE, SIZE)


def as_input(images: NDArray[np.uint8]) -> Any:
    return (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 64


@pytest.fixture(scope="module")
def ours(resnet: tuple[Any, Any], images: NDArray[np.uint8]) -> dict[tuple[str, str], Array]:
    """Maps (N, K, h, w) by layer's grid and method, of one file that holds them all."""
    plain = take_images(resnet[1], mean=[127], scale=[64])
    model = append_cam(plain, score="logit", method=list(METHODS), layer=list(STAGES.values()))
    specs = appended(model)
    target = np.array([CLASSES] * len(images))
    values = evaluate(model.SerializeToString(), {"image": images, "target": target}, [each.output for each in specs])
    grids = {f"{each.grid[0]}x{each.grid[1]}" for each in specs}
    assert grids == {*STAGES.values(), "43x43"}
    return {(f"{each.grid[0]}x{each.grid[1]}", each.method): value for each, value in zip(specs, values, strict=True)}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("method", THEIRS)
def test_as_pytorch_grad_cam(
    method: str, stage: str, resnet: tuple[Any, Any], images: NDArray[np.uint8], ours: dict[tuple[str, str], Array]
) -> None:
    layer = getattr(resnet[0], stage)[-1]
    cam = getattr(package, THEIRS[method])(model=resnet[0], target_layers=[layer])
    inputs = as_input(images)
    apart = []
    for place, number in enumerate(CLASSES):
        targets = [package.utils.model_targets.ClassifierOutputTarget(number)] * len(images)
        cam(input_tensor=inputs, targets=targets)
        activations = cam.activations_and_grads.activations[0].numpy()
        gradients = cam.activations_and_grads.gradients[0].numpy()
        if method == "grad-cam++":
            signed = plus_plus(activations, gradients)
        else:
            signed = cam.get_cam_image(inputs, layer, targets, activations, gradients, False)
        apart.append(np.abs(normalised(signed) - ours[STAGES[stage], method][:, place]).max((1, 2)))
    assert np.max(signed) > 0
    # Another order of summation may flip a ReLU's gate behind layer 3, and then every map of the image moves a little.
    assert np.median(apart) < 2e-5
    assert np.max(apart) < (2e-4 if stage == "layer4" else 2e-2)


def test_eigen_cam_is_the_first_singular_vector(
    resnet: tuple[Any, Any], images: NDArray[np.uint8], ours: dict[tuple[str, str], Array]
) -> None:
    for stage, grid in STAGES.items():
        seen: list[Any] = []
        hook = getattr(resnet[0], stage)[-1].register_forward_hook(lambda _m, _i, out, seen=seen: seen.append(out))
        with torch.no_grad():
            resnet[0](as_input(images))
        hook.remove()
        cells = seen[0].double().flatten(2).transpose(1, 2)  # (N, cells, channels)
        left, values, _ = torch.linalg.svd(cells, full_matrices=False)
        side = int(grid.split("x")[0])
        projection = (left[:, :, 0] * values[:, :1]).reshape(len(images), 1, side, side).numpy()
        expected = normalised(projection * np.sign(projection.sum((2, 3), keepdims=True)))
        np.testing.assert_allclose(ours[grid, "eigen-cam"], expected.repeat(len(CLASSES), 1), atol=1e-5)


def test_negative_is_the_negated_grad_cam(
    resnet: tuple[Any, Any], images: NDArray[np.uint8], ours: dict[tuple[str, str], Array]
) -> None:
    class Negated(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def forward(self, x: Any) -> Any:
            return -resnet[0](x)

    layer = resnet[0].layer4[-1]
    cam = package.GradCAM(model=torch.nn.Sequential(resnet[0]), target_layers=[layer])
    cam.activations_and_grads.model = Negated()
    for place, number in enumerate(CLASSES):
        targets = [package.utils.model_targets.ClassifierOutputTarget(number)] * len(images)
        cam(input_tensor=as_input(images), targets=targets)
        activations = cam.activations_and_grads.activations[0].numpy()
        gradients = cam.activations_and_grads.gradients[0].numpy()
        signed = cam.get_cam_image(None, layer, targets, activations, gradients, False)
        np.testing.assert_allclose(ours["4x4", "negative"][:, place], normalised(signed), atol=2e-4)


def test_signed_is_grad_cam_of_the_logit_with_both_signs(resnet: tuple[Any, Any], images: NDArray[np.uint8]) -> None:
    """From a file that explains probabilities, by PyTorch's own gradient of the logits."""
    plain = take_images(resnet[1], mean=[127], scale=[64])
    model = append_cam(plain, method=["grad-cam", "signed"], layer=list(STAGES.values()))
    specs = [each for each in appended(model) if each.method == "signed"]
    target = np.array([CLASSES] * len(images))
    values = evaluate(model.SerializeToString(), {"image": images, "target": target}, [each.output for each in specs])
    for stage, ours in zip(STAGES, values, strict=True):
        seen: list[Any] = []
        hook = getattr(resnet[0], stage)[-1].register_forward_hook(lambda _m, _i, out, seen=seen: seen.append(out))
        logits = resnet[0](as_input(images).requires_grad_())
        hook.remove()
        for place, number in enumerate(CLASSES):
            (gradient,) = torch.autograd.grad(logits[:, number].sum(), seen[0], retain_graph=True)
            theirs = (gradient.mean((2, 3), keepdim=True) * seen[0]).sum(1).detach().numpy()
            assert theirs.min() < 0
            # A gate that flips behind layer 3 moves every map of the image a little.
            limit = (2e-4 if stage == "layer4" else 2e-2) * np.abs(theirs).max()
            np.testing.assert_allclose(ours[:, place], theirs, atol=limit)


AT_CELLS: dict[str, Callable[[Array, Array], Array]] = {
    "grad-cam++": plus_plus,
    "hirescam": lambda activations, gradients: (activations * gradients).sum(1),
    "layer-cam": lambda activations, gradients: (activations * gradients.clip(0)).sum(1),
    "xgrad-cam": lambda activations, gradients: (x_weights(activations, gradients) * activations).sum(1),
}


def x_weights(activations: Array, gradients: Array) -> Array:
    total = activations.sum((2, 3), keepdims=True)
    shares = np.divide(activations, total, out=np.zeros(activations.shape), where=total > 0)
    return np.asarray((shares * gradients).sum((2, 3), keepdims=True))


def test_a_relu_before_a_max_pooling_by_autograd_in_float64(resnet: tuple[Any, Any], images: NDArray[np.uint8]) -> None:
    """ResNet's stem: of a window of zeros the pooling gives the gradient to the first, there and here."""
    plain = take_images(resnet[1], mean=[127], scale=[64])
    model = append_cam(plain, score="logit", method=list(AT_CELLS), layer=f"{SIZE // 2}x{SIZE // 2}")
    specs = appended(model)
    target = np.array([CLASSES] * len(images))
    values = evaluate(model.SerializeToString(), {"image": images, "target": target}, [each.output for each in specs])
    network, seen = deepcopy(resnet[0]).double(), []
    network.relu.register_forward_hook(lambda _m, _i, out: seen.append(out))
    logits = network(as_input(images).double().requires_grad_())
    activations = seen[0].detach().numpy()
    windows = torch.nn.functional.max_pool2d(seen[0], 3, 2, 1)
    assert (windows == 0).any()
    for spec, ours in zip(specs, values, strict=True):
        apart = []
        for place, number in enumerate(CLASSES):
            (gradient,) = torch.autograd.grad(logits[:, number].sum(), seen[0], retain_graph=True)
            theirs = normalised(AT_CELLS[spec.method](activations, gradient.numpy()))
            apart.append(np.abs(theirs - ours[:, place]).max((1, 2)))
        assert np.median(apart) < 2e-5, spec.method


@pytest.mark.parametrize("method", ["input-x-gradient", "integrated-gradients"])
def test_gradients_by_the_input(
    method: str, resnet: tuple[Any, Any], images: NDArray[np.uint8], ours: dict[tuple[str, str], Array]
) -> None:
    inputs = as_input(images)
    points, weights = np.polynomial.legendre.leggauss(16) if method != "input-x-gradient" else ([1.0], [2.0])
    apart = []
    for place, number in enumerate(CLASSES):
        mean = torch.zeros_like(inputs)
        for point, weight in zip(points, weights, strict=True):
            leaf = (inputs * ((point + 1) / 2)).requires_grad_()
            (found,) = torch.autograd.grad(resnet[0](leaf)[:, number].sum(), leaf)
            mean += weight / 2 * found
        signed = (inputs * mean).sum(1).numpy()
        blocks = np.pad(signed, ((0, 0), (0, 1), (0, 1))).reshape(len(images), 43, 3, 43, 3).sum((2, 4))
        apart.append(np.abs(normalised(blocks) - ours["43x43", method][:, place]).max((1, 2)))
    assert np.median(apart) < 1e-3, apart


def test_integrated_gradients_add_up_to_the_difference_of_the_scores(
    resnet: tuple[Any, Any], images: NDArray[np.uint8]
) -> None:
    """Their axiom of completeness (arXiv:1703.01365), within the error of sixteen points of a piecewise linear way."""
    plain = take_images(resnet[1], mean=[127], scale=[64])
    model = append_cam(plain, score="logit", method="integrated-gradients")
    (spec,) = appended(model)
    model.graph.output.add().name = spec.gradient
    target = np.array([CLASSES] * len(images))
    (gradient,) = evaluate(model.SerializeToString(), {"image": images, "target": target}, [spec.gradient])
    inputs = as_input(images)
    total = (gradient.reshape(*target.shape, *inputs.shape[1:]) * inputs.numpy()[:, None]).sum((2, 3, 4))
    with torch.no_grad():
        risen = (resnet[0](inputs) - resnet[0](torch.zeros_like(inputs)))[:, CLASSES].numpy()
    np.testing.assert_allclose(total, risen, atol=0.05 * np.abs(risen).max())
