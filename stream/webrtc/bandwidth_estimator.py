"""How much a camera may send: as much as the network between it and us carries, as far as that can be seen here.

Congestion control of a receiver, after draft-ietf-rmcat-gcc-02. Its measure of delay, a trend over single packets,
cannot be used in Python: it takes the event loop's jitter for congestion, and a browser's picture shrinks on a network
that lost nothing. Here the least delay of half a second counts: it rises only where every packet had to wait, in the
network or before a processor that cannot keep up.

Losses are seen where packets that are sent again come as a stream of their own (RTX), as a browser's do; of others only
the delay tells.
"""

from __future__ import annotations

from collections import deque

MAX_BIT_RATE = 3_000_000
"""In bit/s; enough for 1280x720."""
START = 1_000_000
MIN_BIT_RATE = 250_000
"""Less shows nothing: a narrower network than that stays full."""
WINDOW_S = 0.5
HEAVY_LOSS, LIGHT_LOSS = 0.10, 0.06
"""Parts of the packets of two seconds: beyond, a camera sends less; below, more."""
STANDING_S, RISING_S = 0.1, 0.03
"""More delay than the least of the last minute: a queue stands in the network, or it may be about to."""
FEW = 50
"""Packets of which no part that is lost tells anything."""
_DELAYS, _COUNTS, _FLAT = 120, 4, 4  # windows
_LESS, _MORE, _MORE_AT_FIRST = 0.85, 1.05, 1.5


class Uplink:
    """`add` each packet; now and then it answers with the bit rate to tell the camera."""

    def __init__(self) -> None:
        self.bit_rate = START
        self._began: float | None = None
        self._last = 0.0
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
        loss = 1 - received / expected if expected >= FEW else 0.0
        self._delays.append(self._delay)
        queue = self._delay - min(self._delays)
        if queue > STANDING_S:
            self._decrease(_LESS * self._carried())
            if loss < LIGHT_LOSS and self._is_flat():
                self._delays.clear()  # sending less changed nothing: the way is a longer one than before
        elif loss > HEAVY_LOSS:
            self._decrease(self.bit_rate * (1 - loss / 2))
        elif loss < LIGHT_LOSS and queue < RISING_S:
            self.bit_rate = round(min(MAX_BIT_RATE, self.bit_rate * self._more))

    def _decrease(self, bit_rate: float) -> None:
        self._more = _MORE
        self._counts.clear()  # what was lost before is no reason for still less
        self.bit_rate = round(max(MIN_BIT_RATE, min(self.bit_rate, bit_rate)))

    def _carried(self) -> float:
        """Bits a second of this window, up to its last packet: behind it may be a gap."""
        assert self._began is not None
        return self._bytes * 8 / (self._last - self._began) if self._last > self._began else self.bit_rate

    def _is_flat(self) -> bool:
        """Whether every packet has waited equally long for a while."""
        newest = list(self._delays)[-_FLAT:]
        return min(newest) - min(self._delays) > STANDING_S and max(newest) - min(newest) < RISING_S
