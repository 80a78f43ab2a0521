"""`whycam export MODEL`: a classifier of the user's own gets its head, is verified, and takes its place."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, shape_inference

from whycam.export.default_layer import default_layer, layer_named
from whycam.export.graph.observed_sizes import observed
from whycam.export.graph.onnx_graph import Graph
from whycam.export.graph.opset import converted
from whycam.export.graph.sizes import Sizes
from whycam.export.head.covered import UnsupportedTail
from whycam.export.head.ends import ACTIVATIONS, as_two_classes, check_no_shares, find_ends, output_of
from whycam.export.head.grad_cam import append_cam, prepared
from whycam.export.head.last_layer import FixedClasses, open_last_layer
from whycam.export.head.maps import appended
from whycam.export.head.methods import find_method
from whycam.export.head.tail import find_tail
from whycam.export.input_size import fix_size
from whycam.export.labels import find_labels
from whycam.export.pipeline import SCENES, read_images
from whycam.export.precision.single import in_single
from whycam.export.preprocess import Channels, take_images
from whycam.export.preprocessing import LIKES, PREPROCESSING, Preprocessing
from whycam.export.report import write_report
from whycam.export.reverse.layers import Candidate, candidates
from whycam.export.save import save
from whycam.export.sources.classifier import Classifier
from whycam.export.verify.agreement import Agreement, compare, metadata_of
from whycam.export.verify.autodiff import Autodiff, Output, Question
from whycam.export.verify.other_classes import check_other_classes
from whycam.export.verify.synthetic_images import scenes
from whycam.models import catalog
from whycam.models.contract import HEATMAPS, METHOD, SIGNED, Contract, Fitting, Score, Task
from whycam.stream.inference.explainer import BEST, Explainer
from whycam.stream.inference.preprocess import Fit
from whycam.stream.media.image import read_image

Say = Callable[[str], None]
AskedTask = Literal["single-label", "multi-label", "yes-no"]
"""What a person may say of a network's scores; yes-no: its one number is the logit of 'yes'."""
NO_AND_YES = ("no", "yes")
ASKED = 8
"""Images for which the network's own framework is asked: a large one takes seconds for each."""


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
    task: AskedTask | None = None
    layers: tuple[str, ...] = ()
    """Whose maps are drawn; none: the last that the closed form covers, or the last that the reverse pass does."""
    methods: tuple[str, ...] = (METHOD,)
    """How; the first layer's map by the first method is the one that is drawn."""
    verify_with: Path | None = None


@dataclass(frozen=True, slots=True)
class Explainable:
    """A model with its head, what its file will say, and what its check needs to know."""

    model: ModelProto
    about: Contract
    preprocessing: Preprocessing
    channels: int
    """Of the network's own input."""
    output: Output
    """What the network's own last numbers are."""


def destination_of(name: str, source: Path, output: Path | None) -> Path:
    """Where the explainable file is to be: `output`, or among the user's models; raises `ValueError`."""
    destination = output or catalog.user_models() / f"{name}.onnx"
    if destination.suffix != ".onnx":
        raise ValueError(f"The output is an ONNX file; give it a name that ends in .onnx, not '{destination.name}'.")
    if destination.resolve() == source.resolve():
        raise ValueError(f"{source} is the classifier itself. Give another output.")
    if output is None:
        catalog.check_name(name)
    return destination


def export(
    classifier: Classifier, wanted: Wanted, destination: Path, say: Say, report: Path | None = None
) -> Agreement:
    """Make an explainable file of a classifier, and return how its maps agree with their references.

    `report` is a page about it. Raises `ValueError` for a model that cannot be explained exactly, and `Disagreement` if
    it is not; no file is left then.
    """
    made = explainable(classifier, wanted, say)
    height, width = (dim.dim_value for dim in made.model.graph.input[0].type.tensor_type.shape.dim[1:3])
    images = read_images(wanted.verify_with, (height, width)) if wanted.verify_with else scenes(SCENES, height, width)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".whycam-export-", dir=destination.parent) as folder:
        draft = Path(folder) / "draft.onnx"
        about = save(made.model, made.about, draft)
        agreements = _agreements(classifier, made, about, draft, images, say)
        final = Path(folder) / destination.name
        save(made.model, about.with_parity(metadata_of(agreements)), final)
        final.replace(destination)
    if report is not None:
        write_report(destination, list(agreements.values()), images, report)
        say(f"Report: {report}")
    return agreements[HEATMAPS]


def _agreements(
    classifier: Classifier, made: Explainable, about: Contract, draft: Path, images: NDArray[np.uint8], say: Say
) -> dict[str, Agreement]:
    """How each map of a draft agrees with its references, by the map's output; raises `Disagreement`."""
    targets = BEST[: len(about.labels)]
    found = {}
    for spec in about.listed_maps():
        autodiff = _autodiff(classifier, made, images, spec.method)
        found[spec.output] = agreement = compare(draft, images, targets, autodiff=autodiff, output=spec.output)
        say(str(agreement) if len(about.listed_maps()) == 1 else f"{spec.method} at {spec.layer}: {agreement}")
        agreement.check()
    if about.last_layer is not None:
        say(str(check_other_classes(draft, about, images)))
    return found


def try_image(classifier: Classifier, wanted: Wanted, image: Path, say: Say) -> None:
    """Say the five best classes of an image, as the file would; nothing is left."""
    made = explainable(classifier, wanted, say)
    with tempfile.TemporaryDirectory(prefix="whycam-export-") as folder:
        save(made.model, made.about, Path(folder) / "try.onnx")
        explainer = Explainer(Path(folder) / "try.onnx")
        contract = explainer.contract
        seen = Fit(contract.fit, contract.input_size).image(av.VideoFrame.from_ndarray(read_image(image), "rgb24"))
        found = explainer.explain(seen[None], BEST[: len(contract.labels)])
        for number in found.classes[0]:
            say(f"{100 * found.scores[0, number]:5.1f}% {contract.labels[number]}")


def layers(classifier: Classifier, wanted: Wanted, say: Say) -> list[Candidate]:
    """The layers of a classifier that can be explained, in the order of its graph."""
    plain = _prepared(classifier, wanted, say)
    as_two_classes(plain, logit=wanted.task == "yes-no")
    ready = prepared(take_images(plain, mean=[0], scale=[1]))
    graph = Graph(ready)
    return candidates(graph, Sizes(ready), find_ends(graph, _task(classifier, wanted)).logits)


def explainable(classifier: Classifier, wanted: Wanted, say: Say) -> Explainable:
    """The model with its head, and what the file will say of itself; raises `ValueError`."""
    plain = _prepared(classifier, wanted, say)
    output: Output = output_of(Graph(plain))
    two = as_two_classes(plain, logit=wanted.task == "yes-no")
    task = _task(classifier, wanted)
    ends = find_ends(Graph(plain), task)
    if wanted.task == "yes-no" and not two:
        raise ValueError(
            f"--task yes-no is for a network that ends in one number; this one scores {ends.classes} classes."
        )
    labels, sentence = find_labels(plain, ends.classes, wanted.labels, classifier.labels)
    if two and wanted.labels is None:
        labels, sentence = (
            NO_AND_YES,
            "Labels: no and yes, for its one number. Name them with --labels FILE (a line each).",
        )
    say(sentence)
    if output == "logits" and task is None and not two:
        say(
            "The network ends in logits: they are taken for those of one class of many. If several classes may be true "
            "at once: --task multi-label."
        )
    preprocessing = _preprocessing(classifier, wanted, say)
    mean, std = (np.array(each) / preprocessing.scale for each in (preprocessing.mean, preprocessing.std))
    channels: Channels = "bgr" if preprocessing.bgr else "rgb"
    count = _channels(plain)
    ready = take_images(plain, mean=mean.tolist(), scale=std.tolist(), channels=channels)
    if output == "logits" and not two:
        _check_no_shares(ready)
    model, feature = _with_head(ready, wanted, task, say)
    about = Contract(
        name=wanted.name or classifier.name,
        labels=labels,
        fit=wanted.fit,
        score=wanted.score,
        task=ends.task,
        feature=feature,
        weights_source=classifier.origin,
        weights_sha256=classifier.sha256,
        licence=classifier.licence,
        made_by=classifier.made_by,
    )
    return Explainable(model, about, preprocessing, count, output)


def _with_head(ready: ModelProto, wanted: Wanted, task: Task | None, say: Say) -> tuple[ModelProto, str]:
    """The model with its head, and the layer that is drawn."""
    layers = list(dict.fromkeys(layer_named(ready, each) for each in wanted.layers))
    replaceable = _is_replaceable(ready, task, say)
    append = partial(append_cam, ready, score=wanted.score, task=task, method=wanted.methods, replaceable=replaceable)
    try:
        if layers or all(find_method(each).source != "layer" for each in wanted.methods):
            _check_tail(ready, task)
        model = append(layer=layers or None)
    except UnsupportedTail as refusal:
        layer = None if refusal.operator in ACTIVATIONS or layers else default_layer(ready, task)
        if layer is None:
            raise
        say(f"No closed form through {refusal.operator}, because {refusal.reason}: the reverse pass goes to {layer}.")
        model = append(layer=layer)
    return model, appended(model)[0].layer


def _is_replaceable(ready: ModelProto, task: Task | None, say: Say) -> bool:
    """Whether the file's classes can be replaced; says why not."""
    try:
        open_last_layer(prepared(ready), task)
    except FixedClasses as refusal:
        say(f"The file's classes cannot be replaced by others: {refusal}.")
        return False
    return True


def _check_tail(ready: ModelProto, task: Task | None) -> None:
    """Raise `UnsupportedTail` for a network whose last numbers are probabilities: it would get a second softmax.

    Where the last feature map is explained, the closed form refuses it.
    """
    graph = Graph(prepared(ready))
    try:
        find_tail(graph, find_ends(graph, task))
    except UnsupportedTail as refusal:
        if refusal.operator in ACTIVATIONS:
            raise


def _check_no_shares(ready: ModelProto) -> None:
    """Raise `ValueError` for a network that ends in probabilities by other operators than a softmax."""
    numbers = ready.graph.output[0].name
    try:
        few, more = (found[0] for found in observed(ready, [numbers]))
    except Exception:  # noqa: BLE001 - onnxruntime's exceptions have no common base class
        return  # one that cannot be run cannot be verified either
    check_no_shares(np.concatenate([each.reshape(len(each), -1) for each in (few, more)]))


def _prepared(classifier: Classifier, wanted: Wanted, say: Say) -> ModelProto:
    """A copy of the plain graph, in an opset and a precision in which the head can be written, with a fixed size."""
    plain = converted(classifier.model)
    try:
        Graph(plain)
    except shape_inference.InferenceError as error:
        raise ValueError(f"The network is no valid ONNX graph. ({str(error).splitlines()[0]})") from error
    size = wanted.size or classifier.size
    if size is not None:
        fix_size(plain, size, asked=wanted.size is not None)
    single = in_single(plain)
    if single is not None:
        say("The network is in half or double precision: it keeps its weights, and computes in single precision.")
    return single or plain


def _task(classifier: Classifier, wanted: Wanted) -> Task | None:
    if wanted.task == "yes-no":
        return None
    return wanted.task or (classifier.task.value if classifier.task else None)


def _preprocessing(classifier: Classifier, wanted: Wanted, say: Say) -> Preprocessing:
    if wanted.preprocessing is not None:
        return wanted.preprocessing
    change = f"Another one: --like {'|'.join(LIKES)}, or --mean, --std."
    if classifier.preprocessing is not None:
        say(f"Preprocessing: {classifier.preprocessing.value}, by {classifier.preprocessing.where}. {change}")
        return classifier.preprocessing.value
    say(f"Preprocessing: ImageNet's, {PREPROCESSING['imagenet']}, because none is known. {change}")
    return PREPROCESSING["imagenet"]


def _autodiff(
    classifier: Classifier, made: Explainable, images: NDArray[np.uint8], method: str
) -> Callable[[NDArray[np.int64], NDArray[np.float32]], Autodiff] | None:
    """How the network's own framework is asked; None if it is not there, or has no logits to differentiate."""
    framework = classifier.framework
    if framework is None:
        return None

    def autodiff(classes: NDArray[np.int64], features: NDArray[np.float32]) -> Autodiff:
        inputs = made.preprocessing.apply(images, made.channels)
        score = "logit" if method == SIGNED else made.about.score
        question = Question(inputs, features, classes, score, made.about.task, made.output, method)
        return framework.autodiff(question.part(slice(ASKED)))

    return autodiff


def _channels(plain: ModelProto) -> int:
    stored = {tensor.name for tensor in plain.graph.initializer}
    image = next(each for each in plain.graph.input if each.name not in stored)
    sizes = [dim.dim_value for dim in image.type.tensor_type.shape.dim]
    return 1 if 1 in (sizes[1:2] + sizes[3:4]) and 3 not in (sizes[1:2] + sizes[3:4]) else 3
