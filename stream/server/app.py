"""The HTTP application, from start to shutdown: pages, static files, and the routes of other modules (docs/api.md)."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from whycam.stream.inference.engine import Engine
from whycam.stream.server import health, join, signalling
from whycam.stream.server.auth import (
    ACCESS,
    Access,
    Handler,
    add_headers,
    check_request,
    plain_text_errors,
)
from whycam.stream.server.door import LanDoor, explained_bind_error
from whycam.stream.server.join import DOOR, WEB
from whycam.stream.server.lan import Lan
from whycam.stream.server.listener import MAX_CONNECTIONS, Connections
from whycam.stream.server.memory import trim_heap_periodically
from whycam.stream.server.model import choice, teaching
from whycam.stream.server.shelf import films, recordings
from whycam.stream.server.shelf.films import Films
from whycam.stream.server.signalling import SESSIONS as SESSIONS
from whycam.stream.sessions.model_choice import ModelShelf
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.webrtc.sdp import MAX_BYTES

logger = logging.getLogger(__name__)

FILES = web.AppKey("files", dict[str, Path])
"""The pages' files by name. A client's text never becomes a path. aiohttp's static routes would answer a name that is
too long with 500."""
LOG_EVERY_S = 10.0
SHUTDOWN_S = 1.0
"""For running requests at shutdown, which may take five seconds altogether."""


def make_app(
    sessions: Sessions, lan: Lan | None = None, uploads: Films | None = None, door: LanDoor | None = None
) -> web.Application:
    """The application, open to `lan` if one is given, with or without films. It ends all sessions when it ends."""
    app = web.Application(client_max_size=MAX_BYTES + 1, middlewares=[plain_text_errors, check_request])
    app.on_response_prepare.append(add_headers)
    app[SESSIONS] = sessions
    app[ACCESS] = Access()
    app[DOOR] = door or LanDoor()
    app[DOOR].hang(app[ACCESS], sessions.end_guests, lan)
    for path, file in (("/", "index.html"), ("/watch", "watch.html"), ("/recordings", "recordings.html")):
        app.router.add_get(path, _page(file))
    app[FILES] = {path.relative_to(WEB).as_posix(): path for path in WEB.rglob("*") if path.is_file()}
    app.router.add_get("/static/{name:.+}", _static)
    signalling.add_routes(app)
    choice.add_routes(app)
    teaching.add_routes(app)
    join.add_routes(app)
    recordings.add_routes(app)
    films.add_routes(app, uploads)
    health.add_routes(app)
    app.on_startup.append(_log_loop_errors)
    app.on_startup.append(_open_kept_examples)
    app.cleanup_ctx.append(_trim_heap)
    app.on_shutdown.append(_close_sessions)
    return app


async def serve_until_stopped(
    engine: Engine,
    settings: Settings,
    port: int,
    ready: Callable[[], None],
    lan: Lan | None = None,
    stopping: Callable[[], None] = lambda: None,
    shelf: ModelShelf | None = None,
    uploads: Films | None = None,
    door: LanDoor | None = None,
) -> None:
    """Serve this computer, and a LAN if one is given, until SIGINT or SIGTERM.

    `ready` is called when the page can be opened, `stopping` before calls are ended and files are finished. Other
    models come from `shelf`; without one there is no choice. Phones can be let in later if there is a `door`.
    A second signal ends the process at once. Raises `OSError` if a port is in use.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def end(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)  # the next start repairs recordings that are cut off here
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # on Windows Ctrl-C cancels this task instead
            loop.add_signal_handler(number, end, number)
    app = make_app(Sessions(engine, settings, shelf), lan, uploads, door)
    async with running(app) as connections:
        with explained_bind_error("127.0.0.1", port, "--port"):
            await connections.listen("127.0.0.1", port, max_per_address=MAX_CONNECTIONS)
        if lan is not None:
            await app[DOOR].listen(lan)
        ready()
        try:
            await stop.wait()
        finally:
            stopping()


@asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[Connections]:
    """Run an application without listeners; on exit, close those added since and end all sessions."""
    runner = web.AppRunner(app, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    assert runner.server is not None
    connections = Connections(runner.server)
    app[DOOR].serve(runner.server)
    try:
        yield connections
    finally:
        connections.close()
        await runner.cleanup()


class _LoopErrorLog:
    """Logs errors of the event loop, each kind at most every ten seconds: stray packets can cause many."""

    def __init__(self) -> None:
        self._logged_at: dict[str, float] = {}

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # A message may end in the arguments of a callback, which differ each time.
        kind = f"{str(context.get('message')).partition('(')[0]} {type(context.get('exception')).__name__}"
        now = loop.time()
        if now - self._logged_at.get(kind, -LOG_EVERY_S) >= LOG_EVERY_S:
            self._logged_at[kind] = now
            logger.warning("%s: %r", context.get("message"), context.get("exception"))


async def _open_kept_examples(app: web.Application) -> None:
    await app[SESSIONS].open_kept()


async def _log_loop_errors(_: web.Application) -> None:
    asyncio.get_running_loop().set_exception_handler(_LoopErrorLog())


async def _trim_heap(_: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(trim_heap_periodically())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _close_sessions(app: web.Application) -> None:
    await app[SESSIONS].close()


def _page(name: str) -> Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        if not (WEB / name).is_file():
            raise web.HTTPNotFound(text="This page is not part of this version of whycam.")
        return web.FileResponse(WEB / name)

    return handle


async def _static(request: web.Request) -> web.StreamResponse:
    path = request.app[FILES].get(request.match_info["name"])
    if path is None:
        raise web.HTTPNotFound(text="There is no such file.")
    return web.FileResponse(path)
