"""Slowloris: hundreds of clients that send a byte a second and never end a request delay no other client."""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from tests.support import ROOT
from tests.support.clients.camera_client import calling
from tests.support.films import media_samples
from tests.support.models import tiny_models
from tests.support.resources import held
from tests.support.servers.server_process import READY, Server, free_port, lan_arguments, serving
from whycam.stream.server import listener

pytestmark = pytest.mark.alone
FRAMES = media_samples.encoded("H264", 60, (160, 120))
BEGINS = {
    "phones": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    "host": b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
}
AGAIN_S = 1.0
"""Seconds until a closed client connects again."""


async def attack(port: int, begins: bytes, count: int, seconds: float) -> None:
    """Run `count` slow clients, each from its own address, for `seconds`; prints the number of connections."""
    connected = 0

    async def drip(address: str) -> None:
        nonlocal connected
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        connected += 1
        try:
            for place in range(1000):
                writer.write(begins[place : place + 1] or b"x")
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        if not await reader.read(1000):
                            return
        finally:
            writer.transport.abort()

    async def come(address: str) -> None:
        while True:
            with suppress(OSError):
                await drip(address)
            await asyncio.sleep(AGAIN_S)

    crowd = [asyncio.create_task(come(f"127.9.{n // 250}.{n % 250 + 1}")) for n in range(count)]
    await asyncio.sleep(seconds)
    print(connected, flush=True)
    for each in crowd:
        each.cancel()


async def asked(http: ClientSession, url: str) -> float | None:
    """Seconds until the answer to a new connection; None if there is none."""
    start = time.monotonic()
    with suppress(ClientError, TimeoutError):
        async with http.get(url, timeout=ClientTimeout(5), headers={"Connection": "close"}) as answer:
            await answer.read()
            assert answer.status == 200
            return time.monotonic() - start
    return None


async def attacked(
    server: Server, lan: str, trust: ssl.SSLContext, listener_name: str, count: int, seconds: float
) -> None:
    """Attack a server with `count` slow clients during a call, while the host reads its health and a phone joins."""
    port = int((lan if listener_name == "phones" else server.url).rpartition(":")[2])
    async with (
        ClientSession(connector=TCPConnector(ssl=trust)) as http,
        calling(http, server.url, FRAMES) as phone,
    ):
        await phone.until(lambda: len(phone.reports) >= 30)
        before = held(server)
        program = "import asyncio\nfrom tests.long.test_loris import *\n"
        program += f"asyncio.run(attack({port}, BEGINS['{listener_name}'], "
        crowd = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", f"{program}{count}, {seconds}))"), cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert crowd.stdout is not None
        health, joins = [], []
        highest = 0
        seen, start = len(phone.reports), time.monotonic()
        while time.monotonic() - start < seconds:
            await asyncio.sleep(0.25)
            health.append(await asked(http, f"{server.url}/healthz"))
            joins.append(await asked(http, f"{lan}/join"))
            highest = max(highest, psutil.Process(server.process.pid).num_fds())
        rate = (len(phone.reports) - seen) / (time.monotonic() - start)
        connected = int(await crowd.stdout.readline())
        assert await crowd.wait() == 0
        await asyncio.sleep(3)
        after = held(server)
    times = sorted(each for each in health if each is not None)
    let_in = sum(each is not None for each in joins)
    print(
        f"{count} at the listener for {listener_name} connected {connected} times; {highest} descriptors at most; "
        f"{rate:.1f} frames/s; health {len(times)} of {len(health)} times, in {times[len(times) // 2]:.3f} s, "
        f"{times[-1]:.3f} s at most; "
        f"{let_in} of {len(joins)} phones were accepted\nbefore: {before}\nafter:  {after}"
    )
    assert connected >= count
    assert highest < before.descriptors + listener.MAX_CONNECTIONS + listener.MAX_CLOSING + 20
    assert len(times) == len(health)
    assert rate > 10
    assert abs(after.descriptors - before.descriptors) <= 3
    assert abs(after.tasks - before.tasks) <= 3
    assert after.mebibytes - before.mebibytes < 50  # asyncio reserves 256 KiB for each TLS handshake


def attack_server(folder: Path, listener_name: str, count: int, seconds: float) -> None:
    port = free_port()
    arguments = ["--model", str(tiny_models.bright_spot(folder / "bright.onnx")), *lan_arguments(folder, port)]
    with serving(folder, arguments=arguments) as server:
        trust = ssl.create_default_context(cafile=str(folder / "config" / "authority.crt"))
        asyncio.run(attacked(server, f"https://127.0.0.1:{port}", trust, listener_name, count, seconds))
    assert len(server.log.read_text().partition(READY)[2].splitlines()) < 10


@pytest.mark.long
@pytest.mark.parametrize("listener_name", ["phones", "host"])
def test_slow_clients_delay_no_other_client(tmp_path: Path, listener_name: str) -> None:
    attack_server(tmp_path, listener_name, 200, 4)


@pytest.mark.long
@pytest.mark.parametrize("listener_name", BEGINS)
def test_five_hundred_slow_clients_delay_no_other_client_for_a_minute(tmp_path: Path, listener_name: str) -> None:
    attack_server(tmp_path, listener_name, 500, 60)
