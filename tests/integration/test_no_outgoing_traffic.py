"""No request leaves the computer: whycam runs in a namespace whose only route out is monitored."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

from aiohttp import ClientSession

from tests.support import ROOT
from tests.support.clients.camera_client import calling
from tests.support.clients.whep_client import watching
from tests.support.films import media_samples
from tests.support.network_namespaces import NOWHERE, Listener, Namespace, namespace
from tests.support.servers.server_process import free_port, serving

HOST = "10.77.0.1"
ORT_CALLS_S = 12
"""onnxruntime 1.32 contacts its vendor ten seconds after its import."""


def send_something(to: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", (to, 9))


def command(there: Namespace, *arguments: str) -> None:
    done = subprocess.run(
        [*there.prefix, sys.executable, "-m", "whycam", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_outgoing_packets_would_be_seen() -> None:
    with namespace(HOST) as there:
        listener = Listener(there)
        there.run(lambda: send_something(NOWHERE))
        there.run(lambda: send_something("224.0.0.251"))
        there.run(lambda: send_something(HOST))  # the namespace itself
        assert [packet[16:20] for packet in listener.close()] == [
            socket.inet_aton(NOWHERE),
            socket.inet_aton("224.0.0.251"),
        ]


def test_a_call_a_viewer_a_recording_and_every_command_send_nothing_outside(tmp_path: Path) -> None:
    frames = media_samples.encoded("H264", 60, (160, 120))
    media_samples.write(tmp_path / "kitchen.mov", count=5)
    port = free_port()

    async def call(url: str) -> None:
        async with ClientSession() as http, calling(http, url, frames) as phone:
            await phone.until(lambda: len(phone.pictures) >= 30)
            async with watching(http, url, phone.location.rpartition("/")[2]) as watcher:
                await watcher.tap.until(30)
            for path in ("/", "/healthz", "/metrics", "/api/sessions", "/api/join", "/api/join.svg", "/help"):
                assert (await http.get(url + path)).status == 200, path
            await http.delete(phone.location)

    with namespace(HOST) as there:
        listener = Listener(there)
        config = str(tmp_path / "config")
        lan = ["--lan", "--lan-port", str(free_port()), "--config", config, "--keep", "7d"]
        with serving(tmp_path, arguments=lan, port=port, inside=there.prefix) as server:
            assert f"https://{HOST}" in server.invitation
            there.run(lambda: asyncio.run(call(f"http://127.0.0.1:{port}")))
        assert list(server.recordings.iterdir())
        command(there, "process", str(tmp_path / "kitchen.mov"))
        command(there, "doctor", "--port", str(port), "--config", config, "--recordings", str(server.recordings))
        command(there, "models")
        assert listener.close() == []


def test_onnxruntime_sends_nothing(tmp_path: Path) -> None:
    """Whichever imports it first: the server in its model's process, the library, or an export."""
    program = f"import {{}}, time, onnxruntime; time.sleep({ORT_CALLS_S})"
    with namespace(HOST) as there:
        listener = Listener(there)
        running = [
            subprocess.Popen([*there.prefix, sys.executable, "-c", program.format(name)], cwd=ROOT)
            for name in ("whycam", "whycam.export.precision.int8", "whycam.stream.inference.explainer", "models")
        ]
        with serving(tmp_path, inside=there.prefix):
            assert [process.wait(60) for process in running] == [0, 0, 0, 0]
        assert listener.close() == []
