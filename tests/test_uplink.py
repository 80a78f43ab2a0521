"""A camera is told to send what the network carries: less where it is full, more where it is not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from stream.uplink import LEAST, MOST, START, Uplink

PACKET = 1200
ROUTER_S = 0.25
"""What a router holds back before it drops, in seconds of its rate."""


@dataclass
class Link:
    """A camera that sends what it is told, over a link of a rate in bit/s, loss by chance, and jitter."""

    carries: Callable[[float], float]
    loss: float = 0.0
    jitter: Callable[[random.Random], float] = lambda _: 0.0
    camera: float = MOST
    """The most that the camera has to send, in bit/s."""
    told: list[tuple[float, int]] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)

    def run(self, seconds: float) -> Link:
        chance, uplink = random.Random(1), Uplink()
        now = free_at = 0.0
        sent = received = 0
        rate = START
        while now < seconds:
            now += PACKET * 8 / min(rate, self.camera)
            sent += 1
            free_at = max(now, free_at)
            if free_at - now > ROUTER_S or chance.random() < self.loss:
                self.lost.append(now)
                continue
            free_at += PACKET * 8 / self.carries(now)
            arrival = free_at + 0.02 + self.jitter(chance)
            self.waits.append((now, arrival - now))
            answer = uplink.add(arrival, arrival - now + 5000, PACKET, sent, received)
            received += 1
            if answer is not None:
                rate = answer
                self.told.append((now, rate))
        return self

    def rates(self, since: float) -> list[int]:
        return [rate for at, rate in self.told if at >= since]


def test_on_a_wide_link_the_camera_soon_sends_all_it_may() -> None:
    link = Link(lambda _: 50e6).run(60)
    assert set(link.rates(2.5)) == {MOST}
    assert not link.lost


@pytest.mark.parametrize("carries", [0.6e6, 1e6, 2e6])
def test_a_narrow_link_is_used_and_never_full_for_long(carries: float) -> None:
    link = Link(lambda _: carries).run(60)
    rates = link.rates(5)
    assert 0.75 * carries < sum(rates) / len(rates) < carries
    assert sum(at > 5 for at in link.lost) < 0.01 * len(link.waits)
    late = [wait for at, wait in link.waits if at > 5]
    assert sorted(late)[len(late) // 2] < 0.08
    assert sorted(late)[int(0.95 * len(late))] < 0.25


def test_a_link_that_becomes_narrow_is_followed_within_two_seconds_and_back() -> None:
    link = Link(lambda at: 1e6 if 10 < at < 30 else 8e6).run(60)
    assert link.rates(9)[0] == MOST
    assert max(rate for at, rate in link.told if 12 < at < 30) <= 1.25e6
    assert link.rates(55)[0] == MOST


def test_a_stumbling_processor_is_no_narrow_link() -> None:
    # Half of all packets are looked at up to 200 ms late.
    link = Link(lambda _: 50e6, jitter=lambda chance: max(0.0, chance.uniform(-0.2, 0.2))).run(60)
    assert set(link.rates(2.5)) == {MOST}


def test_losses_of_a_radio_up_to_five_percent_do_not_slow_it_down() -> None:
    assert min(Link(lambda _: 50e6, loss=0.02).run(60).rates(10)) == MOST
    assert min(Link(lambda _: 50e6, loss=0.05).run(60).rates(10)) >= START


def test_where_a_fifth_is_lost_little_is_sent_but_something() -> None:
    rates = Link(lambda _: 50e6, loss=0.2).run(60).rates(10)
    assert LEAST <= max(rates) < START


def test_a_camera_with_little_to_send_is_not_slowed_down_for_it() -> None:
    assert set(Link(lambda _: 50e6, camera=200_000).run(60).rates(10)) == {MOST}
