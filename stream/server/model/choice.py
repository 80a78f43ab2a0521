"""The routes of the model: what it is and its labels, the others on this computer, and the change of it or its map."""

from __future__ import annotations

from typing import Any

from aiohttp import hdrs, web

from whycam.models.contract import ContractError
from whycam.stream.inference.engine import EngineDown
from whycam.stream.inference.explainer import RuntimeMissing
from whycam.stream.server.auth import require_role
from whycam.stream.server.listener import json_object_of
from whycam.stream.server.signalling import SESSIONS
from whycam.stream.sessions.model_choice import ChangeInProgress, MapChoice, UnknownMap, UnknownModel

MAX_BYTES = 1024
AGAIN_S = "5"
EXAMPLE = '{"name": …} or {"map": {"method": …, "layer": …}}'


def add_routes(app: web.Application) -> None:
    """Add the model's routes to `app`, which contains the `Sessions`."""
    everybody, host = require_role("phone", "viewer", "host"), require_role("host")
    app.router.add_get("/api/labels", everybody(_labels))
    app.router.add_get("/api/model", everybody(_model))
    app.router.add_post("/api/model", host(_change))
    app.router.add_get("/api/models", host(_models))


async def _labels(request: web.Request) -> web.Response:
    return web.json_response(list(request.app[SESSIONS].engine.contract.labels))


async def _model(request: web.Request) -> web.Response:
    return web.json_response(request.app[SESSIONS].models.current.describe())


async def _models(request: web.Request) -> web.Response:
    return web.json_response(await request.app[SESSIONS].models.describe())


async def _change(request: web.Request) -> web.Response:
    """Answer when all sessions use the new model or map, or when it is clear that it cannot be used."""
    wanted = _wanted(await json_object_of(request, MAX_BYTES, EXAMPLE))
    try:
        await request.app[SESSIONS].change_model(*wanted)
    except ChangeInProgress as error:
        raise web.HTTPConflict(text=str(error)) from error
    except (UnknownModel, UnknownMap) as error:
        raise web.HTTPNotFound(text=str(error)) from error
    except ContractError as error:
        raise web.HTTPUnprocessableEntity(text=str(error)) from error
    except (EngineDown, RuntimeMissing) as error:
        raise web.HTTPServiceUnavailable(text=str(error), headers={hdrs.RETRY_AFTER: AGAIN_S}) from error
    return await _model(request)


def _wanted(body: dict[str, Any]) -> tuple[str | None, MapChoice | None]:
    """The name and the map in a request for a change."""
    name, listed = body.get("name"), body.get("map")
    if not (name is None or isinstance(name, str)) or not (listed is None or isinstance(listed, dict)):
        raise web.HTTPBadRequest(text=f"The body should be a JSON object: {EXAMPLE}, or both.")
    given = {key: listed[key] for key in MapChoice._fields if key in listed} if listed else {}
    if not (name or given) or (listed is not None and not given):
        raise web.HTTPBadRequest(text=f"The body should name a model, a map, or both: {EXAMPLE}.")
    if not all(isinstance(each, str) for each in given.values()):
        raise web.HTTPBadRequest(text=f"A map's method and layer should be texts: {EXAMPLE}.")
    return name, MapChoice(**given) if given else None
