"""Access: unauthenticated clients have none, each device to its own, the host to everything."""

from __future__ import annotations

import json
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.support.clients.camera_client import Phone, calling
from tests.support.clients.whep_client import watching
from tests.support.clients.whip_client import SDP
from tests.support.films import media_samples
from tests.support.servers.lan_server import House
from tests.support.servers.refusals import REFUSALS, at_home
from whycam.stream.limits import Limits
from whycam.stream.recording.ownership import FIELD
from whycam.stream.server.auth import COOKIE, HEADERS
from whycam.stream.server.tokens import Credentials
from whycam.stream.sessions.session import Settings
from whycam.stream.video.codec import EncodedFrame


@pytest.fixture(scope="module")
def frames() -> list[EncodedFrame]:
    return media_samples.encoded("H264", 30, (160, 120))


def test_the_token_is_changed_for_a_cookie_that_only_this_page_can_use(tmp_path: Path) -> None:
    async def body(home: House) -> None:
        async with home.device() as http:
            assert (await (await http.get(f"{home.remote}/join")).json())["role"] is None
            response = await http.post(f"{home.remote}/join", json={"token": home.token})
            assert (await response.json()) == {"role": "phone"}
            (cookie,) = response.headers.getall("Set-Cookie")
            name, *attributes = (part.strip() for part in cookie.split(";"))
            assert name.startswith("__Host-")
            assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)
            assert not any(attribute.startswith("Domain") for attribute in attributes)
            assert (await (await http.get(f"{home.remote}/join")).json())["role"] == "phone"

    at_home(tmp_path, body)


def test_a_cookie_outlives_the_server_until_there_is_a_new_token(tmp_path: Path) -> None:
    cookies = []

    async def joins(home: House) -> None:
        async with home.device() as http:
            response = await http.post(f"{home.remote}/join", json={"token": home.token})
            cookies.append(response.cookies[COOKIE].value)

    async def comes_back(home: House) -> None:
        async with home.device() as http:
            response = await http.get(f"{home.remote}/join", headers={"Cookie": f"{COOKIE}={cookies[0]}"})
            assert (await response.json())["role"] == "phone"

    async def is_refused(home: House) -> None:
        async with home.device() as http:
            headers = {"Cookie": f"{COOKIE}={cookies[0]}"}
            response = await http.get(f"{home.remote}/join", headers=headers)
            assert "old code" in (await response.json())["says"]
            call = await http.post(f"{home.remote}/call", data="v=0", headers=SDP | headers)
            assert call.status == 401
            assert "old code" in await call.text()

    at_home(tmp_path, joins)
    at_home(tmp_path, comes_back)
    Credentials.kept(tmp_path / "config", new=True)
    at_home(tmp_path, is_refused)


def test_guesses_are_slowed_down_and_a_right_token_has_to_wait_too(tmp_path: Path) -> None:
    async def body(home: House) -> None:
        async with home.device() as http, home.joined() as friend:
            for _ in range(5):
                response = await http.post(f"{home.remote}/join", json={"token": "guess"})
                assert response.status == 401
            for token in ("guess", home.token):
                response = await http.post(f"{home.remote}/join", json={"token": token})
                assert response.status == 429
                assert 0 < int(response.headers["Retry-After"]) <= 60
            bearer = {"Authorization": f"Bearer {home.token}"}
            assert (await http.post(f"{home.remote}/call", data="v=0", headers=SDP | bearer)).status == 429
            # A device that joined before is still served, from the same address.
            assert (await friend.post(f"{home.remote}/call", data="hello", headers=SDP)).status == 400

    at_home(tmp_path, body)


STRANGE_BODIES = ["", "{", "[]", "{}", '{"token": 1}', '{"token": null}', '"token"']


def test_a_malformed_join_is_refused_and_does_not_count_as_a_guess(tmp_path: Path) -> None:
    async def body(home: House) -> None:
        async with home.device() as http:
            for text in STRANGE_BODIES:
                headers = {"Content-Type": "application/json"}
                response = await http.post(f"{home.remote}/join", data=text, headers=headers)
                assert response.status == 400, text
            form = await http.post(f"{home.remote}/join", data={"token": home.token})
            assert form.status == 415
            large = await http.post(f"{home.remote}/join", json={"token": home.token, "more": "a" * 1024})
            assert (large.status, await large.text()) == (
                413,
                "The body is too large; at most 1024 bytes are accepted.",
            )
            odd = await http.post(f"{home.remote}/join", data='{"token": "\\udcff"}', headers=headers)
            assert odd.status == 401
            assert (await http.post(f"{home.remote}/join", json={"token": home.token})).status == 200

    at_home(tmp_path, body)


def test_a_bearer_token_calls_without_a_cookie(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    async def body(home: House) -> None:
        async with home.device() as http:
            http.headers["Authorization"] = f"Bearer {home.token}"
            async with calling(http, home.remote, frames) as phone:
                await phone.until(lambda: len(phone.pictures) >= 3)
                assert (await http.delete(phone.location)).status == 204

    at_home(tmp_path, body)


def test_only_its_owner_and_the_host_control_a_session(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    async def body(home: House) -> None:
        async with (
            home.joined() as one,
            home.joined() as other,
            home.joined("viewer") as viewer,
            home.device() as host,
            calling(one, home.remote, frames) as phone,
        ):
            await phone.until(lambda: phone.reports)
            path = f"/api/sessions/{phone.reports[-1]['session']}/command"
            for http, base, status in (
                (one, home.remote, 204),
                (other, home.remote, 403),
                (viewer, home.remote, 403),
                (host, home.remote, 401),
                (host, home.local, 204),
            ):
                assert (await http.post(base + path, json={"opacity": status / 1000})).status == status
            evil = {"Origin": "https://evil.example"}
            assert (await host.post(home.local + path, json={}, headers=evil)).status == 403
            await phone.until(lambda: phone.reports[-1]["view"]["opacity"] == 0.204)

    at_home(tmp_path, body)


def test_a_viewer_may_not_call_and_a_phone_is_not_the_host(tmp_path: Path) -> None:
    async def body(home: House) -> None:
        async with home.joined("viewer") as viewer, home.joined() as phone:
            response = await viewer.post(f"{home.remote}/call", data="v=0", headers=SDP)
            assert response.status == 403
            assert "viewer" in await response.text()
            for path in ("/healthz", "/api/join", "/api/join.svg"):
                assert (await phone.get(home.remote + path)).status == 403, path
        async with home.device() as client:
            for path in ("/healthz", "/api/join", "/api/join.svg"):
                assert (await client.get(home.remote + path)).status == 401, path
                assert (await client.get(home.local + path)).status == 200, path

    at_home(tmp_path, body)


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For", "x-forwarded-host", "X-Real-IP"])
def test_a_forwarded_request_is_not_the_hosts(tmp_path: Path, name: str) -> None:
    async def body(home: House) -> None:
        async with home.device() as http:
            assert (await http.get(f"{home.local}/healthz", headers={name: "127.0.0.1"})).status == 401

    at_home(tmp_path, body)


def test_the_host_gets_the_urls_for_phones(tmp_path: Path) -> None:
    async def body(home: House) -> None:
        async with home.device() as http:
            invitation = await (await http.get(f"{home.local}/api/join")).json()
            assert invitation["urls"][0].endswith(f"#{home.token}")
            assert "hotspot" in invitation["says"]
            code = await http.get(f"{home.local}/api/join.svg")
            assert code.content_type == "image/svg+xml"
            elsewhere = {"Sec-Fetch-Site": "cross-site"}
            assert (await http.get(f"{home.local}/api/join", headers=elsewhere)).status == 403

    at_home(tmp_path, body)


def test_help_and_the_authoritys_certificate_need_no_token(tmp_path: Path) -> None:
    async def body(home: House) -> None:
        async with home.device() as http:
            page = await http.get(f"{home.remote}/help")
            assert page.status == 200
            assert "help.limits" in await page.text()  # its text is filled in by its module
            certificate = await http.get(f"{home.remote}/certificate")
            assert certificate.content_type == "application/x-x509-ca-cert"
            # An iPhone offers to install what it opens; it only stores an attachment or a `download` link.
            assert certificate.headers["Content-Disposition"].startswith("inline")
            assert " download" not in (await page.text()).partition("/certificate")[2].partition(">")[0]
            assert await certificate.read() == (tmp_path / "config" / "authority.crt").read_bytes()
            assert b"PRIVATE" not in await certificate.read()

    at_home(tmp_path, body)


def test_only_its_owner_and_the_host_end_a_call(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    async def body(home: House) -> None:
        async with home.joined() as owner, home.joined() as other, home.device() as http:
            async with calling(owner, home.remote, frames) as phone:
                assert (await other.delete(phone.location)).status == 403
                assert (await http.delete(phone.location)).status == 401
                assert len(home.sessions) == 1
                assert (await owner.delete(phone.location)).status == 204
                assert (await owner.delete(phone.location)).status == 204
                assert (await other.delete(phone.location)).status == 403
            async with calling(owner, home.remote, frames) as phone:
                assert (await http.delete(phone.location.replace(home.remote, home.local))).status == 204

    at_home(tmp_path, body)


async def recorded(http: ClientSession, base: str, frames: list[EncodedFrame], continues: str = "") -> str:
    """The id of a recording that a call makes."""
    async with calling(http, base, frames, continues=continues) as phone:
        await phone.until(lambda: phone.reports and phone.reports[-1]["recording"]["state"] == "on")
        await http.delete(phone.location)
        recording: str = phone.reports[-1]["recording"]["id"]
        return recording


def test_only_its_owner_and_the_host_continue_a_recording(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    """For another device the id is ignored: its call is accepted and gets a separate recording."""

    async def body(home: House) -> None:
        async with home.joined() as owner, home.joined() as other, home.device() as bearer, home.device() as host:
            bearer.headers["Authorization"] = f"Bearer {home.token}"
            first = await recorded(owner, home.remote, frames)
            for http in (other, bearer):
                assert await recorded(http, home.remote, frames, first) != first
            assert await recorded(owner, home.remote, frames, first) == first
            assert await recorded(host, home.local, frames, first) == first
            assert await recorded(owner, home.remote, frames, first) == first
            of_the_host = await recorded(host, home.local, frames)
            assert await recorded(owner, home.remote, frames, of_the_host) != of_the_host
            of_the_bearer = await recorded(bearer, home.remote, frames)
            assert await recorded(bearer, home.remote, frames, of_the_bearer) == of_the_bearer

    at_home(tmp_path, body, Settings(recordings=tmp_path / "recordings"))


def test_its_owner_continues_a_recording_after_a_restart(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    """Until there is a new token: then every device is a new one, and only the host continues it."""
    settings = Settings(recordings=tmp_path / "recordings")
    cookies: dict[str, str] = {}
    made: list[str] = []

    async def calls(home: House) -> None:
        for name in ("owner", "other"):
            cookies[name] = f"{COOKIE}={home.lan.credentials.cookie('phone')}"
        async with home.device() as http:
            http.headers["Cookie"] = cookies["owner"]
            made.append(await recorded(http, home.remote, frames))

    async def calls_again(home: House) -> None:
        for name in ("other", "owner"):
            async with home.device() as http:
                http.headers["Cookie"] = cookies[name]
                made.append(await recorded(http, home.remote, frames, made[0]))

    async def is_another(home: House) -> None:
        async with home.joined() as phone, home.device() as host:
            made.append(await recorded(phone, home.remote, frames, made[0]))
            made.append(await recorded(host, home.local, frames, made[0]))

    at_home(tmp_path, calls, settings)
    at_home(tmp_path, calls_again, settings)
    Credentials.kept(tmp_path / "config", new=True)
    at_home(tmp_path, is_another, settings)
    assert [each == made[0] for each in made] == [True, False, True, False, True]


def test_a_recording_does_not_reveal_its_device(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    folder = tmp_path / "recordings"
    devices: list[str] = []

    async def body(home: House) -> None:
        async with home.joined() as http, home.device() as host:
            await recorded(host, home.local, frames)
            for _ in range(2):
                await recorded(http, home.remote, frames)
            cookie = next(each.value for each in http.cookie_jar if each.key == COOKIE)
            devices.append(home.lan.credentials.read_cookie(cookie)[1])

    at_home(tmp_path, body, Settings(recordings=folder))
    notes = [json.loads((each / "session.json").read_bytes()) for each in sorted(folder.iterdir())]
    marks = [note.get(FIELD) for note in notes]
    assert marks.count(None) == 1  # the host's own
    assert len(set(marks)) == 3
    assert not any(devices[0] in path.read_text() for path in folder.rglob("*.json*"))
    assert not any(FIELD in path.read_text().partition("\n")[0] for path in folder.rglob("*.jsonl"))


def test_a_device_that_joins_once_more_stays_the_same(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    """As when its code is scanned again during a call: the call stays its own."""

    async def body(home: House) -> None:
        async with home.joined() as http, home.joined() as other, calling(http, home.remote, frames) as phone:
            for each in (http, other):
                assert (await each.post(f"{home.remote}/join", json={"token": home.token})).status == 200
            assert (await other.delete(phone.location)).status == 403
            assert (await http.delete(phone.location)).status == 204

    at_home(tmp_path, body)


def test_a_viewers_reports_do_not_name_the_recording(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    async def body(home: House) -> None:
        async with home.joined() as owner, home.joined("viewer") as http, calling(owner, home.remote, frames) as phone:
            await phone.until(lambda: phone.reports and phone.reports[-1]["recording"]["id"])
            session = phone.location.rpartition("/")[2]
            async with watching(http, home.remote, session, reports=True) as watcher:
                await watcher.tap.until(10)
                seen = [report["recording"] for report in watcher.reports]
            assert seen
            assert seen[-1] == {"state": "on", "folder": "", "id": "", "reason": "", "code": None, "camera": "copied"}

    at_home(tmp_path, body, Settings(recordings=tmp_path / "recordings"))


def test_a_device_has_two_calls_and_the_host_all_that_are_left(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    async def body(home: House) -> None:
        async with home.joined() as http, home.device() as host, AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(calling(http, home.remote, frames, 5))
            third = Phone(frames)
            response = await third.call(http, home.remote)
            assert response.status == 503
            assert "of this device" in await response.text()
            assert response.headers["Retry-After"]
            await third.close()
            for _ in range(2):
                await stack.enter_async_context(calling(host, home.local, frames, 5))
            assert len(home.sessions) == 4

    at_home(tmp_path, body)


def test_refusals_are_immediate_and_do_not_interrupt_a_stream(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    async def body(home: House) -> None:
        async with home.device() as host, AsyncExitStack() as stack:
            running = await stack.enter_async_context(calling(host, home.local, frames))
            for _ in range(7):
                await stack.enter_async_context(calling(host, home.local, frames, 2))
            cookie = {"Cookie": f"{COOKIE}={home.lan.credentials.cookie('phone')}"}
            await running.until(lambda: len(running.pictures) >= 10)
            for name, (ask, status, words) in REFUSALS.items():
                async with home.device() as http:
                    seen, began = len(running.pictures), time.perf_counter()
                    response = await ask(http, home, cookie)
                    text = await response.text()
                    elapsed = time.perf_counter() - began
                assert (response.status, name) == (status, name), text
                assert words in text, name
                assert HEADERS.items() <= response.headers.items(), name
                assert elapsed < 2, name  # a busy machine; `make bench` measures it
                await running.until(lambda seen=seen: len(running.pictures) > seen + 2)
            assert len(home.sessions) == 8

    at_home(tmp_path, body)


def test_a_camera_that_sends_nothing_is_reported_as_stalled(tmp_path: Path, frames: list[EncodedFrame]) -> None:
    async def body(home: House) -> None:
        async with home.joined() as http, calling(http, home.remote, frames) as phone:
            await phone.until(lambda: len(phone.reports) >= 5)
            phone.camera.running.clear()
            await phone.until(lambda: phone.reports[-1]["state"] == "stalled")
            phone.camera.running.set()
            await phone.until(lambda: phone.reports[-1]["state"] != "stalled")

    at_home(tmp_path, body, Settings(limits=Limits(stalled_after_s=0.5)))
