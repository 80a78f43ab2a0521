"""Which candidates of an offer are sent checks: those at the caller's own address and at private ones, and not many.

Nobody is refused for another one. It is left out, and its checks are answered when they come, from wherever that is.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from whycam.stream.limits import LIMITS

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

START = "a=candidate:"
MAX_CANDIDATES = LIMITS.max_offer_candidates
PORTS = range(1024, 1 << 16)
"""A browser's sockets have no port of a service; libwebrtc sends nothing to one below either."""
PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
        "100.64.0.0/10",  # a provider's or a VPN's own (RFC 6598)
        *("fc00::/7", "fe80::/10"),
    )
)


class CandidateError(ValueError):
    """A candidate that cannot be read; says which."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where checks may go for one caller."""

    own: frozenset[Address]
    """This computer's addresses for media."""
    caller: Address | None
    """The address that the offer came from, or that of the proxy that brought it."""
    anywhere: bool
    """An ICE server is named: phones come from outside, behind routers that let in who was sent something."""

    @classmethod
    def of(cls, own: Iterable[str], caller: str, *, anywhere: bool = False) -> Reach:
        """The same, of addresses as texts."""
        return cls(frozenset(filter(None, map(_address, own))), _address(caller), anywhere)

    def tried(self, lines: Iterable[str]) -> set[str]:
        """Those of an offer's candidate lines that are sent checks; raises `CandidateError`.

        Of too many, those at the caller's own address come first, the others in their order.
        """
        near = {line: address for line in dict.fromkeys(lines) if (address := self._address(line)) is not None}
        return set(sorted(near, key=lambda line: near[line] != self.caller)[:MAX_CANDIDATES])

    def _address(self, line: str) -> Address | None:
        """The address that a candidate is sent checks at; None: nowhere."""
        words = line.removeprefix(START).split()
        try:
            component, transport, host, port = int(words[1]), words[2].lower(), words[4], int(words[5])
        except (IndexError, ValueError) as error:
            raise CandidateError(f"The offer has a candidate that cannot be read: '{line[:100]}'.") from error
        address = _address(host)
        if address is None or component != 1 or transport != "udp" or port not in PORTS:
            return None
        return address if self._holds(address) else None

    def _holds(self, address: Address) -> bool:
        if address.version not in {each.version for each in self.own}:
            return False
        if address == self.caller:
            return True
        if address.is_loopback or address in self.own:  # nobody's but this computer's own browser
            return self.caller is not None and (self.caller.is_loopback or self.caller in self.own)
        if address.is_multicast or address.is_unspecified or address.is_reserved:  # 255.255.255.255 is reserved
            return False
        return self.anywhere or any(address in network for network in PRIVATE)


def _address(text: str) -> Address | None:
    """None for a name: a `.local` one hides an address, and looking any up would hold up the answer."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
