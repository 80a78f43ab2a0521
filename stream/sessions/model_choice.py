"""The model that all sessions of a server use, the others on this computer, and the change from one to another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whycam.models import catalog
from whycam.stream.inference.engine import CLOSED, Engine, EngineDown

logger = logging.getLogger(__name__)


class UnknownModel(LookupError):
    """No model on this computer has this name; says which there are."""


class ChangeInProgress(RuntimeError):
    """Another change of the model is in progress."""


@dataclass(frozen=True, slots=True)
class RunningModel:
    """A model that runs, and its name: the one in the catalogue, or the one in its file if it is not listed there."""

    name: str
    engine: Engine

    def describe(self) -> dict[str, Any]:
        """All that pages and other clients know of a model, as JSON (docs/api.md)."""
        contract = self.engine.contract
        return {
            "name": self.name,
            "classes": len(contract.labels),
            "task": contract.task,
            "sha256": self.engine.sha256,
        }


@dataclass(frozen=True, slots=True)
class ModelShelf:
    """The models that a server can run: those in the catalogue that are ready, and the one that it was started with."""

    given: Path
    start: Callable[[Path], Engine]
    """Starts the model of a file; reading its `contract` waits until it is ready, and raises if it cannot be used."""
    folder: Path | None = None
    """As in `catalog.known`."""

    def names(self, given_name: str) -> list[str]:
        """The names of all. A given file that is not in the catalogue has the name `given_name`, or its file's name."""
        ready = [model.name for model in self._ready()]
        given = self.name_of_given(given_name)
        return ready if given in ready else [*ready, given]

    def name_of_given(self, given_name: str) -> str:
        """The name of the file that the server was started with; `given_name` is the one that is in it."""
        ready = {model.path.resolve(): model.name for model in self._ready()}
        return ready.get(self.given.resolve()) or (self.given.name if given_name in ready.values() else given_name)

    def open(self, name: str) -> Engine:
        """Start one of `names`; raises `ContractError` for a file that is damaged or was changed."""
        return self.start(self.path_of(name))

    def path_of(self, name: str) -> Path:
        """The file of one of `names`; raises as `open`."""
        known = next((model for model in self._ready() if model.name == name), None)
        return self.given if known is None else catalog.checked(known)

    def _ready(self) -> list[catalog.KnownModel]:
        return [model for model in catalog.known(self.folder) if model.ready]


class ModelChoice:
    """One model runs, and another can be chosen: it starts beside the running one, which is closed when it is replaced.

    `engine` is closed by its owner in any case, engines that are started here by `close`. Without a shelf there is no
    choice. The methods run on the event loop; models start and end in threads.
    """

    def __init__(self, engine: Engine, shelf: ModelShelf | None = None) -> None:
        self._shelf = shelf
        self._given = engine
        self._given_name = engine.contract.name
        name = self._given_name if shelf is None else shelf.name_of_given(self._given_name)
        self.current = RunningModel(name, engine)
        """The model for new sessions."""
        self._changing: str | None = None
        self._starting: Engine | None = None
        self._closed = False

    async def describe(self) -> dict[str, Any]:
        """The models that can be chosen, and the one that is being started, as JSON (docs/api.md)."""
        current = self.current.describe()
        names = dict.fromkeys([*await asyncio.to_thread(self._names), current["name"]])
        return {
            "models": [
                {"name": name, "current": True, "classes": current["classes"]}
                if name == current["name"]
                else {"name": name, "current": False, "classes": None}
                for name in names
            ],
            "changing": self._changing,
        }

    async def change(self, name: str, adopt: Callable[[RunningModel], Awaitable[None]]) -> None:
        """Start another model and have `adopt` pass it to all sessions, then close the former one.

        `adopt` returns when no session uses the former model. Raises `ChangeInProgress`, `UnknownModel`,
        `ContractError` and `RuntimeMissing` for a file that cannot be used, and `EngineDown` for a model that does not
        run; then the former one stays.
        """
        if self._changing is not None:
            raise ChangeInProgress(
                f"The model is being changed to {self._changing} already. Try again when that is done."
            )
        self._changing = name
        try:
            engine = await self._started(name)
            if engine is not None:
                former, self.current = self.current, RunningModel(name, engine)
                try:
                    await adopt(self.current)
                finally:
                    await asyncio.to_thread(former.engine.close)
                logger.info("The model is %s now, before it was %s.", name, former.name)
        finally:
            self._changing = None

    async def _started(self, name: str) -> Engine | None:
        """The engine of this model when it is ready; None if it runs already."""
        if name == self.current.name:
            return None
        if self._shelf is None or name not in await asyncio.to_thread(self._names):
            raise UnknownModel(f"There is no model called '{name}' on this computer. `whycam models` lists them.")
        engine = await asyncio.to_thread(self._shelf.open, name)
        self._starting = engine
        try:
            if self._closed:
                raise EngineDown(CLOSED)
            await asyncio.to_thread(lambda: engine.contract)
        except BaseException as error:
            logger.warning("%s was not started: %s", name, error)
            await asyncio.to_thread(engine.close)
            raise
        finally:
            self._starting = None
        return engine

    def _names(self) -> list[str]:
        return [] if self._shelf is None else self._shelf.names(self._given_name)

    async def close(self) -> None:
        """Give up a change in progress, and close the current model if it was started here."""
        self._closed = True
        for engine in (self._starting, self.current.engine):
            if engine is not None and engine is not self._given:
                await asyncio.to_thread(engine.close)
