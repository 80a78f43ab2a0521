"""The server's listeners, one for each address, with limits on connections and on idle time."""

from __future__ import annotations

import asyncio
import json
import logging
import re
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
MAX_CLOSING = 8
"""Connections accepted beyond the limits while older ones close; further ones are closed at once."""
MAX_IDLE_S = LIMITS.max_idle_s
"""For the TLS handshake, the first request's header, the time between two requests, and a body."""
CLOSE_S = 2.0
"""For the TLS shutdown, the rest of an unread body, and the last answer of a connection that has to close."""
POLL_S = 0.02
"""Between two looks for a client's first byte, where the event loop has no readers."""
_NOT_READ = "The server cannot read this request: it is not HTTP, or a line of its header is too long."


class Connections:
    """All connections of an application. `await connections.listen(…)` opens a listener, `close` closes them all."""

    def __init__(self, server: web.Server, max_idle_s: float = MAX_IDLE_S) -> None:
        self._server = server
        self._max_idle_s = max_idle_s
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(
        self,
        address: str,
        port: int,
        context: ssl.SSLContext | None = None,
        *,
        max_per_address: int = MAX_PER_ADDRESS,
    ) -> int:
        """Open a listener, with TLS if there is a context; returns its port. Raises `OSError` if the port is in use.

        Each listener counts its own connections, so that many at one listener do not block another.
        """
        listener = socket.create_server((address, port))
        listener.setblocking(False)
        bound: int = listener.getsockname()[1]
        self._start(self._accept(listener, context, max_per_address))
        return bound

    def close(self) -> None:
        """Close all listeners; the application closes open connections."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listener: socket.socket, context: ssl.SSLContext | None, max_per_address: int) -> None:
        """Accept connections. At a limit the oldest one is closed: a browser has most likely finished with it.

        Sockets are counted from before TLS until they are closed. asyncio's own servers report a connection only after
        its handshake, so a handshake that never ends would use a file descriptor that is not counted.
        """
        loop = asyncio.get_running_loop()
        connections: list[_Connection] = []
        with listener:
            while True:
                await asyncio.sleep(0)  # many connections at once must not block the loop
                try:
                    client, (address, *_) = await loop.sock_accept(listener)
                except ConnectionAbortedError:  # closed by the client already
                    continue
                except OSError as error:  # most likely out of file descriptors; some are freed later
                    logger.warning("A connection could not be accepted: %s", error)
                    await asyncio.sleep(1)
                    continue
                connections = [each for each in connections if each.socket.fileno() >= 0]
                same = [each for each in connections if each.address == address]
                counted, limit = (
                    (same, max_per_address) if len(same) >= max_per_address else (connections, MAX_CONNECTIONS)
                )
                beyond = len(counted) - limit
                if beyond >= MAX_CLOSING:
                    client.close()
                    continue
                if beyond >= 0:
                    counted[beyond].close()  # those before it are closing already
                handler = self._handler()
                connections.append(
                    _Connection(client, address, handler, self._start(self._admit(client, context, handler)))
                )

    async def _admit(self, client: socket.socket, context: ssl.SSLContext | None, handler: _Handler) -> None:
        with suppress(OSError):  # the TLS handshake failed; asyncio has closed the socket
            if context is not None and await self._is_plain_http(client):
                await _redirect(client)
                return
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: handler,
                client,
                ssl=context,
                ssl_handshake_timeout=self._max_idle_s if context else None,
                ssl_shutdown_timeout=CLOSE_S if context else None,
            )

    async def _is_plain_http(self, client: socket.socket) -> bool:
        """Whether a client of the https port begins with a letter, as HTTP does and TLS does not; reads nothing."""
        try:
            async with asyncio.timeout(self._max_idle_s):
                await _readable(client)
            return client.recv(1, socket.MSG_PEEK).isalpha()
        except BaseException:
            client.close()
            raise

    def _handler(self) -> _Handler:
        return _Handler(
            self._server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # None means no log
            keepalive_timeout=self._max_idle_s,
            lingering_time=CLOSE_S,
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            max_headers=64,
            auto_decompress=False,  # 2 MB can inflate to a gigabyte of zeros, which blocks the loop
        )


async def _readable(client: socket.socket) -> None:
    """Wait until a socket has data, or its end; reads nothing, because TLS has to begin with the first byte."""
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(client, arrived.set)
    except NotImplementedError:  # Windows' proactor loop cannot wait without reading
        while not _has_data(client):  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(POLL_S)
        return
    try:
        await arrived.wait()
    finally:
        loop.remove_reader(client)


def _has_data(client: socket.socket) -> bool:
    try:
        client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    return True


async def _redirect(client: socket.socket) -> None:
    """Answer a request of plain http on the https port: GET is sent to https, anything else gets a sentence.

    A client that sent a body or a token in the clear should notice, and not send it again by itself.
    """
    loop = asyncio.get_running_loop()
    with client:
        head = client.recv(MAX_HEADER)
        address, port = client.getsockname()[:2]
        host = re.search(rb"\r\nhost:[ \t]*([a-z0-9.-]{1,255}(?::\d{1,5})?)[ \t]*\r\n", head, re.IGNORECASE)
        base = f"https://{host[1].decode() if host else f'{address}:{port}'}"
        path = re.match(rb"(?:GET|HEAD) (/[!-~]*) HTTP/1", head)
        status, more = ("308 Permanent Redirect", f"Location: {base}{path[1].decode()}\r\n") if path else _REFUSED
        text = f"This port speaks https only: {base}/\n".encode()
        await loop.sock_sendall(
            client,
            f"HTTP/1.1 {status}\r\n{more}Content-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode()
            + text,
        )
        client.shutdown(socket.SHUT_WR)


_REFUSED = ("400 Bad Request", "")


@dataclass(frozen=True, slots=True)
class _Connection:
    """A client's connection, from before its TLS handshake."""

    socket: socket.socket
    address: str
    handler: _Handler
    admission: asyncio.Task[None]

    def close(self) -> None:
        """Close the connection after the current answer, or at once during the TLS handshake."""
        if self.admission.done():
            self.handler.close()
            asyncio.get_running_loop().call_later(CLOSE_S, self.handler.force_close)
        else:
            self.admission.cancel()


class _Handler(web.RequestHandler):
    """aiohttp's handler; a malformed request gets one sentence and is not logged, because it may contain a token."""

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
    """The request's body; raises 408 if it is late, 400 if it is incomplete, 413 (from aiohttp) if it is too large."""
    try:
        async with asyncio.timeout(MAX_IDLE_S):
            return await request.read()
    except ConnectionError as error:  # the sender has closed the connection and does not get this
        raise web.HTTPBadRequest(text="The request's body is incomplete. Send it again.") from error
    except TimeoutError as error:
        text = f"The request's body did not arrive within {MAX_IDLE_S:.0f} s. Send it again."
        raise web.HTTPRequestTimeout(text=text) from error


async def json_object_of(request: web.Request, max_bytes: int, example: str) -> dict[str, Any]:
    """The JSON object in the request's body; raises 415, 413 and 400 with a sentence, and as `body_of`."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text=f"Send {example} as application/json.")
    body = await body_of(request)
    if len(body) > max_bytes:
        raise web.HTTPRequestEntityTooLarge(
            max_bytes, len(body), text=f"The body is too large; at most {max_bytes} bytes are accepted."
        )
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise web.HTTPBadRequest(text=f"The body should be a JSON object: {example}.")
    return value
