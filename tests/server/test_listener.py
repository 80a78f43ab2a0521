"""The doors: so many connections, and none that says nothing for long."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from whycam.stream.server import listener
from whycam.stream.server.auth import HEADERS
from whycam.stream.server.certificate import own_certificate
from whycam.stream.server.listener import MAX_LEAVING, MAX_PER_ADDRESS, Connections, body_of

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def door(patience_s: float = 5.0, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that says 'hello', or repeats what it gets."""

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response(text="at last")

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await body_of(request))

    app = web.Application()
    app.router.add_get("/", hello)
    app.router.add_get("/slow", slow)
    app.router.add_post("/", echo)
    runner = web.AppRunner(app)
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


def test_the_ninth_connection_of_an_address_takes_the_place_of_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "GOODBYE_S", 60)  # an idle one goes at once

    async def run() -> None:
        async with door() as port:
            held = [await say(port, REQUEST) for _ in range(MAX_PER_ADDRESS)]
            for reader, _ in held:
                assert b"200 OK" in await reader.readuntil(b"hello")
            for oldest in range(2):
                held.append(await say(port, REQUEST))
                assert b"200 OK" in await held[-1][0].readuntil(b"hello")
                assert await asyncio.wait_for(held[oldest][0].read(), 5) == b""
            for reader, writer in held[2:]:
                writer.write(REQUEST)
                assert b"200 OK" in await reader.readuntil(b"hello")
            for _, writer in held:
                writer.close()

    asyncio.run(run())


def test_whoever_makes_room_gets_its_answer_first() -> None:
    async def run() -> None:
        async with door() as port:
            busy = await say(port, REQUEST.replace(b"/", b"/slow", 1))
            held = [await say(port, REQUEST) for _ in range(MAX_PER_ADDRESS)]
            for reader, _ in held:
                assert b"200 OK" in await reader.readuntil(b"hello")
            assert (await asyncio.wait_for(busy[0].read(), 5)).endswith(b"at last")
            for _, writer in [busy, *held]:
                writer.close()

    asyncio.run(run())


def test_whoever_makes_room_and_goes_on_asking_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "GOODBYE_S", 0.2)

    async def run() -> None:
        async with door(60) as port:
            busy = await say(port, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhal")
            held = [await say(port, REQUEST) for _ in range(MAX_PER_ADDRESS)]
            assert await asyncio.wait_for(busy[0].read(), 5) == b""
            for _, writer in [busy, *held]:
                writer.close()

    asyncio.run(run())


def test_connections_count_before_their_handshake_and_the_oldest_goes(tmp_path: Path) -> None:
    context = own_certificate(tmp_path, []).context()
    trust = ssl.create_default_context(cafile=str(tmp_path / "authority.crt"))

    async def run() -> None:
        async with door(60, context) as port:
            lorises = [await say(port, b"\x16") for _ in range(3 * MAX_PER_ADDRESS + MAX_LEAVING)]
            # Who comes behind a crowd of them gets in.
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
            writer.write(REQUEST)
            assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"hello"), 5)
            left = lorises[: -MAX_PER_ADDRESS + 1]
            for each, _ in left:
                with suppress(ConnectionResetError):
                    assert await asyncio.wait_for(each.read(), 5) == b""
            for _, loris in lorises:
                loris.close()
            writer.close()

    asyncio.run(run())


def test_connections_that_leave_slowly_are_waited_for_by_so_many_and_no_more() -> None:
    async def run() -> None:
        async with door(60) as port:
            slow = REQUEST.replace(b"/", b"/slow", 1)
            held = [await say(port, slow) for _ in range(MAX_PER_ADDRESS + MAX_LEAVING)]
            reader, writer = await say(port, slow)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            for _, each in [*held, (reader, writer)]:
                each.close()

    asyncio.run(run())


def test_whoever_has_to_leave_and_never_ends_tls_is_cut_off_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "GOODBYE_S", 0.2)
    context = own_certificate(tmp_path, []).context()
    trust = ssl.create_default_context(cafile=str(tmp_path / "authority.crt"))

    async def run() -> None:
        async with door(60, context) as port:
            with ExitStack() as guests:

                def knock() -> bytes:
                    """By a client that answers nothing by itself, and stays."""
                    guest = guests.enter_context(socket.create_connection(("127.0.0.1", port)))
                    secured = guests.enter_context(trust.wrap_socket(guest, server_hostname="localhost"))
                    secured.sendall(REQUEST)
                    return secured.recv(12)

                for _ in range(3):
                    for _ in range(MAX_PER_ADDRESS):
                        assert await asyncio.to_thread(knock) == b"HTTP/1.1 200"
                    await asyncio.sleep(0.8)

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


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"])
def test_a_handshake_that_does_not_come_ends_the_connection(tmp_path: Path, said: bytes) -> None:
    context = own_certificate(tmp_path, []).context()

    async def run() -> None:
        async with door(0.3, context) as port:
            reader, writer = await say(port, said)
            with suppress(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 5)
            writer.close()

    asyncio.run(run())


def test_silence_after_the_handshake_ends_the_connection(tmp_path: Path) -> None:
    context = own_certificate(tmp_path, []).context()
    trust = ssl.create_default_context(cafile=str(tmp_path / "authority.crt"))

    async def run() -> None:
        async with door(0.3, context) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()

    asyncio.run(run())


UNREADABLE = [
    b"\x16\x03\x01\x02\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer SECRET\x01\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer SECRET" + b"x" * 9000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("said", UNREADABLE)
def test_what_cannot_be_read_is_told_so_and_is_not_logged(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with door() as port:
            reader, writer = await say(port, said)
            answer = await asyncio.wait_for(reader.read(), 5)
            assert b" 400 " in answer
            assert b"cannot read this request" in answer
            assert b"SECRET" not in answer
            assert all(f"{name}: {value}\r\n".encode() in answer for name, value in HEADERS.items())
            writer.close()

    asyncio.run(run())
    assert caplog.text == ""


def test_a_body_is_not_inflated() -> None:
    small = gzip.compress(b"0" * 1_000_000)

    async def run() -> None:
        async with door() as port:
            fields = f"Host: localhost\r\nContent-Encoding: gzip\r\nContent-Length: {len(small)}\r\n\r\n"
            reader, writer = await say(port, b"POST / HTTP/1.1\r\n" + fields.encode() + small)
            assert await asyncio.wait_for(reader.readuntil(small), 5)
            writer.close()

    asyncio.run(run())


def test_a_body_that_does_not_come_is_a_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "PATIENCE_S", 0.2)

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
