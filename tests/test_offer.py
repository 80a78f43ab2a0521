"""Offers are counted before anything parses them."""

from __future__ import annotations

import pytest

from stream.offer import MAX_BYTES, MAX_LINES, OfferError, OfferTooLarge, check_offer

OFFER = [
    "v=0",
    "o=- 1 2 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    "c=IN IP4 0.0.0.0",
    "a=candidate:1 1 udp 2122260223 192.0.2.7 51000 typ host",
    "a=ssrc:7 cname:x",
]
HIDDEN = "a=candidate:2 1 udp 2122260223 3f0b9c1e-1d2c-4b7e-8f55-0a8f4a8e6a10.local 51001 typ host"


def offer(*more: str) -> str:
    return "\r\n".join([*OFFER, *more]) + "\r\n"


def test_a_browsers_offer_is_taken_as_it_is() -> None:
    assert check_offer(offer()) == offer()
    assert check_offer("\n".join(OFFER)) == offer()


def test_candidates_that_hide_their_address_are_left_out() -> None:
    assert check_offer(offer(HIDDEN, HIDDEN.replace(" udp ", " tcp "))) == offer()


def test_a_name_that_only_contains_local_is_kept() -> None:
    kept = "a=candidate:3 1 udp 1 localhost.localdomain 51002 typ host"
    assert check_offer(offer(kept, "a=mid:my.local video")) == offer(kept, "a=mid:my.local video")


@pytest.mark.parametrize("start", MAX_LINES)
def test_an_offer_with_more_lines_than_a_browser_writes_is_refused(start: str) -> None:
    there = sum(line.startswith(start) for line in OFFER)
    most = [f"{start}x"] * (MAX_LINES[start] - there)
    assert check_offer(offer(*most)) == offer(*most)
    with pytest.raises(OfferTooLarge, match=f"has {MAX_LINES[start] + 1} lines '{start}', at most {MAX_LINES[start]}"):
        check_offer(offer(*most, f"{start}x"))


def test_hidden_candidates_count_like_others() -> None:
    with pytest.raises(OfferTooLarge, match="a=candidate:"):
        check_offer(offer(*[HIDDEN] * MAX_LINES["a=candidate:"]))


def test_an_offer_is_measured_in_bytes() -> None:
    room = MAX_BYTES - len(offer("a=")) - 1
    assert len(check_offer(offer("a=" + "x" * room)).encode()) == MAX_BYTES - 1
    with pytest.raises(OfferTooLarge, match=f"at most {MAX_BYTES} are taken"):
        check_offer(offer("a=" + "x" * (room + 2)))
    with pytest.raises(OfferTooLarge, match="bytes"):
        check_offer(offer("a=" + "ä" * (MAX_BYTES // 2)))


@pytest.mark.parametrize("body", ["", "\r\n", "hello", '{"sdp": "v=0"}', " v=0", "v=1\r\n", "a=x\r\nv=0\r\n", "\0"])
def test_what_is_no_offer_is_refused(body: str) -> None:
    with pytest.raises(OfferError, match="it should begin with 'v=0'"):
        check_offer(body)


def test_a_refusal_for_size_is_a_refusal() -> None:
    assert issubclass(OfferTooLarge, OfferError)


def test_the_largest_offer_is_checked_at_once() -> None:
    """Each line is looked at once, so 32 KiB of any lines are no work."""
    lines = "v=0\r\n" + "a\r\n" * ((MAX_BYTES - 5) // 3)
    assert len(check_offer(lines).splitlines()) == lines.count("\n")
