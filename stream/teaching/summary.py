"""What taught classes were learned from: in the model's file, and as NAME.classes.json beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from whycam.models.class_set import ClassSet
from whycam.models.companions import classes_file, examples_file
from whycam.models.taught_model import network_of, write_taught
from whycam.models.whole_file import write_whole
from whycam.stream.teaching.accuracy import HeldOut


class ClassCount(NamedTuple):
    """A class and its numbers of examples and of holdings."""

    name: str
    examples: int
    holdings: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What classes were learned from."""

    classes: tuple[ClassCount, ...]
    accuracy: float | None
    """The share of tested examples that were right, 0…1; None: too few to say."""
    tested: int
    why: str | None
    """Why there is no accuracy."""
    date: str
    """When they were learned, ISO 8601."""

    @classmethod
    def of(cls, classes: Sequence[ClassCount], held: HeldOut | None, too_few: str) -> Summary:
        """Of classes that were learned just now; `too_few` is why there is no accuracy, if there is none."""
        date = datetime.now(UTC).isoformat(timespec="seconds")
        if held is None:
            return cls(tuple(classes), None, 0, too_few, date)
        return cls(tuple(classes), round(held.share, 4), held.tested, None, date)

    def about(self, network: str) -> dict[str, Any]:
        """What the model's file says of its classes, as JSON (docs/model.md)."""
        return {
            "network": network,
            "examples": {each.name: each.examples for each in self.classes},
            "date": self.date,
            "accuracy": self.accuracy,
            "tested": self.tested,
        }

    def as_json(self, network: str) -> dict[str, Any]:
        """The content of NAME.classes.json (docs/teach.md)."""
        counts = [each._asdict() for each in self.classes]
        return {"network": network, **asdict(self), "classes": counts}


def write_model(
    source: Path, class_set: ClassSet, summary: Summary, name: str, path: Path, *, learned_with: str
) -> None:
    """As `write_taught`, with the summary in the model's file and beside it.

    Examples that were kept with a former model of this path are deleted.
    """
    network = network_of(source)
    write_taught(source, class_set, name, summary.about(network), path, learned_with=learned_with)
    examples_file(path).unlink(missing_ok=True)
    content = json.dumps(summary.as_json(network), indent=1, ensure_ascii=False)
    write_whole(classes_file(path), f"{content}\n".encode())
