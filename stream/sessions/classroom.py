"""What a server is taught: classes in place of the model's own, for all its sessions, learned after each change."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np

from whycam.models.class_set import ClassSet
from whycam.models.companions import examples_file
from whycam.models.taught_model import network_of, write_taught
from whycam.stream.inference.engine import Engine
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.known_classes import KnownClasses
from whycam.stream.limits import Limits
from whycam.stream.sessions.messages import CommandError
from whycam.stream.sessions.taught_files import opened, save, summary_of
from whycam.stream.teaching.example_heat import image_of, index_of, lying, picture_of
from whycam.stream.teaching.examples import HOST, Example
from whycam.stream.teaching.kept_examples import KeptExamplesError
from whycam.stream.teaching.summary import Summary
from whycam.stream.teaching.teaching import Learned, Teaching
from whycam.stream.video.planes import Bytes

logger = logging.getLogger(__name__)

Shown = Literal["own", "taught"]
LEARN_EVERY_S = 1.0
"""While examples arrive. Each time the classes of all sessions are others, which their recordings note."""
SETTLE_S = 5.0
"""For what is being learned when the taught model is asked for."""
TOO_FEW = "Nothing is taught yet: two classes need examples."
PLACED = 8
"""Examples of a class whose heat is looked at."""


class NothingTaught(RuntimeError):
    """There is nothing to show, to undo or to save yet; says what is missing."""


class Classroom:
    """One class set for all sessions of a server; it belongs to one model, and is empty for another.

    `apply` gives a class set (None: the model's own classes) to all sessions. The methods run on the event loop,
    learning runs in a thread.
    """

    def __init__(self, engine: Engine, apply: Callable[[ClassSet | None], None], limits: Limits) -> None:
        self._apply = apply
        self._limits = limits
        self.phones = False
        """Whether other devices may teach."""
        self._learning: asyncio.Task[None] | None = None
        self._stale = False
        self._settled = asyncio.Event()
        """Set while nothing is to be learned."""
        self._settled.set()
        self._has_shown = False
        self._is_as_kept = False
        """Whether all that is taught was kept with the model: its own classes are these, so they are shown."""
        self.warning = ""
        """Why examples that were kept with the model are not used."""
        self.shows: Shown = "own"
        self.learned: ClassSet | None = None
        """None until two classes have examples."""
        self._set_model(engine)

    def _set_model(self, engine: Engine) -> None:
        self._engine = engine
        layer = engine.contract.last_layer
        self.teaching = None if layer is None else Teaching(layer.width, self._limits)

    @property
    def taught(self) -> Teaching:
        """What is taught; raises `CommandError` if nothing can be."""
        if self.teaching is None:
            raise CommandError(self.problem, "no-teaching")
        return self.teaching

    @property
    def problem(self) -> str:
        """Why nothing can be taught; empty if it can."""
        if self.teaching is not None:
            return ""
        return (
            f"The last layer of {self._engine.contract.name} cannot be replaced, so it cannot be taught. Choose "
            "another model, or `whycam export` it again."
        )

    @property
    def shown(self) -> ClassSet | None:
        """The class set that sessions have now; None: the model's own classes."""
        return self.learned if self.shows == "taught" else None

    def class_set_for(self, engine: Engine) -> ClassSet | None:
        """The class set with which sessions begin to use an engine: it stays while the model's file does."""
        return self.shown if engine.sha256 == self._engine.sha256 else None

    def use(self, engine: Engine) -> bool:
        """Teach another model from now on; what was taught is forgotten, unless it is the same with another map.

        Returns whether it is another.
        """
        if engine.sha256 == self._engine.sha256:
            self._engine = engine
            return False
        self._set_model(engine)
        self.shows, self.learned, self._has_shown = "own", None, False
        self._is_as_kept, self.warning = False, ""
        return True

    async def open_kept(self, source: Path) -> None:
        """Begin with the examples that were kept beside the model's file, if there are some; `warning` says if not."""
        teaching, path = self.teaching, examples_file(source)
        if teaching is None or not path.is_file():
            return
        try:
            kept = await asyncio.to_thread(opened, path, self._engine, self._limits)
            if not teaching.is_untouched:
                raise KeptExamplesError(path, "something else was taught meanwhile")
        except KeptExamplesError as error:
            logger.warning("%s", error)
            self.warning = str(error) if teaching is self.teaching else self.warning
            return
        if teaching is self.teaching:  # else another model was chosen meanwhile
            self.teaching, self._is_as_kept = kept, True
            self._learn_soon()

    def check(self, giver: str) -> None:
        """Raise `CommandError` if nothing can be taught, or not by this one."""
        _ = self.taught
        if not self.may_teach(giver):
            raise CommandError("The computer does not let phones teach now.", "no-teaching")

    def may_teach(self, giver: str) -> bool:
        """Whether this one may give examples now."""
        return giver == HOST or self.phones

    def may_remove(self, giver: str | None, example: Example) -> bool:
        """Whether this one may remove an example: its giver and the host may."""
        return giver in (HOST, example.giver)

    def count(self, number: int) -> int | None:
        """The number of a class's examples; None if there is no such class."""
        return None if self.teaching is None else self.teaching.count(number)

    def is_full(self, number: int) -> bool:
        """Whether a class has as many examples as it may have."""
        return (self.count(number) or 0) >= self._limits.max_examples

    def add(self, number: int, example: Example) -> None:
        """Add an example; raises `TeachingError`."""
        self.taught.add_example(number, example)
        self.changed()

    def undo(self) -> None:
        """Take back the last change; raises `NothingTaught`."""
        if not self.taught.undo():
            raise NothingTaught("There is nothing to undo.")
        self.changed()

    def show(self, wanted: Shown) -> None:
        """Give all sessions the taught classes or the model's own; raises `NothingTaught`."""
        if wanted == "taught" and self.learned is None:
            raise NothingTaught(TOO_FEW)
        self.shows = wanted
        self._apply(self.shown)

    def changed(self) -> None:
        """Learn again soon, because classes or examples are others."""
        self._is_as_kept = False
        self._learn_soon()

    def _learn_soon(self) -> None:
        self._stale = True
        self._settled.clear()
        if self._learning is None or self._learning.done():
            self._learning = asyncio.get_running_loop().create_task(self._learn())

    async def _learn(self) -> None:
        try:
            while self._stale:
                self._stale = False
                began = time.monotonic()
                await self._learn_once()
                if not self._stale:
                    self._settled.set()
                await asyncio.sleep(max(0.0, LEARN_EVERY_S - (time.monotonic() - began)))
        except Exception:  # a failure may not end the server; the former classes stay
            logger.exception("Learning failed; the classes are as before.")
        finally:
            self._settled.set()

    async def _learn_once(self) -> None:
        teaching = self.teaching
        if teaching is None:
            return
        learned = await asyncio.to_thread(teaching.learn)
        if teaching is self.teaching:  # else another model was chosen meanwhile
            self._take(learned)

    async def settle(self) -> None:
        """Wait until all is learned that was given so far; not for ever, because examples may arrive all the time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), SETTLE_S)

    def _take(self, learned: ClassSet | None) -> None:
        before = self.shown
        self.learned = learned
        if learned is None:
            self.shows, self._has_shown = "own", False
        elif not (self._has_shown or self._is_as_kept):
            self.shows, self._has_shown = "taught", True
        if self.shown is not before:
            self._apply(self.shown)

    async def heat(self, example: Example, number: int) -> bytes:
        """An example's picture with the heat of a class, as taught now, as JPEG.

        Raises `NothingTaught`, `KeyError` for an unknown class, and `EngineDown`.
        """
        classes = self._classes()
        image = image_of(example)
        found = await self._explained([image], index_of(classes, number), classes)
        return await asyncio.to_thread(picture_of, image, found, classes, self._engine.contract)

    async def places(self) -> list[dict[str, Any]]:
        """Where the heat of each class lies in some of its examples, as JSON (docs/api.md); raises as `heat`."""
        classes, listed = self._classes(), []
        for number, examples in self.taught.examples().items():
            index = classes.index(number)
            if index is None or not examples:
                continue
            some = list(examples.values())[:: max(1, len(examples) // PLACED)][:PLACED]
            found = await self._explained([image_of(each) for each in some], index, classes)
            listed.append({"class": number, **lying(found)})
        return listed

    def _classes(self) -> KnownClasses:
        if self.learned is None:
            raise NothingTaught(TOO_FEW)
        return KnownClasses(self._engine.contract.labels, self.learned)

    async def _explained(self, images: list[Bytes], index: int, classes: KnownClasses) -> Explanation:
        """For the classes that the index is of: meanwhile others may be learned."""
        return await asyncio.wrap_future(self._engine.explain(np.stack(images), [index], classes.class_set))

    async def write(self, source: Path, name: str, path: Path) -> None:
        """Write the model's file with the taught classes in place of its own.

        Raises `NothingTaught`, `SourceChanged` and `OSError`.
        """
        learned, sha256 = self._taught_now, self._engine.sha256
        about = summary_of(learned).about(await asyncio.to_thread(network_of, source))
        await asyncio.to_thread(write_taught, source, learned.class_set, name, about, path, learned_with=sha256)

    async def save(self, source: Path, name: str, path: Path, *, keep: bool) -> None:
        """Write the taught model with the files beside it, all or none; its examples only with `keep`.

        Raises as `write`.
        """
        learned, classes = self._taught_now, self.taught.classes() if keep else None
        await asyncio.to_thread(save, source, learned, name, path, classes, learned_with=self._engine.sha256)

    def summary(self) -> Summary:
        """What the classes were learned from; raises `NothingTaught`."""
        return summary_of(self._taught_now)

    @property
    def _taught_now(self) -> Learned:
        learned = self.taught.learned
        if learned is None:
            raise NothingTaught(TOO_FEW)
        return learned

    def describe(self, giver: str | None = None) -> dict[str, Any]:
        """The state, as JSON (docs/api.md); `giver`: what the client is called here, None if it never gave anything."""
        taught: dict[str, Any] = {"classes": [], "accuracy": None, "confusion": None, "undo": None}
        if self.teaching is not None:
            taught |= self.teaching.describe(lambda example: self.may_remove(giver, example))
        return {
            "possible": self.teaching is not None,
            "says": self.problem,
            "warning": self.warning,
            "phones": self.phones,
            "shows": self.shows,
            "class_set": None if self.learned is None else self.learned.id,
            **taught,
            "limits": {
                "classes": self._limits.max_classes,
                "examples": self._limits.max_examples,
                "name": self._limits.max_class_name,
            },
        }
