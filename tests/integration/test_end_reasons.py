"""Where the server ends a call, the client is told why before its connection closes, and the log says it too."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from aiohttp import ClientSession

from tests.support.clients.camera_client import Phone, calling, cut
from tests.support.clients.whep_client import watching
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.servers.calls import served
from whycam.stream.limits import Limits
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.webrtc.data_channel import CLOSE_TIMEOUT_S
from whycam.stream.webrtc.end_reason import Code, EndReason

FRAMES = media_samples.encoded("VP8", 30, (64, 48))
LARGE = [
    *media_samples.encoded("VP8", 45, (64, 48)),
    *media_samples.encoded("VP8", 10, (2048, 1280), first=45 * media_samples.STEP),
]
Spoil = Callable[[Phone, Sessions], Awaitable[None]]


async def goes_on(phone: Phone, sessions: Sessions) -> None:
    """What it sends is too much by itself."""


async def begins_ever_anew(phone: Phone, sessions: Sessions) -> None:
    for number in range(20):  # as a client that starts its camera anew each time
        phone.pc.getSenders()[0]._ssrc = 1000 + number
        await asyncio.sleep(0.1)


async def falls_silent(phone: Phone, sessions: Sessions) -> None:
    phone.camera.running.clear()


async def server_ends(phone: Phone, sessions: Sessions) -> None:
    await sessions.close()


ENDS: dict[Code, tuple[list[EncodedFrame], float, Spoil, str]] = {
    "too-large": (LARGE, 30, goes_on, "is 2048x1280, larger than 1920x1080"),
    "too-fast": (FRAMES, 200, goes_on, "more than 60 frames a second"),
    "too-many-streams": (FRAMES, 30, begins_ever_anew, "more than 8 streams"),
    "silent": (FRAMES, 30, falls_silent, "No picture came from the camera for 2 s"),
    "server-ends": (FRAMES, 30, server_ends, "whycam was stopped on its computer"),
}


def ended(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The last words among these messages; nothing comes behind them."""
    words = [message["ended"] for message in messages if "ended" in message]
    assert not words or "ended" in messages[-1]
    return words


def test_each_code_is_tried() -> None:
    assert set(ENDS) == set(get_args(Code))


@pytest.mark.parametrize("code", ENDS)
def test_phone_and_viewer_are_told_why_the_server_ends_the_call(
    tmp_path: Path, code: Code, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    frames, rate, spoil, words = ENDS[code]

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, frames, rate) as phone:
            await phone.until(lambda: phone.reports)
            session_id = phone.reports[-1]["session"]
            async with watching(http, base, session_id, reports=True) as watcher:
                for _ in range(100):
                    await asyncio.sleep(0.05)
                    if watcher.reports:
                        break
                await spoil(phone, sessions)
                await phone.until(lambda: ended(phone.replies))
                for _ in range(100):
                    await asyncio.sleep(0.05)
                    if len(sessions) == 0:
                        break
                assert ended(phone.replies) == ended(watcher.reports)
                (told,) = ended(phone.replies)
                assert told["code"] == code
                assert words in told["reason"]
                assert phone.commands.readyState == "closed"

    served(fast(tmp_path), Settings(limits=Limits(max_silent_s=2.0)), body)
    (line,) = [record for record in caplog.records if "ended after" in record.getMessage()]
    assert words in line.getMessage()
    assert vars(line)["about"]["code"] == code


def test_who_hangs_up_is_told_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: phone.reports)
            assert (await http.delete(phone.location)).status == 204
            await asyncio.sleep(0.2)
            assert phone.replies == []
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: phone.reports)

    served(fast(tmp_path), Settings(), body)
    hung_up, gone = [record.getMessage() for record in caplog.records if "ended after" in record.getMessage()]
    assert "s. The call was hung up. Frames: " in hung_up
    assert "s. The camera is gone: its page or program was closed, or its network was lost. Frames: " in gone


def test_last_words_that_are_lost_are_sent_again(tmp_path: Path) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 10)
            connection = phone.pc.getTransceivers()[0].sender.transport.transport._connection
            hear, deaf_until = connection.data_received, time.monotonic() + 0.6

            def hear_later(data: bytes, component: int) -> None:
                if time.monotonic() > deaf_until:
                    hear(data, component)

            connection.data_received = hear_later
            await sessions.close()
            assert time.monotonic() > deaf_until
            assert [told["code"] for told in ended(phone.replies)] == ["server-ends"]

    served(fast(tmp_path), Settings(), body)


def test_a_phone_that_hears_nothing_any_more_holds_up_the_end_for_a_moment_only(tmp_path: Path) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 10)
            cut(phone)
            start = time.monotonic()
            await sessions.close()
            assert CLOSE_TIMEOUT_S <= time.monotonic() - start < CLOSE_TIMEOUT_S + 1
            assert phone.replies == []

    served(fast(tmp_path), Settings(), body)


def test_an_ending_without_a_code_has_no_last_words() -> None:
    assert EndReason("It is over.").close_message is None
    words = EndReason("It is over.", "silent").close_message
    assert words is not None
    assert json.loads(words) == {"ended": {"code": "silent", "reason": "It is over."}}
