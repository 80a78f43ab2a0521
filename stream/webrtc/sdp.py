"""Limits on an offer, checked before it is parsed: aiortc's parser is quadratic in some of its lines."""

from __future__ import annotations

import re
from collections.abc import Collection

from whycam.stream.limits import LIMITS
from whycam.stream.video.parameter_sets import ParameterSets
from whycam.stream.webrtc.ice.candidates import START, CandidateError, Reach

MAX_BYTES = LIMITS.max_offer_bytes
MAX_LINES = {"m=": LIMITS.max_offer_sections, "a=ssrc": LIMITS.max_offer_sources}
MAX_ICE_LENGTH = LIMITS.max_ice_length
MIN_ICE_LENGTH = {"ice-ufrag": 4, "ice-pwd": 22}
"""Checks contain both, so their length is part of what is sent to the addresses in an offer (RFC 8839, 5.4)."""
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/=#_-]*")
"""Those of the RFC, and the others that libwebrtc accepts."""
_SPROP = re.compile(r"^a=fmtp:(\d{1,3}) (?:.*;)? *sprop-parameter-sets=([^;\s]*)", re.MULTILINE)
_BUNDLE = "a=group:BUNDLE"
H264_ACCEPTED = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
"""The H.264 format parameters with which aiortc accepts an offer."""


class OfferError(ValueError):
    """An offer cannot be answered; the text says why."""


class OfferTooLarge(OfferError):
    """An offer larger than any browser writes."""


def check_offer(sdp: str, reach: Reach) -> str:
    """The offer without the candidates that are out of reach; raises `OfferError`."""
    if len(sdp.encode()) > MAX_BYTES:
        raise OfferTooLarge(f"The offer has {len(sdp.encode())} bytes, at most {MAX_BYTES} are accepted.")
    lines = sdp.splitlines()
    if not lines or lines[0] != "v=0":
        raise OfferError("The body should be an SDP offer; it should begin with 'v=0'.")
    for start, limit in MAX_LINES.items():
        count = sum(line.startswith(start) for line in lines)
        if count > limit:
            raise OfferTooLarge(f"The offer has {count} lines '{start}', at most {limit} are accepted.")
    for line in lines:
        _check_credentials(line)
    try:
        tried = reach.tried(line for line in lines if line.startswith(START))
    except CandidateError as error:
        raise OfferError(str(error)) from error
    kept = [line for line in lines if line in tried or not line.startswith(START)]
    if len(kept) < len(lines):  # the others are learned from the checks that they send
        kept = [line for line in kept if line != "a=end-of-candidates"]
    return "\r\n".join(kept) + "\r\n"


def bundle_of(sdp: str, names: Collection[str]) -> str:
    """The offer with only these sections in its bundle.

    ffmpeg 8.0 without sound names a section that it leaves out. If that one leads the bundle, aiortc leaves the others
    without a transport.
    """
    lines = []
    for line in sdp.splitlines():
        if line.startswith(_BUNDLE):
            kept = [name for name in line.removeprefix(_BUNDLE).split() if name in names]
            line = " ".join([_BUNDLE, *kept])
            if not kept:
                continue
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def _check_credentials(line: str) -> None:
    """Refuse a ufrag or a password that no client generates."""
    name, _, value = line.removeprefix("a=").partition(":")
    min_length = MIN_ICE_LENGTH.get(name)
    if min_length is None or not line.startswith("a="):
        return
    if not min_length <= len(value) <= MAX_ICE_LENGTH:
        raise OfferError(
            f"The offer's {name} has {len(value)} characters; it should have {min_length} to {MAX_ICE_LENGTH}."
        )
    if not _ICE_CHARS.fullmatch(value):
        raise OfferError(f"The offer's {name} should have letters, digits, + and / only.")


def accept_plain_h264(sdp: str) -> tuple[str, dict[int, dict[str, str]]]:
    """As `accept_any_h264`, if no H.264 format has packetization mode 1; otherwise the offer itself.

    For clients that receive: without the parameter the mode is 0 (RFC 6184, 8.1), as in GStreamer's plain caps.
    """
    accepted, formats = accept_any_h264(sdp)
    if any(parameters.get("packetization-mode") == "1" for parameters in formats.values()):
        return sdp, {}
    return accepted, formats


def parameter_sets(sdp: str) -> dict[int, ParameterSets]:
    """The H.264 parameter sets in the offer's format parameters, by payload type; raises `OfferError`."""
    found = {}
    for number, sprop in _SPROP.findall(sdp):
        try:
            found[int(number)] = ParameterSets.of_sdp(sprop)
        except ValueError as error:
            raise OfferError(f"The offer's {error}") from error
    return found


def accept_any_h264(sdp: str) -> tuple[str, dict[int, dict[str, str]]]:
    """The offer with all H.264 formats as `H264_ACCEPTED`, and the parameters for the answer by payload type.

    For clients that only send: every profile can be decoded here, and an answer repeats the offered one (RFC 6184,
    8.2.2).
    """
    lines = [line.rstrip() for line in sdp.splitlines()]
    known = {part.partition("=")[0] for part in H264_ACCEPTED.split(";")}
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
            taken += [line, f"a=fmtp:{number} {H264_ACCEPTED}"]
        else:
            pairs = (pair.strip().partition("=") for pair in text.split(";"))
            formats[int(number)] = {name: value for name, _, value in pairs if name in known}
    return "\r\n".join(taken) + "\r\n", formats
