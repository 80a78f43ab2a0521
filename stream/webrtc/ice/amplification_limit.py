"""Limits what is sent to unvalidated addresses to three times what was received, as in QUIC (RFC 9000, 8.1).

An offer can name any address, and a client that was answered can send packets with a forged source address. Bytes
received from an address count for that address; the bytes of the offer count for all addresses together.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

from whycam.stream.limits import LIMITS

Address: TypeAlias = tuple[str, int]

TIMES = LIMITS.max_amplification
MAX_ADDRESSES = LIMITS.max_addresses_per_call
IPV4_HEADERS, IPV6_HEADERS = 28, 48
"""Bytes of a datagram's IP and UDP headers."""


class Allowance:
    """The allowance of one call: `receive` increases it, `spend` takes from it."""

    def __init__(self, offered: int) -> None:
        """`offered`: the bytes of the offer."""
        self._offered = TIMES * offered
        self._received: OrderedDict[Address, int] = OrderedDict()

    def receive(self, address: Address, size: int) -> None:
        """Count a datagram of `size` bytes that names this source address."""
        self._received[address] = self._received.get(address, 0) + TIMES * _on_the_wire(address, size)
        self._received.move_to_end(address)
        if len(self._received) > MAX_ADDRESSES:
            self._received.popitem(last=False)

    def spend(self, address: Address, size: int) -> bool:
        """Whether a datagram of `size` bytes may be sent to this address; if so, it is deducted."""
        size = _on_the_wire(address, size)
        if self._received.get(address, 0) >= size:
            self._received[address] -= size
        elif self._offered >= size:
            self._offered -= size
        else:
            return False
        return True


def _on_the_wire(address: Address, size: int) -> int:
    return size + (IPV6_HEADERS if ":" in address[0] else IPV4_HEADERS)
