"""Shutdown: SIGTERM and Ctrl-C finish all files within five seconds, a second signal ends at once."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientSession

from tests.support.clients.camera_client import calling
from tests.support.clients.whep_client import watching
from tests.support.films import media_samples
from tests.support.models import tiny_models
from tests.support.processes import is_gone, stopped, until
from tests.support.recordings.recorded_sessions import boxes, check_equations
from tests.support.servers.server_process import Server, serving

FRAMES = media_samples.encoded("H264", 60, (160, 120))
SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


def model(folder: Path) -> list[str]:
    return ["--model", str(tiny_models.bright_spot(folder / "bright.onnx"))]


def linger(server: Server) -> socket.socket:
    """A client that announces an offer and never completes it."""
    guest = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
    head = "POST /call HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: 1000\r\n\r\nv=0"
    guest.sendall(head.encode())
    return guest


@SIGNALS
def test_one_signal_finishes_the_files_in_five_seconds_despite_clients(tmp_path: Path, number: signal.Signals) -> None:
    async def end(server: Server) -> float:
        async with ClientSession() as http, calling(http, server.url, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 40)
            async with watching(http, server.url, phone.location.rpartition("/")[2], reports=True) as watcher:
                await watcher.tap.until(5)
                start = time.monotonic()
                server.process.send_signal(number)
                code = await asyncio.to_thread(server.process.wait, 10)
                took = time.monotonic() - start
                assert code == 0
                assert [reply["ended"]["code"] for reply in phone.replies] == ["server-ends"]
                assert watcher.reports[-1] == phone.replies[-1]
                return took

    with serving(tmp_path, arguments=model(tmp_path)) as server:
        with linger(server):
            took = asyncio.run(end(server))
        print(f"{number.name}: {took:.2f} s")
        assert took <= 5
    (folder,) = server.recordings.iterdir()
    note = json.loads((folder / "session.json").read_text())
    assert (note["state"], note["status"]["state"]) == ("ended", "on")
    check_equations(folder, note)
    assert b"moof" not in boxes(folder / "explained-000.mp4")
    assert "ended after" in server.log.read_text()


def test_a_model_that_hangs_delays_the_end_by_less_than_five_seconds(tmp_path: Path) -> None:
    async def end(server: Server) -> float:
        (child,) = psutil.Process(server.process.pid).children()
        async with ClientSession() as http, calling(http, server.url, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 20)
            with stopped(child.pid):
                await asyncio.sleep(0.3)
                start = time.monotonic()
                server.process.terminate()
                assert await asyncio.to_thread(server.process.wait, 10) == 0
                return time.monotonic() - start

    with serving(tmp_path, arguments=model(tmp_path)) as server:
        took = asyncio.run(end(server))
    print(f"{took:.2f} s")
    assert took <= 5
    (folder,) = server.recordings.iterdir()
    assert json.loads((folder / "session.json").read_text())["state"] == "ended"


@SIGNALS
def test_a_second_signal_ends_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    async def end(server: Server) -> None:
        (child,) = psutil.Process(server.process.pid).children()
        async with ClientSession() as http, calling(http, server.url, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 20)
            with stopped(child.pid):
                server.process.send_signal(number)
                await asyncio.sleep(0.1)
                assert server.process.poll() is None  # it is busy with the first one
                start = time.monotonic()
                server.process.send_signal(number)
                code = await asyncio.to_thread(server.process.wait, 10)
                assert time.monotonic() - start < 1
                assert code in (128 + number, -number)
            until(lambda: is_gone(child.pid), 5)

    with serving(tmp_path, arguments=model(tmp_path)) as server:
        asyncio.run(end(server))
