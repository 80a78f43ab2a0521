"""`whycam export FILE.onnx`: a classifier of the user's own gets its head, is verified, and takes its place."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import onnx
from onnx import ModelProto

from whycam.export.head.grad_cam import append_cam
from whycam.export.head.onnx_graph import Graph
from whycam.export.head.tail import find_ends, find_feature
from whycam.export.labels import find_labels
from whycam.export.pipeline import SCENES, read_images
from whycam.export.preprocess import Channels, take_images
from whycam.export.preprocessing import LIKES, PREPROCESSING, Preprocessing
from whycam.export.save import save
from whycam.export.verify.agreement import compare
from whycam.export.verify.synthetic_images import scenes
from whycam.models import catalog
from whycam.models.contract import Contract, Fitting, Score
from whycam.stream.inference.explainer import BEST, Explainer
from whycam.stream.inference.preprocess import Fit
from whycam.stream.media.image import read_image

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person says of their network; None: found, or the default."""

    name: str | None = None
    labels: Path | None = None
    preprocessing: Preprocessing | None = None
    size: tuple[int, int] | None = None
    """Height and width, for a network that leaves them open."""
    fit: Fitting = "stretch"
    score: Score = "probability"
    verify_with: Path | None = None


def size_of(text: str | None) -> tuple[int, int] | None:
    """Height and width, written HxW; raises `ValueError`."""
    if text is None:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit() and 0 < int(height) <= 4096 and 0 < int(width) <= 4096):
        raise ValueError(f"A size is written HxW, such as 224x224, not '{text}'.")
    return int(height), int(width)


def export_onnx(source: Path, wanted: Wanted, output: Path | None, say: Say) -> Path:
    """Make an explainable file of a classifier; returns `output`, or its path among the user's models.

    Raises `ValueError` for a model that cannot be explained exactly, and `Disagreement` if it is not; no file is left
    then.
    """
    name = wanted.name or re.sub(r"[^a-z0-9._-]+", "-", source.stem.lower()).strip("-")
    destination = output or catalog.user_models() / f"{name}.onnx"
    if destination.suffix != ".onnx":
        raise ValueError(f"The output is an ONNX file; give it a name that ends in .onnx, not '{destination.name}'.")
    if destination.resolve() == source.resolve():
        raise ValueError(f"{source} is the classifier itself. Give another output.")
    if output is None:
        catalog.check_name(name)
    model, about = _explainable(source, name, wanted, say)
    height, width = (dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:3])
    images = read_images(wanted.verify_with, (height, width)) if wanted.verify_with else scenes(SCENES, height, width)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".whycam-export-", dir=destination.parent) as folder:
        draft = Path(folder) / "draft.onnx"
        save(model, about, draft)
        agreement = compare(draft, images, BEST[: len(about.labels)])
        say(str(agreement))
        agreement.check()
        final = Path(folder) / destination.name
        save(model, about.with_parity(agreement.metadata()), final)
        final.replace(destination)
    return destination


def try_onnx(source: Path, wanted: Wanted, image: Path, say: Say) -> None:
    """Say the five best classes of an image, as the file would; nothing is left."""
    model, about = _explainable(source, wanted.name or source.stem, wanted, say)
    with tempfile.TemporaryDirectory(prefix="whycam-export-") as folder:
        save(model, about, Path(folder) / "try.onnx")
        explainer = Explainer(Path(folder) / "try.onnx")
        contract = explainer.contract
        seen = Fit(contract.fit, contract.input_size).image(av.VideoFrame.from_ndarray(read_image(image), "rgb24"))
        found = explainer.explain(seen[None], BEST[: len(contract.labels)])
        for number in found.classes[0]:
            say(f"{100 * found.scores[0, number]:5.1f}% {contract.labels[number]}")


def _explainable(source: Path, name: str, wanted: Wanted, say: Say) -> tuple[ModelProto, Contract]:
    """The model with its head, and what the file will say of itself."""
    plain = read_classifier(source)
    if wanted.size is not None:
        fix_size(plain, wanted.size)
    preprocessing = wanted.preprocessing or PREPROCESSING["imagenet"]
    if wanted.preprocessing is None:
        say(f"Preprocessing: ImageNet's, {preprocessing}. Another one: --like {'|'.join(LIKES)}, or --mean, --std.")
    mean, std = (np.array(each) / preprocessing.scale for each in (preprocessing.mean, preprocessing.std))
    channels: Channels = "bgr" if preprocessing.bgr else "rgb"
    model = append_cam(
        take_images(plain, mean=mean.tolist(), scale=std.tolist(), channels=channels), score=wanted.score
    )
    ends = find_ends(Graph(model))
    labels, sentence = find_labels(plain, ends.classes, wanted.labels)
    say(sentence)
    if find_ends(Graph(plain)).probabilities is None:
        say("The network ends in logits: they are taken for those of one class of many, and get a softmax.")
    about = Contract(
        name=name,
        labels=labels,
        fit=wanted.fit,
        score=wanted.score,
        feature=find_feature(model).tensor,
        weights_source=source.name,
        weights_sha256=catalog.sha256(source),
        licence="that of the network",
        made_by=f"onnx {onnx.__version__}",
    )
    return model, about


def read_classifier(source: Path) -> ModelProto:
    """An ONNX file with the weights beside it, if there are any; raises `ValueError`."""
    if not source.is_file():
        raise ValueError(f"There is no file {source}.")
    try:
        return onnx.load(source)
    except FileNotFoundError as error:
        raise ValueError(f"{source} keeps its weights in another file, which is not beside it ({error}).") from error
    except Exception as error:  # protobuf's and onnx's have no common base class
        raise ValueError(f"{source} is not an ONNX model, or it is damaged. ({error})") from error


def fix_size(model: ModelProto, size: tuple[int, int]) -> None:
    """Set an open height and width of a network's input; raises `ValueError` if it has another size already."""
    stored = {tensor.name for tensor in model.graph.initializer}
    given = [each for each in model.graph.input if each.name not in stored]
    dims = given[0].type.tensor_type.shape.dim if len(given) == 1 else []
    if len(dims) != 4:
        raise ValueError(f"--size is for a network whose input has height and width; this one has {len(dims)} axes.")
    places = (1, 2) if dims[3].dim_value in (1, 3) else (2, 3)
    for place, length in zip(places, size, strict=True):
        if dims[place].dim_value not in (0, length):
            raise ValueError(f"The network takes {dims[places[0]].dim_value}x{dims[places[1]].dim_value} pixels only.")
        dims[place].dim_value = length
