"""Which addresses phones are offered, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from whycam.stream.server.certificate import local_name, own_certificate
from whycam.stream.server.lan import Address, Lan, lan_addresses, likely_first, own_address

WIFI, WIRE = Address("192.168.1.5", "wlan0"), Address("10.1.2.3", "eth0")
DOCKER, VPN, LOST = Address("172.17.0.1", "docker0"), Address("10.8.0.2", "tun0"), Address("169.254.3.4", "eth1")
PUBLIC = Address("203.0.113.9", "eth2")
HYPER = Address("172.28.0.1", "vEthernet (WSL)")


@pytest.mark.parametrize(
    ("outbound", "order"),
    [
        ("192.168.1.5", [WIFI, WIRE, PUBLIC, DOCKER, VPN, HYPER, LOST]),
        ("10.1.2.3", [WIRE, WIFI, PUBLIC, DOCKER, VPN, HYPER, LOST]),
        (
            "10.8.0.2",
            [WIFI, WIRE, PUBLIC, VPN, DOCKER, HYPER, LOST],
        ),  # the VPN has the default route, but no phone is in it
        (None, [WIFI, WIRE, PUBLIC, DOCKER, VPN, HYPER, LOST]),  # a hotspot without internet has no default route
    ],
)
def test_the_likely_address_comes_first(outbound: str | None, order: list[Address]) -> None:
    assert list(likely_first([DOCKER, LOST, WIFI, VPN, WIRE, PUBLIC, HYPER], outbound)) == order


def test_loopback_is_no_address_for_phones() -> None:
    assert not any(address.ip.startswith("127.") for address in lan_addresses())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kitchen", "takes an IPv4 address"),
        ("::1", "takes an IPv4 address"),
        ("0.0.0.0", "takes one address"),
        ("203.0.113.77", "not an address of this computer"),
    ],
)
def test_a_host_option_that_is_no_own_address_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        own_address(text)
    assert own_address("127.0.0.1") == "127.0.0.1"


def test_an_invitation_has_the_token_in_the_fragment(tmp_path: Path) -> None:
    lan = Lan.prepared(["192.168.1.5", "10.1.2.3"], 8443, tmp_path)
    token = lan.credentials.tokens["phone"]
    assert lan.invitations() == (f"https://192.168.1.5:8443/#{token}", f"https://10.1.2.3:8443/#{token}")
    assert {"192.168.1.5", "10.1.2.3", "localhost"} <= set(lan.names)


def test_the_first_url_is_a_name_of_the_given_certificate(tmp_path: Path) -> None:
    """As mkcert makes them, for localhost, a name and an address. A phone's localhost is the phone itself."""
    own_certificate(tmp_path, ["192.168.1.5"])
    given = (tmp_path / "server.crt", tmp_path / "server.key")
    both = Lan.prepared(["10.1.2.3", "192.168.1.5"], 443, tmp_path, given=given)
    assert both.bases() == ("https://192.168.1.5:443/", "https://10.1.2.3:443/")
    moved = Lan.prepared(["10.1.2.3"], 443, tmp_path, given=given)
    assert moved.bases() == (f"https://{local_name()}:443/", "https://10.1.2.3:443/")


def test_an_address_that_two_adapters_have_is_listed_once(tmp_path: Path) -> None:
    assert Lan.prepared(["192.168.1.5", "192.168.1.5"], 8443, tmp_path).addresses == ("192.168.1.5",)


@pytest.mark.parametrize("file", ["", "access.json/", "server.key/"])
def test_a_folder_that_cannot_store_keys_is_refused(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "config"
    if file:
        (folder / file).mkdir(parents=True)
    else:
        folder.write_text("not a folder")
    with pytest.raises(ValueError, match="--config"):
        Lan.prepared(["192.168.1.5"], 8443, folder)


def test_without_a_network_there_is_no_url_and_no_certificate(tmp_path: Path) -> None:
    lan = Lan.prepared([], 8443, tmp_path)
    assert lan.certificate is None
    assert lan.invitations() == ()
