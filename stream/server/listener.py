"""The doors of the server: each listens at one address, for so many connections at once, and waits for no one long."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from whycam.stream.limits import LIMITS
from whycam.stream.server.auth import HEADERS, MAX_HEADER

logger = logging.getLogger(__name__)

MOST = LIMITS.connections
MOST_AN_ADDRESS = LIMITS.connections_an_address
MOST_LEAVING = 8
"""Connections beyond these while older ones leave; still more are cut off."""
PATIENCE_S = LIMITS.patience_s
"""For TLS to come about, for a first request's header to come, between two requests, and for a body."""
GOODBYE_S = 2.0
"""For the end of TLS, for the rest of a body that nobody reads, and for a last answer where others wait."""
_NOT_READ = "The server cannot read this request: it is not HTTP, or a line of its header is too long."


class Connections:
    """All connections of an application. `await connections.listen(…)` opens a door, `close` shuts them all."""

    def __init__(self, server: web.Server, patience_s: float = PATIENCE_S) -> None:
        self._server = server
        self._patience_s = patience_s
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(
        self,
        address: str,
        port: int,
        context: ssl.SSLContext | None = None,
        *,
        most_an_address: int = MOST_AN_ADDRESS,
    ) -> int:
        """Open a door, with TLS where there is a context; returns its port. Raises `OSError` where it is taken.

        Each door counts for itself, so that a crowd at one of them locks nobody out of another.
        """
        door = socket.create_server((address, port))
        door.setblocking(False)
        bound: int = door.getsockname()[1]
        self._start(self._watch(door, context, most_an_address))
        return bound

    def close(self) -> None:
        """Shut all doors; open connections are the application's."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _watch(self, door: socket.socket, context: ssl.SSLContext | None, most_an_address: int) -> None:
        """Take in whoever comes; in a crowd the oldest connection goes, which a browser has most likely done with.

        Sockets are counted, from before TLS until they are closed: asyncio's own servers tell of a connection only when
        its handshake is over, and one that never ends it would cost a file descriptor that nobody counts.
        """
        loop = asyncio.get_running_loop()
        guests: list[_Connection] = []
        with door:
            while True:
                await asyncio.sleep(0)  # a crowd at the door must not keep the loop
                try:
                    guest, (address, *_) = await loop.sock_accept(door)
                except ConnectionAbortedError:  # gone already
                    continue
                except OSError as error:  # most likely there are no descriptors left; some come back
                    logger.warning("A connection could not be taken in: %s", error)
                    await asyncio.sleep(1)
                    continue
                guests = [each for each in guests if each.socket.fileno() >= 0]
                same = [each for each in guests if each.address == address]
                crowd, most = (same, most_an_address) if len(same) >= most_an_address else (guests, MOST)
                beyond = len(crowd) - most
                if beyond >= MOST_LEAVING:
                    guest.close()
                    continue
                if beyond >= 0:
                    crowd[beyond].leave()  # those before it were asked already
                handler = self._handler()
                guests.append(_Connection(guest, address, handler, self._start(self._admit(guest, context, handler))))

    async def _admit(self, guest: socket.socket, context: ssl.SSLContext | None, handler: _Handler) -> None:
        with suppress(OSError):  # TLS did not come about; asyncio has closed the socket
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: handler,
                guest,
                ssl=context,
                ssl_handshake_timeout=self._patience_s if context else None,
                ssl_shutdown_timeout=GOODBYE_S if context else None,
            )

    def _handler(self) -> _Handler:
        return _Handler(
            self._server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # aiohttp's word for: no log
            keepalive_timeout=self._patience_s,
            lingering_time=GOODBYE_S,
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            max_headers=64,
            auto_decompress=False,  # 2 MB can be a gigabyte of zeros, and inflating it holds up the loop
        )


@dataclass(frozen=True, slots=True)
class _Connection:
    """One who came in at a door."""

    socket: socket.socket
    address: str
    handler: _Handler
    admission: asyncio.Task[None]

    def leave(self) -> None:
        """End the connection: behind the answer in hand, and at once where not even TLS has come about."""
        if self.admission.done():
            self.handler.close()
            asyncio.get_running_loop().call_later(GOODBYE_S, self.handler.force_close)
        else:
            self.admission.cancel()


class _Handler(web.RequestHandler):
    """aiohttp's; what it cannot read is answered in a sentence and logged nowhere: it may hold a token."""

    async def start(self) -> None:
        """Serve this connection; aiohttp's `close` would leave an idle one open and unserved."""
        try:
            await super().start()
        finally:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:
            response = super().handle_error(request, status, exc, message)
        else:
            response = web.Response(status=status, text=_NOT_READ)
        response.headers.update(HEADERS)
        response.force_close()
        return response


async def body_of(request: web.Request) -> bytes:
    """The body, if it comes in time; aiohttp ends it where it is too large."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await request.read()
    except ConnectionError as error:  # who sends it has gone, and hears of nothing
        raise web.HTTPBadRequest(text="The request's body did not come to its end.") from error
    except TimeoutError as error:
        text = f"The request's body did not come within {PATIENCE_S:.0f} s. Send it again."
        raise web.HTTPRequestTimeout(text=text) from error
