"""The model that all sessions of a server use and its map, the others on this computer, and the change to another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from whycam.models import catalog
from whycam.models.class_set import ClassSet
from whycam.models.contract import HEATMAPS, Contract, ContractError, MapSpec
from whycam.models.model_file import contract_of
from whycam.stream.inference.engine import CLOSED, Engine, EngineDown

logger = logging.getLogger(__name__)


class UnknownModel(LookupError):
    """No model on this computer has this name; says which there are."""


class UnknownMap(LookupError):
    """A model's file has no such map; says which it has."""


class ChangeInProgress(RuntimeError):
    """Another change of the model is in progress."""


class MapChoice(NamedTuple):
    """The map to draw, by its method and its layer; None: any."""

    method: str | None = None
    layer: str | None = None

    def find(self, contract: Contract) -> MapSpec:
        """The map in a model's file; raises `UnknownMap`."""
        try:
            return contract.find_map(self.method, self.layer)
        except ContractError as error:
            raise UnknownMap(str(error)) from error


@dataclass(frozen=True, slots=True)
class RunningModel:
    """A model that runs, drawing one of its maps.

    Its name is the one in the catalogue, or the one in its file if it is not listed there.
    """

    name: str
    engine: Engine
    class_set: ClassSet | None = None
    """The classes that replace its own."""

    def describe(self) -> dict[str, Any]:
        """All that pages and other clients know of a model, as JSON (docs/api.md)."""
        contract = self.engine.contract
        return {
            "name": self.name,
            "classes": len(contract.labels),
            "task": contract.task,
            "sha256": self.engine.sha256,
            "maps": maps_as_json(contract),
            "signed": contract.signed_map() is not None,
        }


def maps_as_json(contract: Contract) -> list[dict[str, Any]]:
    """The maps of a model that can be drawn, and which one is (docs/api.md)."""
    drawn = contract.drawn_map()
    return [
        {"method": each.method, "layer": each.layer, "grid": list(each.grid), "current": each == drawn}
        for each in contract.drawable_maps()
    ]


@dataclass(frozen=True, slots=True)
class ModelShelf:
    """The models that a server can run: those in the catalogue that are ready, and the one that it was started with."""

    given: Path
    start: Callable[[Path, str], Engine]
    """Starts the model of a file, drawing the maps of an output, beside which it computes the signed maps of the same
    layer if it has them; reading its `contract` waits until it is ready, and raises if it cannot be used."""
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

    def open(self, name: str, output: str = HEATMAPS) -> Engine:
        """Start one of `names`; raises `ContractError` for a file that is damaged or was changed."""
        return self.start(self.path_of(name), output)

    def contract_of(self, name: str) -> Contract:
        """The contract in the file of one of `names`; raises as `open`, and `ContractError` if it cannot be used."""
        return contract_of(self.path_of(name))

    def path_of(self, name: str) -> Path:
        """The file of one of `names`; raises as `open`."""
        known = next((model for model in self._ready() if model.name == name), None)
        return self.given if known is None else catalog.checked(known)

    def _ready(self) -> list[catalog.KnownModel]:
        return [model for model in catalog.known(self.folder) if model.ready]


class ModelChoice:
    """One model runs, and another can be chosen: it starts beside the running one, which is closed when it is replaced.

    Another map of the same model is another engine, too: each computes only what is drawn.

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

    @property
    def path(self) -> Path:
        """The file of the current model; raises `UnknownModel` without a shelf, `ContractError` as `open`."""
        if self._shelf is None:
            raise UnknownModel(f"The file of '{self.current.name}' is not known here.")
        return self._shelf.path_of(self.current.name)

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
            "maps": current["maps"],
        }

    async def change(
        self,
        name: str | None,
        adopt: Callable[[RunningModel], Awaitable[None]],
        wanted: MapChoice | None = None,
    ) -> None:
        """Start another model or draw another map, have `adopt` pass it to all sessions, then close the former one.

        A `name` of None is the current model, `wanted` of None the current map of the current model, the first one of
        another. `adopt` returns when no session uses the former engine. Raises `ChangeInProgress`, `UnknownModel`,
        `UnknownMap`, `ContractError` and `RuntimeMissing` for a file that cannot be used, and `EngineDown` for a model
        that does not run; then the former one stays.
        """
        if self._changing is not None:
            raise ChangeInProgress(
                f"The model is being changed to {self._changing} already. Try again when that is done."
            )
        name = self.current.name if name is None else name
        self._changing = name
        try:
            engine = await self._chosen(name, wanted)
            if engine is not None:
                former, self.current = self.current, RunningModel(name, engine)
                try:
                    await adopt(self.current)
                finally:
                    await asyncio.to_thread(former.engine.close)
                drawn = engine.contract.drawn_map()
                logger.info("The model is %s now, drawn by %s of '%s'.", name, drawn.method, drawn.layer)
        finally:
            self._changing = None

    async def _chosen(self, name: str, wanted: MapChoice | None) -> Engine | None:
        """The engine of this model and map when it is ready; None if it runs already."""
        output = HEATMAPS
        if name == self.current.name:
            known = self.current.engine.contract
            output = known.drawn if wanted is None else wanted.find(known).output
            if output == known.drawn:
                return None
        if self._shelf is None or name not in await asyncio.to_thread(self._names):
            raise UnknownModel(f"There is no model called '{name}' on this computer. `whycam models` lists them.")
        if name != self.current.name and wanted is not None:
            output = wanted.find(await asyncio.to_thread(self._shelf.contract_of, name)).output
        return await self._started(await asyncio.to_thread(self._shelf.open, name, output), name)

    async def _started(self, engine: Engine, name: str) -> Engine:
        """The engine, when it is ready."""
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
