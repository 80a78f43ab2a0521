"""What may leave for addresses where nobody has answered: three times what came in, as QUIC has it (RFC 9000, 8.1).

An offer can name anybody's address, and whoever was answered can send packets with anybody's as their sender's. What an
address sent is for that address; what the offer brought is for all of them together.
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
    """One call's: `hear` what came, and send what may be `taken`."""

    def __init__(self, offered: int) -> None:
        """`offered`: the bytes of the offer."""
        self._offered = TIMES * offered
        self._heard: OrderedDict[Address, int] = OrderedDict()

    def hear(self, address: Address, size: int) -> None:
        """A datagram of so many bytes came from this address, as it says."""
        self._heard[address] = self._heard.get(address, 0) + TIMES * _on_the_wire(address, size)
        self._heard.move_to_end(address)
        if len(self._heard) > MAX_ADDRESSES:
            self._heard.popitem(last=False)

    def taken(self, address: Address, size: int) -> bool:
        """Whether a datagram of so many bytes may leave for this address, which it then does."""
        size = _on_the_wire(address, size)
        if self._heard.get(address, 0) >= size:
            self._heard[address] -= size
        elif self._offered >= size:
            self._offered -= size
        else:
            return False
        return True


def _on_the_wire(address: Address, size: int) -> int:
    return size + (IPV6_HEADERS if ":" in address[0] else IPV4_HEADERS)
