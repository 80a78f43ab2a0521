"""The recordings by HTTP: for the host, and for the phone that made them; no client's text is used as a path."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import threading
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from yarl import URL

from tests.support.clients.camera_client import calling
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.recordings.on_disk import record
from tests.support.servers.calls import served
from tests.support.servers.lan_server import House
from tests.support.servers.refusals import at_home
from whycam.stream.recording import library
from whycam.stream.recording import paths as names
from whycam.stream.recording.thumbnail import still
from whycam.stream.server.app import make_app
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.video.codec import EncodedFrame

ID = "2026-11-22_21-03-55_1f3a9c0d77e2"
OLDER = "2026-10-01_08-00-00_aaaaaaaaaaaa"
Body = Callable[[ClientSession, str], Awaitable[None]]


@pytest.fixture(scope="module")
def h264() -> list[EncodedFrame]:
    return media_samples.encoded("H264", 60, (160, 120))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    record(tmp_path / "recordings" / OLDER)
    record(tmp_path / "recordings" / ID)
    return tmp_path / "recordings"


def asked(folder: Path, body: Body) -> None:
    """Run `body` against a server with these recordings."""
    engine = fast(folder.parent)

    async def run() -> None:
        app = make_app(Sessions(engine, Settings(recordings=folder)))
        async with TestServer(app) as server, ClientSession() as http:
            await body(http, str(server.make_url("")).rstrip("/") + "/api/recordings")

    try:
        asyncio.run(run())
    finally:
        engine.close()


def test_the_list_and_one_of_it_are_the_same(folder: Path) -> None:
    async def body(http: ClientSession, base: str) -> None:
        listed = await (await http.get(base)).json()
        assert [each["id"] for each in listed] == [ID, OLDER]
        assert await (await http.get(f"{base}/{ID}")).json() == listed[0]
        assert listed[0]["state"] == "finished"

    asked(folder, body)


def test_a_file_comes_whole_or_in_ranges_with_its_type(folder: Path) -> None:
    async def body(http: ClientSession, base: str) -> None:
        whole = (folder / ID / "camera-000.mp4").read_bytes()
        where = f"{base}/{ID}/files/camera-000.mp4"
        response = await http.get(where)
        assert (response.status, await response.read()) == (200, whole)
        assert response.headers["Content-Type"] == "video/mp4"
        assert response.headers["Accept-Ranges"] == "bytes"
        assert "Content-Disposition" not in response.headers
        part = await http.get(where, headers={"Range": "bytes=100-299"})
        assert (part.status, await part.read()) == (206, whole[100:300])
        assert part.headers["Content-Range"] == f"bytes 100-299/{len(whole)}"
        tail = await http.get(where, headers={"Range": "bytes=-50"})
        assert await tail.read() == whole[-50:]
        beyond = await http.get(where, headers={"Range": f"bytes={len(whole)}-"})
        assert beyond.status == 416
        download = await http.get(f"{where}?download=1")
        assert download.headers["Content-Disposition"] == f'attachment; filename="{ID}_camera-000.mp4"'
        types = {"predictions.jsonl": "application/x-ndjson", "session.json": "application/json"}
        for name, kind in types.items():
            assert (await http.get(f"{base}/{ID}/files/{name}")).headers["Content-Type"] == kind

    asked(folder, body)


def test_a_thumbnail_is_a_jpeg_of_the_explained_film(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(http: ClientSession, base: str) -> None:
        response = await http.get(f"{base}/{ID}/pictures/1.2.jpg")
        assert (response.status, response.headers["Content-Type"]) == (200, "image/jpeg")
        data = await response.read()
        assert data.startswith(b"\xff\xd8")
        (folder / ID / "explained-000.mp4").rename(folder / ID / "elsewhere.bin")
        assert (await http.get(f"{base}/{ID}/pictures/1.2.jpg")).status == 404
        for seconds in ("-1", "1e3", "nan", "x", "1" * 20, "1.", ".5", "1.2.3", "%2e%2e"):
            assert (await http.get(f"{base}/{ID}/pictures/{seconds}.jpg")).status == 404

    asked(folder, body)


def test_the_timeline_is_that_of_the_sidecar(folder: Path) -> None:
    async def body(http: ClientSession, base: str) -> None:
        timeline = await (await http.get(f"{base}/{ID}/timeline")).json()
        assert len(timeline["times"]) == 60
        assert [each["label"] for each in timeline["classes"]] == ["banana"]
        assert len(timeline["classes"][0]["scores"]) == 60
        (folder / ID / "predictions.jsonl").unlink()
        response = await http.get(f"{base}/{ID}/timeline")
        assert (response.status, await response.text()) == (404, "This recording has no sidecar.")

    asked(folder, body)


def test_all_of_it_comes_as_a_zip(folder: Path) -> None:
    async def body(http: ClientSession, base: str) -> None:
        response = await http.get(f"{base}/{ID}.zip")
        assert response.headers["Content-Disposition"] == f'attachment; filename="{ID}.zip"'
        with zipfile.ZipFile(io.BytesIO(await response.read())) as bundle:
            assert bundle.testzip() is None
            for path in (folder / ID).iterdir():
                assert bundle.read(f"{ID}/{path.name}") == path.read_bytes()
        assert (await http.get(f"{base}/none.zip")).status == 404

    asked(folder, body)


def test_a_zip_that_the_client_does_not_read_waits_and_fills_no_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (folder / ID / "camera-000.mp4").open("ab") as film_file:
        film_file.truncate(200 << 20)  # sparse: it uses no disk space
    made = []

    def counting(blocks: Iterator[bytes]) -> bytes | None:
        made.append(1)
        return next(blocks, None)

    monkeypatch.setattr("whycam.stream.server.shelf.recordings._next", counting)

    async def body(http: ClientSession, base: str) -> None:
        async with http.get(f"{base}/{ID}.zip") as response:
            assert response.status == 200
            await asyncio.sleep(1)
            stopped = len(made)
            assert stopped < 100  # of 800 blocks
            await asyncio.sleep(0.5)
            assert len(made) <= stopped + 2
            assert (await http.get(base)).status == 200  # no other client waits

    asked(folder, body)


def test_a_deleted_recording_can_be_restored(folder: Path) -> None:
    async def body(http: ClientSession, base: str) -> None:
        assert (await http.delete(f"{base}/{ID}")).status == 204
        assert [each["id"] for each in await (await http.get(base)).json()] == [OLDER]
        assert (await http.delete(f"{base}/{ID}")).status == 404
        assert (await http.get(f"{base}/{ID}/files/session.json")).status == 404
        assert (await http.post(f"{base}/{ID}/restore")).status == 204
        assert (await http.post(f"{base}/{ID}/restore")).status == 404
        assert (await http.get(f"{base}/{ID}/files/session.json")).status == 200

    asked(folder, body)


def test_a_server_deletes_for_good_what_was_deleted_before_it_started(folder: Path) -> None:
    aside = folder / ".set-aside"
    aside.mkdir()
    for name, age in ((ID, 0), (OLDER, 1e6)):
        (folder / name).rename(aside / name)
        if age:
            os.utime(aside / name, (0, 0))

    async def body(http: ClientSession, base: str) -> None:
        for _ in range(100):
            if not (aside / OLDER).exists():
                break
            await asyncio.sleep(0.05)
        assert [path.name for path in aside.iterdir()] == [ID]
        assert (await http.post(f"{base}/{ID}/restore")).status == 204

    asked(folder, body)


NAMES = [
    "..",
    "../session.json",
    "%2e%2e%2fsession.json",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    ".hidden",
    "none.mp4",
    "a" * 300,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_not_in_the_index_is_not_found(folder: Path, name: str) -> None:
    (folder / ID / ".hidden").write_text("secret")
    (folder / "session.json").write_text("secret")

    async def body(http: ClientSession, base: str) -> None:
        for path in (f"{ID}/files/{name}", f"{name}/files/session.json", name, f"{name}/timeline", f"{name}.zip"):
            response = await http.get(URL(f"{base}/{path}", encoded=True))
            assert response.status in (404, 403), path
            assert "secret" not in await response.text()
        assert (await http.delete(URL(f"{base}/{name}", encoded=True))).status in (404, 405, 403)
        assert (await http.post(URL(f"{base}/{name}/restore", encoded=True))).status in (404, 405, 403)

    asked(folder, body)


def test_a_session_that_is_being_recorded_can_be_watched_and_not_deleted(
    tmp_path: Path, h264: list[EncodedFrame]
) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        where = f"{base}/api/recordings"
        async with calling(http, base, h264) as phone:
            await phone.until(lambda: len(phone.reports) >= 60)
            (listed,) = await (await http.get(where)).json()
            assert (listed["state"], listed["live"]) == ("recording", phone.reports[-1]["session"])
            assert listed["session"] == phone.reports[-1]["recording"]["id"]
            assert listed["id"] == Path(phone.reports[-1]["recording"]["folder"]).name
            assert listed["labels"][0]["label"] == "red"
            film_so_far = await (await http.get(f"{where}/{listed['id']}/files/explained-000.mp4")).read()
            (tmp_path / "so far.mp4").write_bytes(film_so_far)
            assert len(media_samples.read(tmp_path / "so far.mp4")) >= 20
            assert (await http.get(f"{where}/{listed['id']}/pictures/0.5.jpg")).status == 200
            refused = await http.delete(f"{where}/{listed['id']}")
            assert (refused.status, "still running" in await refused.text()) == (409, True)
            assert (await http.delete(phone.location)).status == 204
        (listed,) = await (await http.get(where)).json()
        assert (listed["state"], listed["live"]) == ("finished", None)
        assert (await http.delete(f"{where}/{listed['id']}")).status == 204

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)


def test_a_recording_is_never_reported_as_cut_off_while_it_begins_or_ends(
    tmp_path: Path, h264: list[EncodedFrame]
) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        states: set[str] = set()
        done = asyncio.Event()

        async def look() -> None:
            while not done.is_set():
                states.update(each["state"] for each in await (await http.get(f"{base}/api/recordings")).json())

        looking = asyncio.create_task(look())
        for _ in range(3):
            async with calling(http, base, h264) as phone:
                await phone.until(lambda phone=phone: len(phone.reports) >= 10)
                await http.delete(phone.location)
        done.set()
        await looking
        assert states == {"recording", "finished"}

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)


def test_a_phone_has_the_recordings_of_its_own_device(tmp_path: Path, folder: Path) -> None:
    library = tmp_path / "library"
    shutil.copytree(folder, library)

    async def body(home: House) -> None:
        paths = ["", ".zip", "/files/session.json", "/pictures/1.jpg", "/timeline"]
        async with home.joined() as phone, home.joined() as other, home.device() as host:
            made = library / "2026-11-23_08-00-00_0badc0ffee00"
            record(made, owner=home.key_of(phone))
            base = f"{home.remote}/api/recordings"
            assert [each["id"] for each in await (await phone.get(base)).json()] == [made.name]
            assert await (await other.get(base)).json() == []
            assert {ID, made.name} <= {
                each["id"] for each in await (await host.get(f"{home.local}/api/recordings")).json()
            }
            for path in paths:
                assert (await phone.get(f"{base}/{made.name}{path}")).status == 200, path
                assert (await phone.get(f"{base}/{ID}{path}")).status == 404, path
                assert (await other.get(f"{base}/{made.name}{path}")).status == 404, path
            assert (await phone.delete(f"{base}/{made.name}")).status == 403

    at_home(tmp_path, body, Settings(recordings=library))


def test_recordings_are_for_no_viewer_and_no_stranger(tmp_path: Path, folder: Path) -> None:
    async def body(home: House) -> None:
        paths = ["", f"/{ID}", f"/{ID}.zip", f"/{ID}/files/session.json", f"/{ID}/pictures/1.jpg", f"/{ID}/timeline"]
        async with home.joined("viewer") as viewer, home.device() as client:
            for http, base, status in (
                (viewer, home.remote, 403),
                (client, home.remote, 401),
                (client, home.local, 200),
            ):
                for path in paths:
                    assert (await http.get(f"{base}/api/recordings{path}")).status == status, path
                if status != 200:
                    assert (await http.delete(f"{base}/api/recordings/{ID}")).status == status
                    assert (await http.post(f"{base}/api/recordings/{ID}/restore")).status == status
            evil = {"Origin": "https://evil.example"}
            assert (await client.delete(f"{home.local}/api/recordings/{ID}", headers=evil)).status == 403

    at_home(tmp_path, body, Settings(recordings=folder))


def test_a_server_that_does_not_record_has_no_recordings(tmp_path: Path) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        assert await (await http.get(f"{base}/api/recordings")).json() == []
        response = await http.get(f"{base}/api/recordings/{ID}")
        assert (response.status, "--no-record" in await response.text()) == (404, True)

    served(fast(tmp_path), Settings(), body)


def test_the_event_loop_does_not_read_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here: list[str] = []

    def noting(real: Callable[..., Any]) -> Callable[..., Any]:
        def function(*arguments: Any) -> Any:
            here.append(threading.current_thread().name)
            return real(*arguments)

        return function

    for name in ("_stamp", "_read", "ClassStatistics"):
        monkeypatch.setattr(library, name, noting(getattr(library, name)))
    monkeypatch.setattr("whycam.stream.recording.paths.recordings", noting(names.recordings))
    monkeypatch.setattr("whycam.stream.server.shelf.recordings.still", noting(still))
    monkeypatch.setattr("whycam.stream.server.shelf.recordings._next", noting(lambda blocks: next(blocks, None)))

    async def body(http: ClientSession, base: str) -> None:
        for path in (
            "",
            f"/{ID}",
            f"/{ID}.zip",
            f"/{ID}/timeline",
            f"/{ID}/pictures/1.jpg",
            f"/{ID}/files/session.json",
        ):
            assert (await http.get(base + path)).status == 200
        assert (await http.delete(f"{base}/{ID}")).status == 204
        assert (await http.post(f"{base}/{ID}/restore")).status == 204

    asked(folder, body)
    assert len(here) > 20
    assert {name.partition("_")[0] for name in here} == {"recordings"}
