"""The bit rates of both directions: what a camera may send (`Uplink`), and what is sent back to it (`Downlink`).

`RetransmissionBudget` limits what is sent to a receiver a second time.

The uplink is estimated at the receiver from delay and loss, after draft-ietf-rmcat-gcc-02. Its measure of delay, a
trend over single packets, cannot be used in Python: it takes the event loop's jitter for congestion, and a browser
reduces its resolution on a network that lost nothing. The measure here is the minimum delay of half a second: it rises
only where every packet had to wait, in the network or for a processor that cannot keep up.

Losses are visible where retransmissions are a separate stream (RTX), as browsers send them. For other senders the
estimate depends on the delay alone.
"""

from __future__ import annotations

from collections import deque

MAX_BIT_RATE = 3_000_000
"""In bit/s; enough for 1280x720."""
START = 1_000_000
MIN_BIT_RATE = 250_000
"""Below, the video shows nothing useful: a link narrower than this stays congested."""
WINDOW_S = 0.5
HEAVY_LOSS, LIGHT_LOSS = 0.10, 0.06
"""Fractions of the packets of two seconds: above the first the bit rate falls, below the second it may rise."""
STANDING_S, RISING_S = 0.1, 0.03
"""Delay above the minimum of the last minute: a standing queue in the network; the most at which the rate may rise."""
MIN_PACKETS = 50
"""Fewer expected packets give no usable loss ratio."""
_DELAYS, _COUNTS, _FLAT = 120, 4, 4  # windows
FLOOR = 500_000
"""In bit/s, what the way back is taken to carry until it shows that it does not: 640x480 without blocks."""
MANY_LOST, FEW_LOST = 0.20, 0.05
"""Fractions of the packets of a report: congestion by one report above the first, or two above the second."""
LONGER_S = 0.15
"""Packets queue where three round trips in a row are longer by this than the shortest of the last minute."""
_REPORTS = 60  # about one a second
_DECREASE, _INCREASE, _STARTUP_INCREASE = 0.85, 1.05, 1.5
REPEATED, MAX_REPEATED = 0.5, 32 * 1024
"""Bytes that may be sent again for each one that was sent: enough for a loss of a third; and the most at once."""


class Uplink:
    """Estimates one camera's uplink: `add` takes each packet and returns the bit rate when it is updated."""

    def __init__(self) -> None:
        self.bit_rate = START
        self._began: float | None = None
        self._last = 0.0
        self._bytes = 0
        self._delay = 0.0  # the minimum of this window
        self._delays: deque[float] = deque(maxlen=_DELAYS)
        self._counts: deque[tuple[int, int]] = deque(maxlen=_COUNTS)  # expected and received, before each window
        self._increase = _STARTUP_INCREASE  # until the first congestion

    def add(self, arrival_s: float, delay_s: float, size: int, expected: int, received: int) -> int | None:
        """Take a packet of `size` bytes; the bit rate for the camera in bit/s, at first and then twice a second.

        The delay may have any origin, because only its changes count. `expected` and `received` count packets so far.
        """
        if self._began is None:
            self._begin(arrival_s, delay_s, size, expected, received)
            return self.bit_rate
        if arrival_s - self._began >= WINDOW_S:
            self._decide(expected - self._counts[0][0], received - self._counts[0][1])
            self._begin(arrival_s, delay_s, size, expected, received)
            return self.bit_rate
        self._last = arrival_s
        self._bytes += size
        self._delay = min(self._delay, delay_s)
        return None

    def _begin(self, arrival_s: float, delay_s: float, size: int, expected: int, received: int) -> None:
        self._began = self._last = arrival_s
        self._bytes, self._delay = size, delay_s
        self._counts.append((expected, received))

    def _decide(self, expected: int, received: int) -> None:
        loss = 1 - received / expected if expected >= MIN_PACKETS else 0.0
        self._delays.append(self._delay)
        queue = self._delay - min(self._delays)
        if queue > STANDING_S:
            self._decrease(_DECREASE * self._received_bit_rate())
            if loss < LIGHT_LOSS and self._is_flat():
                self._delays.clear()  # sending less changed nothing: the route itself has become longer
        elif loss > HEAVY_LOSS:
            self._decrease(self.bit_rate * (1 - loss / 2))
        elif loss < LIGHT_LOSS and queue < RISING_S:
            self.bit_rate = round(min(MAX_BIT_RATE, self.bit_rate * self._increase))

    def _decrease(self, bit_rate: float) -> None:
        self._increase = _INCREASE
        self._counts.clear()  # earlier losses must not lower it again
        self.bit_rate = round(max(MIN_BIT_RATE, min(self.bit_rate, bit_rate)))

    def _received_bit_rate(self) -> float:
        """Of this window in bit/s, up to its last packet, because a gap may follow it."""
        assert self._began is not None
        return self._bytes * 8 / (self._last - self._began) if self._last > self._began else self.bit_rate

    def _is_flat(self) -> bool:
        """Whether the delay has stayed raised and constant for the last windows."""
        newest = list(self._delays)[-_FLAT:]
        return min(newest) - min(self._delays) > STANDING_S and max(newest) - min(newest) < RISING_S


class Downlink:
    """The bit rate for the way back: the receiver's estimate (REMB), unless that fell without a sign of congestion.

    A browser takes packets that this computer sends late for a network that holds them back. It then estimates less
    than it has received, which is little when few frames were sent, and raises that by 8 % a second: a moment of
    overload would blur the picture for half a minute. So until receiver reports show loss or a queue, the bit rate
    falls no lower than to half of the highest estimate; a browser that finds a narrow network goes down in smaller
    steps.
    """

    def __init__(self) -> None:
        self._estimate = 0
        self._least = FLOOR
        self._losses: deque[float] = deque(maxlen=2)
        self._round_trips: deque[float] = deque(maxlen=_REPORTS)

    @property
    def bit_rate(self) -> int:
        """In bit/s."""
        return max(self._estimate, self._least)

    def estimate(self, bit_rate: int) -> None:
        """Take the receiver's own estimate."""
        self._estimate = bit_rate
        self._least = max(self._least, bit_rate // 2)

    def report(self, loss: float, round_trip_s: float | None) -> None:
        """Take a receiver report: the fraction of packets that were lost since the last one, and the round trip."""
        self._losses.append(loss)
        if round_trip_s is not None:
            self._round_trips.append(round_trip_s)
        if self._is_congested() and self._estimate:
            self._least = min(self._least, self._estimate // 2)

    def _is_congested(self) -> bool:
        if self._losses[-1] >= MANY_LOST or (len(self._losses) == 2 and min(self._losses) >= FEW_LOST):
            return True
        newest = list(self._round_trips)[-3:]  # one or two are late where this computer is busy
        return len(newest) == 3 and min(newest) - min(self._round_trips) > LONGER_S


class RetransmissionBudget:
    """Limits what is sent again, by what is sent.

    A receiver asks for each lost packet once per round trip. Where a network suddenly carries a fraction of the bit
    rate, nearly all are lost, also those sent again: without a limit Chromium was sent 19 Mbit/s through 0.4, and saw
    nothing for ten seconds. A frame that stays incomplete is replaced by a keyframe, for which the receiver asks.
    """

    def __init__(self) -> None:
        self._bytes = float(MAX_REPEATED)
        self.refused = 0
        """Packets that were not sent again."""

    def sent(self, size: int) -> None:
        """Count bytes that are sent for the first time."""
        self._bytes = min(MAX_REPEATED, self._bytes + REPEATED * size)

    def admits(self, size: int) -> bool:
        """Whether a packet of this size may be sent again, which is then counted."""
        if size > self._bytes:
            self.refused += 1
            return False
        self._bytes -= size
        return True
