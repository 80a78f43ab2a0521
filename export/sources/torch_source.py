"""A classifier from PyTorch: a program of `torch.export`, or a network of torchvision or timm by its name."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from onnx import ModelProto

from whycam.export.preprocessing import Preprocessing
from whycam.export.requirements import check_needs
from whycam.export.sources.classifier import Classifier, Stated
from whycam.export.sources.onnx_source import plain_name
from whycam.export.sources.weights import RANDOM, WeightsMissing, digest, from_file
from whycam.export.verify.torch_autodiff import TorchNetwork
from whycam.models.catalog import sha256

Library = Literal["torchvision", "timm"]
SEED = 0


def from_program(source: Path) -> Classifier:
    """The classifier that `torch.export.save` wrote; raises `ValueError` for a file that cannot be read."""
    check_needs("torch", "onnxscript", extra="torch")
    import torch

    if not source.is_file():
        raise ValueError(f"There is no file {source}.")
    try:
        program = torch.export.load(source)
    except Exception as error:  # torch raises what zip, pickle and its own schema raise
        raise ValueError(f"{source} is not a program of torch.export, or it is damaged. ({_first(error)})") from error
    with _quiet():
        model = _converted(lambda: torch.onnx.export(program, dynamo=True, verbose=False))
    return Classifier(
        model=model,
        name=plain_name(source.stem),
        origin=source.name,
        sha256=sha256(source),
        made_by=_made_by("torch", "onnxscript"),
        framework=_framework(program.module()),
    )


def from_library(library: Library, name: str, weights: str, size: tuple[int, int] | None) -> Classifier:
    """A network by its name, with its published `weights`, `random` ones, or those of a file.

    Raises `ValueError` for a name that the library does not have, and `WeightsMissing` for weights that cannot be
    downloaded or do not fit.
    """
    check_needs("torch", "onnxscript", library, extra="torch")
    made = {"torchvision": _from_torchvision, "timm": _from_timm}[library](name, weights)
    network, preprocessing, labels, own_size, origin = made
    height, width = size or own_size
    return Classifier(
        model=_to_onnx(network, (height, width)),
        name=plain_name(name),
        origin=origin,
        sha256=sha256(Path(weights)) if Path(weights).is_file() else digest(network.state_dict().values()),
        made_by=_made_by("torch", library, "onnxscript"),
        preprocessing=preprocessing,
        labels=labels,
        framework=TorchNetwork(network),
    )


Made = tuple[Any, Stated[Preprocessing] | None, Stated[tuple[str, ...]] | None, tuple[int, int], str]
"""A network, its preprocessing, its labels, height and width of its images, and where its weights come from."""


def _from_torchvision(name: str, weights: str) -> Made:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name.lower() not in known:
        raise _unknown("torchvision", name, known)
    published = torchvision.models.get_model_weights(name.lower()).DEFAULT
    transforms = published.transforms()
    preprocessing = Stated(_normalising(transforms.mean, transforms.std), f"torchvision's {published}")
    (size,) = set(transforms.crop_size)
    options = {"init_weights": True} if name.lower() in ("googlenet", "inception_v3") else {}

    def build(**given: Any) -> Any:
        return torchvision.models.get_model(name.lower(), **given)

    if weights == RANDOM or Path(weights).is_file():
        network = from_file(lambda **classes: build(weights=None, **options, **classes), weights, SEED)
        return network, preprocessing, None, (size, size), _origin(f"torchvision's {name}", weights)
    file = Path(published.url).name
    network = _downloaded(lambda: build(weights=published), f"torchvision:{name}", published.url, file)
    labels = Stated(tuple(published.meta["categories"]), f"torchvision's {published}")
    return network, preprocessing, labels, (size, size), f"{published.url}"


def _from_timm(name: str, weights: str) -> Made:
    import timm

    if not timm.is_model(name):
        raise _unknown("timm", name, timm.list_models())
    own = timm.models.get_pretrained_cfg(name)
    preprocessing, size, labels, url = None, (224, 224), None, ""
    if own is not None:
        preprocessing = Stated(_normalising(own.mean, own.std), "timm's pretrained_cfg")
        size = (own.input_size[1], own.input_size[2])
        url = own.url or f"https://huggingface.co/{own.hf_hub_id}/resolve/main/model.safetensors"
    if weights == RANDOM or Path(weights).is_file():
        network = from_file(lambda **classes: timm.create_model(name, **classes), weights, SEED)
        return network, preprocessing, None, size, _origin(f"timm's {name}", weights)
    if not url:
        raise WeightsMissing(f"timm publishes no weights of {name}. Give a file: --weights FILE.")
    network = _downloaded(lambda: timm.create_model(name, pretrained=True), f"timm:{name}", url, Path(url).name)
    if subset := timm.data.infer_imagenet_subset(network):
        info = timm.data.ImageNetInfo(subset)
        names = tuple(info.index_to_description(number) for number in range(info.num_classes()))
        labels = Stated(names, f"timm's {subset}")
    return network, preprocessing, labels, size, url


def _framework(network: Any) -> TorchNetwork | None:
    """Its automatic differentiation; none in half precision, where it rounds more coarsely than the file computes."""
    import torch

    half = any(each.dtype in (torch.float16, torch.bfloat16) for each in network.parameters())
    return None if half else TorchNetwork(network)


def _to_onnx(network: Any, size: tuple[int, int]) -> ModelProto:
    import torch

    network.eval()
    images = (torch.zeros(2, getattr(network, "in_chans", 3), *size),)
    batch = torch.export.Dim("N", min=1, max=1024)

    def export(**options: Any) -> Any:
        return torch.onnx.export(network, images, dynamo=True, verbose=False, **options)

    with _quiet():
        try:
            return _converted(lambda: export(dynamic_shapes=({0: batch},)))
        except ValueError:  # a network whose code needs the number of images: its graph may be free all the same
            images = (images[0][:1],)
            return _converted(export)


def _converted(export: Callable[..., Any]) -> ModelProto:
    try:
        model: ModelProto = export().model_proto
    except Exception as error:  # torch raises its own, Python's and onnxscript's
        raise ValueError(f"PyTorch cannot export this network to ONNX. ({_first(error)})") from error
    return model


def _downloaded(build: Callable[[], Any], model: str, url: str, file: str) -> Any:
    try:
        with _quiet():
            return build()
    except Exception as error:  # urllib's, requests' and Hugging Face's have no common base class
        raise WeightsMissing(
            f"The weights of {model} could not be downloaded ({_first(error)}). On a computer with internet, download "
            f"{url} and give the file: whycam export {model} --weights {file}"
        ) from error


def _unknown(library: str, name: str, known: list[str]) -> ValueError:
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), known, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"It has {', '.join(known[:5])} and others."
    return ValueError(f"{library} has no classifier '{name}'. {hint}")


def _normalising(mean: Any, std: Any) -> Preprocessing:
    red, green, blue = (float(each) for each in mean)
    red_, green_, blue_ = (float(each) for each in std)
    return Preprocessing((red, green, blue), (red_, green_, blue_))


def _origin(network: str, weights: str) -> str:
    return f"{network}, random weights, seed {SEED}" if weights == RANDOM else f"{network}, {Path(weights).name}"


def _made_by(*packages: str) -> str:
    return ", ".join(f"{package} {metadata.version(package)}" for package in (*packages, "onnx"))


def _first(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the notes that torch and onnxscript print for their authors, and Hugging Face's of each attempt."""
    noisy = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "huggingface_hub")]
    levels = [logger.level for logger in noisy]
    for logger in noisy:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(noisy, levels, strict=True):
            logger.setLevel(level)
