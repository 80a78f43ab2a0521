"""The door for phones: opened and closed by the computer itself while the server runs."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import ClientConnectionError, ClientSession, CookieJar, TCPConnector

from tests.support.clients.camera_client import calling
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.servers.server_process import free_port
from whycam.stream.server.app import make_app, running
from whycam.stream.server.door import LanDoor
from whycam.stream.server.lan import Lan
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings

Body = Callable[[ClientSession, str, str, Sessions], Awaitable[None]]


def served(folder: Path, body: Body, addresses: tuple[str, ...] = ("127.0.0.1",)) -> None:
    """Run `body` with a client that trusts whycam's authority, the host's URL and that for phones."""
    port = free_port()
    door = LanDoor(lambda: Lan.prepared(addresses, port, folder / "config"))
    engine = fast(folder)

    async def run() -> None:
        sessions = Sessions(engine, Settings(recordings=folder / "recordings"))
        app = make_app(sessions, door=door)
        async with running(app) as connections:
            local = await connections.listen("127.0.0.1", 0)
            connector = TCPConnector(ssl=False, force_close=True)
            async with ClientSession(connector=connector, cookie_jar=CookieJar(unsafe=True)) as http:
                await body(http, f"http://127.0.0.1:{local}", f"https://127.0.0.1:{port}", sessions)

    try:
        asyncio.run(run())
    finally:
        engine.close()


async def turn(http: ClientSession, local: str, *, lan: object) -> tuple[int, str]:
    response = await http.post(f"{local}/api/join", json={"lan": lan})
    return response.status, await response.text()


async def reaches(http: ClientSession, remote: str) -> bool:
    try:
        await http.get(f"{remote}/join")
    except ClientConnectionError:
        return False
    return True


def test_the_door_is_opened_closed_and_opened_again_without_a_restart(tmp_path: Path) -> None:
    async def body(http: ClientSession, local: str, remote: str, sessions: Sessions) -> None:
        closed = await (await http.get(f"{local}/api/join")).json()
        assert (closed["urls"], closed["lan"]) == ([], False)
        assert not await reaches(http, remote)
        for _ in range(2):
            status, text = await turn(http, local, lan=True)
            opened = json.loads(text)
            assert (status, opened["lan"], opened["warns"]) == (200, True, True)
            assert opened == await (await http.get(f"{local}/api/join")).json()
            assert await turn(http, local, lan=True) == (status, text)  # what is open stays as it is
            assert (await http.get(f"{local}/api/join.svg")).status == 200
            token = opened["urls"][0].partition("#")[2]
            assert (await http.post(f"{remote}/join", json={"token": token})).status == 200
            assert await (await http.get(f"{remote}/api/model")).json()
            status, text = await turn(http, local, lan=False)
            assert (status, json.loads(text)["lan"]) == (200, False)
            assert not await reaches(http, remote)
            assert (await http.get(f"{local}/api/join.svg")).status == 404
        # The same code and cookie are valid after it was closed: phones need not join again.
        await turn(http, local, lan=True)
        assert await (await http.get(f"{remote}/api/model")).json()

    served(tmp_path, body)


def test_phones_that_call_are_sent_away_when_it_closes_and_the_computers_call_goes_on(tmp_path: Path) -> None:
    frames = media_samples.encoded("H264", 30, (160, 120))

    async def body(http: ClientSession, local: str, remote: str, sessions: Sessions) -> None:
        token = json.loads((await turn(http, local, lan=True))[1])["urls"][0].partition("#")[2]
        await http.post(f"{remote}/join", json={"token": token})
        async with ClientSession() as host, calling(host, local, frames, 10) as own:
            await own.until(lambda: own.reports)
            async with calling(http, remote, frames, 10) as phone:
                await phone.until(lambda: phone.reports)
                assert len(sessions) == 2
                kept = TCPConnector(ssl=False)
                async with ClientSession(connector=kept, cookies={}) as open_connection:
                    assert (await open_connection.get(f"{remote}/join")).status == 200
                    assert (await turn(http, local, lan=False))[0] == 200
                    # A connection that is open already gets nothing more, whatever it sends.
                    bearer = {"Authorization": f"Bearer {token}"}
                    try:
                        response = await open_connection.get(f"{remote}/api/model", headers=bearer)
                        assert response.status == 421
                    except ClientConnectionError:
                        pass
            assert len(sessions) == 1
            seen = len(own.reports)
            await own.until(lambda: len(own.reports) > seen + 5)

    served(tmp_path, body)


@pytest.mark.parametrize("lan", [None, "true", 1])
def test_the_body_says_open_or_closed(tmp_path: Path, lan: object) -> None:
    async def body(http: ClientSession, local: str, remote: str, sessions: Sessions) -> None:
        assert (await turn(http, local, lan=lan))[0] == 400

    served(tmp_path, body)


def test_only_the_computer_itself_opens_and_closes_it(tmp_path: Path) -> None:
    async def body(http: ClientSession, local: str, remote: str, sessions: Sessions) -> None:
        evil = {"Origin": "https://evil.example"}
        assert (await http.post(f"{local}/api/join", json={"lan": True}, headers=evil)).status == 403
        forwarded = {"X-Forwarded-For": "192.168.1.9"}
        assert (await http.post(f"{local}/api/join", json={"lan": True}, headers=forwarded)).status == 401
        assert not await reaches(http, remote)
        token = json.loads((await turn(http, local, lan=True))[1])["urls"][0].partition("#")[2]
        assert (await http.post(f"{remote}/api/join", json={"lan": False})).status == 401
        await http.post(f"{remote}/join", json={"token": token})
        assert (await http.post(f"{remote}/api/join", json={"lan": False})).status == 403
        for _ in range(6):
            wrong = await http.post(f"{remote}/join", json={"token": "guess"})
        assert wrong.status == 429
        # Closing it forgets no failed attempt.
        await turn(http, local, lan=False)
        await turn(http, local, lan=True)
        assert (await http.post(f"{remote}/join", json={"token": token})).status == 429

    served(tmp_path, body)


def test_without_a_network_or_with_a_port_in_use_it_stays_closed_and_says_why(tmp_path: Path) -> None:
    async def outside(http: ClientSession, local: str, remote: str, sessions: Sessions) -> None:
        status, text = await turn(http, local, lan=True)
        assert (status, "in no network" in text) == (409, True)

    served(tmp_path, outside, ())

    async def busy(http: ClientSession, local: str, remote: str, sessions: Sessions) -> None:
        with socket.create_server(("127.0.0.1", int(remote.rpartition(":")[2]))):
            status, text = await turn(http, local, lan=True)
            assert (status, "is in use" in text) == (503, True)
            assert (await (await http.get(f"{local}/api/join")).json())["lan"] is False
        assert (await turn(http, local, lan=True))[0] == 200

    served(tmp_path, busy)


def test_a_damaged_token_file_leaves_it_closed(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "access.json").write_text("{")

    async def body(http: ClientSession, local: str, remote: str, sessions: Sessions) -> None:
        status, text = await turn(http, local, lan=True)
        assert (status, "--new-token" in text) == (503, True)

    served(tmp_path, body)
