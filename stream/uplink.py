"""How much a camera may send: as much as the network between it and us carries, as far as that can be seen here.

Congestion control of a receiver, after draft-ietf-rmcat-gcc-02. Its measure of delay, a trend over single packets,
cannot be used in Python: it takes the event loop's jitter for congestion, and a browser's picture shrinks on a network
that lost nothing. Here the least delay of half a second counts: it rises only where every packet had to wait, in the
network or before a processor that cannot keep up.
"""

from __future__ import annotations

from collections import deque

MOST = 3_000_000
"""In bit/s: of 640x480 to 1280x720."""
START = 1_000_000
LEAST = 250_000
WINDOW_S = 0.5
HEAVY_LOSS, LIGHT_LOSS = 0.10, 0.06
"""Parts of the packets of two seconds: beyond, a camera sends less; below, more."""
STANDING_S, RISING_S = 0.1, 0.03
"""More delay than the least in the last ten seconds: a queue stands in the network, or it may be about to."""
_DELAYS, _COUNTS = 20, 4  # windows
_LESS, _MORE, _MORE_AT_FIRST = 0.85, 1.05, 1.5


class Uplink:
    """`add` each packet; now and then it answers with the bit rate to tell the camera."""

    def __init__(self) -> None:
        self.bit_rate = START
        self._began: float | None = None
        self._bytes = 0
        self._delay = 0.0  # the least of this window
        self._delays: deque[float] = deque(maxlen=_DELAYS)
        self._counts: deque[tuple[int, int]] = deque(maxlen=_COUNTS)  # expected and received, before each window
        self._more = _MORE_AT_FIRST  # until the network was full once

    def add(self, arrival_s: float, delay_s: float, size: int, expected: int, received: int) -> int | None:
        """Take a packet of `size` bytes; what to tell the camera in bit/s, at first and then twice a second.

        The delay may have any origin, for only its course counts. `expected` and `received` are the packets so far.
        """
        if self._began is None:
            self._begin(arrival_s, delay_s, size, expected, received)
            return self.bit_rate
        elapsed = arrival_s - self._began
        if elapsed >= WINDOW_S:
            self._decide(elapsed, expected - self._counts[0][0], received - self._counts[0][1])
            self._begin(arrival_s, delay_s, size, expected, received)
            return self.bit_rate
        self._bytes += size
        self._delay = min(self._delay, delay_s)
        return None

    def _begin(self, arrival_s: float, delay_s: float, size: int, expected: int, received: int) -> None:
        self._began, self._bytes, self._delay = arrival_s, size, delay_s
        self._counts.append((expected, received))

    def _decide(self, elapsed: float, expected: int, received: int) -> None:
        loss = 1 - received / expected if expected > 0 else 0.0
        self._delays.append(self._delay)
        queue = self._delay - min(self._delays)
        if loss > HEAVY_LOSS or queue > STANDING_S:
            self._more = _MORE
            self._counts.clear()  # what was lost before is no reason for still less
            carried = self._bytes * 8 / elapsed
            self.bit_rate = round(max(LEAST, min(self.bit_rate, _LESS * carried)))
        elif loss < LIGHT_LOSS and queue < RISING_S:
            self.bit_rate = round(min(MOST, self.bit_rate * self._more))
