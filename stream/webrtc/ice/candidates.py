"""Which candidates of an offer are sent checks: a few, at the caller's own address and at private addresses.

Other candidates do not make an offer invalid. They are dropped, and checks that come from them are still answered.
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
"""A browser's sockets do not use the ports of services; libwebrtc sends nothing to lower ports either."""
PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
        "100.64.0.0/10",  # of a provider or a VPN (RFC 6598)
        *("fc00::/7", "fe80::/10"),
    )
)


class CandidateError(ValueError):
    """A candidate cannot be parsed; the text quotes it."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The addresses to which checks may be sent for one caller."""

    own: frozenset[Address]
    """This computer's addresses for media."""
    caller: Address | None
    """The address that the offer came from, or that of the proxy that brought it."""
    anywhere: bool
    """An ICE server is configured: phones may be outside, behind routers that admit only addresses they sent to."""
    only_own: bool = False
    """Only this computer is served."""

    @classmethod
    def of(cls, own: Iterable[str], caller: str, *, anywhere: bool = False, only_own: bool = False) -> Reach:
        """From addresses as text."""
        return cls(frozenset(filter(None, map(_address, own))), _address(caller), anywhere, only_own)

    def tried(self, lines: Iterable[str]) -> set[str]:
        """The candidate lines of an offer that are sent checks; raises `CandidateError`.

        If there are too many, those at the caller's own address come first, then the others in their order.
        """
        near = {line: address for line in dict.fromkeys(lines) if (address := self._address(line)) is not None}
        return set(sorted(near, key=lambda line: near[line] != self.caller)[:MAX_CANDIDATES])

    def _address(self, line: str) -> Address | None:
        """The address to which a candidate's checks are sent; None: none are sent."""
        words = line.removeprefix(START).split()
        try:
            component, transport, host, port = int(words[1]), words[2].lower(), words[4], int(words[5])
        except (IndexError, ValueError) as error:
            raise CandidateError(f"The offer has a candidate that cannot be read: '{line[:100]}'.") from error
        address = _address(host)
        if address is None or component != 1 or transport != "udp" or port not in PORTS:
            return None
        return address if self._includes(address) else None

    def _includes(self, address: Address) -> bool:
        if address.version not in {each.version for each in self.own}:
            return False
        if address == self.caller:
            return True
        if address.is_loopback or address in self.own:  # reachable only for a browser on this computer
            return self.caller is not None and (self.caller.is_loopback or self.caller in self.own)
        if self.only_own:
            return False
        if address.is_multicast or address.is_unspecified or address.is_reserved:  # 255.255.255.255 is reserved
            return False
        return self.anywhere or any(address in network for network in PRIVATE)


def _address(text: str) -> Address | None:
    """None for a name: a `.local` one hides an address, and a DNS lookup would delay the answer."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
