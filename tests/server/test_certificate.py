"""The https certificate: a client that trusts whycam's authority accepts it, and no other names."""

from __future__ import annotations

import shutil
import socket
import ssl
import stat
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from whycam.stream.server.certificate import (
    AUTHORITY,
    AUTHORITY_KEY,
    CHAIN,
    DAYS,
    KEY,
    Certificate,
    CertificateError,
    given_certificate,
    kept_certificate,
    local_name,
    own_certificate,
)

HOME = ["192.168.1.5"]


def accepts(certificate: Certificate, authority: Path, name: str) -> bool:
    """Whether a TLS client that trusts only `authority` accepts a server of this name."""
    server, client = socket.socketpair()

    def serve() -> None:
        try:
            certificate.context().wrap_socket(server, server_side=True).close()
        except ssl.SSLError:
            server.close()

    thread = threading.Thread(target=serve)
    thread.start()
    context = ssl.create_default_context(cafile=str(authority))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        with context.wrap_socket(client, server_hostname=name):
            return True
    except ssl.SSLCertVerificationError:
        return False
    finally:
        client.close()
        thread.join()


@pytest.mark.parametrize("address", ["192.168.1.5", "10.0.0.7", "203.0.113.9"])
def test_a_client_that_trusts_the_authority_accepts_all_its_names(tmp_path: Path, address: str) -> None:
    made = own_certificate(tmp_path, [address])
    assert set(made.names) == {"localhost", local_name(), "127.0.0.1", address}
    for name in made.names:
        assert accepts(made, tmp_path / AUTHORITY, name), name
    assert not accepts(made, tmp_path / AUTHORITY, "192.168.1.6")
    assert made.authority == (tmp_path / AUTHORITY).read_bytes()


def test_the_authority_cannot_sign_for_the_internet(tmp_path: Path) -> None:
    own_certificate(tmp_path, HOME)
    (authority,) = x509.load_pem_x509_certificates((tmp_path / AUTHORITY).read_bytes())
    limits = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    names = [name.value for name in limits.value.permitted_subtrees or [] if isinstance(name, x509.DNSName)]
    assert names == ["localhost", "local"]
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_a_leaf_for_another_name_is_refused_although_the_authority_signed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_certificate(tmp_path, HOME)
    monkeypatch.setattr("whycam.stream.server.certificate.local_name", lambda: "bank.example")
    forged = own_certificate(tmp_path, HOME)
    assert "bank.example" in forged.names
    assert not accepts(forged, tmp_path / AUTHORITY, "bank.example")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    own_certificate(tmp_path, HOME)
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", str(tmp_path / AUTHORITY)]
    done = subprocess.run([*command, str(tmp_path / CHAIN)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_keys_are_for_this_user_only(tmp_path: Path) -> None:
    own_certificate(tmp_path / "config", HOME)
    for name in (KEY, AUTHORITY_KEY):
        assert stat.S_IMODE((tmp_path / "config" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "config").stat().st_mode) == 0o700


def test_it_is_made_once_and_valid_no_longer_than_phones_allow(tmp_path: Path) -> None:
    first = own_certificate(tmp_path, HOME)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert own_certificate(tmp_path, HOME) == first
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    leaf = x509.load_pem_x509_certificates((tmp_path / CHAIN).read_bytes())[0]
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=DAYS) <= timedelta(days=397)


def test_another_address_or_a_later_date_renews_it_under_the_same_authority(tmp_path: Path) -> None:
    own_certificate(tmp_path, HOME)
    authority, chain = (tmp_path / AUTHORITY).read_bytes(), (tmp_path / CHAIN).read_bytes()
    moved = own_certificate(tmp_path, ["192.168.43.7"])
    assert accepts(moved, tmp_path / AUTHORITY, "192.168.43.7")
    assert (tmp_path / CHAIN).read_bytes() != chain
    chain = (tmp_path / CHAIN).read_bytes()
    later = datetime.now(UTC) + timedelta(days=DAYS - 20)
    assert own_certificate(tmp_path, ["192.168.43.7"], later).until > later + timedelta(days=300)
    assert (tmp_path / CHAIN).read_bytes() != chain
    assert (tmp_path / AUTHORITY).read_bytes() == authority


def test_an_address_outside_the_name_constraints_makes_a_new_authority(tmp_path: Path) -> None:
    own_certificate(tmp_path, HOME)
    authority = (tmp_path / AUTHORITY).read_bytes()
    public = own_certificate(tmp_path, ["203.0.113.9"])
    assert (tmp_path / AUTHORITY).read_bytes() != authority
    assert accepts(public, tmp_path / AUTHORITY, "203.0.113.9")


@pytest.mark.parametrize("name", [CHAIN, KEY, AUTHORITY, AUTHORITY_KEY])
def test_a_damaged_file_is_made_anew(tmp_path: Path, name: str) -> None:
    own_certificate(tmp_path, HOME)
    (tmp_path / name).write_bytes(b"damaged")
    again = own_certificate(tmp_path, HOME)
    assert accepts(again, tmp_path / AUTHORITY, "192.168.1.5")


def test_a_given_certificate_is_used_as_it_is(tmp_path: Path) -> None:
    own_certificate(tmp_path, HOME)
    given = given_certificate(tmp_path / CHAIN, tmp_path / KEY)
    assert given.authority is None
    assert "192.168.1.5" in given.names
    assert accepts(given, tmp_path / AUTHORITY, "localhost")


def test_a_given_certificate_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    own_certificate(tmp_path, HOME)
    (tmp_path / "text").write_text("not a certificate")
    for chain, key, words in (
        ("none", KEY, "cannot be read"),
        (".", KEY, "cannot be read"),
        ("text", KEY, "no PEM certificate"),
        (CHAIN, "none", "cannot be used"),
        (CHAIN, AUTHORITY_KEY, "cannot be used"),
    ):
        with pytest.raises(CertificateError, match=words):
            given_certificate(tmp_path / chain, tmp_path / key)
    for days in (-2 * DAYS, DAYS):
        folder = tmp_path / f"{days} days"
        own_certificate(folder, HOME, datetime.now(UTC) + timedelta(days=days))
        with pytest.raises(CertificateError, match="is valid from"):
            given_certificate(folder / CHAIN, folder / KEY)


def test_reading_the_certificate_writes_nothing(tmp_path: Path) -> None:
    assert kept_certificate(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()
    made = own_certificate(tmp_path, HOME)
    kept = kept_certificate(tmp_path)
    assert kept is not None
    assert kept.until == made.until
