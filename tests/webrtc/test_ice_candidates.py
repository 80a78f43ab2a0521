"""Which candidates are sent checks: the caller's own and private ones, a few, and only those that can be a phone's."""

from __future__ import annotations

import pytest

from whycam.stream.webrtc.ice import config
from whycam.stream.webrtc.ice.candidates import MAX_CANDIDATES, CandidateError, Reach
from whycam.stream.webrtc.ice.config import IceConfig

OWN = ("127.0.0.1", "192.168.1.5", "172.17.0.1")
PHONE, OUTSIDER, BROWSER = "192.168.1.7", "203.0.113.9", "127.0.0.1"


def line(
    address: str, port: int | str = 51000, *, component: str = "1", transport: str = "udp", kind: str = "host"
) -> str:
    return f"a=candidate:1 {component} {transport} 2122260223 {address} {port} typ {kind}"


def is_tried(candidate: str, caller: str = PHONE, *, anywhere: bool = False, own: tuple[str, ...] = OWN) -> bool:
    return bool(Reach.of(own, caller, anywhere=anywhere).tried([candidate]))


@pytest.mark.parametrize(
    "address", [PHONE, "192.168.1.8", "10.1.2.3", "172.31.0.9", "169.254.3.4", "100.64.0.2", "100.127.255.254"]
)
def test_a_private_address_is_tried(address: str) -> None:
    assert is_tried(line(address))
    assert is_tried(line(address, transport="UDP", kind="srflx raddr 0.0.0.0 rport 9"))


@pytest.mark.parametrize("address", ["203.0.113.8", "8.8.8.8", "172.32.0.1", "100.128.0.1", "192.169.0.1"])
def test_a_public_address_is_tried_where_it_is_the_callers_own_or_an_ice_server_is_named(address: str) -> None:
    assert not is_tried(line(address))
    assert not is_tried(line(address), BROWSER)
    assert is_tried(line(address), address)
    assert is_tried(line(address), anywhere=True)


@pytest.mark.parametrize(
    "address",
    [
        *("224.0.0.251", "239.255.255.250", "255.255.255.255", "240.0.0.1", "0.0.0.0", "127.0.0.1", "127.8.8.8"),
        *("192.168.1.5", "172.17.0.1", "ff02::fb", "::", "::1", "::ffff:192.168.1.8", "2001:db8::1", "fd00::7"),
        *(
            "3f0b9c1e-1d2c-4b7e-8f55-0a8f4a8e6a10.local",
            "x.LOCAL.",
            "localhost",
            "router.lan",
            "192.168.1",
            "0xc0a80108",
        ),
    ],
)
def test_an_address_that_cannot_be_a_phones_is_never_tried(address: str) -> None:
    """Multicast, broadcast, this computer, the other IP version, and names, which are not resolved."""
    for caller in (PHONE, OUTSIDER, "", "a proxy"):
        assert not is_tried(line(address), caller)
        assert not is_tried(line(address), caller, anywhere=True)


@pytest.mark.parametrize("caller", [BROWSER, "192.168.1.5"])
@pytest.mark.parametrize("address", ["127.0.0.1", "192.168.1.5", "172.17.0.1"])
def test_this_computers_own_browser_has_its_addresses(address: str, caller: str) -> None:
    assert is_tried(line(address), caller)


def test_ipv6_is_tried_where_media_has_such_an_address() -> None:
    own = (*OWN, "fd00::5")
    for address in ("fd00::7", "fe80::1"):
        assert is_tried(line(address), own=own)
    for address in ("2001:db8::1", "ff02::fb", "::", "::ffff:192.168.1.8", "::1", "fd00::5"):
        assert not is_tried(line(address), own=own)


@pytest.mark.parametrize("port", [0, 9, 53, 443, 1023, 65536, -1, 99999999999])
def test_a_port_of_a_service_is_never_tried(port: int) -> None:
    assert not is_tried(line(PHONE, port))
    assert not is_tried(line(OUTSIDER, port), OUTSIDER, anywhere=True)


def test_unsupported_candidates_are_dropped() -> None:
    assert is_tried(line(PHONE, 1024))
    assert is_tried(line(PHONE, 65535))
    assert not is_tried(line(PHONE, transport="tcp") + " tcptype passive")
    assert not is_tried(line(PHONE, component="2"))


@pytest.mark.parametrize(
    "text", ["a=candidate:", "a=candidate:x", "a=candidate:1 1 udp 1", line(PHONE, "x"), line(PHONE, component="one")]
)
def test_a_candidate_that_cannot_be_parsed_is_an_error(text: str) -> None:
    with pytest.raises(CandidateError, match="cannot be read: 'a=candidate:"):
        Reach.of(OWN, PHONE).tried([text])


def test_if_there_are_too_many_the_callers_own_are_tried_then_the_first() -> None:
    others = [line(f"10.0.0.{number}") for number in range(1, 40)]
    reach = Reach.of(OWN, PHONE)
    assert reach.tried(others) == set(others[:MAX_CANDIDATES])
    assert reach.tried([*others, line(PHONE)]) == {line(PHONE), *others[: MAX_CANDIDATES - 1]}


def test_a_line_that_each_section_repeats_counts_once() -> None:
    some = [line(f"10.0.0.{number}") for number in range(MAX_CANDIDATES)]
    assert Reach.of(OWN, PHONE).tried(some * 4) == set(some)


CHROMIUM = [
    "a=candidate:2051078011 1 udp 2122260223 192.168.1.7 51000 typ host generation 0 network-id 1 network-cost 10",
    "a=candidate:3365443461 1 udp 2122129151 10.45.0.7 51001 typ host generation 0 network-id 3 network-cost 900",
    "a=candidate:1013040083 1 udp 2122197247 2001:db8::7 51002 typ host generation 0 network-id 2 network-cost 10",
    "a=candidate:2312143651 1 tcp 1518280447 192.168.1.7 9 typ host tcptype active generation 0 network-id 1",
]
FIREFOX = [
    "a=candidate:0 1 UDP 2122252543 192.168.1.7 51000 typ host",
    "a=candidate:1 1 TCP 2105524479 192.168.1.7 9 typ host tcptype active",
    "a=candidate:0 2 UDP 2122252542 192.168.1.7 51003 typ host",
]
LIBDATACHANNEL = [
    "a=candidate:1 1 UDP 2122317823 192.168.1.7 51000 typ host",
    "a=candidate:2 1 UDP 2122187007 fe80::a00:27ff:fe4e:66a1 51000 typ host",
]
GSTREAMER = [
    "a=candidate:1 1 UDP 2015363327 192.168.1.7 51000 typ host",
    "a=candidate:2 1 TCP 1015021823 192.168.1.7 9 typ host tcptype active",
    "a=candidate:3 1 TCP 1010827519 192.168.1.7 51004 typ host tcptype passive",
]


@pytest.mark.parametrize(
    ("lines", "tried"),
    [
        (CHROMIUM, CHROMIUM[:2]),
        (FIREFOX, FIREFOX[:1]),
        (LIBDATACHANNEL, LIBDATACHANNEL[:1]),
        (GSTREAMER, GSTREAMER[:1]),
    ],
)
def test_of_real_clients_candidates_those_that_can_reach_us_are_tried(lines: list[str], tried: list[str]) -> None:
    assert Reach.of(OWN, PHONE).tried(lines) == set(tried)


def test_only_this_computers_addresses_are_tried_where_only_it_is_served() -> None:
    reach = Reach.of(OWN, BROWSER, only_own=True)
    lines = [line(address) for address in (*OWN, PHONE, "10.1.2.3")]
    assert reach.tried(lines) == {line(address) for address in OWN}


def test_a_computer_that_serves_itself_uses_the_addresses_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, those of its start: after a change of networks Firefox had none that still existed."""
    media, joined = IceConfig(only_here=True), ("192.168.7.9", "127.0.0.1")
    assert media.current().addresses[-1] == "127.0.0.1"
    monkeypatch.setattr(config, "own_addresses", lambda: joined)
    now = media.current()
    assert now.addresses == joined
    assert [now.admits(sender) for sender in (*joined, "127.0.0.2", "192.168.7.10")] == [True, True, True, False]
    assert IceConfig().current().addresses == ("127.0.0.1",)
    assert IceConfig().admits("192.168.7.10")
