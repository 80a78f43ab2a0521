"""Listeners limit the number of connections and the time that each may be idle."""

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
from whycam.stream.server.listener import MAX_CLOSING, MAX_PER_ADDRESS, Connections, body_of

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def listening(max_idle_s: float = 5.0, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server that answers 'hello' to GET, and to POST with the body."""

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
    connections = Connections(runner.server, max_idle_s)
    try:
        yield await connections.listen("127.0.0.1", 0, context)
    finally:
        connections.close()
        await runner.cleanup()


async def send(port: int, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    return reader, writer


def test_the_ninth_connection_of_an_address_takes_the_place_of_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "CLOSE_S", 60)  # an idle one is closed at once

    async def run() -> None:
        async with listening() as port:
            held = [await send(port, REQUEST) for _ in range(MAX_PER_ADDRESS)]
            for reader, _ in held:
                assert b"200 OK" in await reader.readuntil(b"hello")
            for oldest in range(2):
                held.append(await send(port, REQUEST))
                assert b"200 OK" in await held[-1][0].readuntil(b"hello")
                assert await asyncio.wait_for(held[oldest][0].read(), 5) == b""
            for reader, writer in held[2:]:
                writer.write(REQUEST)
                assert b"200 OK" in await reader.readuntil(b"hello")
            for _, writer in held:
                writer.close()

    asyncio.run(run())


def test_a_connection_that_makes_room_gets_its_answer_first() -> None:
    async def run() -> None:
        async with listening() as port:
            busy = await send(port, REQUEST.replace(b"/", b"/slow", 1))
            held = [await send(port, REQUEST) for _ in range(MAX_PER_ADDRESS)]
            for reader, _ in held:
                assert b"200 OK" in await reader.readuntil(b"hello")
            assert (await asyncio.wait_for(busy[0].read(), 5)).endswith(b"at last")
            for _, writer in [busy, *held]:
                writer.close()

    asyncio.run(run())


def test_a_connection_that_makes_room_and_keeps_sending_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "CLOSE_S", 0.2)

    async def run() -> None:
        async with listening(60) as port:
            busy = await send(port, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhal")
            held = [await send(port, REQUEST) for _ in range(MAX_PER_ADDRESS)]
            assert await asyncio.wait_for(busy[0].read(), 5) == b""
            for _, writer in [busy, *held]:
                writer.close()

    asyncio.run(run())


def test_connections_count_before_their_handshake_and_the_oldest_is_closed(tmp_path: Path) -> None:
    context = own_certificate(tmp_path, []).context()
    trust = ssl.create_default_context(cafile=str(tmp_path / "authority.crt"))

    async def run() -> None:
        async with listening(60, context) as port:
            lorises = [await send(port, b"\x16") for _ in range(3 * MAX_PER_ADDRESS + MAX_CLOSING)]
            # A client behind all of them is accepted.
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


def test_beyond_the_connections_that_close_slowly_a_new_one_is_cut_off() -> None:
    async def run() -> None:
        async with listening(60) as port:
            slow = REQUEST.replace(b"/", b"/slow", 1)
            held = [await send(port, slow) for _ in range(MAX_PER_ADDRESS + MAX_CLOSING)]
            reader, writer = await send(port, slow)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            for _, each in [*held, (reader, writer)]:
                each.close()

    asyncio.run(run())


def test_a_connection_that_has_to_close_and_never_ends_tls_is_cut_off_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "CLOSE_S", 0.2)
    context = own_certificate(tmp_path, []).context()
    trust = ssl.create_default_context(cafile=str(tmp_path / "authority.crt"))

    async def run() -> None:
        async with listening(60, context) as port:
            with ExitStack() as clients:

                def connect() -> bytes:
                    """Connect as a client that answers nothing by itself and stays connected."""
                    client = clients.enter_context(socket.create_connection(("127.0.0.1", port)))
                    secured = clients.enter_context(trust.wrap_socket(client, server_hostname="localhost"))
                    secured.sendall(REQUEST)
                    return secured.recv(12)

                for _ in range(3):
                    for _ in range(MAX_PER_ADDRESS):
                        assert await asyncio.to_thread(connect) == b"HTTP/1.1 200"
                    await asyncio.sleep(0.8)

    asyncio.run(run())


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: loc", REQUEST + b"GET / HTTP/1.1\r\n"])
def test_a_header_that_does_not_come_ends_the_connection(sent: bytes) -> None:
    async def run() -> None:
        async with listening(0.3) as port:
            reader, writer = await send(port, sent)
            with suppress(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 5)
            writer.close()

    asyncio.run(run())


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01"])
def test_a_handshake_that_does_not_come_ends_the_connection(tmp_path: Path, sent: bytes) -> None:
    context = own_certificate(tmp_path, []).context()

    async def run() -> None:
        async with listening(0.3, context) as port:
            reader, writer = await send(port, sent)
            with suppress(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 5)
            writer.close()

    asyncio.run(run())


def test_silence_after_the_handshake_ends_the_connection(tmp_path: Path) -> None:
    context = own_certificate(tmp_path, []).context()
    trust = ssl.create_default_context(cafile=str(tmp_path / "authority.crt"))

    async def run() -> None:
        async with listening(0.3, context) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()

    asyncio.run(run())


UNREADABLE = [
    b"\x16\x03\x01\x02\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer SECRET\x01\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer SECRET" + b"x" * 9000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("sent", UNREADABLE)
def test_a_malformed_request_is_refused_and_not_logged(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with listening() as port:
            reader, writer = await send(port, sent)
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
        async with listening() as port:
            fields = f"Host: localhost\r\nContent-Encoding: gzip\r\nContent-Length: {len(small)}\r\n\r\n"
            reader, writer = await send(port, b"POST / HTTP/1.1\r\n" + fields.encode() + small)
            assert await asyncio.wait_for(reader.readuntil(small), 5)
            writer.close()

    asyncio.run(run())


def test_a_body_that_does_not_come_is_a_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_IDLE_S", 0.2)

    async def run() -> None:
        async with listening() as port:
            reader, writer = await send(port, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhal")
            assert b"408" in await asyncio.wait_for(reader.readline(), 5)
            writer.close()

    asyncio.run(run())


def test_a_slow_answer_is_not_cut_off() -> None:
    async def run() -> None:
        async with listening(0.3) as port:
            reader, writer = await send(port, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhal")
            await asyncio.sleep(0.6)
            writer.write(b"lo")
            assert b"200 OK" in await reader.readuntil(b"hallo")
            writer.close()

    asyncio.run(run())


PLAIN: dict[bytes, tuple[bytes, bytes]] = {
    b"GET /watch?a=1 HTTP/1.1\r\nHost: 192.168.1.5:8443\r\n\r\n": (
        b" 308 ",
        b"Location: https://192.168.1.5:8443/watch?a=1\r",
    ),
    b"GET / HTTP/1.0\r\n\r\n": (b" 308 ", b"Location: https://127.0.0.1:PORT/\r"),
    b"HEAD / HTTP/1.1\r\nhOST: kitchen.local\r\n\r\n": (b" 308 ", b"Location: https://kitchen.local/\r"),
    b'GET / HTTP/1.1\r\nHost: a/b"><script>\r\n\r\n': (b" 308 ", b"Location: https://127.0.0.1:PORT/\r"),
    b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n": (b" 400 ", b"speaks https only: https://localhost/\n"),
    b"POST /join HTTP/1.1\r\nHost: localhost\r\n\r\n{}": (b" 400 ", b"speaks https only: https://localhost/\n"),
    b"hello": (b" 400 ", b"speaks https only: https://127.0.0.1:PORT/\n"),
}


@pytest.mark.parametrize("request_text", PLAIN)
def test_plain_http_on_the_https_port_is_sent_to_https(tmp_path: Path, request_text: bytes) -> None:
    """Before, the connection was closed without a word, as a browser asks that is given no `https://`."""
    status, says = PLAIN[request_text]

    async def run() -> None:
        async with listening(context=own_certificate(tmp_path, ["127.0.0.1"]).context()) as port:
            reader, writer = await send(port, request_text)
            answer = await asyncio.wait_for(reader.read(), 5)
            assert status in answer.partition(b"\r\n")[0]
            assert says.replace(b"PORT", str(port).encode()) in answer
            writer.close()

    asyncio.run(run())
