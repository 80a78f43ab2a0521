"""Classes learned from a dataset: how often they are right, and where they look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycam.models.class_set import ClassSet
from whycam.stream.inference.explainer import Explainer
from whycam.stream.teaching.accuracy import HeldOut, held_out
from whycam.stream.teaching.dataset import BATCH, Dataset
from whycam.stream.teaching.heat_place import Place, place_of
from whycam.stream.teaching.learner import learn
from whycam.stream.teaching.summary import ClassCount, Summary

TOO_FEW = "Too few to say how often it is right: give a class two films or pictures, of which one can be left out."
SAMPLE = 32
"""Images of a class, evenly spaced, whose heat is averaged."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Where a class's heat is in its own examples."""

    heat: NDArray[np.float32]
    """(h, w), the mean of its heatmaps, each 0…1 of its own maximum."""
    place: Place


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What was learned from a dataset."""

    dataset: Dataset
    class_set: ClassSet
    held: HeldOut | None
    """None: no class has two files, or a film to cut."""
    looks: tuple[Look, ...]
    """Each class's."""

    @property
    def counts(self) -> list[int]:
        """Each class's number of examples."""
        return [int(count) for count in np.bincount(self.dataset.classes, minlength=len(self.dataset.labels))]

    @property
    def untested(self) -> tuple[str, ...]:
        """The classes that no example was left out of."""
        if self.held is None:
            return self.dataset.labels
        tested = self.held.confusion.sum(1)
        return tuple(label for label, count in zip(self.dataset.labels, tested, strict=True) if not count)

    def summary(self) -> Summary:
        """What the classes were learned from."""
        counts = []
        for class_id, label in enumerate(self.dataset.labels):
            own = np.flatnonzero(self.dataset.classes == class_id)
            # The parts of one film are two holdings only for the test.
            holdings = {self.dataset.holdings[each] for each in own}
            counts.append(ClassCount(label, len(own), 1 if label in self.dataset.last_parts else len(holdings)))
        return Summary.of(counts, self.held, TOO_FEW)


def train(explainer: Explainer, dataset: Dataset) -> Trained:
    """Learn the classes of a dataset that the same model has read."""
    count = len(dataset.labels)
    class_set = ClassSet(dataset.labels, *learn(dataset.vectors, dataset.classes, count))
    held = held_out(dataset.vectors, dataset.classes, dataset.holdings, count, dataset.learned)
    looks = tuple(_look(explainer, dataset, class_set, class_id) for class_id in range(count))
    return Trained(dataset, class_set, held, looks)


def _look(explainer: Explainer, dataset: Dataset, class_set: ClassSet, class_id: int) -> Look:
    own = np.flatnonzero(dataset.classes == class_id)
    chosen = own[np.unique(np.linspace(0, len(own) - 1, min(SAMPLE, len(own))).round().astype(int))]
    heats = []
    for start in range(0, len(chosen), BATCH):
        images = np.stack([dataset.images[int(each)] for each in chosen[start : start + BATCH]])
        heats.append(explainer.explain(images, (class_id,), class_set).heatmaps[:, 0])
    mean = np.asarray(np.concatenate(heats).mean(0), np.float32)
    return Look(mean, place_of(mean))
