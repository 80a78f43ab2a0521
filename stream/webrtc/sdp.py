"""What an offer may be, counted before anything parses it: aiortc's parser is quadratic in some of its lines."""

from __future__ import annotations

import re

from whycam.stream.limits import LIMITS
from whycam.stream.webrtc.ice.candidates import START, CandidateError, Reach

MAX_BYTES = LIMITS.max_offer_bytes
MAX_LINES = {"m=": LIMITS.max_offer_sections, "a=ssrc": LIMITS.max_offer_sources}
MAX_LETTERS = LIMITS.max_ice_letters
MIN_LETTERS = {"ice-ufrag": 4, "ice-pwd": 22}
"""Of both checks are made, so their length is that of what is sent to whom an offer names (RFC 8839, 5.4)."""
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/=#_-]*")
"""Those of the RFC, and the others that libwebrtc takes as well."""
H264_TAKEN = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
"""The format parameters of H.264 that aiortc takes an offer for."""


class OfferError(ValueError):
    """An offer that cannot be answered; says why."""


class OfferTooLarge(OfferError):
    """An offer larger than any browser writes."""


def check_offer(sdp: str, reach: Reach) -> str:
    """The offer with those candidates only that are within reach."""
    if len(sdp.encode()) > MAX_BYTES:
        raise OfferTooLarge(f"The offer has {len(sdp.encode())} bytes, at most {MAX_BYTES} are taken.")
    lines = sdp.splitlines()
    if not lines or lines[0] != "v=0":
        raise OfferError("The body should be an SDP offer; it should begin with 'v=0'.")
    for start, limit in MAX_LINES.items():
        count = sum(line.startswith(start) for line in lines)
        if count > limit:
            raise OfferTooLarge(f"The offer has {count} lines '{start}', at most {limit} are taken.")
    for line in lines:
        _check_letters(line)
    try:
        tried = reach.tried(line for line in lines if line.startswith(START))
    except CandidateError as error:
        raise OfferError(str(error)) from error
    kept = [line for line in lines if line in tried or not line.startswith(START)]
    if len(kept) < len(lines):  # the others are still to come, by the packets that they send
        kept = [line for line in kept if line != "a=end-of-candidates"]
    return "\r\n".join(kept) + "\r\n"


def _check_letters(line: str) -> None:
    """Refuse a line that names a user or a password that no client makes."""
    name, _, value = line.removeprefix("a=").partition(":")
    min_letters = MIN_LETTERS.get(name)
    if min_letters is None or not line.startswith("a="):
        return
    if not min_letters <= len(value) <= MAX_LETTERS:
        raise OfferError(f"The offer's {name} has {len(value)} letters; it should have {min_letters} to {MAX_LETTERS}.")
    if not _ICE_CHARS.fullmatch(value):
        raise OfferError(f"The offer's {name} should have letters, digits, + and / only.")


def take_any_h264(sdp: str) -> tuple[str, dict[int, dict[str, str]]]:
    """An offer with all its H.264 named as `H264_TAKEN`; and, by payload type, what the answer has to name instead.

    For who only sends: every profile can be decoded here, and an answer repeats the offered one (RFC 6184, 8.2.2).
    """
    lines = [line.rstrip() for line in sdp.splitlines()]
    known = {part.partition("=")[0] for part in H264_TAKEN.split(";")}
    formats: dict[int, dict[str, str]] = {}
    for line in lines:
        number, _, name = line.removeprefix("a=rtpmap:").partition(" ")
        if line.startswith("a=rtpmap:") and number.isdecimal() and name.upper() == "H264/90000":
            formats[int(number)] = {}
    taken = []
    for line in lines:
        kind, _, rest = line.partition(":")
        number, _, text = rest.partition(" ")
        if kind not in ("a=rtpmap", "a=fmtp") or not number.isdecimal() or int(number) not in formats:
            taken.append(line)
        elif kind == "a=rtpmap":
            taken += [line, f"a=fmtp:{number} {H264_TAKEN}"]
        else:
            pairs = (pair.strip().partition("=") for pair in text.split(";"))
            formats[int(number)] = {name: value for name, _, value in pairs if name in known}
    return "\r\n".join(taken) + "\r\n", formats
