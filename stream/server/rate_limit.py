"""Rate limits by address: after too many failures (wrong tokens, for example) an address has to wait."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

LIMITS = ((60.0, 5), (3600.0, 20))
"""Each a period in seconds, and the failures that an address may have in it."""
MAX_ADDRESSES = 4096


class Throttle:
    """Counts the failures of each address; forgets them after the longest limit."""

    def __init__(self, now: Callable[[], float] = time.monotonic, limits: Sequence[tuple[float, int]] = LIMITS) -> None:
        self._now = now
        self._limits = limits
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 if it may now."""
        now, failures = self._now(), self._failures.get(address, ())
        waits = [0.0]
        for seconds, limit in self._limits:
            recent = [t for t in failures if now - t < seconds]
            if len(recent) >= limit:
                waits.append(recent[-limit] + seconds - now)
        return max(waits)

    def fail(self, address: str) -> None:
        """Count a failure of this address now."""
        longest = max(limit for _, limit in self._limits)
        self._failures.setdefault(address, deque(maxlen=longest)).append(self._now())
        self._failures.move_to_end(address)
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)
