"""Requests that a server has to refuse, with the status and a part of the message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import ClientResponse, ClientSession

from tests.support.clients.whip_client import SDP
from tests.support.models.engines import fast
from tests.support.servers.lan_server import House, house
from whycam.stream.server.auth import COOKIE
from whycam.stream.sessions.session import Settings

Body = Callable[[House], Awaitable[None]]


def at_home(folder: Path, body: Body, settings: Settings | None = None) -> None:
    async def run() -> None:
        async with house(folder, fast(folder), settings) as home:
            await body(home)

    asyncio.run(run())


Ask = Callable[[ClientSession, House, dict[str, str]], Awaitable[ClientResponse]]


def post(path: str, data: bytes | str, **headers: str) -> Ask:
    return lambda http, home, cookie: http.post(home.remote + path, data=data, headers=SDP | cookie | headers)


def guess(http: ClientSession, home: House, cookie: dict[str, str]) -> Awaitable[ClientResponse]:
    return http.post(f"{home.remote}/join", json={"token": "guess"})


REFUSALS: dict[str, tuple[Ask, int, str]] = {
    "a wrong token": (guess, 401, "not valid"),
    "an old cookie": (post("/call", "v=0", Cookie=f"{COOKIE}=phone.a.1.b"), 401, "old code"),
    "no cookie": (post("/call", "v=0", Cookie=""), 401, "has not joined"),
    "a wrong bearer token": (post("/call", "v=0", Authorization="Bearer x", Cookie=""), 401, "not valid"),
    "another host's name": (post("/call", "v=0", Host="evil.example"), 421, "does not have that name"),
    "a name of another listener": (
        post("/call", "v=0", Host="192.168.1.9"),
        421,
        "does not have that name",
    ),
    "another site's write": (post("/call", "v=0", Origin="https://evil.example"), 403, "another web site"),
    "the same name over http": (post("/call", "v=0", Origin="http://127.0.0.1"), 403, "another web site"),
    "an origin of a file": (post("/join", "{}", Origin="null"), 403, "another web site"),
    "a mebibyte": (post("/call", "v=0\r\n" * 200_000), 413, "at most"),
    "a mebibyte without a cookie": (post("/call", "v=0\r\n" * 200_000, Cookie=""), 401, "has not joined"),
    "a long header": (post("/call", "v=0", **{f"X-{n}": "y" * 900 for n in range(10)}), 431, "header"),
    "a ninth call": (post("/call", "v=0"), 503, "8 cameras"),
}
