"""The listeners of the server: one for each address, each with a limit of connections and of the time they may idle."""

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

MAX_CONNECTIONS = LIMITS.max_connections
MAX_PER_ADDRESS = LIMITS.max_connections_per_address
MAX_LEAVING = 8
"""Connections beyond these while older ones leave; still more are cut off."""
PATIENCE_S = LIMITS.max_idle_s
"""For TLS to come about, for a first request's header to come, between two requests, and for a body."""
GOODBYE_S = 2.0
"""For the end of TLS, for the rest of a body that nobody reads, and for a last answer where others wait."""
_NOT_READ = "The server cannot read this request: it is not HTTP, or a line of its header is too long."


class Connections:
    """All connections of an application. `await connections.listen(…)` opens a listener, `close` closes them all."""

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
        max_per_address: int = MAX_PER_ADDRESS,
    ) -> int:
        """Open a listener, with TLS where there is a context; returns its port. Raises `OSError` where it is taken.

        Each listener counts its own connections, so that a crowd at one of them locks nobody out of another.
        """
        listener = socket.create_server((address, port))
        listener.setblocking(False)
        bound: int = listener.getsockname()[1]
        self._start(self._watch(listener, context, max_per_address))
        return bound

    def close(self) -> None:
        """Close all listeners; open connections are the application's."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _watch(self, listener: socket.socket, context: ssl.SSLContext | None, max_per_address: int) -> None:
        """Take in whoever comes; in a crowd the oldest connection goes, which a browser has most likely done with.

        Sockets are counted, from before TLS until they are closed: asyncio's own servers tell of a connection only when
        its handshake is over, and one that never ends it would cost a file descriptor that nobody counts.
        """
        loop = asyncio.get_running_loop()
        connections: list[_Connection] = []
        with listener:
            while True:
                await asyncio.sleep(0)  # many that connect at once must not keep the loop
                try:
                    client, (address, *_) = await loop.sock_accept(listener)
                except ConnectionAbortedError:  # gone already
                    continue
                except OSError as error:  # most likely there are no descriptors left; some come back
                    logger.warning("A connection could not be taken in: %s", error)
                    await asyncio.sleep(1)
                    continue
                connections = [each for each in connections if each.socket.fileno() >= 0]
                same = [each for each in connections if each.address == address]
                counted, limit = (
                    (same, max_per_address) if len(same) >= max_per_address else (connections, MAX_CONNECTIONS)
                )
                beyond = len(counted) - limit
                if beyond >= MAX_LEAVING:
                    client.close()
                    continue
                if beyond >= 0:
                    counted[beyond].leave()  # those before it were asked already
                handler = self._handler()
                connections.append(
                    _Connection(client, address, handler, self._start(self._admit(client, context, handler)))
                )

    async def _admit(self, client: socket.socket, context: ssl.SSLContext | None, handler: _Handler) -> None:
        with suppress(OSError):  # TLS did not come about; asyncio has closed the socket
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: handler,
                client,
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
    """A client's connection."""

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
