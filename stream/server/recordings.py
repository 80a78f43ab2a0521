"""The routes of the recordings: the list, files and pictures of each, all of it as ZIP, set aside and had back."""

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
from whycam.stream.server.auth import require_role
from whycam.stream.server.signalling import SESSIONS

T = TypeVar("T")
TIDY_EVERY_S = 20.0
WIDTH = 480
"""Of a picture, in pixels, at most."""
THUMBNAILS_KEPT = 128
THREADS = 2
"""That work for all who ask. The event loop's own are left free: in them files are finished."""


class RecordingsApi:
    """The recordings as the event loop sees them: the archive, threads for it, and the newest pictures."""

    def __init__(self, archive: RecordingLibrary, sessions: Callable[[], dict[str, str]]) -> None:
        self.archive = archive
        self._sessions = sessions
        self._pool = ThreadPoolExecutor(THREADS, "shelf")
        self._pictures: OrderedDict[tuple[str, int, str], bytes] = OrderedDict()

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Let a thread work."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def live(self) -> dict[str, str]:
        """By recording that is being written now: the session's id."""
        return self._sessions()

    async def describe(self) -> list[dict[str, Any]]:
        """All recordings, as JSON."""
        before = self.live()
        recordings = await self.run(self.archive.recordings)
        # One that began or ended while the disk was read was not cut off.
        live = {**before, **self.live()}
        return [each.describe(live.get(each.id)) for each in recordings]

    async def find(self, request: web.Request) -> StoredRecording:
        """The recording that a request names; raises 404."""
        recorded = await self.run(self.archive.find, request.match_info["id"])
        if recorded is None:
            raise web.HTTPNotFound(text="There is no such recording, or not any more.")
        return recorded

    async def picture(self, recorded: StoredRecording, seconds: str) -> bytes:
        """The explained frame at a time; raises 404."""
        found = recorded.film_at(float(seconds))
        film = None if found is None else self.archive.path(recorded, found[0])
        if found is None or film is None:
            raise web.HTTPNotFound(text="This recording has no explained film.")
        key = (recorded.id, recorded.files[film.name], seconds)  # of a film that grew since, another picture
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
        """Read the shelf once, so that the first who asks need not wait, then delete what was set aside long ago."""
        with suppress(OSError):
            await self.run(self.archive.recordings)
        while True:
            with suppress(OSError):
                await self.run(self.archive.tidy)
            await asyncio.sleep(TIDY_EVERY_S)

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)


SHELF = web.AppKey("shelf", RecordingsApi)


def add_routes(app: web.Application) -> None:
    """Show the host the recordings of the `Sessions` that `app` holds; without a folder for them there are none."""
    host = require_role("host")
    one = "/api/recordings/{id:[^{}/.]+}"  # else a DELETE of `….zip` would seem to mean something
    app.router.add_get("/api/recordings", host(_list))
    app.router.add_get(one + ".zip", host(_bundle))
    app.router.add_get(one, host(_one))
    app.router.add_delete(one, host(_set_aside))
    app.router.add_post(one + "/restore", host(_restore))
    app.router.add_get(one + "/files/{name}", host(_file))
    app.router.add_get(one + r"/pictures/{seconds:\d{1,6}(?:\.\d{1,6})?}.jpg", host(_picture))
    app.router.add_get(one + "/timeline", host(_timeline))
    sessions = app[SESSIONS]
    if sessions.settings.recordings is not None:
        app[SHELF] = RecordingsApi(RecordingLibrary(sessions.settings.recordings), sessions.recordings)
        app.cleanup_ctx.append(_tidying)


async def _tidying(app: web.Application) -> AsyncIterator[None]:
    tidying = asyncio.create_task(app[SHELF].keep_tidy())
    yield
    tidying.cancel()
    with suppress(asyncio.CancelledError):
        await tidying
    app[SHELF].close()


def _shelf(request: web.Request) -> RecordingsApi:
    shelf = request.app.get(SHELF)
    if shelf is None:
        raise web.HTTPNotFound(text="This server does not record. Start it without --no-record.")
    return shelf


async def _list(request: web.Request) -> web.Response:
    shelf = request.app.get(SHELF)
    return web.json_response([] if shelf is None else await shelf.describe())


async def _one(request: web.Request) -> web.Response:
    shelf = _shelf(request)
    before = shelf.live()
    recorded = await shelf.find(request)
    live = {**before, **shelf.live()}
    return web.json_response(recorded.describe(live.get(recorded.id)))


async def _file(request: web.Request) -> web.StreamResponse:
    shelf = _shelf(request)
    recorded = await shelf.find(request)
    path = shelf.archive.path(recorded, request.match_info["name"])
    if path is None:
        raise web.HTTPNotFound(text="This recording has no such file.")
    headers = {hdrs.CONTENT_TYPE: MIME_TYPES[path.suffix]}
    if "download" in request.query:
        headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{recorded.id}_{path.name}"'
    return web.FileResponse(path, headers=headers)


async def _picture(request: web.Request) -> web.Response:
    shelf = _shelf(request)
    picture = await shelf.picture(await shelf.find(request), request.match_info["seconds"])
    return web.Response(body=picture, content_type="image/jpeg")


async def _timeline(request: web.Request) -> web.Response:
    shelf = _shelf(request)
    recorded = await shelf.find(request)
    try:
        return web.json_response(await shelf.run(shelf.archive.timeline, recorded))
    except OSError as error:
        raise web.HTTPNotFound(text="This recording has no sidecar.") from error


async def _bundle(request: web.Request) -> web.StreamResponse:
    shelf = _shelf(request)
    recorded = await shelf.find(request)
    response = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: "application/zip",
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{recorded.id}.zip"',
        }
    )
    blocks = bundled(shelf.archive.folder(recorded), recorded.files)
    await response.prepare(request)
    # Each block is asked for when the one before it has gone: a slow client holds up nobody and fills no memory.
    while (block := await shelf.run(_next, blocks)) is not None:
        await response.write(block)
    await response.write_eof()
    return response


def _next(blocks: Iterator[bytes]) -> bytes | None:
    return next(blocks, None)


async def _set_aside(request: web.Request) -> web.Response:
    shelf = _shelf(request)
    recorded = await shelf.find(request)
    if recorded.id in shelf.live():
        raise web.HTTPConflict(text="This is being recorded. End its recording first.")
    try:
        await shelf.run(shelf.archive.set_aside, recorded)
    except FileNotFoundError as error:
        raise web.HTTPNotFound(text="There is no such recording any more.") from error
    except OSError as error:
        raise web.HTTPConflict(text=f"The recording cannot be moved ({error.strerror}).") from error
    return web.Response(status=204)


async def _restore(request: web.Request) -> web.Response:
    shelf = _shelf(request)
    try:
        restored = await shelf.run(shelf.archive.restore, request.match_info["id"])
    except OSError as error:
        raise web.HTTPConflict(text=f"The recording cannot be moved ({error.strerror}).") from error
    if not restored:
        raise web.HTTPNotFound(text="There is nothing of this name to have back, or not any more.")
    return web.Response(status=204)
