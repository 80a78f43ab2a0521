"""A phone in a bad network: lost packets are retransmitted or replaced by a keyframe, and the picture recovers soon."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector

from tests.support.clients.camera_client import Phone
from tests.support.films import media_samples
from tests.support.netem import CLIENT, SERVER, Network, Weather, bad_network
from tests.support.servers.server_process import Server, free_port, serving

pytestmark = [pytest.mark.timeout(900), pytest.mark.alone]
FRAMES = media_samples.encoded("H264", 300, (320, 240))
LOSSES, ROUND_TRIPS_S = (0.01, 0.05, 0.20), (0.0, 0.05, 0.2)


@contextmanager
def far(folder: Path, weather: Weather) -> Iterator[tuple[Network, Server]]:
    """A server for phones, behind a bad network."""
    with bad_network(weather) as network:
        lan = ["--lan", "--host", SERVER, "--lan-port", str(free_port()), "--config", str(folder / "config")]
        with serving(folder, arguments=lan, inside=network.server.prefix) as server:
            yield network, server


@dataclass
class Seen:
    """The outcome of a call's frames during the measured seconds."""

    seconds: float
    sent: int
    whole: int
    """Frames that the server could decode, because they and their reference frames were complete."""
    returned: int
    """Returned frames that the phone decoded."""
    asked: int
    """Keyframe requests to the phone."""

    def __str__(self) -> str:
        return (
            f"whole {self.whole / self.sent:4.0%}, returned {self.returned / self.sent:4.0%}, "
            f"{self.asked / self.seconds:.1f} PLI/s"
        )


@asynccontextmanager
async def joined(server: Server) -> AsyncIterator[Phone]:
    """A phone in a call from the other side of the network."""
    url, _, token = server.invitation.partition("#")
    headers = {"Authorization": f"Bearer {token}"}
    async with ClientSession(connector=TCPConnector(ssl=False), headers=headers) as http:
        phone = Phone(FRAMES, address=CLIENT)
        phone.camera.obeys = True
        try:
            response = await phone.call(http, url.rstrip("/"))
            assert response.status == 201, await response.text()
            await phone.until(lambda: len(phone.pictures), 40)
            yield phone
            await http.delete(phone.location)
        finally:
            await phone.close()


def decoded(network: Network, server: Server) -> int:
    """Decoded frames so far, from `/metrics` on the server's side, because reports can be lost too."""

    def ask() -> bytes:
        with urllib.request.urlopen(server.url.replace("localhost", "127.0.0.1") + "/metrics", timeout=10) as answer:
            text: bytes = answer.read()
            return text

    (line,) = [line for line in network.server.run(ask).splitlines() if b'outcome="decoded"' in line]
    return int(float(line.split()[-1]))


async def measure(network: Network, server: Server, phone: Phone, seconds: float) -> Seen:
    """Measure the outcome of the phone's frames for `seconds`."""

    async def counts() -> tuple[int, int, int, int]:
        whole = await asyncio.to_thread(decoded, network, server)
        return phone.camera.sent, whole, len(phone.pictures), phone.camera.keyframes_asked

    start, before = time.monotonic(), await counts()
    await asyncio.sleep(seconds)
    elapsed, after = time.monotonic() - start, await counts()
    return Seen(elapsed, *(b - a for a, b in zip(before, after, strict=True)))


def call(folder: Path, weather: Weather, body: Callable[[Network, Server, Phone], Awaitable[None]]) -> None:
    """Run `body` with a call in this weather."""
    with far(folder, weather) as (network, server):

        async def run() -> None:
            async with joined(server) as phone:
                await body(network, server, phone)

        network.client.run(lambda: asyncio.run(run()))
        assert "Traceback" not in server.log.read_text()


def weathered(folder: Path, loss: float, round_trip_s: float, seconds: float) -> Seen:
    found: list[Seen] = []

    async def body(network: Network, server: Server, phone: Phone) -> None:
        found.append(await measure(network, server, phone, seconds))
        print(f"loss {loss:4.0%}, {round_trip_s * 1000:3.0f} ms: {found[0]}")

    call(folder, Weather(loss, round_trip_s / 2), body)
    return found[0]


def check(seen: Seen, loss: float) -> None:
    assert seen.asked <= 2 * seen.seconds + 1
    if loss <= 0.05:
        assert seen.whole >= 0.8 * seen.sent
    assert seen.whole > 0


@pytest.mark.long
def test_five_packets_of_a_hundred_may_be_lost(tmp_path: Path) -> None:
    check(weathered(tmp_path, 0.05, 0.05, 6), 0.05)


@pytest.mark.long
@pytest.mark.parametrize("round_trip_s", ROUND_TRIPS_S)
@pytest.mark.parametrize("loss", LOSSES)
def test_any_loss_and_any_delay(tmp_path: Path, loss: float, round_trip_s: float) -> None:
    check(weathered(tmp_path, loss, round_trip_s, 20), loss)


def reordered(folder: Path, seconds: float) -> None:
    async def body(network: Network, server: Server, phone: Phone) -> None:
        seen = await measure(network, server, phone, seconds)
        print(f"packets up to 40 ms late, out of order: {seen}")
        assert seen.whole >= 0.8 * seen.sent
        assert seen.asked <= 2 * seen.seconds + 1

    call(folder, Weather(delay_s=0.02, jitter_s=0.04), body)


@pytest.mark.long
def test_reordered_packets_cost_nothing(tmp_path: Path) -> None:
    reordered(tmp_path, 5)


@pytest.mark.long
def test_reordered_packets_for_a_while(tmp_path: Path) -> None:
    reordered(tmp_path, 30)


def blacked_out(folder: Path, seconds: float) -> None:
    async def body(network: Network, server: Server, phone: Phone) -> None:
        fair = network.weather
        await measure(network, server, phone, 2)
        network.weather = Weather(loss=1.0)
        await asyncio.sleep(seconds)
        network.weather = fair
        start, seen, reports = time.monotonic(), len(phone.pictures), len(phone.reports)
        await phone.until(lambda: len(phone.pictures) > seen + 5, 10)
        back = time.monotonic() - start
        await phone.until(lambda: len(phone.reports) > reports + 5, 10)
        reported = time.monotonic() - start
        print(f"{seconds:.0f} s without a packet: the picture is back after {back:.1f} s, the reports {reported:.1f} s")
        assert max(back, reported) <= 3
        late = await measure(network, server, phone, 2)
        assert late.whole >= 0.8 * late.sent

    call(folder, Weather(delay_s=0.01), body)


def test_the_picture_is_back_after_a_blackout(tmp_path: Path) -> None:
    blacked_out(tmp_path, 3)


@pytest.mark.long
def test_the_picture_is_back_after_ten_seconds_without_a_packet(tmp_path: Path) -> None:
    blacked_out(tmp_path, 10)


def slow(folder: Path, seconds: float) -> None:
    """One megabit a second in each direction; the encoder learns it from the phone, within some seconds."""

    async def body(network: Network, server: Server, phone: Phone) -> None:
        first = await measure(network, server, phone, 10)
        lost = network.lost
        seen = await measure(network, server, phone, seconds)
        print(f"1 Mbit/s: at first {first}, then {seen}; {(network.lost - lost) / seconds:.0f} packets lost a second")
        assert seen.whole >= 0.8 * seen.sent
        assert seen.asked <= 2 * seen.seconds + 1

    call(folder, Weather(delay_s=0.01, bytes_a_second=1e6 / 8), body)


@pytest.mark.long
def test_a_megabit_a_second_is_enough(tmp_path: Path) -> None:
    slow(tmp_path, 6)


@pytest.mark.long
def test_a_megabit_a_second_is_enough_for_a_minute(tmp_path: Path) -> None:
    slow(tmp_path, 60)
