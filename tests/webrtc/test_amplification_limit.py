"""Three times what came in, and not a byte more, for who has not answered."""

from __future__ import annotations

import random

import pytest

from whycam.stream.webrtc.ice.amplification_limit import IPV4_HEADERS, IPV6_HEADERS, MAX_ADDRESSES, Allowance

ONE, OTHER = ("192.0.2.1", 5000), ("192.0.2.1", 5001)


def test_what_the_offer_brought_is_for_all_together() -> None:
    allowance = Allowance(100)
    assert allowance.spend(ONE, 150 - IPV4_HEADERS)
    assert allowance.spend(OTHER, 150 - IPV4_HEADERS)
    assert not allowance.spend(ONE, 0)
    assert not Allowance(100).spend(ONE, 301 - IPV4_HEADERS)


def test_what_an_address_sent_is_for_that_address() -> None:
    allowance = Allowance(0)
    allowance.receive(ONE, 72)  # a hundred on the wire
    assert not allowance.spend(OTHER, 0)
    assert allowance.spend(ONE, 200 - IPV4_HEADERS)
    assert not allowance.spend(ONE, 101 - IPV4_HEADERS)
    assert allowance.spend(ONE, 100 - IPV4_HEADERS)
    assert not allowance.spend(ONE, 0)


def test_headers_count_those_of_ipv6_too() -> None:
    allowance = Allowance(20)
    assert not allowance.spend(("2001:db8::1", 5000), 61 - IPV6_HEADERS)
    assert allowance.spend(("2001:db8::1", 5000), 60 - IPV6_HEADERS)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_three_times_as_much_leaves_at_most(seed: int) -> None:
    chance = random.Random(seed)
    allowance, came, left = Allowance(1000), 1000, 0
    for _ in range(5000):
        address, size = (f"192.0.2.{chance.randrange(10)}", chance.randrange(4)), chance.randrange(1400)
        if chance.random() < 0.2:
            allowance.receive(address, size)
            came += size + IPV4_HEADERS
        elif allowance.spend(address, size):
            left += size + IPV4_HEADERS
        assert left <= 3 * came
    assert left > came  # and it is not that nothing leaves


def test_a_flood_of_senders_is_not_remembered() -> None:
    allowance = Allowance(0)
    for number in range(10 * MAX_ADDRESSES):
        allowance.receive(("192.0.2.1", number), 100)
    assert len(allowance._received) == MAX_ADDRESSES
    assert not allowance.spend(("192.0.2.1", 0), 0)
    assert allowance.spend(("192.0.2.1", 10 * MAX_ADDRESSES - 1), 300)
