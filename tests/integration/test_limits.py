"""All limits are in one place: each has a description, the modules use it, and exceeding it affects no other client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import fields
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.support.clients.camera_client import Phone, calling
from tests.support.clients.whip_client import SDP
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.servers.calls import served
from whycam.stream.limits import LIMITS, Limits
from whycam.stream.recording import writer
from whycam.stream.server import auth, listener, signalling
from whycam.stream.sessions.registry import Owner, Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.video import codec
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.webrtc import peer, sdp, viewers
from whycam.stream.webrtc.ice import aioice_patches, amplification_limit, candidates

FRAMES = media_samples.encoded("VP8", 30, (64, 48))


def test_every_limit_has_a_description_with_its_number() -> None:
    words = list(LIMITS.words())
    assert len(words) == len(fields(Limits))
    assert not any("{" in text for text in words)
    assert "8 cameras at once" in words
    assert "32,768 bytes of an offer" in words


def test_each_module_uses_these_limits() -> None:
    taken = {
        "max_connections": listener.MAX_CONNECTIONS,
        "max_connections_per_address": listener.MAX_PER_ADDRESS,
        "max_idle_s": listener.MAX_IDLE_S,
        "max_offer_bytes": sdp.MAX_BYTES,
        "max_offer_sections": sdp.MAX_LINES["m="],
        "max_offer_candidates": candidates.MAX_CANDIDATES,
        "max_ice_length": sdp.MAX_ICE_LENGTH,
        "max_amplification": amplification_limit.TIMES,
        "max_addresses_per_call": aioice_patches.MAX_ADDRESSES,
        "max_offer_sources": sdp.MAX_LINES["a=ssrc"],
        "max_pixels": codec.MAX_PIXELS,
        "max_header_bytes": auth.MAX_HEADER,
        "max_command_length": peer.MAX_COMMAND,
        "max_connect_s": viewers.CONNECT_S,
        "min_free_bytes": writer.MIN_FREE,
    }
    assert taken == {name: getattr(LIMITS, name) for name in taken}
    assert Settings().limits is LIMITS


def test_the_ninth_camera_is_refused_in_a_tenth_of_a_second_and_the_eight_continue(tmp_path: Path) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with AsyncExitStack() as stack:
            phones = [await stack.enter_async_context(calling(http, base, FRAMES, 5)) for _ in range(8)]
            for phone in phones:
                await phone.until(lambda phone=phone: len(phone.reports) >= 3)
            ninth = Phone(FRAMES)
            body = await ninth.offer()
            start = time.perf_counter()
            response = await http.post(f"{base}/call", data=body, headers=SDP)
            took = time.perf_counter() - start
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
            assert "8 cameras" in await response.text()
            assert took < 0.1, took
            await ninth.close()
            had = [len(phone.reports) for phone in phones]
            for phone, before in zip(phones, had, strict=True):
                await phone.until(lambda phone=phone, before=before: len(phone.reports) >= before + 5)

    served(fast(tmp_path), Settings(), body)


def test_a_device_that_calls_too_often_is_asked_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            monkeypatch.setattr(signalling, "owner_of", lambda _: Owner("device", "192.0.2.1"))
            codes = [(await http.post(f"{base}/call", data="v=0", headers=SDP)).status for _ in range(5)]
            assert codes == [400, 400, 400, 429, 429]
            response = await http.post(f"{base}/whep/x", data="v=0", headers=SDP)
            assert response.status == 429
            assert 50 < int(response.headers["Retry-After"]) <= 60
            assert "calls too often" in await response.text()
            monkeypatch.setattr(signalling, "owner_of", lambda _: Owner("host"))
            assert (await http.post(f"{base}/call", data="v=0", headers=SDP)).status == 400
            had = len(phone.reports)
            await phone.until(lambda: len(phone.reports) >= had + 10)

    served(fast(tmp_path), Settings(limits=Limits(max_calls_per_minute=3)), body)


async def _ends(sessions: Sessions, caplog: pytest.LogCaptureFixture, words: str) -> None:
    for _ in range(300):
        await asyncio.sleep(0.05)
        if len(sessions) == 1:
            break
    assert words in caplog.text


def _too_large() -> list[EncodedFrame]:
    return [
        *media_samples.encoded("VP8", 20, (64, 48)),
        *media_samples.encoded("VP8", 10, (2048, 1280), first=20 * media_samples.STEP),
    ]


EXCESSES: dict[str, tuple[Callable[[], list[EncodedFrame]], float]] = {
    "larger than 1920x1080": (_too_large, 15),
    "more than 20 frames a second": (lambda: list(FRAMES), 200),
}


@pytest.mark.parametrize("words", EXCESSES)
def test_a_camera_beyond_its_limits_is_ended_and_its_neighbour_continues(
    tmp_path: Path, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    make, rate = EXCESSES[words]
    frames = make()

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES, 10) as neighbour, calling(http, base, frames, rate):
            await _ends(sessions, caplog, words)
            had = len(neighbour.reports)
            await neighbour.until(lambda: len(neighbour.reports) >= had + 10)
            assert len(sessions) == 1

    # 20: a busy computer's test client reaches not much more than 60
    served(fast(tmp_path), Settings(limits=Limits(max_frame_rate=20)), body)


def test_a_camera_that_keeps_starting_streams_is_ended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as neighbour, calling(http, base, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 5)
            sender = phone.pc.getSenders()[0]
            for number in range(20):  # like a client that restarts its camera each time
                sender._ssrc = 1000 + number
                await asyncio.sleep(0.1)
            await _ends(sessions, caplog, "more than 8 streams")
            had = len(neighbour.reports)
            await neighbour.until(lambda: len(neighbour.reports) >= had + 10)

    served(fast(tmp_path), Settings(), body)
