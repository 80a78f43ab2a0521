"""The examples that classes are learned from: each one's embedding, and its picture on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whycam.models.contract import MULTI_LABEL, Contract, ContractError
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.preprocess import Fit
from whycam.stream.media.image import ImageError
from whycam.stream.media.losses import MediaError
from whycam.stream.teaching.learner import Classes, Vectors
from whycam.stream.teaching.material import Material
from whycam.stream.video.planes import Bytes

BATCH = 8
"""Images in one run."""
LAST_PART = 1 / 3
"""Of a class's only film, the part that is tested; the rest is learned from."""
ENOUGH = 6
"""Frames that a film has for that."""


class Images:
    """Images (H, W, 3) in a file without a name, until it is closed: thousands need a gigabyte. A context manager."""

    def __init__(self, size: tuple[int, int]) -> None:
        """`size` is H and W."""
        self._shape = (*size, 3)
        self._file = tempfile.TemporaryFile(prefix="whycam-")  # noqa: SIM115 - closed in __exit__
        self._count = 0

    def __enter__(self) -> Images:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Bytes:
        if not 0 <= index < self._count:
            raise IndexError(index)
        length = int(np.prod(self._shape))
        self._file.seek(index * length)
        return np.frombuffer(self._file.read(length), np.uint8).reshape(self._shape)

    def append(self, image: Bytes) -> None:
        """Add one at the end."""
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(image).tobytes())
        self._count += 1


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """N examples."""

    labels: tuple[str, ...]
    vectors: Vectors
    classes: Classes
    names: tuple[str, ...]
    """Each example's: its file, and its frame of a film."""
    holdings: tuple[str, ...]
    """Each example's, for `accuracy.held_out`."""
    learned: Collection[str]
    """Holdings that are never left out."""
    last_parts: tuple[str, ...]
    """The classes of one film, of which only the last part is tested."""
    images: Images = field(repr=False)
    """As the network takes them."""
    unread: tuple[str, ...]
    """What could not be read, a sentence each."""


def check_teachable(contract: Contract) -> None:
    """Raise `ContractError` for a model whose classes cannot be replaced by learned ones."""
    if contract.last_layer is None:
        raise ContractError(
            f"The last layer of {contract.name} cannot be replaced, so it cannot be taught. `whycam export` it again, "
            "or choose another model."
        )
    if contract.task == MULTI_LABEL:
        raise ContractError(
            f"{contract.name} judges each class by itself. Choose a model that names one of several classes."
        )


def read_dataset(
    explainer: Explainer,
    labels: tuple[str, ...],
    material: Sequence[Material],
    images: Images,
    *,
    every: int = 1,
    begun: Callable[[Material], Any] | None = None,
    after_each: Callable[[int], Any] | None = None,
) -> Dataset:
    """Read material, of films every so many frames, into `images`; a file that cannot be read is left out and listed.

    `begun` is called before a file is read, `after_each` with the number of examples so far. Raises `ContractError` for
    a model that cannot be taught, and `MediaError` if a class has no example.
    """
    check_teachable(explainer.contract)
    reading = _Reading(explainer, images)
    for number, each in enumerate(material):
        if begun is not None:
            begun(each)
        for count in reading.take(number, each, every):
            if after_each is not None:
                after_each(count)
    classes = np.array([material[source].class_id for source in reading.sources], np.int64)
    for class_id, label in enumerate(labels):
        if class_id not in classes:
            why = " ".join(reading.unread[:2])
            raise MediaError(f"There is no picture of '{label}' that can be read. {why}".rstrip())
    holdings, learned, last_parts = _holdings(material, reading.sources, classes, len(labels))
    return Dataset(
        labels,
        np.concatenate(reading.vectors),
        classes,
        tuple(reading.names),
        holdings,
        learned,
        tuple(labels[each] for each in last_parts),
        images,
        tuple(reading.unread),
    )


class _Reading:
    """What was read so far."""

    def __init__(self, explainer: Explainer, images: Images) -> None:
        self._explainer = explainer
        self._fit = Fit(explainer.contract.fit, explainer.contract.input_size)
        self._images = images
        self.vectors: list[NDArray[np.float32]] = []
        self.names: list[str] = []
        self.sources: list[int] = []
        """Each example's place in the material."""
        self.unread: list[str] = []

    def take(self, source: int, material: Material, every: int) -> Iterator[int]:
        """Read a picture or a film; yields the number of examples now and then."""
        batch: list[Bytes] = []
        try:
            for number, frame in enumerate(material.read(self.unread)):
                if material.is_film and number % every:
                    continue
                batch.append(self._fit.image(frame))
                self.names.append(f"{material.name}, frame {number + 1}" if material.is_film else material.name)
                self.sources.append(source)
                if len(batch) == BATCH:
                    self._embed(batch)
                    yield len(self.sources)
        except (MediaError, ImageError) as error:
            self.unread.append(str(error))
        if batch:
            self._embed(batch)
        yield len(self.sources)

    def _embed(self, batch: list[Bytes]) -> None:
        vectors = self._explainer.explain(np.stack(batch), ()).embedding
        assert vectors is not None  # `check_teachable` has seen it
        self.vectors.append(vectors)
        for image in batch:
            self._images.append(image)
        batch.clear()


def _holdings(
    material: Sequence[Material], sources: Sequence[int], classes: Classes, count: int
) -> tuple[tuple[str, ...], set[str], list[int]]:
    """Each example's holding: its file; of a class of one film its parts, of which the first is always learned."""
    holdings = [str(source) for source in sources]
    learned: set[str] = set()
    last_parts = []
    for class_id in range(count):
        own = np.flatnonzero(classes == class_id).tolist()
        if len({sources[each] for each in own}) > 1 or len(own) < ENOUGH or not material[sources[own[0]]].is_film:
            continue
        learned.add(holdings[own[0]])
        last_parts.append(class_id)
        for each in own[-round(LAST_PART * len(own)) :]:
            holdings[each] += ", last part"
    return tuple(holdings), learned, last_parts
