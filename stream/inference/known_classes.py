"""The classes of a stream: the model's own, or a set that replaces them, each with a number of its own for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from whycam.models.class_set import ClassSet


class ClassNames(NamedTuple):
    """The classes of a set, as reports and recordings name them."""

    id: str
    """That of the set."""
    labels: tuple[tuple[int, str], ...]
    """Each class's number and name."""


class KnownClasses:
    """What requests know of classes by index, and reports, recordings and pinned classes by number.

    The model's own classes have their index as their number. Those of a `ClassSet` have other numbers, which stay the
    same when it is learned again: a pinned class stays what it is, and in a recording no number has two meanings.
    """

    def __init__(self, own_labels: Sequence[str], class_set: ClassSet | None = None) -> None:
        self.class_set = class_set
        """None: the model's own classes."""
        self.labels: Sequence[str] = own_labels if class_set is None else class_set.labels
        """By index."""
        self._indices = None if class_set is None else {number: i for i, number in enumerate(class_set.numbers)}

    @property
    def id(self) -> str:
        """That of the class set; empty for the model's own classes."""
        return "" if self.class_set is None else self.class_set.id

    def number(self, index: int) -> int:
        """The number of the class with this index."""
        return index if self.class_set is None else self.class_set.numbers[index]

    def index(self, number: int) -> int | None:
        """The index of the class with this number; None if there is none."""
        if self._indices is not None:
            return self._indices.get(number)
        return number if 0 <= number < len(self.labels) else None

    def indices(self, numbers: Sequence[int]) -> list[int]:
        """The indices of those numbers that are known."""
        return [index for number in numbers if (index := self.index(number)) is not None]

    def listed(self) -> list[tuple[int, str]]:
        """Each class's number and name, by index."""
        return [(self.number(index), label) for index, label in enumerate(self.labels)]

    @property
    def names(self) -> ClassNames | None:
        """Those of the class set; None for the model's own classes."""
        if self.class_set is None:
            return None
        return ClassNames(self.class_set.id, tuple(self.listed()))
