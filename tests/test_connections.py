"""The doors: so many connections, and none that says nothing for long."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from stream import connections
from stream.certificate import own_certificate
from stream.connections import MOST_AN_ADDRESS, REQUEST_LIMITS, Connections, body_of

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def door(patience_s: float = 5.0, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that says 'hello', or repeats what it gets."""

    @web.middleware
    async def note(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        assert request.transport is not None
        doors.begun(request.transport)
        return await handler(request)

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await body_of(request))

    app = web.Application(middlewares=[note])
    app.router.add_get("/", hello)
    app.router.add_post("/", echo)
    limits = REQUEST_LIMITS | {"keepalive_timeout": patience_s}
    runner = web.AppRunner(app, access_log=None, **limits)
    await runner.setup()
    assert runner.server is not None
    doors = Connections(runner.server, patience_s)
    try:
        yield await doors.listen("127.0.0.1", 0, context)
    finally:
        doors.close()
        await runner.cleanup()


async def say(port: int, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    return reader, writer


def test_an_address_has_eight_connections_and_room_again_when_one_ends() -> None:
    async def run() -> None:
        async with door() as port:
            held = [await say(port, REQUEST) for _ in range(MOST_AN_ADDRESS)]
            for reader, _ in held:
                assert b"200 OK" in await reader.readuntil(b"hello")
            reader, writer = await say(port, REQUEST)
            answer = await reader.read()
            assert b"503" in answer
            assert b"Retry-After" in answer
            writer.close()
            held[0][1].close()
            await asyncio.sleep(0.1)
            reader, writer = await say(port, REQUEST)
            assert b"200 OK" in await reader.readuntil(b"hello")
            for _, each in [*held, (reader, writer)]:
                each.close()

    asyncio.run(run())


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: loc", REQUEST + b"GET / HTTP/1.1\r\n"])
def test_a_header_that_does_not_come_ends_the_connection(said: bytes) -> None:
    async def run() -> None:
        async with door(0.3) as port:
            reader, writer = await say(port, said)
            with suppress(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 5)
            writer.close()

    asyncio.run(run())


def test_a_handshake_that_does_not_come_ends_the_connection(tmp_path: Path) -> None:
    context = own_certificate(tmp_path, []).context()

    async def run() -> None:
        async with door(0.3, context) as port:
            reader, writer = await say(port, b"hello?")
            with suppress(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 5)
            writer.close()

    asyncio.run(run())


def test_a_body_that_does_not_come_is_a_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE_S", 0.2)

    async def run() -> None:
        async with door() as port:
            reader, writer = await say(port, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhal")
            assert b"408" in await asyncio.wait_for(reader.readline(), 5)
            writer.close()

    asyncio.run(run())


def test_a_slow_answer_is_not_cut_off() -> None:
    async def run() -> None:
        async with door(0.3) as port:
            reader, writer = await say(port, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhal")
            await asyncio.sleep(0.6)
            writer.write(b"lo")
            assert b"200 OK" in await reader.readuntil(b"hallo")
            writer.close()

    asyncio.run(run())
