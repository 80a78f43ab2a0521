"""Chooses one of the streams (SSRCs) that a camera sends in its video section."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

TAKEOVER_S = 0.5
"""Seconds for which the chosen stream is silent before another one takes its place: its layer or program ended."""


class SourceChoice:
    """The first stream is chosen. Packets of others are counted and ignored: mixed, they lose nearly every frame.

    Others come from a client that sends several layers (simulcast), although the answer took one. `on_change` is called
    before the first packet of a stream that takes over.
    """

    def __init__(self, on_change: Callable[[], None], now: Callable[[], float] = time.monotonic) -> None:
        self._on_change = on_change
        self._now = now
        self._last = now()
        self.chosen: int | None = None
        """The SSRC; None before the first packet."""
        self.ignored: Counter[int] = Counter()
        """Packets of the other streams, by SSRC."""

    def takes(self, ssrc: int) -> bool:
        """Count a packet of this stream; whether it is the chosen one's."""
        now = self._now()
        if ssrc != self.chosen:
            if self.chosen is not None and now - self._last < TAKEOVER_S:
                self.ignored[ssrc] += 1
                return False
            if self.chosen is not None:
                self._on_change()
            self.chosen = ssrc
        self._last = now
        return True
