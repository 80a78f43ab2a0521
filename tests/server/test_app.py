"""The HTTP application: each bad request gets its code and a sentence, and every response the headers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import ClientResponse, ClientSession
from aiohttp.test_utils import TestServer

from tests.support.clients.camera_client import Phone
from tests.support.films import media_samples
from tests.support.models.engines import fast
from whycam.stream.server import auth
from whycam.stream.server.app import make_app
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.webrtc.sdp import MAX_BYTES

SDP = {"Content-Type": "application/sdp"}
Ask = Callable[[ClientSession, str], Awaitable[ClientResponse]]


def answer(folder: Path, ask: Ask) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of the response to one request."""
    engine = fast(folder)

    async def run() -> tuple[int, str, dict[str, str]]:
        async with TestServer(make_app(Sessions(engine, Settings()))) as server, ClientSession() as http:
            response = await ask(http, str(server.make_url("")).rstrip("/"))
            return response.status, await response.text(errors="replace"), dict(response.headers)

    try:
        return asyncio.run(run())
    finally:
        engine.close()


def get(path: str, **headers: str) -> Ask:
    return lambda http, base: http.get(base + path, headers=headers)


def post(body: bytes | str, **headers: str) -> Ask:
    return lambda http, base: http.post(f"{base}/call", data=body, headers=SDP | headers)


async def _cut_offer(http: ClientSession, base: str) -> ClientResponse:
    """A good offer without its transport attributes; aiortc fails while it answers."""
    phone = Phone(media_samples.encoded("H264", 2))
    offer = await phone.offer()
    await phone.close()
    bad = "\r\n".join(line for line in offer.splitlines() if not line.startswith(("a=mid", "a=ice", "a=setup")))
    return await http.post(f"{base}/call", data=bad, headers=SDP)


BAD_REQUESTS: dict[str, tuple[Ask, int, str]] = {
    "not an offer": (post("hello"), 400, "v=0"),
    "an empty body": (post(""), 400, "v=0"),
    "an offer that the parser cannot read": (post("v=0\r\nm=video x\r\n"), 400, "cannot be read"),
    "an offer without media": (post("v=0\r\n"), 400, "video"),
    "a bundle of nothing": (post("v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"), 400, ""),
    "an offer cut short": (lambda http, base: _cut_offer(http, base), 400, ""),
    "not UTF-8": (post(b"v=0\xff\xfe"), 400, "UTF-8"),
    "a large offer": (post("v=0\r\n" + "a" * MAX_BYTES), 413, str(MAX_BYTES)),
    "a mebibyte": (post("v=0\r\n" * 200_000), 413, str(MAX_BYTES)),
    "many ssrc lines": (post("v=0\r\n" + "a=ssrc:1 cname:x\r\n" * 65), 413, "65 lines"),
    "JSON": (lambda http, base: http.post(f"{base}/call", json={"sdp": ""}), 415, "application/sdp"),
    "another host's name": (lambda http, base: http.get(base, headers={"Host": "evil.example"}), 421, "localhost"),
    "another site's write": (post("v=0", Origin="https://evil.example"), 403, "another web site"),
    "a cross-site fetch": (post("v=0", **{"Sec-Fetch-Site": "cross-site"}), 403, "another web site"),
    "an unknown call": (lambda http, base: http.delete(f"{base}/call/none"), 404, "no such call"),
    "a file outside": (lambda http, base: http.get(f"{base}/static/..%2fpyproject.toml"), 404, ""),
    "an unknown page": (lambda http, base: http.get(f"{base}/nothing"), 404, "nothing at this address"),
    **{
        f"a date out of range, in {field}": (
            get("/static/phone/main.js", Range="bytes=0-9", **{field: f"Mon, 01 Jan {'9' * 30} 00:00:00 GMT"}),
            400,
            "out of range",
        )
        for field in ("If-Modified-Since", "If-Unmodified-Since", "If-Range")
    },
    "an odd expectation": (get("/", Expect="a miracle"), 417, "miracle"),
    "a wrong method": (lambda http, base: http.put(f"{base}/call"), 405, "It accepts GET, OPTIONS, POST."),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_bad_request_gets_its_code_and_a_sentence(tmp_path: Path, name: str) -> None:
    ask, status, words = BAD_REQUESTS[name]
    got, text, headers = answer(tmp_path, ask)
    assert got == status, text
    assert words in text
    assert "Traceback" not in text
    assert auth.HEADERS.items() <= headers.items()


def test_an_unknown_address_names_the_pages(tmp_path: Path) -> None:
    async def ask(http: ClientSession, base: str) -> ClientResponse:
        response = await http.get(f"{base}/nothing")
        assert f"The camera's page is {base}/, the projector's {base}/watch." in await response.text()
        return response

    assert answer(tmp_path, ask)[0] == 404


@pytest.mark.parametrize("path", ["/", "/static/phone/main.js", "/static/shared/base.css", "/healthz"])
def test_the_page_and_its_files_come_with_the_headers(tmp_path: Path, path: str) -> None:
    status, text, headers = answer(tmp_path, lambda http, base: http.get(base + path))
    assert status == 200
    assert text
    assert auth.HEADERS.items() <= headers.items()


@pytest.mark.parametrize("page", ["/watch", "/recordings"])
def test_a_missing_page_is_a_404_with_a_sentence(tmp_path: Path, page: str) -> None:
    status, text, headers = answer(tmp_path, get(page))
    if (Path(__file__).parents[2] / "web" / f"{page[1:]}.html").is_file():
        assert (status, headers["Content-Type"]) == (200, "text/html")
    else:
        assert (status, text) == (404, "This page is not part of this version of whycam.")


def test_the_host_gets_the_servers_health(tmp_path: Path) -> None:
    status, text, _ = answer(tmp_path, get("/healthz"))
    assert status == 200
    health = json.loads(text)
    assert health.pop("tasks") > 0
    assert health.pop("loop_lag_ms").keys() == {"p99", "worst"}
    assert health == {
        "status": "ok",
        "problems": [],
        "model": "bright spot",
        "engine": "running",
        "engine_restarts": 0,
        "sessions": 0,
        "viewers": 0,
        "disk_free": None,
    }


def test_without_a_lan_the_host_reads_how_to_open_one(tmp_path: Path) -> None:
    status, text, _ = answer(tmp_path, get("/api/join"))
    assert status == 200
    assert json.loads(text)["urls"] == []
    assert "serve --lan" in json.loads(text)["says"]
    for path in ("/api/join.svg", "/certificate"):
        assert answer(tmp_path, get(path))[0] == 404


def test_the_models_classes_are_listed_by_name(tmp_path: Path) -> None:
    status, text, _ = answer(tmp_path, get("/api/labels"))
    assert status == 200
    assert json.loads(text) == ["red", "green", "blue"]


def test_every_file_that_the_page_names_is_served(tmp_path: Path) -> None:
    web = Path(__file__).parents[2] / "web"
    for path in (path for path in web.rglob("*") if path.is_file()):
        name = path.relative_to(web).as_posix()
        status, _, _ = answer(tmp_path, get(f"/static/{name}"))
        assert status == 200, name


def test_an_internal_error_is_a_500_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **_kept: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Sessions, "start", broken)
    status, text, headers = answer(tmp_path, post("v=0"))
    assert (status, text) == (500, "The server failed; its log has the details.")
    assert auth.HEADERS.items() <= headers.items()
    assert "ZeroDivisionError" in caplog.text


def test_local_names_in_an_offer_do_not_delay_the_answer(tmp_path: Path) -> None:
    async def ask(http: ClientSession, base: str) -> ClientResponse:
        phone = Phone(media_samples.encoded("H264", 2))
        offer = await phone.offer()
        await phone.close()
        host = next(line for line in offer.splitlines() if line.startswith("a=candidate:"))
        hidden = offer.replace("127.0.0.1", "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0.local")
        assert hidden != offer
        assert ".local" in hidden.replace(host, "")
        return await asyncio.wait_for(http.post(f"{base}/call", data=hidden, headers=SDP), 1.0)

    assert answer(tmp_path, ask)[0] == 201


def test_a_request_for_a_file_does_not_look_through_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(http: ClientSession, base: str) -> ClientResponse:
        monkeypatch.setattr(Path, "rglob", None)
        return await http.get(f"{base}/static/phone/main.js")

    assert answer(tmp_path, ask)[0] == 200


def test_an_error_that_the_loop_repeats_fills_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("a packet that nothing expects")

    async def ask(http: ClientSession, base: str) -> ClientResponse:
        for _ in range(200):
            asyncio.get_running_loop().call_soon(fail)
        return await http.get(base)

    assert answer(tmp_path, ask)[0] == 200
    assert len([record for record in caplog.records if "RuntimeError" in record.getMessage()]) == 1
