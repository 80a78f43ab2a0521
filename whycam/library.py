"""`whycam.explain`, `whycam.load` and `whycam.process`, for a notebook or a program."""

from __future__ import annotations

import base64
import io
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import cv2
import numpy as np
from PIL import Image

from whycam.models import catalog
from whycam.models.model_file import output_of
from whycam.pictures import Picture, Range, picture_of
from whycam.stream.inference.explainer import BEST, Explainer
from whycam.stream.inference.preprocess import Fit
from whycam.stream.inference.providers import Device
from whycam.stream.media.image import write_image
from whycam.stream.video.planes import Bytes, as_bytes

if TYPE_CHECKING:
    from whycam.models.class_set import ClassSet
    from whycam.stream.offline.batch import Outcome
    from whycam.stream.offline.inputs import Input
    from whycam.stream.overlay.heatmap import DrawnMap

Pictures: TypeAlias = "list[Any] | tuple[Any, ...]"
Target: TypeAlias = "int | str"
"""A class's number or name; −1 is the best class, −2 the second."""
BATCH = 8
"""Most pictures that the model explains in one run."""
SHOWN = 720
"""Longer side of a picture in a notebook, in pixels."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Explained:
    """The explanation of one picture, for each target; by default the five best classes. Notebooks show it."""

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    classes: tuple[int, ...]
    heatmaps: Bytes  # (K, h, w), 255 is each map's maximum
    picture: Bytes  # (H, W, 3) RGB, upright
    overlay: Bytes  # (H, W, 3) RGB, the picture with the first heatmap
    fit: Fit
    """What part of the picture the model saw."""

    def heatmap(self, target: Target = 0) -> Bytes:
        """A heatmap resized to the picture (H, W): of a label, or of the target at an index; 255 is its maximum.

        0 where the model did not see the picture. Raises `ValueError` for a label that was not explained.
        """
        number = self.labels.index(target) if isinstance(target, str) and target in self.labels else target
        if isinstance(number, str) or not -len(self.labels) <= number < len(self.labels):
            raise ValueError(f"There is no heatmap of {target!r}; there are those of {', '.join(self.labels)}.")
        height, width = self.picture.shape[:2]
        part = self.fit.rectangle(width, height)
        whole = np.zeros((height, width), np.uint8)
        large = cv2.resize(self.heatmaps[number], (part.width, part.height), interpolation=cv2.INTER_CUBIC)
        whole[part.y : part.y + part.height, part.x : part.x + part.width] = as_bytes(large)
        return whole

    def save(self, path: str | Path) -> Path:
        """Write the overlay as JPEG, PNG or WebP, by the suffix; raises `ImageError`."""
        write_image(Path(path), self.overlay, is_result=True)
        return Path(path)

    def __repr__(self) -> str:
        best = ", ".join(f"{100 * score:.0f}% {label}" for label, score in zip(self.labels, self.scores, strict=True))
        return f"<Explained {self.picture.shape[1]} x {self.picture.shape[0]}: {best}>"

    def _repr_png_(self) -> bytes:
        image = Image.fromarray(self.overlay)
        image.thumbnail((SHOWN, SHOWN))
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue()

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{100 * score:.1f} %</td><td style='text-align:left'>{escape(label)}</td></tr>"
            for label, score in zip(self.labels, self.scores, strict=True)
        )
        data = base64.b64encode(self._repr_png_()).decode()
        return f"<img alt='{escape(self.labels[0])}' src='data:image/png;base64,{data}'><table>{rows}</table>"


class Model:
    """A model that stays loaded. Made by `whycam.load`."""

    def __init__(
        self, path: Path, device: Device = "auto", *, method: str | None = None, layer: str | None = None
    ) -> None:
        self._device = device
        self._explainer = Explainer(path, device=device, output=output_of(path, method, layer))
        self._signed: Explainer | None = None
        """The same with the signed maps, of which a difference is made; loaded when one is asked for."""
        self.name = self._explainer.contract.name
        self.labels = self._explainer.contract.labels
        self._class_set: ClassSet | None = None
        """The classes in place of the model's own."""

    def __repr__(self) -> str:
        return f"<Model {self.name}: {len(self.labels)} classes>"

    @overload
    def explain(
        self,
        picture: Picture,
        *,
        targets: Target | Sequence[Target] = ...,
        difference: tuple[Target, Target] | None = ...,
        value_range: Range | None = ...,
    ) -> Explained: ...
    @overload
    def explain(
        self,
        picture: Pictures,
        *,
        targets: Target | Sequence[Target] = ...,
        difference: tuple[Target, Target] | None = ...,
        value_range: Range | None = ...,
    ) -> list[Explained]: ...
    def explain(
        self,
        picture: Picture | Pictures,
        *,
        targets: Target | Sequence[Target] = BEST,
        difference: tuple[Target, Target] | None = None,
        value_range: Range | None = None,
    ) -> Explained | list[Explained]:
        """Explain one picture, or a list of them; see `whycam.explain`."""
        explained = partial(self._explain, targets=self._numbers(targets))
        if difference is not None:
            if targets is not BEST:
                raise ValueError("A difference names its two classes itself. Leave out `targets`, or `difference`.")
            explained = partial(self._compare, pair=self._pair(difference))
        if isinstance(picture, (list, tuple)):
            pictures = [picture_of(each, value_range) for each in picture]
            starts = range(0, len(pictures), BATCH)
            return [done for start in starts for done in explained(pictures[start : start + BATCH])]
        return explained([picture_of(picture, value_range)])[0]

    def _numbers(self, targets: Target | Sequence[Target]) -> list[int]:
        from whycam.stream.offline.targets import find_targets

        if targets is BEST:  # a model may have fewer classes
            return [*BEST[: len(self.labels)]]
        given = [targets] if isinstance(targets, (int, str)) else targets
        return [find_targets((each,), self.labels)[0] if isinstance(each, str) else each for each in given]

    def _pair(self, difference: tuple[Target, Target]) -> tuple[int, int]:
        """Two class numbers; ranks are of a picture, and cannot be compared over several."""
        from whycam.stream.offline.targets import find_pair

        first, second = difference
        if any(isinstance(each, int) and each < 0 for each in difference):
            raise ValueError("A difference is of two classes: give their names or numbers, no ranks such as -1.")
        return find_pair((str(first), str(second)), self.labels)

    def _explain(self, pictures: Sequence[Bytes], targets: Sequence[int]) -> list[Explained]:
        from whycam.stream.offline.explain import explain_images

        return self._explained(pictures, explain_images(pictures, self._explainer, targets, self._class_set))

    def _compare(self, pictures: Sequence[Bytes], pair: tuple[int, int]) -> list[Explained]:
        from whycam.stream.offline.explain import compare_images
        from whycam.stream.overlay.difference import check_difference

        check_difference(self._explainer.contract)
        if self._signed is None:
            path, drawn = self._explainer.path, self._explainer.map.output
            self._signed = Explainer(path, device=self._device, output=drawn, signed=True)
        return self._explained(pictures, compare_images(pictures, self._signed, pair, self._class_set))

    def _explained(
        self, pictures: Sequence[Bytes], found: Sequence[tuple[tuple[DrawnMap, ...], Bytes]]
    ) -> list[Explained]:
        fit = Fit(self._explainer.contract.fit, self._explainer.contract.input_size)
        return [
            Explained(
                tuple(m.label for m in maps),
                tuple(m.score for m in maps),
                tuple(m.class_id for m in maps),
                np.stack([m.grid for m in maps]),
                picture,
                overlay,
                fit,
            )
            for picture, (maps, overlay) in zip(pictures, found, strict=True)
        ]


def load(
    model: str | Path | None = None, *, device: Device = "auto", method: str | None = None, layer: str | None = None
) -> Model:
    """Load a model once, for many pictures: a name that `whycam models` lists, or an .onnx file.

    Of a file with several maps, `method` and `layer` choose one (a layer by its name, a part of it, or a grid such as
    14x14); by default it is the first. Raises `ValueError` for a file that cannot be read or has no such map, and
    `RuntimeMissing` if onnxruntime is not installed.
    """
    return Model(catalog.find(str(model) if model is not None else None), device, method=method, layer=layer)


@overload
def explain(
    picture: Picture,
    *,
    model: str | Path | Model | None = ...,
    targets: Target | Sequence[Target] = ...,
    difference: tuple[Target, Target] | None = ...,
    value_range: Range | None = ...,
) -> Explained: ...
@overload
def explain(
    picture: Pictures,
    *,
    model: str | Path | Model | None = ...,
    targets: Target | Sequence[Target] = ...,
    difference: tuple[Target, Target] | None = ...,
    value_range: Range | None = ...,
) -> list[Explained]: ...
def explain(
    picture: Picture | Pictures,
    *,
    model: str | Path | Model | None = None,
    targets: Target | Sequence[Target] = BEST,
    difference: tuple[Target, Target] | None = None,
    value_range: Range | None = None,
) -> Explained | list[Explained]:
    """Explain a picture, or a list of them: files, bytes, file objects, PIL images, arrays (grey, RGB, RGBA).

    A target is a class's number or name, or −1 for the best class, −2 for the second. `difference` is two classes,
    'why the first and not the second?': the heatmaps are what speaks for each rather than for the other, both in parts
    of the same maximum, and the overlay shows both in a colour each; the model needs a map by the method `signed`.
    `value_range` is what is black and white in an array that is not uint8, such as (0, 1). Raises `ValueError` for an
    unreadable picture or an unknown class, and `RuntimeMissing` if onnxruntime is not installed.
    """
    loaded = model if isinstance(model, Model) else load(model)
    return loaded.explain(picture, targets=targets, difference=difference, value_range=value_range)


def process(
    inputs: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    model: str | Path | None = None,
    method: str | None = None,
    layer: str | None = None,
    targets: Target | Sequence[Target] = (),
    difference: tuple[Target, Target] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    report: bool = False,
    allow_network: bool = False,
) -> list[Outcome]:
    """Explain films, images and folders, as `whycam process` does; one outcome for each, in order.

    Of several inputs, such as `*.mp4`, whycam's own results are left out, with a warning. Addresses are read only with
    `allow_network`. Raises `MediaError` for an unsuitable output, and `ValueError` for an unknown class and for a map
    or difference that the model's file does not have.
    """
    from whycam.stream.inference.engine import LocalEngine
    from whycam.stream.offline.batch import carry_out, plan
    from whycam.stream.offline.explain import open_model
    from whycam.stream.offline.pipeline import ProcessJob
    from whycam.stream.offline.results.claims import Claims
    from whycam.stream.offline.targets import asked_view
    from whycam.stream.overlay.renderer import Look
    from whycam.stream.overlay.view import View

    paths = [inputs] if isinstance(inputs, (str, Path)) else [*inputs]
    wanted = [str(each) for each in ([targets] if isinstance(targets, (int, str)) else targets)]
    pair = None if difference is None else (str(difference[0]), str(difference[1]))
    is_folder = isinstance(output, str) and output.endswith(("/", os.sep))
    given = _inputs([str(path) for path in paths], allow_network=allow_network)
    tasks = plan(given, Path(output) if output is not None else None, report=report, is_folder=is_folder)
    if not tasks:
        return []
    path = catalog.find(str(model) if model is not None else None)
    explainer = open_model(path, method, layer, compares=pair is not None)
    with Claims("process", [task.use for task in tasks]) as claims, closing(LocalEngine(explainer)) as engine:
        look = Look(asked_view(View(), wanted, pair, engine.contract.labels))
        work = ProcessJob(engine, look, resume=resume)
        stdin = getattr(sys.stdin, "buffer", None) or io.BytesIO()  # a notebook or a window may have none
        return list(carry_out(tasks, work, claims, overwrite=overwrite, stdin=stdin))


def _inputs(names: Sequence[str], *, allow_network: bool) -> list[Input]:
    from whycam.stream.media.losses import MediaError, listed
    from whycam.stream.offline.inputs import find_inputs
    from whycam.stream.offline.results.own_results import without_results

    given, results = without_results(find_inputs(names))
    if results:
        left_out = listed([each.name for each in results])
        warnings.warn(f"Left out as results of whycam: {left_out}. To explain one, give it alone.", stacklevel=3)
    if not allow_network and (far := [each for each in given if each.kind == "address"]):
        raise MediaError(f"{far[0].name} is an address. whycam connects to it only with allow_network=True.")
    return given
