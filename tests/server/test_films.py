"""Uploaded films by HTTP: who may send them, what is refused, and how the result is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.support.films.dropped_film import dropped_film
from tests.support.models import tiny_models
from tests.support.models.engines import fast
from tests.support.servers.lan_server import House, house
from whycam.stream.limits import LIMITS, Limits
from whycam.stream.server.shelf import films as routes
from whycam.stream.server.shelf.films import Films
from whycam.stream.sessions.session import Settings
from whycam.stream.uploads.job import Uploads
from whycam.stream.uploads.queue import FOLDER, FilmQueue

BYTES = {"Content-Type": "application/octet-stream"}
HERE = replace(LIMITS, min_free_bytes=0)


def served(
    folder: Path,
    body: Callable[[House], Awaitable[None]],
    who: Uploads = "host",
    limits: Limits = HERE,
) -> None:
    recordings = folder / "recordings"
    model = tiny_models.bright_spot(folder / "bright.onnx")
    films = Films(FilmQueue(recordings, lambda _: model, "cpu", limits), who)

    async def run() -> None:
        async with house(folder, fast(folder), Settings(recordings=recordings), uploads=films) as home:
            await body(home)

    asyncio.run(run())


async def listed(http: ClientSession, base: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await (await http.get(f"{base}/api/films")).json())["films"]
    return found


async def lists(http: ClientSession, base: str, count: int) -> None:
    """Wait until the list has so many films."""
    for _ in range(200):
        if len(await listed(http, base)) == count:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError


async def ended(http: ClientSession, base: str, job_id: str) -> dict[str, Any]:
    for _ in range(600):
        job = next(each for each in await listed(http, base) if each["id"] == job_id)
        if job["state"] in ("done", "failed"):
            return job
        await asyncio.sleep(0.1)
    raise TimeoutError(job)


async def sent(http: ClientSession, base: str, film: Path) -> dict[str, Any]:
    data = await asyncio.to_thread(film.read_bytes)
    response = await http.post(f"{base}/api/films", params={"name": film.name}, data=data, headers=BYTES)
    assert response.status == 201, await response.text()
    job: dict[str, Any] = await response.json()
    assert response.headers["Location"] == f"/api/films/{job['id']}"
    return job


def test_a_film_is_sent_explained_and_served_with_its_report(tmp_path: Path) -> None:
    film = dropped_film(tmp_path / "kitchen.mov", 20)

    async def body(home: House) -> None:
        async with home.device() as http:
            job = await ended(http, home.local, (await sent(http, home.local, film))["id"])
            assert (job["state"], job["frames"], job["bytes"]) == ("done", 20, film.stat().st_size)
            base = f"{home.local}/api/recordings/{job['recording']}"
            recorded = await (await http.get(base)).json()
            assert (recorded["film"], recorded["state"], recorded["segments"][0]["camera"]) == (
                "kitchen.mov",
                "finished",
                None,
            )
            report = await http.get(f"{base}/files/report.html")
            assert (report.status, report.content_type) == (200, "text/html")
            policy = report.headers["Content-Security-Policy"]
            assert "sandbox" in policy
            assert "script-src" not in policy
            assert "default-src 'none'" in policy
            assert report.headers["X-Content-Type-Options"] == "nosniff"
            for name in ("report.png", "explained-000.mp4", "predictions.jsonl"):
                assert (await http.get(f"{base}/files/{name}")).status == 200, name
            assert (await http.get(f"{base}/pictures/0.1.jpg")).status == 200
            assert (await http.delete(f"{home.local}/api/films/{job['id']}")).status == 204
            assert await listed(http, home.local) == []
            assert (await http.get(base)).status == 200  # the entry is gone, the recording stays

    served(tmp_path, body)


def test_no_other_page_of_a_recording_is_served(tmp_path: Path) -> None:
    async def body(home: House) -> None:
        folder = tmp_path / "recordings" / "2026-11-22_21-03-55_1f3a9c0d77e2"
        folder.mkdir(parents=True)
        (folder / "evil.html").write_text("<script>1</script>")
        async with home.device() as http:
            base = f"{home.local}/api/recordings/{folder.name}/files"
            assert (await http.get(f"{base}/evil.html")).status == 404

    served(tmp_path, body)


async def halves() -> AsyncIterator[bytes]:
    yield b"x"
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("name", "arguments", "status", "says"),
    [
        ("a.mp4", {"data": b"x", "headers": {"Content-Type": "video/mp4"}}, 415, "application/octet-stream"),
        ("a.mp4", {"data": b"", "headers": BYTES}, 400, "is empty"),
        (" \n", {"data": b"x", "headers": BYTES}, 400, "name"),
        ("a.mp4", {"data": halves, "headers": BYTES}, 411, "Content-Length"),
        ("a.mp4", {"data": b"x" * 1001, "headers": BYTES}, 413, "at most 1000"),
        ("a.mp4", {"data": b"x", "headers": BYTES | {"Origin": "https://evil.example"}}, 403, "another web site"),
    ],
    ids=["type", "empty", "name", "length", "size", "origin"],
)
def test_what_cannot_be_received_is_refused_before_it_is_stored(
    tmp_path: Path, name: str, arguments: dict[str, Any], status: int, says: str
) -> None:
    async def body(home: House) -> None:
        async with home.device() as http:
            given = arguments | {"data": arguments["data"]() if callable(arguments["data"]) else arguments["data"]}
            response = await http.post(f"{home.local}/api/films", params={"name": name}, **given)
            assert (response.status, says in await response.text()) == (status, True)
            assert await listed(http, home.local) == []
        assert list((tmp_path / "recordings").glob(f"{FOLDER}/*")) == []

    served(tmp_path, body, limits=replace(HERE, max_film_bytes=1000))


def test_a_disk_without_room_and_a_full_queue_have_their_own_answers(tmp_path: Path) -> None:
    async def body(home: House) -> None:
        async with home.device() as http:
            ask = {"params": {"name": "a.mp4"}, "data": b"x", "headers": BYTES}
            response = await http.post(f"{home.local}/api/films", **ask)  # type: ignore[arg-type]
            assert (response.status, "must stay free" in await response.text()) == (507, True)

    served(tmp_path, body, limits=replace(HERE, min_free_bytes=1 << 60))

    async def full(home: House) -> None:
        async with home.device() as http:
            ask = {"params": {"name": "a.mp4"}, "data": b"x", "headers": BYTES}
            response = await http.post(f"{home.local}/api/films", **ask)  # type: ignore[arg-type]
            assert (response.status, response.headers["Retry-After"]) == (503, "30")

    served(tmp_path, full, limits=replace(HERE, max_films=0))


@pytest.mark.parametrize("late", [False, True])
def test_a_film_that_does_not_arrive_is_forgotten(tmp_path: Path, late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "PIECE_S", 0.5)

    async def body(home: House) -> None:
        host, _, port = home.local.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = "POST /api/films?name=a.mp4 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        writer.write(f"{head}Content-Type: application/octet-stream\r\n\r\nsome of it".encode())
        await writer.drain()
        if late:
            assert b" 408 " in await asyncio.wait_for(reader.readline(), 10)
        async with home.device() as http:
            if not late:
                await lists(http, home.local, 1)
            writer.close()
            await lists(http, home.local, 0)
        assert list((tmp_path / "recordings" / FOLDER).iterdir()) == []

    served(tmp_path, body)


def test_only_the_computer_itself_sends_films_unless_phones_may(tmp_path: Path) -> None:
    async def body(home: House) -> None:
        ask = {"params": {"name": "a.mp4"}, "data": b"x", "headers": BYTES}
        async with home.joined() as phone, home.joined("viewer") as viewer, home.device() as stranger:
            assert await (await phone.get(f"{home.remote}/api/films")).json() == {
                "possible": False,
                "max_bytes": 0,
                "films": [],
            }
            response = await phone.post(f"{home.remote}/api/films", **ask)  # type: ignore[arg-type]
            assert (response.status, "--uploads phones" in await response.text()) == (403, True)
            assert (await phone.delete(f"{home.remote}/api/films/1")).status == 403
            for http, status in ((viewer, 403), (stranger, 401)):
                assert (await http.get(f"{home.remote}/api/films")).status == status
                assert (await http.post(f"{home.remote}/api/films", **ask)).status == status  # type: ignore[arg-type]

    served(tmp_path, body)


def test_a_phone_has_its_own_films_and_a_client_without_a_cookie_none(tmp_path: Path) -> None:
    film = dropped_film(tmp_path / "kitchen.mov", 5)

    async def body(home: House) -> None:
        async with home.joined() as phone, home.joined() as other, home.device() as host:
            job = await ended(phone, home.remote, (await sent(phone, home.remote, film))["id"])
            assert await listed(other, home.remote) == []
            assert (await other.delete(f"{home.remote}/api/films/{job['id']}")).status == 404
            path = f"/api/recordings/{job['recording']}"
            assert (await phone.get(home.remote + path)).status == 200
            assert (await other.get(home.remote + path)).status == 404
            assert [each["id"] for each in await listed(host, home.local)] == [job["id"]]
            bearer = {"Authorization": f"Bearer {home.token}"}
            for asked in ("/api/films", "/api/recordings", path, f"{path}/files/report.html"):
                response = await host.get(home.remote + asked, headers=bearer)
                assert (response.status, "cookie" in await response.text()) == (403, True), asked

    served(tmp_path, body, who="phones")


@pytest.mark.parametrize("who", ["off", None])
def test_a_server_may_accept_no_films(tmp_path: Path, who: Uploads | None) -> None:
    async def body(home: House) -> None:
        async with home.device() as http:
            assert (await (await http.get(f"{home.local}/api/films")).json())["possible"] is False
            response = await http.post(f"{home.local}/api/films", params={"name": "a"}, data=b"x", headers=BYTES)
            assert (response.status, "--uploads host" in await response.text()) == (403, True)

    if who is not None:
        served(tmp_path, body, who=who)
        return

    async def run() -> None:
        async with house(tmp_path, fast(tmp_path)) as home:
            await body(home)

    asyncio.run(run())
