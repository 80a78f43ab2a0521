"""A joined client cannot direct the server's packets at others: what an offer causes is counted on the wire."""

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
from whycam.stream.webrtc.ice.aioice_patches import OWN_CHECKS_AFTER_S

SDP = {"Content-Type": "application/sdp"}
ROUTES = {"/call": "sendrecv", "/whip": "sendonly", "/whep": "recvonly"}
LAN = [f"192.168.7.{number}" for number in range(1, 17)]
OUTSIDE = [f"203.0.113.{number}" for number in range(1, 17)]
FRAMES = media_samples.encoded("VP8", 30, (160, 120))
SOON_S, LATE_S = OWN_CHECKS_AFTER_S + 1, OWN_CHECKS_AFTER_S + 4
"""A check is then sent at 0, 0.5, 1.5 and 3.5 s, and three times more; a call without a camera is ended at 13 s."""


@dataclass
class Sent:
    """What was sent to uninvolved addresses: packets and bytes of each, including IP headers and fragments."""

    packets: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)

    def see(self, packet: bytes) -> None:
        to = socket.inet_ntoa(packet[16:20])
        if packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_UDP and to in (*LAN, *OUTSIDE):
            self.packets[to] += 1
            self.sizes[to] += len(packet)


def offer(direction: str, addresses: Sequence[str], *, length: int = 4, port: int = 5000) -> str:
    """A small valid offer with a candidate at each address."""
    lines = [
        *("v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "m=video 9 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 0.0.0.0"),
        *("a=mid:0", "a=rtpmap:96 VP8/90000", f"a={direction}", "a=rtcp-mux", "a=setup:active"),
        *(f"a=ice-ufrag:{'u' * length}", f"a=ice-pwd:{'p' * 22}", f"a=fingerprint:sha-256 {':'.join(['00'] * 32)}"),
        *(f"a=candidate:{n} 1 udp 1 {address} {port} typ host" for n, address in enumerate(addresses)),
    ]
    return "\r\n".join(lines) + "\r\n"


@dataclass
class Attacker:
    """A device that joined, on the other side of the network."""

    http: ClientSession
    base: str
    made: str = ""

    async def aim(self, route: str, sdp: str) -> int:
        """Send the offer; returns the status."""
        async with self.http.post(self.base + route, data=sdp, headers=SDP) as response:
            await response.read()
            self.made = response.headers.get("Location", "")
            return response.status

    async def end(self) -> None:
        """End the last call: a device has two calls at most."""
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
    """A server for phones, and the network between them."""
    port = free_port()
    lan = ["--lan", "--lan-port", str(free_port()), "--config", str(folder / "config"), "--no-record", *arguments]
    with (
        bad_network(Weather()) as network,
        serving(folder, arguments=lan, port=port, inside=network.server.prefix) as server,
    ):
        yield network, server


def sent_by(network: Network, server: Server, route: str, sdp: str, seconds: float = SOON_S) -> tuple[int, Sent]:
    """The status of the answer to this offer, and what was sent to others because of it."""
    sent = Sent()

    async def attack() -> int:
        async with joined(server) as attacker:
            if route != "/whep":
                network.watch = sent.see
                status = await attacker.aim(route, sdp)
                await asyncio.sleep(seconds)
                await attacker.end()
                return status
            phone = Phone(FRAMES, address=CLIENT)
            try:
                assert (await phone.call(attacker.http, attacker.base)).status == 201
                await phone.until(lambda: phone.pictures)
                network.watch = sent.see
                status = await attacker.aim(f"/whep/{phone.location.rpartition('/')[2]}", sdp)
                await asyncio.sleep(seconds)
            finally:
                await phone.close()
            return status

    return network.client.run(lambda: asyncio.run(attack())), sent


def test_packets_to_others_would_be_counted() -> None:
    sent = Sent()
    with bad_network(Weather()) as network:
        network.watch = sent.see

        def send() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for to, size in ((LAN[0], 10), (OUTSIDE[0], 4000), (CLIENT, 100)):
                    sender.sendto(bytes(size), (to, 5000))

        network.server.run(send)
        until(lambda: sent.sizes[OUTSIDE[0]] >= 4000)
    assert (sent.packets[LAN[0]], sent.sizes[LAN[0]]) == (1, 38)
    assert sent.packets[OUTSIDE[0]] > 1  # in fragments
    assert sent.packets.keys() == {LAN[0], OUTSIDE[0]}


@pytest.mark.parametrize(
    "route", ["/call", *(pytest.param(each, marks=pytest.mark.long) for each in ("/whip", "/whep"))]
)
def test_an_offer_causes_at_most_three_times_its_own_bytes(tmp_path: Path, route: str) -> None:
    """Without the limit: for a call 4.6 MB or 152 times the offer, for a publisher 10 and for a viewer 15 times."""
    direction = ROUTES[route]
    with attacked(tmp_path) as (network, server):
        status, sent = sent_by(network, server, route, offer(direction, [*LAN, *OUTSIDE], length=28_000))
        assert (status, sent.packets) == (400, {})
        status, sent = sent_by(network, server, route, offer(direction, OUTSIDE))
        assert (status, sent.packets) == (201, {})
        status, sent = sent_by(network, server, route, offer(direction, LAN, port=53))
        assert (status, sent.packets) == (201, {})
        small = offer(direction, [*OUTSIDE, *LAN])
        status, sent = sent_by(network, server, route, small)
        assert (status, len(sent.packets)) == (201, candidates.MAX_CANDIDATES)
        assert 0 < sent.sizes.total() <= amplification_limit.TIMES * len(small)
        long = offer(direction, LAN[: candidates.MAX_CANDIDATES], length=256)  # whose checks are large
        status, sent = sent_by(network, server, route, long, LATE_S)
        assert status == 201
        assert 0 < sent.sizes.total() <= amplification_limit.TIMES * len(long)


def test_with_an_ice_server_public_addresses_get_checks_but_not_more_of_them(tmp_path: Path) -> None:
    """Phones may then be outside; the server asks the ICE server for its own address."""
    named = ["--ice-server", "stun:198.51.100.9:3478"]
    with attacked(tmp_path, named) as (network, server):
        long = offer("sendrecv", OUTSIDE, length=256)
        status, sent = sent_by(network, server, "/call", long, LATE_S)
        assert status == 201
        assert sent.packets.keys() <= set(OUTSIDE[: candidates.MAX_CANDIDATES])
        assert 0 < sent.sizes.total() <= amplification_limit.TIMES * len(long)


def test_a_client_that_names_no_address_of_its_own_is_answered(tmp_path: Path) -> None:
    """Like a browser that hides its addresses, or is behind a router."""
    sent = Sent()

    async def call() -> None:
        async with joined(server) as device:
            phone = Elsewhere(FRAMES, address=CLIENT)
            try:
                network.watch = sent.see
                assert (await phone.call(device.http, device.base)).status == 201
                await phone.until(lambda: len(phone.pictures) >= 10)
            finally:
                await phone.close()

    with attacked(tmp_path) as (network, server):
        network.client.run(lambda: asyncio.run(call()))
    assert sent.packets == {}


def test_only_a_browser_on_this_computer_is_checked_on_loopback(tmp_path: Path) -> None:
    """A phone cannot make the server send packets to programs that listen on loopback."""

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
    """A phone whose offer names a public address instead of its own."""

    async def offer(self, first: CodecName | None = None) -> str:
        return (await super().offer(first)).replace(f" {CLIENT} ", f" {OUTSIDE[0]} ")
