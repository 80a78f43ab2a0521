"""Offers are checked before they are parsed."""

from __future__ import annotations

import pytest

from whycam.stream.video.codec import EncodedFrame
from whycam.stream.webrtc import sdp as module
from whycam.stream.webrtc.ice.candidates import MAX_CANDIDATES, Reach
from whycam.stream.webrtc.sdp import (
    H264_ACCEPTED,
    MAX_BYTES,
    MAX_ICE_LENGTH,
    MAX_LINES,
    MIN_ICE_LENGTH,
    OfferError,
    OfferTooLarge,
    accept_any_h264,
    accept_plain_h264,
    parameter_sets,
)

OFFER = [
    "v=0",
    "o=- 1 2 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    "c=IN IP4 0.0.0.0",
    "a=ice-ufrag:x7Kq",
    "a=ice-pwd:3fB0c9wQ7mLr+2eY/8dTzN1a",
    "a=candidate:1 1 udp 2122260223 192.168.1.7 51000 typ host",
    "a=ssrc:7 cname:x",
]
HIDDEN = "a=candidate:2 1 udp 2122260223 3f0b9c1e-1d2c-4b7e-8f55-0a8f4a8e6a10.local 51001 typ host"


def check_offer(sdp: str) -> str:
    """Check an offer from a phone in the same network."""
    return module.check_offer(sdp, Reach.of(["127.0.0.1", "192.168.1.5"], "192.168.1.7"))


def offer(*more: str) -> str:
    return "\r\n".join([*OFFER, *more]) + "\r\n"


def test_a_browsers_offer_is_accepted_unchanged() -> None:
    assert check_offer(offer()) == offer()
    assert check_offer("\n".join(OFFER)) == offer()


def test_candidates_that_hide_their_address_are_dropped() -> None:
    assert check_offer(offer(HIDDEN, HIDDEN.replace(" udp ", " tcp "))) == offer()


def test_an_offer_with_hidden_candidates_does_not_end_its_candidates() -> None:
    assert check_offer(offer("a=end-of-candidates")) == offer("a=end-of-candidates")
    assert check_offer(offer(HIDDEN, "a=end-of-candidates")) == offer()


def test_a_publishers_h264_is_accepted_with_any_profile() -> None:
    high = "a=fmtp:96 packetization-mode=1; profile-level-id=640c1f;sprop-parameter-sets=Z0LAHg==,aM48gA=="
    others = ["a=rtpmap:98 rtx/90000", "a=fmtp:98 apt=96", "a=rtpmap:99 VP8/90000"]
    sdp, formats = accept_any_h264(offer("a=rtpmap:96 H264/90000", "a=rtpmap:97 h264/90000", high, *others))
    accepted = [f"a=fmtp:{number} {H264_ACCEPTED}" for number in (96, 97)]
    assert sdp == offer("a=rtpmap:96 H264/90000", accepted[0], "a=rtpmap:97 h264/90000", accepted[1], *others)
    assert formats == {96: {"packetization-mode": "1", "profile-level-id": "640c1f"}, 97: {}}
    assert accept_any_h264(offer(*others)) == (offer(*others), {})


@pytest.mark.parametrize("plain", [(), ("a=fmtp:96 profile-level-id=42c01f",), ("a=fmtp:96 packetization-mode=0",)])
def test_a_receivers_h264_without_a_packetization_mode_is_accepted(plain: tuple[str, ...]) -> None:
    """Its default is 0 (RFC 6184, 8.1)."""
    sdp, formats = accept_plain_h264(offer("a=rtpmap:96 H264/90000", *plain))
    assert sdp == offer("a=rtpmap:96 H264/90000", f"a=fmtp:96 {H264_ACCEPTED}")
    assert formats == {96: dict(part.split("=") for line in plain for part in line.split()[1:])}


def test_a_receiver_that_knows_packetization_mode_1_gets_that() -> None:
    both = offer(
        *("a=rtpmap:96 H264/90000", "a=rtpmap:97 H264/90000"),
        "a=fmtp:97 packetization-mode=1;profile-level-id=42e01f",
    )
    assert accept_plain_h264(both) == (both, {})


@pytest.mark.parametrize(
    "parameters",
    ["sprop-parameter-sets=Z0LAHg==,aM48gA==", "packetization-mode=1; sprop-parameter-sets=Z0LAHg==,aM48gA==;a=b"],
)
def test_the_parameter_sets_of_an_offer_are_found(parameters: str) -> None:
    (sets,) = parameter_sets(offer(f"a=fmtp:96 {parameters}", "a=fmtp:97 apt=96")).values()
    idr = EncodedFrame("H264", bytes.fromhex("00000001 65 88"), 0)
    assert sets.complete(idr).header == bytes.fromhex("6742c01e 68ce3c80")
    with pytest.raises(OfferError, match="The offer's 'sprop-parameter-sets' should be base64"):
        parameter_sets(offer("a=fmtp:96 sprop-parameter-sets=Z0L"))


def test_local_inside_a_name_drops_a_candidate_but_not_a_section() -> None:
    name = "a=candidate:3 1 udp 1 localhost.localdomain 51002 typ host"
    assert check_offer(offer(name, "a=mid:my.local video")) == offer("a=mid:my.local video")


@pytest.mark.parametrize("start", MAX_LINES)
def test_an_offer_with_more_lines_than_a_browser_writes_is_refused(start: str) -> None:
    there = sum(line.startswith(start) for line in OFFER)
    many = [f"{start}x"] * (MAX_LINES[start] - there)
    assert check_offer(offer(*many)) == offer(*many)
    with pytest.raises(OfferTooLarge, match=f"has {MAX_LINES[start] + 1} lines '{start}', at most {MAX_LINES[start]}"):
        check_offer(offer(*many, f"{start}x"))


def test_too_many_or_too_far_candidates_are_dropped_and_the_offer_is_accepted() -> None:
    near = [f"a=candidate:{n} 1 udp 1 10.0.0.{n} 51000 typ host" for n in range(1, 40)]
    far = [f"a=candidate:{n} 1 udp 1 203.0.113.{n} 51000 typ srflx raddr 10.0.0.1 rport 51000" for n in range(1, 40)]
    assert check_offer(offer(*far, *near, "a=end-of-candidates")) == offer(*near[: MAX_CANDIDATES - 1])
    assert check_offer(offer(*near[:3], "a=end-of-candidates")) == offer(*near[:3], "a=end-of-candidates")


def test_a_candidate_that_cannot_be_parsed_is_an_error() -> None:
    with pytest.raises(OfferError, match="a candidate that cannot be read: 'a=candidate:1 1 udp'"):
        check_offer(offer("a=candidate:1 1 udp"))


@pytest.mark.parametrize("name", MIN_ICE_LENGTH)
@pytest.mark.parametrize("at", [0, 3, len(OFFER)])
def test_a_ufrag_or_password_has_a_length_that_the_rfc_allows(name: str, at: int) -> None:
    """For the session, for a section, and for a repeated line: checks contain it."""

    def having(value: str) -> str:
        lines = [*OFFER]
        lines.insert(at or 1, f"a={name}:{value}")
        return "\r\n".join(lines) + "\r\n"

    for letters in (MIN_ICE_LENGTH[name], MAX_ICE_LENGTH):
        assert check_offer(having("a" * letters)) == having("a" * letters)
    for letters in (0, MIN_ICE_LENGTH[name] - 1, MAX_ICE_LENGTH + 1, 28_000):
        with pytest.raises(
            OfferError, match=f"{name} has {letters} characters; it should have {MIN_ICE_LENGTH[name]} to 256"
        ):
            check_offer(having("a" * letters))
    for letter in ("é", " ", ":", "\0", "\t"):
        with pytest.raises(OfferError, match=f"{name} should have letters, digits"):
            check_offer(having("a" * 30 + letter))
    assert check_offer(having("aA0+/=#_-" * 3)) == having("aA0+/=#_-" * 3)  # libwebrtc takes these


def test_an_offer_is_measured_in_bytes() -> None:
    room = MAX_BYTES - len(offer("a=")) - 1
    assert len(check_offer(offer("a=" + "x" * room)).encode()) == MAX_BYTES - 1
    with pytest.raises(OfferTooLarge, match=f"at most {MAX_BYTES} are accepted"):
        check_offer(offer("a=" + "x" * (room + 2)))
    with pytest.raises(OfferTooLarge, match="bytes"):
        check_offer(offer("a=" + "ä" * (MAX_BYTES // 2)))


@pytest.mark.parametrize("body", ["", "\r\n", "hello", '{"sdp": "v=0"}', " v=0", "v=1\r\n", "a=x\r\nv=0\r\n", "\0"])
def test_a_body_that_is_not_an_offer_is_refused(body: str) -> None:
    with pytest.raises(OfferError, match="it should begin with 'v=0'"):
        check_offer(body)


def test_a_size_error_is_an_offer_error() -> None:
    assert issubclass(OfferTooLarge, OfferError)


def test_the_largest_offer_is_checked_at_once() -> None:
    """Each line is checked once, so 32 KiB of any lines are fast."""
    lines = "v=0\r\n" + "a\r\n" * ((MAX_BYTES - 5) // 3)
    assert len(check_offer(lines).splitlines()) == lines.count("\n")
