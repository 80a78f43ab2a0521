"""An unvalidated address is sent at most three times the bytes received."""

from __future__ import annotations

import random

import pytest

from whycam.stream.webrtc.ice.amplification_limit import IPV4_HEADERS, IPV6_HEADERS, MAX_ADDRESSES, Allowance

ONE, OTHER = ("192.0.2.1", 5000), ("192.0.2.1", 5001)


def test_the_bytes_of_the_offer_count_for_all_addresses_together() -> None:
    allowance = Allowance(100)
    assert allowance.spend(ONE, 150 - IPV4_HEADERS)
    assert allowance.spend(OTHER, 150 - IPV4_HEADERS)
    assert not allowance.spend(ONE, 0)
    assert not Allowance(100).spend(ONE, 301 - IPV4_HEADERS)


def test_the_bytes_from_an_address_count_for_that_address() -> None:
    allowance = Allowance(0)
    allowance.receive(ONE, 72)  # a hundred on the wire
    assert not allowance.spend(OTHER, 0)
    assert allowance.spend(ONE, 200 - IPV4_HEADERS)
    assert not allowance.spend(ONE, 101 - IPV4_HEADERS)
    assert allowance.spend(ONE, 100 - IPV4_HEADERS)
    assert not allowance.spend(ONE, 0)


def test_ip_and_udp_headers_count() -> None:
    allowance = Allowance(20)
    assert not allowance.spend(("2001:db8::1", 5000), 61 - IPV6_HEADERS)
    assert allowance.spend(("2001:db8::1", 5000), 60 - IPV6_HEADERS)


@pytest.mark.parametrize("seed", range(5))
def test_at_most_three_times_the_received_bytes_are_sent(seed: int) -> None:
    chance = random.Random(seed)
    allowance, received, sent = Allowance(1000), 1000, 0
    for _ in range(5000):
        address, size = (f"192.0.2.{chance.randrange(10)}", chance.randrange(4)), chance.randrange(1400)
        if chance.random() < 0.2:
            allowance.receive(address, size)
            received += size + IPV4_HEADERS
        elif allowance.spend(address, size):
            sent += size + IPV4_HEADERS
        assert sent <= 3 * received
    assert sent > received  # the limit is used


def test_the_remembered_senders_are_bounded() -> None:
    allowance = Allowance(0)
    for number in range(10 * MAX_ADDRESSES):
        allowance.receive(("192.0.2.1", number), 100)
    assert len(allowance._received) == MAX_ADDRESSES
    assert not allowance.spend(("192.0.2.1", 0), 0)
    assert allowance.spend(("192.0.2.1", 10 * MAX_ADDRESSES - 1), 300)
