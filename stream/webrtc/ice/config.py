"""Media addresses and ICE servers of a server, checked before the first call."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import ifaddr
from aiortc import RTCIceServer
from aiortc.rtcicetransport import parse_stun_turn_uri

from whycam.stream.webrtc.ice.candidates import Reach

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class IceConfig:
    """Media addresses: local addresses, UDP ports (None: any), STUN or TURN servers (none: none is contacted)."""

    addresses: Sequence[str] = (LOOPBACK,)
    ports: range | None = None
    ice_servers: Sequence[str] = ()
    only_here: bool = False
    """Only this computer is served: by all its addresses, and packets from other computers are refused."""
    lan: Callable[[], Sequence[str]] = tuple
    """With `only_here`: the addresses at which other computers are served now, if any."""

    def current(self) -> IceConfig:
        """For a new call. A computer that serves itself may have joined another network since the last one."""
        if not self.only_here:
            return self
        if others := self.lan():
            return replace(self, addresses=tuple(dict.fromkeys([*others, LOOPBACK])), only_here=False)
        return replace(self, addresses=own_addresses())

    def reach(self, caller: str) -> Reach:
        """The addresses to which checks may be sent for a caller at this address."""
        return Reach.of(self.addresses, caller, anywhere=bool(self.ice_servers), only_own=self.only_here)

    def admits(self, sender: str) -> bool:
        """Whether a packet from this address is read."""
        return not self.only_here or sender in self.addresses or ipaddress.ip_address(sender).is_loopback

    def check(self) -> None:
        """Raises `ValueError` for a setting that no call could use; opens no media port, so it can run before calls."""
        for url in self.ice_servers:
            ice_server(url)
        if self.ice_servers and set(self.addresses) <= {LOOPBACK}:
            raise ValueError(
                "A STUN or TURN server cannot be reached from 127.0.0.1. "
                "Give the address of this computer's network as well: --ice-address ADDR."
            )
        for address in self.addresses:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind((address, 0))
                except OSError as error:
                    raise ValueError(
                        f"Media cannot use the address {address} ({error.strerror}). Give one of this computer's own."
                    ) from error


def own_addresses() -> tuple[str, ...]:
    """This computer's IPv4 addresses, loopback last: Firefox does not use it, so it needs another one."""
    found = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if isinstance(ip.ip, str)]
    others = (address for address in found if not ipaddress.ip_address(address).is_loopback)
    return tuple(dict.fromkeys([*others, LOOPBACK]))


def ice_server(url: str) -> RTCIceServer:
    """A STUN or TURN server: `stun:HOST[:PORT]` or `turn:USER:SECRET@HOST[:PORT]`; raises `ValueError`."""
    parts = re.fullmatch(r"(?:(stun):|(turns?):([^:@]+):([^@]+)@)([^@]+)", url)
    if parts is not None:
        stun, turn, user, secret, host = parts.groups()
        plain = f"{stun or turn}:{host}"
        if _is_usable(plain):
            return RTCIceServer(urls=plain, username=user, credential=secret)
    raise ValueError(f"An ICE server should be stun:HOST:PORT or turn:USER:SECRET@HOST:PORT, not '{url}'.")


def _is_usable(url: str) -> bool:
    """Whether aiortc can use this URL, which it parses only when a call comes."""
    try:
        parsed = parse_stun_turn_uri(url)
    except ValueError:
        return False
    return 0 < parsed["port"] < 1 << 16 and parsed.get("transport") in (None, "udp", "tcp")
