"""The routes of uploaded films: received to disk, listed with their progress, cancelled (`stream.uploads`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import hdrs, web

from whycam.stream.server.auth import CALLER, require_role, shelf_key
from whycam.stream.server.signalling import SESSIONS
from whycam.stream.uploads.job import FilmJob, Uploads
from whycam.stream.uploads.queue import Cancelled, FilmQueue, NoRoom, QueueFull, Upload

T = TypeVar("T")
PIECE = 1 << 20
PIECE_S = 60.0
"""Seconds for each mebibyte: a slower sender would keep others from the queue."""
MAX_NAME = 200
AGAIN_S = "30"
OFF = "This server accepts no films. Start it with --uploads host, and without --no-record."
NOT_PHONES = "This server accepts films of its own computer only. Start it with --uploads phones."


@dataclass(frozen=True, slots=True)
class Films:
    """The queue of a server, and who may use it."""

    queue: FilmQueue
    who: Uploads = "host"


class FilmsApi:
    """The films for the event loop: the queue's methods write files, so they run in threads."""

    def __init__(self, films: Films) -> None:
        self.films = films
        # One for each film that may be received, and for a request while all of them write.
        self._pool = ThreadPoolExecutor(films.queue.limits.max_films + 1, "uploads")

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def close(self) -> None:
        """Shut the threads down."""
        self._pool.shutdown(wait=False, cancel_futures=True)


FILMS = web.AppKey("films", FilmsApi)


def add_routes(app: web.Application, films: Films | None) -> None:
    """Add the films' routes to `app`; without a queue, or with `off`, none is accepted."""
    owner = require_role("phone", "host")
    app.router.add_get("/api/films", owner(_list))
    app.router.add_post("/api/films", owner(_receive))
    app.router.add_delete("/api/films/{id}", owner(_cancel))
    if films is not None and films.who != "off":
        app[FILMS] = FilmsApi(films)
        app.cleanup_ctx.append(_running)


async def _running(app: web.Application) -> AsyncIterator[None]:
    api = app[FILMS]
    await api.run(api.films.queue.start)
    yield
    await api.run(api.films.queue.close)
    api.close()


def _refusal(request: web.Request) -> str:
    """Why this client may not upload; empty if it may."""
    api = request.app.get(FILMS)
    if api is None:
        return OFF
    return NOT_PHONES if request[CALLER].role == "phone" and api.films.who != "phones" else ""


def _api(request: web.Request) -> FilmsApi:
    refusal = _refusal(request)
    if refusal:
        raise web.HTTPForbidden(text=refusal)
    return request.app[FILMS]


async def _list(request: web.Request) -> web.Response:
    if _refusal(request):
        return web.json_response({"possible": False, "max_bytes": 0, "films": []})
    queue = request.app[FILMS].films.queue
    films = [job.describe() for job in queue.jobs(shelf_key(request))]
    return web.json_response({"possible": True, "max_bytes": queue.limits.max_film_bytes, "films": films})


async def _receive(request: web.Request) -> web.Response:
    """Write the body to disk as it arrives; answered when the film is complete and waits."""
    api, key = _api(request), shelf_key(request)
    name, size = _name_and_size(request, api.films.queue.limits.max_film_bytes)
    current = request.app[SESSIONS].models.current
    receiving = api.films.queue.receiving(name, size, key, current.name, current.engine.contract.drawn)
    try:
        upload = await api.run(receiving.__enter__)
        try:
            await _copy(request, api, upload, size)
        except BaseException as error:
            with suppress(type(error)):
                await asyncio.shield(api.run(receiving.__exit__, type(error), error, error.__traceback__))
            raise
        await api.run(receiving.__exit__, None, None, None)
    except QueueFull as error:
        raise web.HTTPServiceUnavailable(text=str(error), headers={hdrs.RETRY_AFTER: AGAIN_S}) from error
    except NoRoom as error:
        raise web.HTTPInsufficientStorage(text=str(error)) from error
    except Cancelled as error:
        raise web.HTTPConflict(text="The film was cancelled, or the server is ending.") from error
    except OSError as error:
        raise web.HTTPInsufficientStorage(text=f"The film cannot be stored ({error.strerror or error}).") from error
    job = api.films.queue.find(upload.job_id, key)
    if job is None:
        raise web.HTTPConflict(text="The film was cancelled.")
    return web.json_response(job.describe(), status=201, headers={hdrs.LOCATION: f"/api/films/{job.id}"})


def _name_and_size(request: web.Request, max_bytes: int) -> tuple[str, int]:
    """The file's name and size; raises 400, 411, 413 and 415."""
    if request.content_type != "application/octet-stream":
        raise web.HTTPUnsupportedMediaType(text="Send the file itself as application/octet-stream.")
    name = "".join(each for each in request.query.get("name", "") if each.isprintable()).strip()[:MAX_NAME]
    if not name:
        raise web.HTTPBadRequest(text="Give the file's name in the address: ?name=kitchen.mov.")
    size = request.content_length
    if size is None:
        raise web.HTTPLengthRequired(text="The file's size is missing. Send it as Content-Length.")
    if size > max_bytes:
        text = f"The film has {size} bytes; at most {max_bytes} are accepted. `whycam process` takes any size."
        raise web.HTTPRequestEntityTooLarge(max_bytes, size, text=text)
    if not size:
        raise web.HTTPBadRequest(text=f"{name} is empty.")
    return name, size


async def _copy(request: web.Request, api: FilmsApi, upload: Upload, size: int) -> None:
    """Copy the body into the file; raises 400 and 408."""
    received = 0
    piece = bytearray()
    try:
        while received < size:
            async with asyncio.timeout(PIECE_S):
                while len(piece) < PIECE and (data := await request.content.readany()):
                    piece += data
            if not piece:
                break
            received += len(piece)
            await api.run(upload.write, bytes(piece))
            piece.clear()
    except TimeoutError as error:
        text = f"The film arrives too slowly: less than {PIECE >> 20} MiB in {PIECE_S:.0f} s. Go nearer to the Wi-Fi."
        raise web.HTTPRequestTimeout(text=text) from error
    except (ConnectionError, web.RequestPayloadError) as error:  # the sender is gone and does not get this
        raise web.HTTPBadRequest(text="The film did not arrive completely. Send it again.") from error
    if received != size:
        raise web.HTTPBadRequest(text="The film did not arrive completely. Send it again.")


async def _cancel(request: web.Request) -> web.Response:
    api = _api(request)
    job: FilmJob | None = api.films.queue.find(request.match_info["id"], shelf_key(request))
    if job is None:
        raise web.HTTPNotFound(text="There is no such film, or not any more.")
    await api.run(api.films.queue.cancel, job)
    return web.Response(status=204)
