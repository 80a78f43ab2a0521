"""What a framework's automatic differentiation is asked for a comparison, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from whycam.export.verify.methods import DEFINITIONS, ON_A_WAY, SCALED
from whycam.models.contract import METHOD, SIGNED, Score, Task

Output = Literal["logits", "probabilities", "log-probabilities"]
"""What a network's own last numbers are."""
BATCH = 4
"""Images that are differentiated at a time."""
MATCH = 1e-3
"""The largest difference, relative to the map's maximum, at which a framework's tensor counts as the feature map."""


class Question(NamedTuple):
    """Images whose classes are to be explained at a feature map."""

    inputs: NDArray[np.float32]
    """(N, H, W, channels), prepared for the network."""
    features: NDArray[np.float32]
    """(N, channels, h, w), as the ONNX file computes it: which tensor of the framework's it is, is found by value."""
    classes: NDArray[np.int64]
    """(N, K)"""
    score: Score
    task: Task
    output: Output
    method: str = METHOD

    def part(self, images: slice) -> Question:
        """The same of some of the images."""
        return self._replace(inputs=self.inputs[images], features=self.features[images], classes=self.classes[images])


class Autodiff(NamedTuple):
    """The results of automatic differentiation for the same images and classes."""

    heatmaps: NDArray[np.floating] | None
    """(N, K, h, w), normalised; NaN where the framework divides 0 by 0. None if no tensor of its is the feature map."""
    gates: Sequence[NDArray[np.bool_]] = ()
    """(N, width) for each ReLU and Clip of the classifier's tail, in forward order: which entries pass."""
    scores: NDArray[np.floating] | None = None
    """(N, C) probabilities."""


class Framework(Protocol):
    """A network in its own framework."""

    def autodiff(self, question: Question) -> Autodiff:
        """Differentiate by the feature map, if the network has a tensor that is it; the scores in any case."""


Layout = Literal["NCHW", "NHWC", "NTC"]
"""The order of a framework's axes; T are tokens, those of the grid last."""
Visit = Callable[[int, Any, Any], Any]
"""From a call's number, the called (a layer or a function's name) and its result to what the network gets instead."""
Differentiated = tuple[NDArray[np.floating], list[NDArray[np.bool_]], NDArray[np.floating]]
"""Heatmaps (N, K, h, w), gates and scores as in `Autodiff`."""


class Watched(ABC):
    """A framework whose calls can be watched, and their results replaced, while the network runs forwards.

    Which tensor is the feature map is found by value, among the results of all calls. In a second pass a copy of it
    takes its place there, and the scores are differentiated by that copy.
    """

    def autodiff(self, question: Question) -> Autodiff:
        """Differentiate by the feature map, if a call's result is it, four images at a time."""
        known = question.score == "probability" or self.has_logits(question.output)
        found = self._find(question) if known and question.method not in ON_A_WAY else None
        batches = [question.part(slice(start, start + BATCH)) for start in range(0, len(question.inputs), BATCH)]
        if found is None:
            return Autodiff(None, (), np.concatenate([self._probabilities(batch) for batch in batches]))
        parts = [self.differentiated(batch, *found) for batch in batches]
        heatmaps, gates, scores = zip(*parts, strict=True)
        layers = [np.concatenate(each) for each in zip(*gates, strict=True)]
        return Autodiff(np.concatenate(heatmaps), layers, np.concatenate(scores))

    @abstractmethod
    def run(self, inputs: NDArray[np.float32], visit: Visit) -> Any:
        """The network's outputs for images (N, H, W, channels); each call's result is shown to `visit`, in order."""

    @abstractmethod
    def has_logits(self, output: Output) -> bool:
        """Whether `scores` knows the logits of a network whose last numbers are `output`."""

    @abstractmethod
    def array(self, result: Any) -> NDArray[np.floating]:
        """The values of a framework's tensor."""

    @abstractmethod
    def scores(self, outputs: Any, output: Output, task: Task) -> tuple[Any, Any]:
        """What is explained as logit, and the probabilities (N, C), from what `run` returned."""

    @abstractmethod
    def differentiated(self, question: Question, place: int, layout: Layout) -> Differentiated:
        """Differentiate by the result of the call number `place`, for images of one batch."""

    def _find(self, question: Question) -> tuple[int, Layout] | None:
        """The number of the last call whose result is the feature map, and the order of its axes."""
        few = question.part(slice(0, 2))
        found: list[tuple[int, Layout]] = []

        def look(place: int, _called: Any, result: Any) -> Any:
            if len(getattr(result, "shape", ())) in (3, 4) and (layout := layout_of(self.array(result), few.features)):
                found.append((place, layout))
            return result

        self.run(few.inputs, look)
        return found[-1] if found else None

    def _probabilities(self, question: Question) -> NDArray[np.floating]:
        outputs = self.run(question.inputs, lambda _place, _called, result: result)
        return self.array(self.scores(outputs, question.output, question.task)[1])


def layout_of(tensor: NDArray[np.floating], features: NDArray[np.floating]) -> Layout | None:
    """Whether a framework's tensor holds the feature map (N, channels, h, w), and in which order of axes."""
    count, channels, height, width = features.shape
    fits: dict[Layout, bool] = {
        "NCHW": tensor.shape == features.shape,
        "NHWC": tensor.shape == (count, height, width, channels),
        "NTC": tensor.ndim == 3
        and (tensor.shape[0], tensor.shape[2]) == (count, channels)
        and tensor.shape[1] >= height * width,
    }
    largest = np.abs(features).max()
    for layout, fit in fits.items():
        if fit and largest > 0:
            apart = np.abs(as_map(tensor, layout, (height, width)) - features).max()
            if apart <= MATCH * largest:
                return layout
    return None


def as_map(tensor: NDArray[np.floating], layout: Layout, grid: tuple[int, int]) -> NDArray[np.floating]:
    """A framework's tensor as (N, channels, h, w)."""
    if layout == "NTC":
        height, width = grid
        cells = tensor[:, tensor.shape[1] - height * width :]
        return cells.reshape(len(tensor), height, width, -1).transpose(0, 3, 1, 2)
    return tensor.transpose(0, 3, 1, 2) if layout == "NHWC" else tensor


def heatmap(
    gradient: NDArray[np.floating], features: NDArray[np.floating], method: str = METHOD
) -> NDArray[np.floating]:
    """Grad-CAM as in textbooks, or another method by its definition, (N, channels, h, w) to (N, h, w).

    NaN for a map without positive evidence; signed maps are not normalised.
    """
    if method == SIGNED:
        return np.asarray((gradient.mean((2, 3), keepdims=True) * features).sum(1))
    if method == METHOD:
        # In float32, numpy's mean over thousands of equal numbers is off by 1e-4.
        heat = np.maximum((gradient.mean((2, 3), keepdims=True, dtype=np.float64) * features).sum(1), 0)
    else:
        heat = DEFINITIONS[method](gradient[None].astype(np.float64), features.astype(np.float64))[:, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(heat / heat.max((1, 2), keepdims=True))


def of_explained(
    gradient: NDArray[np.floating], scores: NDArray[np.floating], question: Question
) -> NDArray[np.floating]:
    """The gradient (N, channels, h, w) of log-odds, given that of probabilities (N), if the map depends on that."""
    if question.method not in SCALED or question.score == "logit":
        return gradient
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(gradient / (scores * (1 - scores))[:, None, None, None])
