"""Wrong tokens: five a minute and twenty an hour, for each address."""

from __future__ import annotations

from whycam.stream.server.rate_limit import MAX_ADDRESSES, Throttle


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_sixth_guess_in_a_minute_waits_until_the_first_is_a_minute_old() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(5):
        assert throttle.wait("a") == 0
        throttle.fail("a")
        clock.now += 2
    assert throttle.wait("a") == 50
    assert throttle.wait("b") == 0
    clock.now += 50
    assert throttle.wait("a") == 0


def test_the_twenty_first_guess_in_an_hour_waits_for_the_hour() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    guesses = 0
    while clock.now < 3600:
        if throttle.wait("a") == 0:
            throttle.fail("a")
            guesses += 1
        clock.now += 1
    assert guesses == 20
    assert throttle.wait("a") == 0  # the first minute's five are forgotten


def test_many_addresses_take_no_more_memory() -> None:
    throttle = Throttle(Clock())
    for number in range(MAX_ADDRESSES + 100):
        throttle.fail(str(number))
    assert len(throttle._failures) == MAX_ADDRESSES
