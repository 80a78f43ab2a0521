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
        self._silent: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}
        self._doors: list[asyncio.Server] = []

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
        visitors: set[asyncio.Transport] = set()
        patience = None if context is None else self._patience_s
        door = await asyncio.get_running_loop().create_server(
            lambda: _Doorman(self, visitors, most_an_address),
            address,
            port,
            ssl=context,
            ssl_handshake_timeout=patience,
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
        loop = asyncio.get_running_loop()
        self._silent[transport] = loop.call_later(self._patience_s, self._lose, transport)
        handler = self._handlers()
        transport.set_protocol(handler)
        handler.connection_made(transport)

    def _lose(self, transport: asyncio.Transport) -> None:
        self._silent.pop(transport, None)
        transport.abort()


class _Doorman(asyncio.Protocol):
    """Stands at a new connection: turns it away, or leaves it to the handler."""

    def __init__(self, connections: Connections, visitors: set[asyncio.Transport], most_an_address: int) -> None:
        self._connections = connections
        self._visitors = visitors
        self._most_an_address = most_an_address

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        visitors, address = self._visitors, _address(transport)
        visitors -= {gone for gone in visitors if gone.is_closing()}
        if len(visitors) >= MOST or sum(_address(each) == address for each in visitors) >= self._most_an_address:
            transport.write(_FULL)
            transport.close()
            return
        visitors.add(transport)
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
