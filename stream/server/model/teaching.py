"""The routes of teaching: the state, classes, their examples, where the heat lies, and the taught model as a file."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import hdrs, web

from whycam.models.contract import ContractError
from whycam.models.taught_model import SourceChanged
from whycam.stream.inference.engine import EngineDown
from whycam.stream.server.auth import require_role
from whycam.stream.server.listener import json_object_of
from whycam.stream.server.signalling import SESSIONS, owner_of
from whycam.stream.sessions.classroom import Classroom, NothingTaught
from whycam.stream.sessions.messages import CommandError
from whycam.stream.teaching.examples import Example
from whycam.stream.teaching.teaching import TeachingError

MAX_BYTES = 1024
EXAMPLE = '{"name": …}'
AGAIN_S = "5"
Answering = Callable[[web.Request, Classroom], Awaitable[web.StreamResponse]]


def add_routes(app: web.Application) -> None:
    """Add the routes of teaching to `app`, which contains the `Sessions`."""
    everybody = require_role("phone", "viewer", "host")
    host, phones = require_role("host"), require_role("phone", "host")
    number, example = r"/api/teaching/classes/{number:\d{7,9}}", r"/api/teaching/examples/{example:\d{1,9}}"
    app.router.add_get("/api/classes", everybody(_classes))
    app.router.add_get("/api/teaching", everybody(_answering(_state)))
    app.router.add_post("/api/teaching", host(_answering(_change)))
    app.router.add_post("/api/teaching/classes", phones(_answering(_add_class)))
    app.router.add_post(number, host(_answering(_rename_class)))
    app.router.add_delete(number, host(_answering(_remove_class)))
    app.router.add_get(example + ".jpg", phones(_answering(_picture)))
    app.router.add_get(example + "/heat.jpg", phones(_answering(_heat)))
    app.router.add_delete(example, phones(_answering(_remove_example)))
    app.router.add_get("/api/teaching/wrong", phones(_answering(_wrong)))
    app.router.add_get("/api/teaching/places", phones(_answering(_places)))
    app.router.add_post("/api/teaching/save", host(_answering(_save)))
    app.router.add_get("/api/teaching/model.onnx", host(_answering(_download)))
    app.router.add_get("/api/teaching/classes.json", host(_answering(_download_classes)))


def _answering(answer: Answering) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler that passes the classroom on, and turns what it raises into HTTP codes."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await answer(request, request.app[SESSIONS].classroom)
        except CommandError as error:
            raise web.HTTPForbidden(text=str(error)) from error
        except LookupError as error:
            raise web.HTTPNotFound(text="There is no such class or example, or not any more.") from error
        except NothingTaught as error:
            raise web.HTTPConflict(text=str(error)) from error
        except TeachingError as error:
            refused = web.HTTPBadRequest if error.code == "wrong-value" else web.HTTPConflict
            raise refused(text=str(error)) from error
        except EngineDown as error:
            raise web.HTTPServiceUnavailable(text=str(error), headers={hdrs.RETRY_AFTER: AGAIN_S}) from error

    return handle


async def _classes(request: web.Request) -> web.Response:
    return web.json_response(
        [{"class": number, "label": label} for number, label in request.app[SESSIONS].known_classes().listed()]
    )


async def _state(request: web.Request, classroom: Classroom) -> web.Response:
    return web.json_response(classroom.describe(request.app[SESSIONS].known_giver(owner_of(request))))


async def _change(request: web.Request, classroom: Classroom) -> web.Response:
    wanted = await json_object_of(request, MAX_BYTES, '{"shows": "taught"}')
    if not wanted or not all(_may_change(*each) for each in wanted.items()):
        raise web.HTTPBadRequest(
            text='The body should have one or more of "shows" ("own" or "taught"), "phones" (true or false), "undo" '
            'and "clear" (true).'
        )
    if wanted.get("clear"):
        classroom.taught.clear()
        classroom.changed()
    if wanted.get("undo"):
        classroom.undo()
    if "phones" in wanted:
        classroom.phones = wanted["phones"]
    if "shows" in wanted:
        classroom.show(wanted["shows"])
    return await _state(request, classroom)


def _may_change(key: str, value: object) -> bool:
    if key == "shows":
        return value in ("own", "taught")
    return isinstance(value, bool) if key == "phones" else key in ("undo", "clear") and value is True


async def _named(request: web.Request) -> str:
    return _name_in(await json_object_of(request, MAX_BYTES, EXAMPLE))


def _name_in(body: dict[str, Any]) -> str:
    name = body.get("name")
    if not isinstance(name, str):
        raise web.HTTPBadRequest(text=f"The body should be a JSON object with a name: {EXAMPLE}.")
    return name


async def _add_class(request: web.Request, classroom: Classroom) -> web.Response:
    classroom.check(_giver(request))
    number = classroom.taught.add_class(await _named(request))
    return web.json_response({"class": number}, status=201)


async def _rename_class(request: web.Request, classroom: Classroom) -> web.Response:
    classroom.taught.rename_class(_number(request), await _named(request))
    classroom.changed()
    return await _state(request, classroom)


async def _remove_class(request: web.Request, classroom: Classroom) -> web.Response:
    classroom.taught.remove_class(_number(request))
    classroom.changed()
    return web.Response(status=204)


def _number(request: web.Request) -> int:
    return int(request.match_info["number"])


def _giver(request: web.Request) -> str:
    return request.app[SESSIONS].giver(owner_of(request))


def _example(request: web.Request, classroom: Classroom) -> Example:
    return classroom.taught.example(int(request.match_info["example"]))


async def _picture(request: web.Request, classroom: Classroom) -> web.Response:
    return _jpeg(_example(request, classroom).picture)


def _jpeg(content: bytes) -> web.Response:
    return web.Response(body=content, content_type="image/jpeg")


async def _heat(request: web.Request, classroom: Classroom) -> web.Response:
    wanted = request.query.get("class", "")
    if not wanted.isascii() or not wanted.isdigit():
        raise web.HTTPBadRequest(text="Add ?class= with the number of a taught class.")
    return _jpeg(await classroom.heat(_example(request, classroom), int(wanted)))


async def _remove_example(request: web.Request, classroom: Classroom) -> web.Response:
    giver = request.app[SESSIONS].known_giver(owner_of(request))
    if not classroom.may_remove(giver, _example(request, classroom)):
        raise web.HTTPForbidden(text="Only the computer and the device that gave an example can remove it.")
    classroom.taught.remove_example(int(request.match_info["example"]))
    classroom.changed()
    return web.Response(status=204)


async def _wrong(_: web.Request, classroom: Classroom) -> web.Response:
    return web.json_response(classroom.taught.wrong())


async def _places(_: web.Request, classroom: Classroom) -> web.Response:
    return web.json_response(await classroom.places())


async def _save(request: web.Request, _: Classroom) -> web.Response:
    body = await json_object_of(request, MAX_BYTES, '{"name": …, "keep": true}')
    name, keep = _name_in(body), body.get("keep", False)
    if not isinstance(keep, bool):
        raise web.HTTPBadRequest(text='"keep" says whether the examples are kept on this computer: true or false.')
    try:
        await request.app[SESSIONS].save_taught(name, keep=keep)
    except (FileExistsError, SourceChanged) as error:
        raise web.HTTPConflict(text=str(error)) from error
    except ContractError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
    except OSError as error:
        raise web.HTTPInsufficientStorage(text=f"The model cannot be written ({error.strerror}).") from error
    return web.json_response({"name": name}, status=201)


async def _download(request: web.Request, _: Classroom) -> web.Response:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "taught.onnx"
        try:
            await request.app[SESSIONS].write_taught("taught", path)
        except SourceChanged as error:
            raise web.HTTPConflict(text=str(error)) from error
        content = await asyncio.to_thread(path.read_bytes)
    return _file(content, "application/octet-stream", "taught.onnx")


async def _download_classes(request: web.Request, _: Classroom) -> web.Response:
    content = json.dumps(await request.app[SESSIONS].taught_classes(), indent=1, ensure_ascii=False)
    return _file(content.encode(), "application/json", "taught.classes.json")


def _file(content: bytes, content_type: str, name: str) -> web.Response:
    disposition = f'attachment; filename="{name}"'
    return web.Response(body=content, content_type=content_type, headers={hdrs.CONTENT_DISPOSITION: disposition})
