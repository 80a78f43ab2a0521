"""Wishes are passed on at once, and then so often and no more."""

from __future__ import annotations

import asyncio

import pytest

from whycam.stream.webrtc.keyframe_requests import RateLimitedRequest

EVERY_S = 0.5


class Clock:
    """An event loop's clock that a test sets; timers go off when it has come to them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._real = loop.time
        self._ahead = 0.0
        monkeypatch.setattr(loop, "time", lambda: self._real() + self._ahead)

    async def forward(self, seconds: float) -> None:
        self._ahead += seconds
        for _ in range(3):
            await asyncio.sleep(0)


def test_the_first_wish_is_granted_at_once_and_many_more_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        clock, granted = Clock(monkeypatch), []
        wish = RateLimitedRequest(lambda: granted.append(1), every_s=EVERY_S)
        wish()
        assert len(granted) == 1
        for _ in range(100):
            wish()
        assert len(granted) == 1
        await clock.forward(EVERY_S)
        assert len(granted) == 2
        await clock.forward(10 * EVERY_S)
        assert len(granted) == 2
        wish()
        assert len(granted) == 3

    asyncio.run(run())


def test_a_wish_that_waits_is_over_when_what_was_wished_for_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        clock, granted = Clock(monkeypatch), []
        wish = RateLimitedRequest(lambda: granted.append(1), every_s=EVERY_S)
        wish()
        wish()
        wish.satisfied()
        await clock.forward(10 * EVERY_S)
        assert len(granted) == 1
        wish()
        wish()
        await clock.forward(EVERY_S)
        assert len(granted) == 3

    asyncio.run(run())
