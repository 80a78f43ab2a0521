"""A classifier as it was found: a plain ONNX graph, and what its framework says of images, classes and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from onnx import ModelProto

from whycam.export.preprocessing import Preprocessing
from whycam.export.verify.autodiff import Framework
from whycam.models.contract import Task

T = TypeVar("T")


class Stated(NamedTuple, Generic[T]):
    """Something that a framework or a file says, and where it says it."""

    value: T
    where: str


@dataclass(frozen=True, slots=True)
class Classifier:
    """A plain ONNX classifier with one input [N, H, W, C] or [N, C, H, W]; None: not said."""

    model: ModelProto
    name: str
    """A default for the name of the explainable model."""
    origin: str
    """Where its weights come from."""
    sha256: str
    """Of the file with the weights, or of the weights."""
    made_by: str
    """The packages that made the graph, with their versions."""
    licence: str = "that of the network"
    preprocessing: Stated[Preprocessing] | None = None
    labels: Stated[tuple[str, ...]] | None = None
    task: Stated[Task] | None = None
    size: tuple[int, int] | None = None
    """Height and width for a graph that leaves them open, in pixels."""
    framework: Framework | None = None
    """Its automatic differentiation; None: only float64 on the graph's own activations checks the maps."""
