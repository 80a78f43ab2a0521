"""Clients that vanish, flood, stop reading, rotate or send stray packets do not affect the server or other clients."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import ClientSession
from aiortc import RTCSessionDescription

from tests.support import ROOT
from tests.support.clients.camera_client import Phone, calling, cut
from tests.support.clients.whep_client import watching
from tests.support.clients.whip_client import SDP
from tests.support.films import media_samples
from tests.support.models.engines import SlowEngine, fast
from tests.support.recordings.recorded_sessions import check_equations
from tests.support.resources import health, held, until_empty
from tests.support.servers.calls import only_recording, served, session_of
from tests.support.servers.server_process import Server, serving
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.webrtc.ice.config import LOOPBACK

pytestmark = [pytest.mark.timeout(1200), pytest.mark.alone]
SIZE = (160, 120)
FRAMES = media_samples.encoded("H264", 60, SIZE)


async def vanish(url: str, chance: random.Random) -> None:
    """Call when there is room, get as far as `chance` decides, and vanish without closing."""
    async with ClientSession() as http:
        phone = Phone(FRAMES)
        try:
            offer, response = await phone.offer(), None
            while response is None or response.status == 503:
                await asyncio.sleep(0.1)
                response = await http.post(f"{url}/call", data=offer, headers=SDP)
            assert response.status == 201, await response.text()
            stage = chance.randrange(4)
            if stage:  # 0: the answer is never used
                await phone.pc.setRemoteDescription(RTCSessionDescription(await response.text(), "answer"))
                await asyncio.sleep(chance.uniform(0, 0.2) if stage == 1 else chance.uniform(0.3, 1.0))
            if stage < 3:  # 3: it hangs up
                cut(phone)
        finally:
            await phone.close()


def vanishings(server: Server, count: int, seed: int, warm_up: int) -> None:
    """Let `count` clients vanish, six at a time; afterwards the server's resources must be as before."""
    chance = random.Random(seed)
    came = 0

    async def come() -> None:
        nonlocal came
        while came < count:
            came += 1
            await vanish(server.url, chance)

    async def all_of_them() -> None:
        await asyncio.gather(*(come() for _ in range(6)))

    # The first calls make the server import and allocate what every call needs, in each thread's heap arena.
    came = count - warm_up
    asyncio.run(all_of_them())
    until_empty(server, 20)
    before = held(server)
    came = 0
    asyncio.run(all_of_them())
    took = until_empty(server, 15)
    time.sleep(2)
    after = held(server)
    print(f"{count} clients vanished; freed {took:.1f} s after the last.\n  before: {before}\n  after:  {after}")
    assert after.mebibytes - before.mebibytes <= 30
    assert abs(after.threads - before.threads) <= 2
    assert abs(after.descriptors - before.descriptors) <= 2
    assert abs(after.tasks - before.tasks) <= 2
    assert "Traceback" not in server.log.read_text()


def test_clients_that_vanish_leave_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, slowed="blind", limits={"max_silent_s": 2.0}) as server:
        vanishings(server, 12, seed=1, warm_up=12)


@pytest.mark.long
def test_five_hundred_clients_that_vanish_leave_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, slowed="blind", limits={"max_silent_s": 2.0}) as server:
        vanishings(server, 500, seed=2, warm_up=150)


@pytest.mark.long
def test_eight_phones_whose_network_is_gone_are_freed_in_fifteen_seconds(tmp_path: Path) -> None:
    async def come(url: str) -> None:
        async with ClientSession() as http:
            phones = [Phone(FRAMES, 5) for _ in range(8)]
            for phone in phones:
                assert (await phone.call(http, url)).status == 201
            for phone in phones:
                await phone.until(lambda phone=phone: len(phone.reports) >= 3)
            ninth = Phone(FRAMES)
            assert (await ninth.call(http, url)).status == 503
            await ninth.close()
            for phone in phones:
                cut(phone)
            await asyncio.to_thread(until_empty, server, 15)
            async with calling(http, url, FRAMES) as phone:  # the server has room again
                await phone.until(lambda: len(phone.reports) >= 3)
            for phone in phones:
                await phone.close()

    with serving(tmp_path, slowed="blind") as server:
        asyncio.run(come(server.url))


def stopped_viewer(server: Server, seconds: float) -> None:
    """Stop a viewer's process for `seconds`."""

    async def run() -> None:
        async with ClientSession() as http, calling(http, server.url, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 10)
            program = [sys.executable, "-m", "tests.long.test_clients", server.url, phone.location.rpartition("/")[2]]
            viewer = await asyncio.create_subprocess_exec(*program, cwd=ROOT, stdout=subprocess.PIPE)
            assert viewer.stdout is not None
            assert await viewer.stdout.readline() == b"watching\n"
            before = held(server)
            viewer.send_signal(signal.SIGSTOP)
            seen, start = len(phone.reports), time.monotonic()
            await asyncio.sleep(seconds)
            frames, seconds_then = len(phone.reports) - seen, time.monotonic() - start
            grown = held(server).mebibytes - before.mebibytes
            viewer.send_signal(signal.SIGCONT)
            printed = await asyncio.wait_for(viewer.stdout.readline(), 60)
            viewer.kill()
            await viewer.wait()
            rate = frames / seconds_then
            print(f"stopped for {seconds:.0f} s: {rate:.1f} frames/s for the phone, {grown:+.1f} MiB, then {printed!r}")
            assert rate >= 0.9 * 30
            assert grown < 10
            # It gets frames again; or it was stopped for half a minute and was ended.
            assert printed in ((b"sees\n",) if seconds < 20 else (b"sees\n", b"ended\n"))

    asyncio.run(run())


async def watch(url: str, session_id: str) -> None:
    """Run a viewer that prints its state."""
    async with ClientSession() as http, watching(http, url, session_id) as watcher:
        await watcher.tap.until(30)
        print("watching", flush=True)
        last = time.monotonic()
        while time.monotonic() - last < 2:  # until this process was stopped
            last = time.monotonic()
            await asyncio.sleep(0.1)
        seen = len(watcher.tap.frames)
        ended = asyncio.create_task(watcher.ended.wait())
        again = asyncio.create_task(watcher.tap.until(seen + 60, 45))
        await asyncio.wait({ended, again}, return_when=asyncio.FIRST_COMPLETED)
        print("ended" if ended.done() else "sees", flush=True)


@pytest.mark.long
def test_a_viewer_that_stops_reading_delays_no_other_client(tmp_path: Path) -> None:
    with serving(tmp_path, slowed="blind") as server:
        stopped_viewer(server, 5)


@pytest.mark.long
def test_a_viewer_that_stops_reading_for_a_minute_delays_no_other_client(tmp_path: Path) -> None:
    with serving(tmp_path, slowed="blind") as server:
        stopped_viewer(server, 60)


def flooded(folder: Path, seconds: float) -> None:
    """Let a viewer request keyframes all the time."""

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 10)
            async with watching(http, base, phone.location.rpartition("/")[2]) as watcher:
                await watcher.tap.until(10)
                asked, start = 0, time.monotonic()
                seen, frames = len(phone.reports), len(watcher.tap.frames)
                while time.monotonic() - start < seconds:
                    for _ in range(20):
                        await watcher.lose_picture()
                    asked += 20
                    await asyncio.sleep(0.01)
                elapsed = time.monotonic() - start
                keyframes = sum(frame.is_keyframe for frame in watcher.tap.frames[frames:]) / elapsed
                rate = (len(phone.reports) - seen) / elapsed
                print(f"{asked / elapsed:.0f} PLI/s: {keyframes:.1f} keyframes/s, {rate:.1f} frames/s for the phone")
                assert keyframes <= 2.3  # two a second, and sometimes one of the encoder
                assert rate >= 25

    served(fast(folder), Settings(), body)


def test_a_flood_of_keyframe_requests_gives_two_keyframes_a_second(tmp_path: Path) -> None:
    flooded(tmp_path, 3)


@pytest.mark.long
def test_a_minute_of_keyframe_requests_gives_two_keyframes_a_second(tmp_path: Path) -> None:
    flooded(tmp_path, 60)


@pytest.mark.long
def test_a_bye_while_frames_wait_ends_the_call_and_loses_none_of_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES, rate=55) as phone:
            await phone.until(lambda: len(phone.reports) >= 20)
            await phone.pc.getSenders()[0].stop()  # says BYE
            await asyncio.sleep(0.2)
            assert (await http.delete(phone.location)).status == 204

    served(SlowEngine(tmp_path, 0.3), Settings(recordings=tmp_path / "recordings"), body)
    folder = only_recording(tmp_path / "recordings")
    check_equations(folder, session_of(folder))
    assert session_of(folder)["counts"]["unrecorded"] == 0
    (ended,) = [record for record in caplog.records if "ended after" in record.getMessage()]
    about = vars(ended)["about"]
    assert about["received"] == about["decoded"] + about["lost"]
    assert "Traceback" not in caplog.text


def swaps(folder: Path, count: int, every_s: float, caplog: pytest.LogCaptureFixture) -> None:
    """Rotate a phone `count` times: each frame size begins a new file, and returned frames keep their size."""
    per = round(every_s * 30)
    wide, tall = (media_samples.encoded("H264", per, size) for size in (SIZE, SIZE[::-1]))
    turning: list[EncodedFrame] = [*wide, *tall]

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, turning) as phone:
            enough = per * count - per // 2
            await phone.until(
                lambda: phone.reports and phone.reports[-1]["counts"]["decoded"] >= enough, every_s * count + 60
            )
            shapes = [(picture.width, picture.height) for picture in phone.pictures]
            changes = [b for a, b in pairwise(shapes) if a != b]
            assert set(shapes) == {SIZE, SIZE[::-1]}
            assert len(changes) >= count - 1
            assert (await http.delete(phone.location)).status == 204

    served(fast(folder), Settings(recordings=folder / "recordings"), body)
    recording = only_recording(folder / "recordings")
    note = session_of(recording)
    check_equations(recording, note)
    for track in ("camera", "explained"):
        assert [tuple(part["size"]) for part in note[track]][:count] == [SIZE, SIZE[::-1]] * (count // 2)
    print(f"{count} swaps: {len(note['camera'])} files of each stream, {note['counts']}")
    assert "Traceback" not in caplog.text


@pytest.mark.long
def test_each_rotation_of_a_phone_begins_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    swaps(tmp_path, 6, 0.8, caplog)


@pytest.mark.long
def test_sixty_turns_every_five_seconds(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    swaps(tmp_path, 60, 5, caplog)


STRAY = (
    b"\x00\x01\x00\x08\x21\x12\xa4\x42",  # STUN: a binding request
    b"\x01\x01\x00\x08\x21\x12\xa4\x42",  # STUN: an unsolicited answer
    b"\x16\xfe\xff\x00\x00",  # DTLS: a handshake
    b"\x17\xfe\xfd\x00\x01",  # DTLS: data
    b"\x80\xe0\x00\x01",  # RTP
    b"\x81\xc9\x00\x07",  # RTCP
    b"",
)


def stray(ports: list[int], count: int, rate: float | None) -> None:
    """Send `count` packets that belong to no call, `rate` per second (None: as fast as possible)."""
    chance = random.Random(count)
    packets = [head + chance.randbytes(chance.choice([0, 4, 12, 20, 100, 1200])) for head in STRAY for _ in range(40)]
    start = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(count):
            sender.sendto(packets[number % len(packets)], ("127.0.0.1", ports[number % len(ports)]))
            if rate and not number % 32:
                time.sleep(max(0.0, start + number / rate - time.monotonic()))


def strays(server: Server, count: int) -> None:
    """Send stray packets during a call: first as fast as possible, then at 2000 a second, as in a bad Wi-Fi."""

    async def run() -> None:
        async with ClientSession() as http, calling(http, server.url, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 10)
            ports = [int(p) for p in re.findall(r"a=candidate:.* (\d+) typ host", phone.pc.remoteDescription.sdp)]
            before = held(server)
            program = [
                sys.executable,
                "-c",
                f"from tests.long.test_clients import *; stray({ports}, {count // 2}, None)",
            ]
            flood = await asyncio.create_subprocess_exec(*program, cwd=ROOT)
            assert await flood.wait() == 0
            seen = len(phone.reports)
            await phone.until(lambda: len(phone.reports) >= seen + 60, 5)  # afterwards the rate is as before
            program[-1] = program[-1].replace("None", "2000")
            seen, start = len(phone.reports), time.monotonic()
            slow = await asyncio.create_subprocess_exec(*program, cwd=ROOT)
            assert await slow.wait() == 0
            rate = (len(phone.reports) - seen) / (time.monotonic() - start)
            after, lag = held(server), health(server)["loop_lag_ms"]
            print(
                f"{count} stray packets; at 2000 a second {rate:.1f} frames/s; lag {lag}, "
                f"{after.mebibytes - before.mebibytes:+.1f} MiB"
            )
            assert rate >= 20
            assert after.mebibytes - before.mebibytes < 20
            assert abs(after.tasks - before.tasks) <= 3
            assert (await http.delete(phone.location)).status == 204

    log = server.log.read_text()
    asyncio.run(run())
    assert len(server.log.read_text().splitlines()) - len(log.splitlines()) < 30


@pytest.mark.parametrize(
    "head", [b"", STRAY[0], *(pytest.param(each, marks=pytest.mark.long) for each in STRAY[1:] if each)]
)
def test_no_stray_packet_ends_a_call(tmp_path: Path, head: bytes) -> None:
    """The empty one did, until it was kept away from aiortc."""

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 5)
            ports = [int(p) for p in re.findall(r"a=candidate:.* (\d+) typ host", phone.pc.remoteDescription.sdp)]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for size in (0, 1, 4, 12, 100, 1200):
                    for port in ports:
                        sender.sendto(
                            (head + bytes(range(256)) * 5)[: len(head) and len(head) + size], (LOOPBACK, port)
                        )
            seen = len(phone.reports)
            await phone.until(lambda: len(phone.reports) >= seen + 15, 5)

    served(fast(tmp_path), Settings(), body)


@pytest.mark.long
def test_a_call_continues_among_stray_packets(tmp_path: Path) -> None:
    with serving(tmp_path, slowed="blind") as server:
        strays(server, 20_000)


@pytest.mark.long
def test_a_call_continues_among_a_million_stray_packets(tmp_path: Path) -> None:
    with serving(tmp_path, slowed="blind") as server:
        strays(server, 1_000_000)


if __name__ == "__main__":
    asyncio.run(watch(*sys.argv[1:]))
