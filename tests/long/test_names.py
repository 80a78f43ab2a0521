"""Odd paths stay inside their folder, and no name from an offer or command gets on the disk."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aiortc import RTCSessionDescription

from tests.support.clients.camera_client import Phone
from tests.support.clients.whip_client import SDP
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.servers.calls import served
from whycam.stream.recording.containers import BY_SUFFIX
from whycam.stream.server.app import make_app, running
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings

ROUTES = ("GET /static/", "GET /api/recordings/", "DELETE /api/recordings/", "DELETE /call/", "POST /whep/", "GET /")
PARTS = (
    *("..", ".", "...", "%2e%2e", "%252e%252e", "..%00", "..;", "%c0%ae%c0%ae", "~", "~root", "C:", "\\\\host\\share"),
    *(
        "etc",
        "passwd",
        "pyproject.toml",
        "session.json",
        "secret.txt",
        "recordings",
        "CON",
        "nul",
        "phone/main.js",
        "x" * 300,
    ),
    *("2026-11-22_21-03-55_1f3a9c", "$HOME", "`id`", "*", "%0d%0aX-Bad: 1", "%ff%fe", "%E2%80%AE", "%F0%9F%93%B7"),
)
SEPARATORS = ("/", "//", "%2f", "%252f", "\\", "%5c", "%c0%af")
SECRET = "no client may read this"
PAGES = re.compile(r"GET /static/phone/main\.js.*|GET /recordings")
"""Existing pages; an odd spelling of an existing name is harmless."""
OURS = re.compile(
    r"bright\.onnx|secret\.txt|recordings(/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-f]+"
    rf"(/((camera|explained)-\d{{3}}({'|'.join(map(re.escape, BY_SUFFIX))})|predictions\.jsonl|session\.json))?)?"
)


def odd(chance: random.Random) -> str:
    """A random path that may lead outside its folder."""
    parts = [chance.choice(PARTS) for _ in range(chance.randint(1, 8))]
    return "".join(part + chance.choice(SEPARATORS) for part in parts).rstrip("/") or "x"


async def ask(port: int, request: str) -> tuple[int, bytes]:
    """The answer to a request that is sent unchanged: a client library would normalise the path."""
    method, path = request.split(" ", 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    writer.write(head.encode("utf-8", "surrogateescape"))
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    status, _, _ = answer.partition(b"\r\n")
    return int(status.split()[1]), answer


def tried(folder: Path, count: int, seed: int) -> Counter[int]:
    """The status counts of requests with `count` odd names."""
    chance = random.Random(seed)
    (folder / "secret.txt").write_text(SECRET)
    (folder / "recordings").mkdir()
    engine = fast(folder)
    answers: Counter[int] = Counter()

    async def run() -> None:
        app = make_app(Sessions(engine, Settings(recordings=folder / "recordings")))
        async with running(app) as connections:
            port = await connections.listen("127.0.0.1", 0, max_per_address=64)
            for number in range(count):
                request = ROUTES[number % len(ROUTES)] + odd(chance)
                status, answer = await ask(port, request)
                answers[status] += 1
                assert 400 <= status < 500 or (status == 200 and PAGES.fullmatch(request)), request
                for secret in (SECRET.encode(), b"root:", b"[project]", b"X-Bad"):
                    assert secret not in answer, request

    try:
        asyncio.run(run())
    finally:
        engine.close()
    assert all(OURS.fullmatch(path.relative_to(folder).as_posix()) for path in folder.rglob("*"))
    return answers


def test_odd_names_are_not_found(tmp_path: Path) -> None:
    assert tried(tmp_path, 600, seed=1)[404] > 100


@pytest.mark.long
@pytest.mark.timeout(600)
def test_ten_thousand_odd_names_are_not_found(tmp_path: Path) -> None:
    print(tried(tmp_path, 10_000, seed=2))


def test_nothing_that_a_phone_names_becomes_a_name_on_the_disk(tmp_path: Path) -> None:
    frames = media_samples.encoded("VP8", 60, (64, 48))
    bad = "../../evil"

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        phone = Phone(frames)
        phone.pc.createDataChannel(bad)
        offer = await phone.offer()
        offer = offer.replace("s=-", f"s={bad}").replace("o=- ", f"o={bad} ")
        offer = re.sub(r"cname:\S+", f"cname:{bad}", re.sub(r"a=msid:\S+ \S+", f"a=msid:{bad} {bad}", offer))
        response = await http.post(f"{base}/call", data=offer, headers=SDP | {"X-Name": bad, "User-Agent": bad})
        assert response.status == 201
        await phone.pc.setRemoteDescription(RTCSessionDescription(await response.text(), "answer"))
        await phone.until(lambda: len(phone.reports) >= 5)
        commands: list[dict[str, Any]] = [
            *({"record": bad}, {"hold": [bad]}, {"colormap": bad}, {"scale": bad}),
            *({bad: True}, {"folder": bad}, {"name": bad}),
        ]
        phone.commands.send(json.dumps({"model": bad}))  # for another model than the one that runs: no answer
        for command in commands:
            phone.commands.send(json.dumps(command))
        await phone.until(lambda: len(phone.replies) == len(commands))
        assert all("error" in reply for reply in phone.replies)
        await phone.close()

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    found = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")]
    assert any(name.endswith("session.json") for name in found)
    assert all(OURS.fullmatch(name) for name in found), found
    assert not any("evil" in path.read_text() for path in tmp_path.rglob("*.json*"))
