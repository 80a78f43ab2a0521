"""The bit rate follows what the network carries: it falls on congestion and rises otherwise."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from whycam.stream.webrtc.rtp.bandwidth_estimator import (
    FLOOR,
    MAX_BIT_RATE,
    MAX_REPEATED,
    MIN_BIT_RATE,
    START,
    Downlink,
    RetransmissionBudget,
    Uplink,
)

PACKET = 1200
REACTION_S = 0.5
"""From the packet that shows congestion to the camera's lower bit rate."""


@dataclass
class Link:
    """A camera that follows the bit rate of half a second ago, over a link of a rate in bit/s."""

    carries: Callable[[float], float]
    loss: Callable[[float], float] = lambda _: 0.0
    """Probability of a random loss."""
    jitter: Callable[[random.Random], float] = lambda _: 0.0
    far_s: Callable[[float], float] = lambda _: 0.02
    """Delay of a packet when the queue is empty."""
    router_s: float = 0.25
    """The router's queue before it drops packets, in seconds of the link's rate."""
    camera: float = MAX_BIT_RATE
    """The camera's maximum, in bit/s."""
    estimates: list[tuple[float, int]] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)

    def run(self, seconds: float, seed: int = 1) -> Link:
        chance, uplink = random.Random(seed), Uplink()
        now = free_at = 0.0
        sent = seen = received = 0  # `seen`: sequence numbers that the server expects before this packet
        rate = START
        while now < seconds:
            rate = next((rate for at, rate in reversed(self.estimates) if at < now - REACTION_S), rate)
            now += PACKET * 8 / min(rate, self.camera)
            sent += 1
            free_at = max(now, free_at)
            if free_at - now > self.router_s or chance.random() < self.loss(now):
                self.lost.append(now)
                continue
            free_at += PACKET * 8 / self.carries(now)
            arrival = free_at + self.far_s(now) + self.jitter(chance)
            self.waits.append((now, arrival - now))
            answer = uplink.add(arrival, arrival - now + 5000, PACKET, seen, received)
            seen, received = sent, received + 1
            if answer is not None:
                self.estimates.append((now, answer))
        return self

    def rates(self, since: float, until: float = math.inf) -> list[int]:
        return [rate for at, rate in self.estimates if since <= at < until]

    def late(self, since: float, until: float = math.inf) -> list[float]:
        return sorted(wait for at, wait in self.waits if since <= at < until)


def test_on_a_wide_link_the_camera_soon_sends_its_maximum() -> None:
    link = Link(lambda _: 50e6).run(60)
    assert set(link.rates(2.5)) == {MAX_BIT_RATE}
    assert not link.lost


@pytest.mark.parametrize("carries", [0.6e6, 1e6, 2e6])
def test_a_narrow_link_is_used_and_seldom_congested(carries: float) -> None:
    link = Link(lambda _: carries).run(60)
    rates, late = link.rates(5), link.late(5)
    assert 0.7 * carries < sum(rates) / len(rates) < 1.05 * carries
    assert sum(at > 5 for at in link.lost) < 0.02 * len(link.waits)
    assert late[len(late) // 2] < 0.12
    assert late[int(0.95 * len(late))] < 0.3


@pytest.mark.parametrize("carries", [0.3e6, 1e6])
def test_a_router_with_a_queue_of_three_seconds_is_not_kept_full(carries: float) -> None:
    late = Link(lambda _: carries, router_s=3.0).run(60).late(20)
    assert late[len(late) // 2] < 0.25


def test_a_link_that_becomes_narrow_and_wide_again_is_followed() -> None:
    link = Link(lambda at: 1e6 if 10 < at < 30 else 8e6).run(70)
    assert link.rates(9)[0] == MAX_BIT_RATE
    assert max(link.rates(13, 30)) <= 1.25e6
    assert link.rates(65)[0] == MAX_BIT_RATE


def test_a_processor_with_jitter_is_not_taken_for_congestion() -> None:
    # Half of all packets are processed up to 200 ms late.
    link = Link(lambda _: 50e6, jitter=lambda chance: max(0.0, chance.uniform(-0.2, 0.2))).run(60)
    assert set(link.rates(2.5)) == {MAX_BIT_RATE}


def test_a_longer_route_is_not_taken_for_congestion() -> None:
    # The phone changes to another access point: from then on each packet takes 120 ms more.
    link = Link(lambda _: 50e6, far_s=lambda at: 0.02 if at < 30 else 0.14).run(60)
    assert min(link.rates(30)) > START
    assert set(link.rates(40)) == {MAX_BIT_RATE}


def test_a_gap_after_losses_costs_little() -> None:
    def loss(at: float) -> float:
        return 0.4 if 20 < at < 20.6 else 1.0 if 20.6 <= at < 23.6 else 0.0

    assert min(Link(lambda _: 50e6, loss=loss).run(40).rates(20)) >= START


def test_radio_losses_do_not_lower_the_bit_rate() -> None:
    assert min(Link(lambda _: 50e6, loss=lambda _: 0.02).run(60).rates(10)) == MAX_BIT_RATE
    assert min(Link(lambda _: 50e6, loss=lambda _: 0.05).run(60).rates(10)) >= START


@pytest.mark.parametrize("seed", range(5))
def test_after_heavy_losses_the_bit_rate_recovers_at_seven_percent(seed: int) -> None:
    link = Link(lambda _: 50e6, loss=lambda at: 0.4 if at < 10 else 0.07).run(240, seed)
    assert max(link.rates(200)) > START


def test_at_a_loss_of_a_fifth_the_bit_rate_is_low_but_above_the_minimum() -> None:
    rates = Link(lambda _: 50e6, loss=lambda _: 0.2).run(60).rates(10)
    assert MIN_BIT_RATE <= max(rates) < START


def test_a_camera_with_little_to_send_is_not_limited() -> None:
    assert set(Link(lambda _: 50e6, camera=200_000).run(60).rates(10)) == {MAX_BIT_RATE}


def downlink(*estimates: int, round_trip_s: float = 0.01) -> Downlink:
    """After estimates that a browser sent twice a second, with reports of a network that lost nothing."""
    way = Downlink()
    for number, estimate in enumerate(estimates):
        way.estimate(estimate)
        if number % 2:
            way.report(0.0, round_trip_s)
    return way


def test_an_overloaded_server_is_not_taken_for_a_narrow_network() -> None:
    """As Chromium did when 1 frame a second was sent: the estimate was a thirteenth, and rose for half a minute."""
    way = downlink(*[2_312_976] * 20)
    for round_trip_s in (0.053, 0.167, 0.036, 0.456, 0.209, 0.065):  # of a busy event loop
        way.estimate(173_065)
        way.report(0.0, round_trip_s)
        assert way.bit_rate == 2_312_976 // 2


def test_a_call_that_begins_under_overload_has_a_floor() -> None:
    assert downlink(90_000, 80_000, 173_065).bit_rate == FLOOR


def test_in_small_steps_the_estimate_is_followed() -> None:
    assert downlink(2_000_000, 1_700_000, 1_445_000).bit_rate == 1_445_000
    assert downlink(1_000_000, 850_000, 900_000).bit_rate == 900_000


@pytest.mark.parametrize(
    ("reports", "within"),
    [
        pytest.param([(0.25, 0.01)], 1, id="many lost"),
        pytest.param([(0.06, 0.01)] * 2, 2, id="some lost, twice"),
        pytest.param([(0.0, 0.3)] * 3, 3, id="a queue"),
        pytest.param([(0.25, None)], 1, id="no round trip"),
    ],
)
def test_a_narrow_network_is_followed_as_soon_as_it_shows(
    reports: list[tuple[float, float | None]], within: int
) -> None:
    way = downlink(*[2_000_000] * 20)
    way.estimate(250_000)
    for number, report in enumerate(reports, 1):
        assert (way.bit_rate == 1_000_000) is (number <= within)
        way.report(*report)
    assert way.bit_rate == 250_000
    way.estimate(300_000)
    way.report(0.0, 0.01)
    assert way.bit_rate == 300_000


def test_a_route_that_became_longer_is_a_queue_for_a_minute_only() -> None:
    way = downlink(*[2_000_000] * 20)
    for _ in range(60):
        way.report(0.0, 0.3)
    way.estimate(2_000_000)
    way.report(0.0, 0.3)
    way.estimate(200_000)
    assert way.bit_rate == 1_000_000


@pytest.mark.parametrize(("loss", "is_repaired"), [(0.05, True), (0.2, True), (0.8, False)])
def test_losses_are_repaired_unless_most_is_lost(loss: float, is_repaired: bool) -> None:
    """Each packet is asked for until it comes; a keyframe replaces what is not sent again."""
    chance, budget, repeated = random.Random(1), RetransmissionBudget(), 0
    for _ in range(10_000):
        budget.sent(PACKET)
        while chance.random() < loss and budget.admits(PACKET):
            repeated += 1
    assert (budget.refused == 0) == is_repaired
    assert repeated * PACKET <= MAX_REPEATED + 0.5 * 10_000 * PACKET
