"""Keyframe requests are sent at once, and then at a limited rate."""

from __future__ import annotations

import asyncio

import pytest

from whycam.stream.webrtc.keyframe_requests import RateLimitedRequest

EVERY_S = 0.5


class Clock:
    """An event loop's clock that a test advances; timers fire accordingly."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._real = loop.time
        self._ahead = 0.0
        monkeypatch.setattr(loop, "time", lambda: self._real() + self._ahead)

    async def forward(self, seconds: float) -> None:
        self._ahead += seconds
        for _ in range(3):
            await asyncio.sleep(0)


def test_the_first_request_is_sent_at_once_and_later_ones_are_combined(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        clock, sent = Clock(monkeypatch), []
        request = RateLimitedRequest(lambda: sent.append(1), every_s=EVERY_S)
        request()
        assert len(sent) == 1
        for _ in range(100):
            request()
        assert len(sent) == 1
        await clock.forward(EVERY_S)
        assert len(sent) == 2
        await clock.forward(10 * EVERY_S)
        assert len(sent) == 2
        request()
        assert len(sent) == 3

    asyncio.run(run())


def test_a_delayed_request_is_cancelled_when_a_keyframe_has_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        clock, sent = Clock(monkeypatch), []
        request = RateLimitedRequest(lambda: sent.append(1), every_s=EVERY_S)
        request()
        request()
        request.satisfied()
        await clock.forward(10 * EVERY_S)
        assert len(sent) == 1
        request()
        request()
        await clock.forward(EVERY_S)
        assert len(sent) == 3

    asyncio.run(run())
