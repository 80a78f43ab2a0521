"""What a live server is taught, in memory: classes with their examples, and what is learned from them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self

from whycam.models.class_set import FIRST_NUMBER, ClassSet
from whycam.stream.limits import Limits
from whycam.stream.teaching.accuracy import HeldOut, held_out
from whycam.stream.teaching.examples import Example, TaughtClass, Vectors, vectors_of
from whycam.stream.teaching.learner import learn
from whycam.stream.teaching.summary import ClassCount

LATEST = 5
"""Examples of a class whose ids the state lists."""
MISTAKES = 12
UNDO_STEPS = 50
Code = Literal["wrong-value", "taken", "full"]


class TeachingError(ValueError):
    """Something cannot be taught; says why, the code whether it is a value, a name of another class, or a limit."""

    def __init__(self, sentence: str, code: Code = "wrong-value") -> None:
        super().__init__(sentence)
        self.code = code


class Learned(NamedTuple):
    """What was learned once."""

    class_set: ClassSet
    found: Vectors
    """What it was learned from."""
    held: HeldOut | None
    """How good it is; None: there are too few examples to say."""

    @property
    def counts(self) -> list[ClassCount]:
        """Each class's numbers of examples and of holdings."""
        owned: list[list[str]] = [[] for _ in self.found.labels]  # each example's holding
        for place, holding in zip(self.found.classes.tolist(), self.found.holdings, strict=True):
            owned[place].append(holding)
        return [ClassCount(label, len(own), len(set(own))) for label, own in zip(self.found.labels, owned, strict=True)]


@dataclass(frozen=True)
class _Step:
    """What can be undone: all classes as they were before, and what was done."""

    before: dict[int, TaughtClass]
    what: str
    name: str
    holding: str = ""
    count: int = field(default=1, compare=False)


class Teaching:
    """Classes by number, from `FIRST_NUMBER` on; a number is never given twice. May be used from any thread.

    A class without a number raises `KeyError`, as an example without an id does; what a limit or a name forbids raises
    `TeachingError`.
    """

    def __init__(self, width: int, limits: Limits) -> None:
        """`width` is that of the vectors."""
        self._width = width
        self._limits = limits
        self._lock = threading.Lock()
        self._classes: dict[int, TaughtClass] = {}
        self._steps: list[_Step] = []
        self._next_class, self._next_example = FIRST_NUMBER, 1
        self.learned: Learned | None = None
        """What was learned last; None if that were fewer than two classes."""

    @classmethod
    def begun_with(cls, kept: Sequence[TaughtClass], width: int, limits: Limits) -> Self:
        """With classes that were taught before, which cannot be undone; raises `TeachingError`."""
        teaching = cls(width, limits)
        for each in kept:
            number = teaching.add_class(each.name)
            for example in each.examples.values():
                teaching.add_example(number, example)
        teaching._steps.clear()
        return teaching

    def add_class(self, name: str) -> int:
        """Add a class without examples and return its number."""
        with self._lock:
            name = self._checked(name)
            if len(self._classes) >= self._limits.max_classes:
                raise TeachingError(f"There are {len(self._classes)} classes, as many as there may be.", "full")
            self._remember("class", name)
            number, self._next_class = self._next_class, self._next_class + 1
            self._classes[number] = TaughtClass(name)
            return number

    def rename_class(self, number: int, name: str) -> None:
        """Give a class another name."""
        with self._lock:
            former = self._classes[number]
            name = self._checked(name, but=number)
            self._remember("name", former.name)
            self._classes[number] = TaughtClass(name, former.examples)

    def remove_class(self, number: int) -> None:
        """Remove a class and its examples."""
        with self._lock:
            self._remember("removal", self._classes[number].name)
            del self._classes[number]

    def add_example(self, number: int, example: Example) -> int:
        """Add an example to a class and return its id."""
        with self._lock:
            known = self._classes[number]
            if len(known.examples) >= self._limits.max_examples:
                raise TeachingError(f"{known.name} has {len(known.examples)} examples, as many as it may have.", "full")
            last = self._steps[-1] if self._steps else None
            if last is not None and last.holding and last.holding == example.holding and last.name == known.name:
                self._steps[-1] = _Step(last.before, last.what, last.name, last.holding, last.count + 1)
            else:
                self._remember("examples", known.name, example.holding)
            example_id, self._next_example = self._next_example, self._next_example + 1
            self._classes[number] = TaughtClass(known.name, known.examples | {example_id: example})
            return example_id

    def remove_example(self, example_id: int) -> None:
        """Remove an example."""
        with self._lock:
            number = self._class_of(example_id)
            known = self._classes[number]
            self._remember("removal of an example", known.name)
            left = {each: example for each, example in known.examples.items() if each != example_id}
            self._classes[number] = TaughtClass(known.name, left)

    def clear(self) -> None:
        """Remove all classes."""
        with self._lock:
            self._remember("clearing", "")
            self._classes = {}

    def undo(self) -> bool:
        """Take back the last change: a class, name or removal, or the examples of a holding; whether there was one."""
        with self._lock:
            if not self._steps:
                return False
            self._classes = self._steps.pop().before
            return True

    def example(self, example_id: int) -> Example:
        """The example with this id."""
        with self._lock:
            return self._classes[self._class_of(example_id)].examples[example_id]

    def count(self, number: int) -> int | None:
        """The number of a class's examples; None if there is no such class."""
        with self._lock:
            known = self._classes.get(number)
            return None if known is None else len(known.examples)

    def learn(self) -> ClassSet | None:
        """The classes that have examples, learned; None for fewer than two. Takes up to a few seconds."""
        with self._lock:
            found = vectors_of(self._classes, self._width)
        if len(found.labels) < 2:
            self.learned = None
            return None
        weights, bias = learn(found.vectors, found.classes, len(found.labels))
        held = held_out(found.vectors, found.classes, found.holdings, len(found.labels))
        self.learned = Learned(ClassSet(found.labels, weights, bias, found.numbers), found, held)
        return self.learned.class_set

    def wrong(self) -> list[dict[str, Any]]:
        """The surest mistakes about examples that were kept out, as JSON (docs/api.md)."""
        learned = self.learned
        if learned is None or learned.held is None:
            return []
        found, result = learned.found, learned.held
        return [
            {
                "example": found.ids[each.example],
                "class": found.numbers[found.classes[each.example]],
                "taken_for": found.numbers[each.taken_for],
                "probability": round(each.probability, 4),
            }
            for each in result.wrong[:MISTAKES]
        ]

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was ever taught, or taken back."""
        with self._lock:
            return not self._classes and not self._steps

    def classes(self) -> list[TaughtClass]:
        """The classes with their examples, as they are now."""
        with self._lock:
            return [TaughtClass(each.name, dict(each.examples)) for each in self._classes.values()]

    def examples(self) -> dict[int, dict[int, Example]]:
        """Each class's examples by id, by the class's number."""
        with self._lock:
            return {number: dict(each.examples) for number, each in self._classes.items()}

    def describe(self, may_remove: Callable[[Example], bool] = lambda _: True) -> dict[str, Any]:
        """The classes, how good they are, and what can be undone, as JSON (docs/api.md).

        `may_remove`: whether the one who asks may remove an example.
        """
        with self._lock:
            classes = [
                {
                    "class": number,
                    "name": each.name,
                    "examples": len(each.examples),
                    "holdings": each.holdings,
                    "latest": list(each.examples)[-LATEST:],
                    "removable": [
                        example_id
                        for example_id in list(each.examples)[-LATEST:]
                        if may_remove(each.examples[example_id])
                    ],
                    "givers": Counter(example.giver for example in each.examples.values()),
                }
                for number, each in self._classes.items()
            ]
            step = self._steps[-1] if self._steps else None
        learned = self.learned
        result = learned.held if learned else None
        return {
            "classes": classes,
            "accuracy": None if result is None else {"share": round(result.share, 4), "tested": result.tested},
            "confusion": None if result is None else result.confusion.tolist(),
            "undo": None if step is None else {"what": step.what, "class": step.name, "count": step.count},
        }

    def _class_of(self, example_id: int) -> int:
        return next((n for n, each in self._classes.items() if example_id in each.examples), -1)

    def _checked(self, name: str, *, but: int = 0) -> str:
        """A name as it is shown: on one line, without spaces around it."""
        name = " ".join("".join(c if c.isprintable() else " " for c in name).split())
        if not name:
            raise TeachingError("A class needs a name.")
        if len(name) > self._limits.max_class_name:
            raise TeachingError(
                f"A class's name has at most {self._limits.max_class_name} characters, this one has {len(name)}."
            )
        if any(name.casefold() == each.name.casefold() for number, each in self._classes.items() if number != but):
            raise TeachingError(f"There is a class '{name}' already.", "taken")
        return name

    def _remember(self, what: str, name: str, holding: str = "") -> None:
        """Keep the classes as they are now; their examples are never changed in place."""
        self._steps.append(_Step(copy(self._classes), what, name, holding))
        del self._steps[:-UNDO_STEPS]
