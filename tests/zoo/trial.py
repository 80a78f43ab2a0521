"""A network that is to be tried, and how it is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from whycam.export.exporter import Wanted
from whycam.export.sources.classifier import Classifier
from whycam.export.sources.find_source import find_source

DYNAMO, LEGACY, TF2ONNX = "torch, dynamo", "torch, legacy", "tf2onnx"
"""Exporters, as the table calls them."""


NOTHING_SAID = Wanted()


class NotHad(Exception):
    """There is no file to export, because it was not downloaded or its framework does not write it."""


class Tried(NamedTuple):
    """A classifier as `whycam export` finds it, and what is said of it there."""

    classifier: Classifier
    wanted: Wanted = NOTHING_SAID


@dataclass(frozen=True, slots=True)
class Trial:
    """One network by one exporter; `make` gets an empty folder, and imports what it needs."""

    group: str
    """The heading of its table."""
    network: str
    exporter: str
    make: Callable[[Path], Tried] = field(compare=False)
    opset: int | None = None
    """Asked of the exporter; None: its default."""

    @property
    def key(self) -> str:
        """Its name among all trials."""
        return " / ".join((self.group, self.network, self.exporter, *([str(self.opset)] if self.opset else [])))


def by_name(
    group: str, library: str, names: dict[str, str], exporter: str, wanted: Wanted = NOTHING_SAID
) -> list[Trial]:
    """Networks that `whycam export LIBRARY:NAME` makes, by the name in the table; with random weights."""

    def trial(shown: str, name: str) -> Trial:
        return Trial(group, shown, exporter, lambda _: Tried(find_source(f"{library}:{name}", "random"), wanted))

    return [trial(shown, name) for shown, name in names.items()]


@contextmanager
def writing(exporter: str) -> Iterator[None]:
    """Raises `NotHad` if a framework cannot write its network."""
    try:
        yield
    except Exception as error:  # torch's, Keras' and Python's
        words = re.sub(r"\x1b\[\d+m", "", " ".join(str(error).split()))  # torch colours its messages
        raise NotHad(f"{exporter} does not write it: {words[:150]}") from error


def from_file(path: Path, framework: Any = None, wanted: Wanted = NOTHING_SAID) -> Tried:
    """The classifier in a file, with the framework's network that it was made of."""
    return Tried(replace(find_source(str(path)), framework=framework), wanted)
