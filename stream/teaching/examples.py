"""Examples of classes: what the network made of a picture, and the picture itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HOST = "host"
"""Who gives the examples of this computer; other devices are 'phone 1' and so on."""


@dataclass(frozen=True, eq=False)
class Example:
    """A picture of a class."""

    vector: NDArray[np.float32]  # (width,), the network's embedding
    picture: bytes = field(repr=False)
    """A JPEG of the model input."""
    holding: str
    """Pictures that were taken together, such as during one press of a button, or one film: they are alike."""
    giver: str = ""
    """Who gave it."""


@dataclass
class TaughtClass:
    """A class with its examples, by their ids."""

    name: str
    examples: dict[int, Example] = field(default_factory=dict)

    @property
    def holdings(self) -> int:
        """The number of holdings."""
        return len({each.holding for each in self.examples.values()})


class Vectors(NamedTuple):
    """The examples of all classes that have some, as they are learned from."""

    labels: tuple[str, ...]
    numbers: tuple[int, ...]
    """Each class's number."""
    ids: tuple[int, ...]
    """Of each example."""
    vectors: NDArray[np.float32]  # (N, width)
    classes: NDArray[np.int64]  # (N,), each example's class, as a place in `labels`
    holdings: tuple[str, ...]
    """Each example's; no two classes share one."""


def vectors_of(taught: dict[int, TaughtClass], width: int) -> Vectors:
    """The examples of classes by number; classes without any are left out."""
    known = {number: each for number, each in taught.items() if each.examples}
    rows = [
        (place, number, example_id, example)
        for place, (number, each) in enumerate(known.items())
        for example_id, example in each.examples.items()
    ]
    return Vectors(
        tuple(each.name for each in known.values()),
        tuple(known),
        tuple(example_id for _, _, example_id, _ in rows),
        np.array([each.vector for *_, each in rows], np.float32).reshape(len(rows), width),
        np.array([place for place, *_ in rows], np.int64),
        tuple(f"{number} {each.holding}" for _, number, _, each in rows),
    )
