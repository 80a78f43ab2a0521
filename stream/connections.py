"""The doors of the server: each listens at one address, for so many connections at once, and waits for no one long."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from aiohttp import web

MOST = 64
MOST_AN_ADDRESS = 8
PATIENCE_S = 10.0
"""For TLS to come about, for a first request's header to come, between two requests, and for a body."""
MAX_LINE = 8 * 1024
MAX_FIELDS = 64
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\n"
    b"Connection: close\r\n\r\nToo many connections are open. Close other pages of whycam, then try again."
)

REQUEST_LIMITS: dict[str, Any] = {
    "keepalive_timeout": PATIENCE_S,
    "max_line_size": MAX_LINE,
    "max_field_size": MAX_LINE,
    "max_headers": MAX_FIELDS,
    "lingering_time": 2.0,
}
"""For `web.AppRunner`; what aiohttp can limit by itself."""


class Connections:
    """All connections of an application. `await connections.listen(…)` opens a door, `close` shuts them all."""

    def __init__(self, handlers: Callable[[], asyncio.Protocol], patience_s: float = PATIENCE_S) -> None:
        self._handlers = handlers
        self._patience_s = patience_s
        self._open: set[asyncio.Transport] = set()
        self._silent: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}
        self._doors: list[asyncio.Server] = []

    async def listen(self, address: str, port: int, context: ssl.SSLContext | None = None) -> int:
        """Open a door, with TLS where there is a context; returns its port. Raises `OSError` where it is taken."""
        patience = None if context is None else self._patience_s
        door = await asyncio.get_running_loop().create_server(
            lambda: _Doorman(self), address, port, ssl=context, ssl_handshake_timeout=patience
        )
        self._doors.append(door)
        bound: int = door.sockets[0].getsockname()[1]
        return bound

    def close(self) -> None:
        """Shut all doors; open connections are the application's."""
        for door in self._doors:
            door.close()
        for timer in self._silent.values():
            timer.cancel()

    def begun(self, transport: asyncio.BaseTransport) -> None:
        """A request's header came over this connection."""
        timer = self._silent.pop(transport, None)
        if timer is not None:
            timer.cancel()

    def _admit(self, transport: asyncio.Transport) -> None:
        self._open = {known for known in self._open if not known.is_closing()}
        address = _address(transport)
        if len(self._open) >= MOST or sum(_address(known) == address for known in self._open) >= MOST_AN_ADDRESS:
            transport.write(_FULL)
            transport.close()
            return
        self._open.add(transport)
        loop = asyncio.get_running_loop()
        self._silent[transport] = loop.call_later(self._patience_s, self._lose, transport)
        handler = self._handlers()
        transport.set_protocol(handler)
        handler.connection_made(transport)

    def _lose(self, transport: asyncio.Transport) -> None:
        self._silent.pop(transport, None)
        transport.abort()


class _Doorman(asyncio.Protocol):
    """Stands at a new connection until the handler takes it over."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._connections._admit(transport)


def _address(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return peer[0] if peer else ""


def header_bytes(request: web.BaseRequest) -> int:
    """The size of a request's header fields as they came."""
    return sum(len(name) + len(value) + 4 for name, value in request.raw_headers)


async def body_of(request: web.Request) -> bytes:
    """The body, if it comes in time; aiohttp ends it where it is too large."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await request.read()
    except TimeoutError as error:
        text = f"The request's body did not come within {PATIENCE_S:.0f} s. Send it again."
        raise web.HTTPRequestTimeout(text=text) from error
