"""`--ice-server`: a STUN server tells the server its address, and a call goes through a TURN server's relay."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from aiohttp import ClientSession

from tests.support import ROOT
from tests.support.clients.whep_client import watching
from tests.support.clients.whip_client import SDP, Publisher
from tests.support.films import media_samples
from tests.support.network_namespaces import namespace
from tests.support.processes import until
from tests.support.servers.server_process import serving
from tests.support.servers.turn_server import PORT, SECRET, USER, relaying

ADDRESS = "10.77.0.9"
FRAMES = media_samples.encoded("H264", 60, (160, 120), keyframes=(30,))


async def published(base: str, *, only_relayed: bool = False) -> str:
    """Publish and watch half a second of video; returns the answer to the publisher.

    `only_relayed`: the publisher's network carries packets of the relay only.
    """
    async with ClientSession() as http:
        publisher = Publisher(FRAMES, address=ADDRESS)
        try:
            offer, admitted = await publisher.offer(), set[tuple[str, int]]()
            if only_relayed:
                admit_only(publisher, admitted)
            response = await http.post(f"{base}/whip", data=offer, headers=SDP)
            answer = await response.text()
            assert response.status == 201, answer
            publisher.location = base + response.headers["Location"]
            if only_relayed:
                ((relay, port),) = candidates(answer, "relay")
                answer = "\r\n".join(line for line in answer.splitlines() if " typ host" not in line) + "\r\n"
                admitted.add((relay, int(port)))
            await publisher.apply(answer)
            async with watching(http, base, publisher.session_id) as watcher:
                await watcher.tap.until(15)
            assert (await http.delete(publisher.location)).status == 200
        finally:
            await publisher.close()
    return answer


def candidates(answer: str, kind: str) -> list[tuple[str, str]]:
    """Addresses and ports of the answer's candidates of this type."""
    return re.findall(rf"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ {kind}", answer)


def admit_only(publisher: Publisher, sources: set[tuple[str, int]]) -> None:
    """Drop the packets that reach a publisher from elsewhere, as a router would."""
    (protocol,) = publisher.pc.getTransceivers()[0].receiver.transport.transport._connection._protocols
    receive = protocol.datagram_received
    protocol.datagram_received = lambda data, address: receive(data, address) if address in sources else None


def test_a_stun_server_gives_the_server_its_address(tmp_path: Path) -> None:
    stun = [sys.executable, "-m", "tests.support.servers.stun_server", ADDRESS, "3478"]
    with (
        namespace(ADDRESS) as there,
        subprocess.Popen([*there.prefix, *stun], cwd=ROOT, stdout=subprocess.PIPE, text=True) as asked,
    ):
        assert asked.stdout is not None
        assert asked.stdout.readline() == "ready\n"
        arguments = ["--ice-address", ADDRESS, "--ice-server", f"stun:{ADDRESS}:3478"]
        with serving(tmp_path, arguments=arguments, inside=there.prefix) as server:
            answer = there.run(lambda: asyncio.run(published(server.url)))
        asked.terminate()
        assert f"asked by {ADDRESS}" in asked.stdout.read()
    assert candidates(answer, "host") == candidates(answer, "srflx")
    assert [address for address, _ in candidates(answer, "srflx")] == [ADDRESS]


def test_a_call_goes_through_a_turn_servers_relay(tmp_path: Path) -> None:
    with namespace(ADDRESS) as there, relaying(there, tmp_path) as log:
        arguments = ["--ice-address", ADDRESS, "--ice-server", f"turn:{USER}:{SECRET}@{ADDRESS}:{PORT}"]
        with serving(tmp_path, arguments=arguments, inside=there.prefix) as server:
            answer = there.run(lambda: asyncio.run(published(server.url, only_relayed=True)))
        until(lambda: log.read_text().count("peer usage:") >= 2)  # of the publisher and the viewer, a second later
    assert len(candidates(answer, "relay")) == 1
    from_publisher = [int(count) for count in re.findall(r"peer usage:.*\brp=(\d+)", log.read_text())]
    assert max(from_publisher) > 15, "packets came another way"
