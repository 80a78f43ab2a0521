"""Whoever joined cannot aim the server's packets: what an offer makes leave for others is counted on the wire."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar, TCPConnector

from tests.support.clients.camera_client import Phone
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.netem import CLIENT, Network, Weather, bad_network
from tests.support.processes import until
from tests.support.servers.calls import served
from tests.support.servers.server_process import Server, free_port, serving
from whycam.stream.sessions.registry import HOST, Owner, Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.video.codec import CodecName
from whycam.stream.webrtc.ice import amplification_limit, candidates

SDP = {"Content-Type": "application/sdp"}
ROUTES = {"/call": "sendrecv", "/whip": "sendonly", "/whep": "recvonly"}
LAN = [f"192.168.7.{number}" for number in range(1, 17)]
OUTSIDE = [f"203.0.113.{number}" for number in range(1, 17)]
FRAMES = media_samples.encoded("VP8", 30, (160, 120))
SOON_S, LATE_S = 1.0, 4.0
"""A check is sent at 0, 0.5, 1.5 and 3.5 s, and three times more; a call without a camera is ended at 13 s."""


@dataclass
class Aimed:
    """What left for addresses that never asked: packets and bytes of each, IP headers and fragments included."""

    packets: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)

    def see(self, packet: bytes) -> None:
        to = socket.inet_ntoa(packet[16:20])
        if packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_UDP and to in (*LAN, *OUTSIDE):
            self.packets[to] += 1
            self.sizes[to] += len(packet)


def offer(direction: str, addresses: Sequence[str], *, letters: int = 4, port: int = 5000) -> str:
    """A small offer that is in order, with a candidate at each address."""
    lines = [
        *("v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "m=video 9 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 0.0.0.0"),
        *("a=mid:0", "a=rtpmap:96 VP8/90000", f"a={direction}", "a=rtcp-mux", "a=setup:active"),
        *(f"a=ice-ufrag:{'u' * letters}", f"a=ice-pwd:{'p' * 22}", f"a=fingerprint:sha-256 {':'.join(['00'] * 32)}"),
        *(f"a=candidate:{n} 1 udp 1 {address} {port} typ host" for n, address in enumerate(addresses)),
    ]
    return "\r\n".join(lines) + "\r\n"


@dataclass
class Attacker:
    """A device that joined, on the network's other side."""

    http: ClientSession
    base: str
    made: str = ""

    async def aim(self, route: str, sdp: str) -> int:
        """Offer it; returns the status."""
        async with self.http.post(self.base + route, data=sdp, headers=SDP) as response:
            await response.read()
            self.made = response.headers.get("Location", "")
            return response.status

    async def end(self) -> None:
        """End what was made last: a device has two calls at most."""
        if self.made:
            await self.http.delete(self.base + self.made)


@asynccontextmanager
async def joined(server: Server) -> AsyncIterator[Attacker]:
    base, token = server.invitation.split("/#")
    trust = ssl.create_default_context(cafile=str(server.recordings.parent / "config" / "authority.crt"))
    async with ClientSession(connector=TCPConnector(ssl=trust), cookie_jar=CookieJar(unsafe=True)) as http:
        assert (await http.post(f"{base}/join", json={"token": token})).status == 200
        yield Attacker(http, base)


@contextmanager
def attacked(folder: Path, arguments: Sequence[str] = ()) -> Iterator[tuple[Network, Server]]:
    """A server for phones, and the network between it and them."""
    port = free_port()
    lan = ["--lan", "--lan-port", str(free_port()), "--config", str(folder / "config"), "--no-record", *arguments]
    with (
        bad_network(Weather()) as network,
        serving(folder, arguments=lan, port=port, inside=network.server.prefix) as server,
    ):
        yield network, server


def aimed_by(network: Network, server: Server, route: str, sdp: str, seconds: float = SOON_S) -> tuple[int, Aimed]:
    """The status of such an offer's answer, and what left for others because of it."""
    aimed = Aimed()

    async def attack() -> int:
        async with joined(server) as attacker:
            if route != "/whep":
                network.watch = aimed.see
                status = await attacker.aim(route, sdp)
                await asyncio.sleep(seconds)
                await attacker.end()
                return status
            phone = Phone(FRAMES, address=CLIENT)
            try:
                assert (await phone.call(attacker.http, attacker.base)).status == 201
                await phone.until(lambda: phone.pictures)
                network.watch = aimed.see
                status = await attacker.aim(f"/whep/{phone.location.rpartition('/')[2]}", sdp)
                await asyncio.sleep(seconds)
            finally:
                await phone.close()
            return status

    return network.client.run(lambda: asyncio.run(attack())), aimed


def test_what_leaves_for_others_would_be_seen() -> None:
    aimed = Aimed()
    with bad_network(Weather()) as network:
        network.watch = aimed.see

        def send() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for to, size in ((LAN[0], 10), (OUTSIDE[0], 4000), (CLIENT, 100)):
                    sender.sendto(bytes(size), (to, 5000))

        network.server.run(send)
        until(lambda: aimed.sizes[OUTSIDE[0]] >= 4000)
    assert (aimed.packets[LAN[0]], aimed.sizes[LAN[0]]) == (1, 38)
    assert aimed.packets[OUTSIDE[0]] > 1  # in fragments
    assert aimed.packets.keys() == {LAN[0], OUTSIDE[0]}


@pytest.mark.parametrize("route", ROUTES)
def test_an_offer_aims_three_times_its_own_bytes_at_a_few_private_addresses_at_most(tmp_path: Path, route: str) -> None:
    """Of a call, a publisher and a viewer: 4.6 MB, 152 times the offer, and 10 and 15 times, when there was no rule."""
    direction = ROUTES[route]
    with attacked(tmp_path) as (network, server):
        status, aimed = aimed_by(network, server, route, offer(direction, [*LAN, *OUTSIDE], letters=28_000))
        assert (status, aimed.packets) == (400, {})
        status, aimed = aimed_by(network, server, route, offer(direction, OUTSIDE))
        assert (status, aimed.packets) == (201, {})
        status, aimed = aimed_by(network, server, route, offer(direction, LAN, port=53))
        assert (status, aimed.packets) == (201, {})
        small = offer(direction, [*OUTSIDE, *LAN])
        status, aimed = aimed_by(network, server, route, small)
        assert (status, len(aimed.packets)) == (201, candidates.MAX_CANDIDATES)
        assert 0 < aimed.sizes.total() <= amplification_limit.TIMES * len(small)
        long = offer(direction, LAN[: candidates.MAX_CANDIDATES], letters=256)  # of which each check is large
        status, aimed = aimed_by(network, server, route, long, LATE_S)
        assert status == 201
        assert 0 < aimed.sizes.total() <= amplification_limit.TIMES * len(long)


def test_an_ice_server_lets_checks_out_and_no_more_of_them(tmp_path: Path) -> None:
    """Phones come from outside then; the server asks it for its own address."""
    named = ["--ice-server", "stun:198.51.100.9:3478"]
    with attacked(tmp_path, named) as (network, server):
        long = offer("sendrecv", OUTSIDE, letters=256)
        status, aimed = aimed_by(network, server, "/call", long, LATE_S)
        assert status == 201
        assert aimed.packets.keys() <= set(OUTSIDE[: candidates.MAX_CANDIDATES])
        assert 0 < aimed.sizes.total() <= amplification_limit.TIMES * len(long)


def test_who_names_no_address_of_its_own_is_answered_where_it_is(tmp_path: Path) -> None:
    """As a browser that hides its addresses does, or one that is behind a router."""
    aimed = Aimed()

    async def call() -> None:
        async with joined(server) as device:
            phone = Elsewhere(FRAMES, address=CLIENT)
            try:
                network.watch = aimed.see
                assert (await phone.call(device.http, device.base)).status == 201
                await phone.until(lambda: len(phone.pictures) >= 10)
            finally:
                await phone.close()

    with attacked(tmp_path) as (network, server):
        network.client.run(lambda: asyncio.run(call()))
    assert aimed.packets == {}


def test_only_this_computers_own_browser_is_looked_for_on_it(tmp_path: Path) -> None:
    """Another computer's phone reaches none of the programs that listen here for this computer alone."""

    def came(to: socket.socket) -> bool:
        try:
            return bool(to.recv(2048))
        except BlockingIOError:
            return False

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        for owner, is_checked in ((HOST, True), (Owner("phone", "192.168.7.1"), False)):
            with (
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as camera,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as viewer,
            ):
                for each in (camera, viewer):
                    each.bind(("127.0.0.1", 0))
                    each.setblocking(False)
                here = [offer("sendrecv", ["127.0.0.1"], port=camera.getsockname()[1])]
                here += [offer("recvonly", ["127.0.0.1"], port=viewer.getsockname()[1])]
                session = await sessions.start(here[0], owner)
                await sessions.watch(session.id, "camera", here[1], owner)
                await asyncio.sleep(SOON_S)
                assert [came(camera), came(viewer)] == [is_checked, is_checked]
                await sessions.end(session.id)

    served(fast(tmp_path), Settings(), body)


class Elsewhere(Phone):
    """A phone whose offer has a public address in place of its own."""

    async def offer(self, first: CodecName | None = None) -> str:
        return (await super().offer(first)).replace(f" {CLIENT} ", f" {OUTSIDE[0]} ")
