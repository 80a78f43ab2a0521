"""This computer's addresses in its local networks, and the URLs, certificate and tokens by which phones join."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ifaddr

from whycam.stream.server.certificate import Certificate, given_certificate, own_certificate
from whycam.stream.server.tokens import Credentials, Role

PORT = 8443
_VIRTUAL_ADAPTER = re.compile(
    r"docker|podman|veth|virbr|br-|vmnet|vboxnet|virtualbox|vmware|hyper-v|vethernet|wsl|tun|tap|utun|wg|tailscale|zt|ppp",
    re.IGNORECASE,
)
NO_NETWORK = (
    "This computer is in no network, so no phone can reach it. Join a Wi-Fi, or switch on the phone's hotspot and join "
    "that (it needs no internet); then start whycam again."
)
IF_UNREACHABLE = (
    "If the page does not open on a phone: is the phone in the same network? A guest or school Wi-Fi may keep devices "
    "apart: use the phone's hotspot (it needs no internet), then start whycam again: its address is new. "
    "A firewall must let in TCP {port} and UDP (--udp-ports narrows which)."
)


@dataclass(frozen=True, slots=True)
class Address:
    """An address of this computer, and its network adapter's name."""

    ip: str
    adapter: str


@dataclass(frozen=True, slots=True)
class Lan:
    """What phones connect to. Without addresses, this computer is in no network."""

    addresses: tuple[str, ...]
    """The most likely one first."""
    port: int
    certificate: Certificate | None
    credentials: Credentials

    @classmethod
    def prepared(
        cls,
        addresses: Sequence[str],
        port: int,
        folder: Path,
        *,
        given: tuple[Path, Path] | None = None,
        new_token: bool = False,
    ) -> Lan:
        """With the keys in a folder, made if they are missing; `given` is a certificate and its key."""
        try:
            credentials = Credentials.kept(folder, new=new_token)
            if not addresses:
                return cls((), port, None, credentials)
            certificate = given_certificate(*given) if given else own_certificate(folder, addresses)
        except OSError as error:
            raise ValueError(
                f"Keys and tokens cannot be stored in {folder} ({error.strerror}). Name another folder with --config."
            ) from error
        # Two adapters may have the same address.
        return cls(tuple(dict.fromkeys(addresses)), port, certificate, credentials)

    @property
    def names(self) -> tuple[str, ...]:
        """The host names that a phone may use: the addresses, and the certificate's names."""
        return (*self.addresses, *(self.certificate.names if self.certificate else ()))

    def bases(self) -> tuple[str, ...]:
        """The page's URLs: first the addresses in the certificate, or its first name if there are none."""
        certified = self.certificate.names if self.certificate else ()
        hosts = [address for address in self.addresses if address in certified]
        if not hosts:
            hosts = [n for n in certified if not (_is_address(n) or n.startswith("*") or n == "localhost")][:1]
        return tuple(f"https://{host}:{self.port}/" for host in dict.fromkeys([*hosts, *self.addresses]))

    def invitations(self, role: Role = "phone") -> tuple[str, ...]:
        """The URLs that let a device join; the token is in the fragment, which a browser does not send."""
        return tuple(f"{base}#{self.credentials.tokens[role]}" for base in self.bases())


def lan_addresses() -> tuple[Address, ...]:
    """This computer's IPv4 addresses without loopback, the most likely one first."""
    found = [
        Address(ip.ip, adapter.nice_name)
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
        if isinstance(ip.ip, str) and not ipaddress.ip_address(ip.ip).is_loopback
    ]
    return likely_first(found, _outbound_address())


def likely_first(addresses: Iterable[Address], outbound: str | None) -> tuple[Address, ...]:
    """Real adapters before virtual ones, then the default route's, then private addresses; link-local last."""

    def unlikely(address: Address) -> tuple[bool, bool, bool, bool]:
        ip = ipaddress.ip_address(address.ip)
        virtual = bool(_VIRTUAL_ADAPTER.match(address.adapter))
        return ip.is_link_local, virtual, address.ip != outbound, not ip.is_private

    return tuple(sorted(addresses, key=unlikely))


def own_address(text: str) -> str:
    """The address given for phones, checked; raises `ValueError` if it is not an IPv4 address of this computer."""
    if not _is_address(text) or not isinstance(ipaddress.ip_address(text), ipaddress.IPv4Address):
        raise ValueError(f"--host takes an IPv4 address of this computer, such as 192.168.1.5, not '{text}'.")
    if ipaddress.ip_address(text).is_unspecified:
        raise ValueError("--host takes one address. Leave it out, and all addresses of this computer are used.")
    with socket.socket() as probe:
        try:
            probe.bind((text, 0))
        except OSError as error:
            known = ", ".join(address.ip for address in lan_addresses()) or "none"
            raise ValueError(f"{text} is not an address of this computer (it has: {known}).") from error
    return text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _outbound_address() -> str | None:
    """The source address of the default route, found without sending anything; None without a route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return address
