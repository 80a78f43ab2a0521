"""docs/openapi.yaml lists this application's routes, and a running server answers every request as it describes."""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession, TCPConnector

from tests.support import ROOT
from tests.support.clients.camera_client import Phone, calling
from tests.support.films import media_samples
from tests.support.models import tiny_models
from tests.support.models.engines import fast
from tests.support.recordings.on_disk import record
from tests.support.servers.server_process import Server, free_port, lan_arguments, serving
from whycam.stream.server.app import make_app
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings

DESCRIPTION = ROOT / "docs" / "openapi.yaml"
ROLES = ("host", "phone", "viewer", "stranger")
KEPT = "2026-11-22_21-03-55_1f3a9c0d77e2"
FRAMES = media_samples.encoded("H264", 30, (160, 120))


def described() -> dict[str, Any]:
    read = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    assert isinstance(read, dict)
    return read


def test_every_route_is_described_and_nothing_else(tmp_path: Path) -> None:
    engine = fast(tmp_path)

    async def routes() -> set[tuple[str, str]]:
        app = make_app(Sessions(engine, Settings(recordings=tmp_path)))
        return {
            (route.method, route.resource.canonical)
            for route in app.router.routes()
            if route.resource is not None and route.method != "HEAD"  # implied by each GET
        }

    try:
        there = asyncio.run(routes())
    finally:
        engine.close()
    paths = described()["paths"]
    assert there == {
        (method.upper(), path) for path, item in paths.items() for method in item if method != "parameters"
    }


def test_each_operation_lists_its_roles() -> None:
    operations = [each for item in described()["paths"].values() for each in item.values() if isinstance(each, dict)]
    assert len(operations) > 40
    assert all(set(each["x-roles"]) <= set(ROLES) and "host" in each["x-roles"] for each in operations)


@dataclass(frozen=True)
class Open:
    """A server on a LAN, with recordings, and each role's cookie."""

    server: Server
    lan: str
    authority: Path
    cookies: dict[str, str]

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def url(self, role: str) -> str:
        return self.server.url if role == "host" else self.lan

    def join(self, role: str, token: str) -> None:
        body, headers = json.dumps({"token": token}).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.lan}/join", body, headers)
        with urllib.request.urlopen(request, context=self.trust) as answer:
            self.cookies[role] = answer.headers["Set-Cookie"].partition(";")[0]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    folder = tmp_path_factory.mktemp("home")
    for number in range(4):
        record(folder / "recordings" / KEPT.replace("d77e2", f"d77e{number}"))
    port = free_port()
    model = ["--model", str(tiny_models.bright_spot(folder / "bright.onnx"))]
    with serving(folder, arguments=[*model, *lan_arguments(folder, port)]) as server:
        running = Open(server, f"https://127.0.0.1:{port}", folder / "config" / "authority.crt", {})
        for role, token in json.loads((folder / "config" / "access.json").read_text())["tokens"].items():
            running.join(role, token)  # before any wrong token is sent
        yield running
    assert "Traceback" not in server.log.read_text()


async def make_room(home: Open, http: ClientSession) -> None:
    """End the sessions of earlier offers."""
    for session in await (await http.get(f"{home.server.url}/api/sessions")).json():
        assert (await http.delete(f"{home.server.url}/call/{session['id']}")).status == 204


async def ask(home: Open, role: str, folder: Path, *arguments: str, late_s: float) -> Counter[int]:
    """Run schemathesis in a role while a phone is in a call; the number of answers by status."""
    offering = Phone(FRAMES)
    offer = await offering.offer()
    await offering.close()
    (folder / "offer.sdp").write_text(offer, newline="")
    own = {"Cookie": home.cookies["phone"]} if role == "phone" else {}
    async with ClientSession(connector=TCPConnector(ssl=home.trust), headers=own) as http:
        await make_room(home, http)
        # In the role of a phone, requests are for its own call.
        async with calling(http, home.url("phone" if own else "host"), FRAMES, 10) as phone:
            await phone.until(lambda: phone.reports)
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-m",
                    "schemathesis.cli",
                    "--config-file",
                    str(ROOT / "tests" / "support" / "servers" / "schemathesis.toml"),
                ),
                *("run", str(DESCRIPTION), "--url", home.url(role), "--no-color", "--continue-on-failure"),
                *("--generation-with-security-parameters", "false", "--tls-verify", str(home.authority)),
                *(("--header", f"Cookie: {home.cookies[role]}") if role in home.cookies else ()),
                *arguments,
                cwd=folder,
                env=os.environ
                | {
                    "PYTHONPATH": str(ROOT),
                    "WHYCAM_ROLE": role,
                    "WHYCAM_ANSWERS": str(folder / "answers.jsonl"),
                    "WHYCAM_OFFER": str(folder / "offer.sdp"),
                    "WHYCAM_LATE_S": str(late_s),
                    "WHYCAM_SESSION": phone.reports[-1]["session"],
                    "WHYCAM_RECORDING": KEPT,
                },
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said, _ = await process.communicate()
            assert process.returncode == 0, said.decode()
            seen = len(phone.reports)
            await phone.until(lambda: len(phone.reports) >= seen + 10)  # the call continues after any request
    answers = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    slowest = max(answers, key=lambda answer: float(answer["s"]))
    counted = Counter(answer["status"] for answer in answers)
    print(f"{role}: {len(answers)} cases, {dict(counted)}, the slowest {slowest}")
    return counted


@pytest.mark.parametrize("role", ["host", *(pytest.param(each, marks=pytest.mark.long) for each in ROLES[1:])])
def test_a_running_server_answers_as_described(home: Open, role: str, tmp_path: Path) -> None:
    counted = asyncio.run(ask(home, role, tmp_path, "--max-examples", "4", "--seed", "1", late_s=5))
    assert sum(counted.values()) > 300
    assert counted[200] > 20


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("role", ROLES)
def test_a_running_server_answers_as_described_for_ten_minutes(home: Open, role: str, tmp_path: Path) -> None:
    seconds = 300 if role == "host" else 100
    asyncio.run(
        ask(home, role, tmp_path, "--max-time", str(seconds), "--seed", str(random.randrange(10**6)), late_s=0.1)
    )
