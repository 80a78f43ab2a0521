"""A camera that publishes while a browser watches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from aiohttp import ClientError, ClientSession

from tests.support.clients.whip_client import publishing
from tests.support.films import media_samples
from tests.support.servers.server_process import Server
from whycam.stream.video.codec import EncodedFrame

SIZE = (320, 240)


@contextmanager
def published(server: Server, frames: Sequence[EncodedFrame] | None = None) -> Iterator[str]:
    """A publisher in a thread, of these frames (default: a moving spot); yields its session's id."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="publisher")
    thread.start()
    over, known = asyncio.Event(), threading.Event()
    ids: list[str] = []

    async def run() -> None:
        async with (
            ClientSession() as http,
            publishing(http, server.url, frames or media_samples.encoded("H264", 60, SIZE)) as publisher,
        ):
            ids.append(publisher.session_id)
            known.set()
            await over.wait()
            with suppress(ClientError):  # a test may have killed the server
                await http.delete(publisher.location)

    running = asyncio.run_coroutine_threadsafe(run(), loop)
    try:
        assert known.wait(20)
        yield ids[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        running.result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
