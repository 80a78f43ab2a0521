"""The routes of the recordings: list, files, thumbnails and timeline, download as ZIP, delete and restore."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from aiohttp import hdrs, web

from whycam.stream.recording.containers import MIME_TYPES
from whycam.stream.recording.library import RecordingLibrary, StoredRecording
from whycam.stream.recording.thumbnail import NoThumbnail, still
from whycam.stream.recording.zip_stream import bundled
from whycam.stream.server.auth import CSP, require_role, shelf_key
from whycam.stream.server.listener import json_object_of
from whycam.stream.server.signalling import SESSIONS
from whycam.stream.sessions.recording_mode import RECORDING_MODES

T = TypeVar("T")
TIDY_EVERY_S = 20.0
WIDTH = 480
"""Of a thumbnail, in pixels, at most."""
THUMBNAILS_KEPT = 128
MAX_BYTES = 1024
REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
"""For a report: it has its style and images in itself. The sandbox takes this server's origin from it."""
THREADS = 2
"""For all requests together. The event loop's own threads stay free: they finish files."""


class RecordingsApi:
    """The recordings for the event loop: the archive, threads that read it, and a cache of thumbnails."""

    def __init__(self, archive: RecordingLibrary, sessions: Callable[[], dict[str, str]]) -> None:
        self.archive = archive
        self._sessions = sessions
        self._pool = ThreadPoolExecutor(THREADS, "recordings")
        self._pictures: OrderedDict[tuple[str, int, str], bytes] = OrderedDict()

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def live(self) -> dict[str, str]:
        """The session's id for each recording that is being written."""
        return self._sessions()

    async def describe(self, key: str | None) -> list[dict[str, Any]]:
        """The recordings of the device with this key, or all for the host (None), as JSON."""
        before = self.live()
        recordings = await self.run(self.archive.recordings)
        # A recording that began or ended while the disk was read must not seem cut off.
        live = {**before, **self.live()}
        return [each.describe(live.get(each.id)) for each in recordings if key is None or each.is_of(key)]

    async def find(self, request: web.Request) -> StoredRecording:
        """The recording that a request names; raises 404 if there is none, or if it is another device's."""
        recorded = await self.run(self.archive.find, request.match_info["id"])
        key = shelf_key(request)
        if recorded is None or not (key is None or recorded.is_of(key)):
            raise web.HTTPNotFound(text="There is no such recording, or not any more.")
        return recorded

    async def picture(self, recorded: StoredRecording, seconds: str) -> bytes:
        """The explained frame at a time, as JPEG; raises 404 if there is none."""
        found = recorded.film_at(float(seconds))
        film = None if found is None else self.archive.path(recorded, found[0])
        if found is None or film is None:
            raise web.HTTPNotFound(text="This recording has no explained film.")
        key = (recorded.id, recorded.files[film.name], seconds)  # a film that has grown may give another frame
        picture = self._pictures.pop(key, None)
        if picture is None:
            try:
                picture = await self.run(still, film, found[1], WIDTH)
            except NoThumbnail as error:
                raise web.HTTPNotFound(text=str(error)) from error
        self._pictures[key] = picture
        while len(self._pictures) > THUMBNAILS_KEPT:
            self._pictures.popitem(last=False)
        return picture

    async def keep_tidy(self) -> None:
        """Read the library once, so that the first request is fast, then delete for good what was deleted long ago."""
        with suppress(OSError):
            await self.run(self.archive.recordings)
        while True:
            with suppress(OSError):
                await self.run(self.archive.tidy)
            await asyncio.sleep(TIDY_EVERY_S)

    def close(self) -> None:
        """Shut the threads down."""
        self._pool.shutdown(wait=False, cancel_futures=True)


RECORDINGS = web.AppKey("recordings", RecordingsApi)


def add_routes(app: web.Application) -> None:
    """Add the recordings' routes to `app`; without a recordings folder the list is empty.

    The host has all recordings; a phone sees those of its own device.
    """
    host, owner = require_role("host"), require_role("phone", "host")
    app.router.add_get("/api/recording", require_role("phone", "viewer", "host")(_mode))
    app.router.add_post("/api/recording", host(_change_mode))
    one = "/api/recordings/{id:[^{}/.]+}"  # no dot, so that a DELETE of `….zip` matches no route
    app.router.add_get("/api/recordings", owner(_list))
    app.router.add_get(one + ".zip", owner(_bundle))
    app.router.add_get(one, owner(_one))
    app.router.add_delete(one, host(_set_aside))
    app.router.add_post(one + "/restore", host(_restore))
    app.router.add_get(one + "/files/{name}", owner(_file))
    app.router.add_get(one + r"/pictures/{seconds:\d{1,6}(?:\.\d{1,6})?}.jpg", owner(_picture))
    app.router.add_get(one + "/timeline", owner(_timeline))
    sessions = app[SESSIONS]
    if sessions.settings.recordings is not None:
        app[RECORDINGS] = RecordingsApi(RecordingLibrary(sessions.settings.recordings), sessions.recordings)
        app.cleanup_ctx.append(_purging)


async def _purging(app: web.Application) -> AsyncIterator[None]:
    purging = asyncio.create_task(app[RECORDINGS].keep_tidy())
    yield
    purging.cancel()
    with suppress(asyncio.CancelledError):
        await purging
    app[RECORDINGS].close()


def _api(request: web.Request) -> RecordingsApi:
    api = request.app.get(RECORDINGS)
    if api is None:
        raise web.HTTPNotFound(text="This server does not record. Start it without --no-record.")
    return api


async def _mode(request: web.Request) -> web.Response:
    sessions = request.app[SESSIONS]
    return web.json_response({"mode": sessions.recording_mode, "possible": sessions.settings.recordings is not None})


async def _change_mode(request: web.Request) -> web.Response:
    wanted = (await json_object_of(request, MAX_BYTES, '{"mode": …}')).get("mode")
    mode = next((each for each in RECORDING_MODES if each == wanted), None)
    if mode is None:
        raise web.HTTPBadRequest(text=f'The body should be {{"mode": …}} with one of {", ".join(RECORDING_MODES)}.')
    _api(request)  # without a folder nothing can be recorded
    request.app[SESSIONS].set_recording_mode(mode)
    return await _mode(request)


async def _list(request: web.Request) -> web.Response:
    key, api = shelf_key(request), request.app.get(RECORDINGS)
    return web.json_response([] if api is None else await api.describe(key))


async def _one(request: web.Request) -> web.Response:
    api = _api(request)
    before = api.live()
    recorded = await api.find(request)
    live = {**before, **api.live()}
    return web.json_response(recorded.describe(live.get(recorded.id)))


async def _file(request: web.Request) -> web.StreamResponse:
    api = _api(request)
    recorded = await api.find(request)
    path = api.archive.path(recorded, request.match_info["name"])
    if path is None:
        raise web.HTTPNotFound(text="This recording has no such file.")
    headers = {hdrs.CONTENT_TYPE: MIME_TYPES[path.suffix]}
    if path.suffix == ".html":
        headers[CSP] = REPORT_POLICY
    if "download" in request.query:
        headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{recorded.id}_{path.name}"'
    return web.FileResponse(path, headers=headers)


async def _picture(request: web.Request) -> web.Response:
    api = _api(request)
    picture = await api.picture(await api.find(request), request.match_info["seconds"])
    return web.Response(body=picture, content_type="image/jpeg")


async def _timeline(request: web.Request) -> web.Response:
    api = _api(request)
    recorded = await api.find(request)
    try:
        return web.json_response(await api.run(api.archive.timeline, recorded))
    except OSError as error:
        raise web.HTTPNotFound(text="This recording has no sidecar.") from error


async def _bundle(request: web.Request) -> web.StreamResponse:
    api = _api(request)
    recorded = await api.find(request)
    response = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: "application/zip",
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{recorded.id}.zip"',
        }
    )
    blocks = bundled(api.archive.folder(recorded), recorded.files)
    await response.prepare(request)
    # Each block is read after the one before it is sent, so a slow client delays no other and fills no memory.
    while (block := await api.run(_next, blocks)) is not None:
        await response.write(block)
    await response.write_eof()
    return response


def _next(blocks: Iterator[bytes]) -> bytes | None:
    return next(blocks, None)


async def _set_aside(request: web.Request) -> web.Response:
    api = _api(request)
    recorded = await api.find(request)
    if recorded.id in api.live():
        raise web.HTTPConflict(text="This recording is still running. End it first.")
    try:
        await api.run(api.archive.set_aside, recorded)
    except FileNotFoundError as error:
        raise web.HTTPNotFound(text="There is no such recording any more.") from error
    except OSError as error:
        raise web.HTTPConflict(text=f"The recording cannot be moved ({error.strerror}).") from error
    return web.Response(status=204)


async def _restore(request: web.Request) -> web.Response:
    api = _api(request)
    try:
        restored = await api.run(api.archive.restore, request.match_info["id"])
    except OSError as error:
        raise web.HTTPConflict(text=f"The recording cannot be moved ({error.strerror}).") from error
    if not restored:
        raise web.HTTPNotFound(text="There is no deleted recording with this id, or not any more.")
    return web.Response(status=204)
