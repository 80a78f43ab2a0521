"""`whycam.teach`, for a notebook or a program: classes of one's own, learned from pictures and films."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whycam.library import Model
from whycam.models import catalog
from whycam.pictures import Picture, picture_of
from whycam.stream.inference.providers import Device
from whycam.stream.media.losses import MediaError
from whycam.stream.teaching.dataset import Images, read_dataset
from whycam.stream.teaching.material import Material, check_labels, file_material
from whycam.stream.teaching.training import train
from whycam.stream.teaching.verdict import percent
from whycam.stream.video.planes import rgb_frame

if TYPE_CHECKING:
    import av

Example: TypeAlias = Picture
"""A picture, as `whycam.explain` takes it, or the name of a film, or of a folder of its frames."""


class Taught(Model):
    """A model with learned classes, which explains as `whycam.Model` does. Made by `whycam.teach`."""

    accuracy: float | None
    """The share of the pictures that are right if they are left out of learning, 0…1; None: too few to say."""
    confusion: NDArray[np.int64] | None
    """(C, C), in the order of `labels`: rows are what a picture is, columns what it was taken for."""

    def __init__(
        self,
        path: Path,
        labels: tuple[str, ...],
        material: Sequence[Material],
        device: Device = "auto",
        *,
        every: int = 1,
        method: str | None = None,
        layer: str | None = None,
    ) -> None:
        super().__init__(path, device, method=method, layer=layer)
        self._learned_with = self._explainer.sha256
        with Images(self._explainer.contract.input_size) as images:
            self._trained = train(self._explainer, read_dataset(self._explainer, labels, material, images, every=every))
        for sentence in self._trained.dataset.unread:
            warnings.warn(f"Left out: {sentence}", stacklevel=3)
        held = self._trained.held
        self.accuracy = None if held is None else held.share
        self.confusion = None if held is None else held.confusion
        self._class_set = self._trained.class_set
        self.labels = self._class_set.labels

    def save(self, path: str | Path, name: str | None = None) -> Path:
        """Write a model file (.onnx) with these classes, for `whycam.load` and `--model`; `name` is that of its model.

        Beside mug.onnx, mug.classes.json says what they were learned from.
        Raises `ValueError` if the file would take the place of the model that was taught, or if that has changed.
        """
        from whycam.stream.teaching.summary import write_model

        to = Path(path)
        if to.suffix.lower() != ".onnx":
            raise ValueError(f"A model's file ends in .onnx, not '{to.name}'.")
        summary, source = self._trained.summary(), self._explainer.path
        write_model(source, self._trained.class_set, summary, name or to.stem, to, learned_with=self._learned_with)
        return to

    def __repr__(self) -> str:
        right = "" if self.accuracy is None else f"; {percent(self.accuracy)} right"
        return f"<Taught {self.name}: {', '.join(self.labels)}{right}>"


def teach(
    classes: Mapping[str, Example | Sequence[Example]],
    *,
    model: str | Path | None = None,
    every: int = 1,
    device: Device = "auto",
    method: str | None = None,
    layer: str | None = None,
) -> Taught:
    """Learn classes from pictures and films: `whycam.teach({"mug": ["mug.mov"], "table": [a, b, c]})`.

    Of each class there are files, bytes, PIL images or uint8 arrays, as `whycam.explain` takes pictures; films,
    of which every `every`-th frame is taken; and folders of a film's frames. The model's own layers stay as they are;
    `method` and `layer` choose its map as for `whycam.load`. What cannot be read is left out, with a warning. Raises
    `ValueError` for fewer than two classes, a class without pictures, and a model whose last layer cannot be replaced.
    """
    labels = check_labels(tuple(classes))
    if every < 1:
        raise ValueError(f"every is 1 for each frame of a film, 2 for every second one; not {every}.")
    path = catalog.find(str(model) if model is not None else None)
    material = [
        _material(number, example, place)
        for number, given in enumerate(classes.values())
        for place, example in enumerate(_listed(given))
    ]
    return Taught(path, labels, material, device, every=every, method=method, layer=layer)


def _listed(given: Any) -> Sequence[Any]:
    return given if isinstance(given, (list, tuple)) else [given]


def _material(class_id: int, example: Example, place: int) -> Material:
    if isinstance(example, (str, os.PathLike)):
        if not Path(example).exists():
            raise MediaError(f"There is no file {example}.")
        return file_material(class_id, Path(example))

    def read(_: list[str]) -> Iterator[av.VideoFrame]:
        yield rgb_frame(picture_of(example))

    return Material(class_id, f"picture {place + 1}", read)
