"""The certificate for https in the LAN: made by whycam and renewed when it no longer fits, or given by the user.

whycam's own is signed by an authority that is made on this computer and is valid for it alone: its name constraints are
`localhost`, `.local` names and private addresses. A phone with the authority installed needs no new confirmation when
the addresses change, because only the server's certificate is made anew.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from whycam.stream.private_files import write_private

DAYS = 397
"""Phones refuse a server certificate that is valid for longer."""
AUTHORITY_DAYS = 3650
RENEW_DAYS = 30
PRIVATE_NETWORKS = ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
CHAIN, KEY, AUTHORITY, AUTHORITY_KEY = "server.crt", "server.key", "authority.crt", "authority.key"


class CertificateError(ValueError):
    """A certificate that cannot be used; says what to do."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate chain and its key, in files."""

    chain: Path
    key: Path
    names: tuple[str, ...]
    """The DNS names and addresses that it is valid for."""
    until: datetime
    authority: bytes | None
    """PEM of our own authority, to be installed on a phone; None for a given certificate."""

    def context(self) -> ssl.SSLContext:
        """For the server's sockets; raises `CertificateError`."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            # A key with a password would ask for it on the terminal.
            context.load_cert_chain(self.chain, self.key, password="")
        except (ssl.SSLError, OSError) as error:
            raise CertificateError(
                f"{self.chain} and {self.key} cannot be used as certificate and key ({error}). "
                "Give a PEM chain and its key without a password, with --cert and --key."
            ) from error
        return context


def given_certificate(chain: Path, key: Path) -> Certificate:
    """A certificate that the user gives; raises `CertificateError` if it is unusable or not valid today."""
    leaf = _read(chain)
    certificate = Certificate(chain, key, _names(leaf), leaf.not_valid_after_utc, None)
    certificate.context()
    begin, end, now = leaf.not_valid_before_utc, leaf.not_valid_after_utc, datetime.now(UTC)
    if not begin <= now < end:
        raise CertificateError(
            f"{chain} is valid from {begin:%Y-%m-%d} until {end:%Y-%m-%d}; today is {now:%Y-%m-%d}. "
            "Give another one, or set this computer's clock."
        )
    return certificate


def own_certificate(folder: Path, addresses: Iterable[str], now: datetime | None = None) -> Certificate:
    """The certificate in a folder, made or renewed if it does not fit these addresses or the date."""
    now = now or datetime.now(UTC)
    names = tuple(dict.fromkeys(("localhost", local_name(), "127.0.0.1", *addresses)))
    authority = _kept(folder / AUTHORITY, folder / AUTHORITY_KEY)
    if authority is None or not (_valid(authority[0], now) and _covers(authority[0], names)):
        authority = _new_authority(folder, names, now)
    leaf = _kept(folder / CHAIN, folder / KEY)
    fits = leaf is not None and _valid(leaf[0], now) and set(names) <= set(_names(leaf[0]))
    if leaf is None or not fits or leaf[0].issuer != authority[0].subject:
        leaf = _new_leaf(folder, names, now, *authority)
    pem = authority[0].public_bytes(serialization.Encoding.PEM)
    return Certificate(folder / CHAIN, folder / KEY, _names(leaf[0]), leaf[0].not_valid_after_utc, pem)


def kept_certificate(folder: Path) -> Certificate | None:
    """The certificate in a folder, unchanged; None if there is none. Raises `CertificateError`."""
    if not (folder / CHAIN).exists():
        return None
    leaf = _read(folder / CHAIN)
    certificate = Certificate(folder / CHAIN, folder / KEY, _names(leaf), leaf.not_valid_after_utc, None)
    certificate.context()
    return certificate


def local_name() -> str:
    """This computer's mDNS name."""
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().partition(".")[0].lower()).strip("-")
    return f"{name or 'whycam'}.local"


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        raise CertificateError(f"{path} cannot be read ({error.strerror}). Give a file with a certificate.") from error
    except ValueError as error:
        raise CertificateError(
            f"{path} holds no PEM certificate ('-----BEGIN CERTIFICATE-----' …). Give the chain with --cert."
        ) from error


def _kept(path: Path, key: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """Certificate and key, or None unless both can be read and belong together."""
    try:
        certificate = _read(path)
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (ValueError, TypeError, OSError):
        return None  # an unreadable one is made anew
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != certificate.public_key():
        return None
    return certificate, private


def _valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc - timedelta(days=RENEW_DAYS)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (
        *(name.lower() for name in names.get_values_for_type(x509.DNSName)),
        *map(str, names.get_values_for_type(x509.IPAddress)),
    )


def _networks(names: Sequence[str]) -> list[ipaddress.IPv4Network]:
    """The private networks, and those of our addresses outside them (a university's, for example)."""
    private = [ipaddress.IPv4Network(text) for text in PRIVATE_NETWORKS]
    addresses = [name.value for name in map(_general_name, names) if isinstance(name, x509.IPAddress)]
    single = [ipaddress.IPv4Network(str(address)) for address in addresses]
    return [*private, *(one for one in single if not any(one.subnet_of(network) for network in private))]


def _covers(authority: x509.Certificate, names: Sequence[str]) -> bool:
    try:
        allowed = authority.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    except x509.ExtensionNotFound:
        return False
    permitted = {subtree.value for subtree in allowed if isinstance(subtree, x509.IPAddress)}
    return permitted >= set(_networks(names))


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _new_authority(
    folder: Path, names: Sequence[str], now: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"whycam on {local_name()}"[:64]),
            # Two authorities of one computer must not be mistaken for each other.
            x509.NameAttribute(NameOID.SERIAL_NUMBER, f"{x509.random_serial_number():x}"[:16]),
        ]
    )
    allowed = [x509.DNSName("localhost"), x509.DNSName("local"), *map(x509.IPAddress, _networks(names))]
    certificate = (
        _builder(name, name, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(allowed, None), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(folder / AUTHORITY_KEY, _key_pem(key))
    write_private(folder / AUTHORITY, certificate.public_bytes(serialization.Encoding.PEM))
    return certificate, key


def _new_leaf(
    folder: Path,
    names: Sequence[str],
    now: datetime,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, local_name()[:64])])
    certificate = (
        _builder(subject, authority.subject, key, now, DAYS)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    write_private(folder / KEY, _key_pem(key))
    chain = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (certificate, authority))
    write_private(folder / CHAIN, chain)
    return certificate, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    begin = now - timedelta(days=1)  # a phone's clock may be behind
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
