"""Without `--lan` media uses this computer's addresses, for browsers that avoid loopback, and nobody else gets in."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp import ClientSession
from aioice import stun

from tests.support.clients.camera_client import Phone
from tests.support.clients.stun_check import check
from tests.support.films import media_samples
from tests.support.netem import SERVER, Network, Weather, bad_network
from tests.support.servers.server_process import Server, free_port, serving

FRAMES = media_samples.encoded("VP8", 30, (160, 120))
CLIENT_HELLO = bytes.fromhex("16 fefd 0000 000000000000 0010 01 000004 0000 000000 000004 fefd 0000".replace(" ", ""))
"""The beginning of DTLS."""


def answers_to(packets: Sequence[bytes], to: tuple[str, int]) -> list[bytes]:
    """What comes back for these packets within half a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.settimeout(0.5)
        for packet in packets:
            stranger.sendto(packet, to)
        received = []
        try:
            while True:
                received.append(stranger.recv(2048))
        except TimeoutError:
            return received


def strangers_answers(network: Network, server: Server) -> tuple[set[str], list[bytes]]:
    """The answer's addresses in a call of this computer, and what a stranger's packets got during it."""

    async def call() -> tuple[set[str], list[bytes]]:
        async with ClientSession() as http:
            phone = Phone(FRAMES, address=SERVER)
            try:
                assert (await phone.call(http, server.url)).status == 201
                await phone.until(lambda: len(phone.pictures) >= 10)
                offer, answer = phone.pc.localDescription.sdp, phone.pc.remoteDescription.sdp
                ports = dict(re.findall(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", answer))
                packets, to = [check(offer, answer), CLIENT_HELLO], (SERVER, int(ports[SERVER]))
                received = await asyncio.to_thread(network.client.run, lambda: answers_to(packets, to))
                before = len(phone.pictures)
                await phone.until(lambda: len(phone.pictures) >= before + 10)
                return set(ports), received
            finally:
                await phone.close()

    return network.server.run(lambda: asyncio.run(call()))


def test_another_computers_packets_are_refused_on_this_computers_own_address(tmp_path: Path) -> None:
    with bad_network(Weather()) as network, serving(tmp_path, inside=network.server.prefix) as server:
        assert strangers_answers(network, server) == ({SERVER, "127.0.0.1"}, [])


def test_where_an_address_is_named_another_computers_check_is_answered(tmp_path: Path) -> None:
    """So the test above can fail."""
    arguments = ["--ice-address", SERVER]
    with (
        bad_network(Weather()) as network,
        serving(tmp_path, inside=network.server.prefix, arguments=arguments) as server,
    ):
        addresses, received = strangers_answers(network, server)
    assert addresses == {SERVER}
    assert stun.Class.RESPONSE in {stun.parse_message(each).message_class for each in received}


def test_the_page_stays_on_loopback(tmp_path: Path) -> None:
    port = free_port()
    with bad_network(Weather()) as network, serving(tmp_path, inside=network.server.prefix, port=port):
        for space in (network.server, network.client):
            with pytest.raises(ConnectionRefusedError):
                space.run(lambda: socket.create_connection((SERVER, port), 3))
