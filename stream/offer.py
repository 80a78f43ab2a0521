"""What an offer may be, counted before anything parses it: aiortc's parser is quadratic in some of its lines."""

from __future__ import annotations

MAX_BYTES = 32 * 1024
MAX_LINES = {"m=": 4, "a=candidate:": 32, "a=ssrc": 64}


class OfferError(ValueError):
    """An offer that cannot be answered; says why."""


class OfferTooLarge(OfferError):
    """An offer larger than any browser writes."""


def check_offer(sdp: str) -> str:
    """The offer without candidates that name a `.local` host: looking those up would hold up the answer."""
    if len(sdp.encode()) > MAX_BYTES:
        raise OfferTooLarge(f"The offer has {len(sdp.encode())} bytes, at most {MAX_BYTES} are taken.")
    lines = sdp.splitlines()
    if not lines or lines[0] != "v=0":
        raise OfferError("The body should be an SDP offer; it should begin with 'v=0'.")
    for start, most in MAX_LINES.items():
        count = sum(line.startswith(start) for line in lines)
        if count > most:
            raise OfferTooLarge(f"The offer has {count} lines '{start}', at most {most} are taken.")
    kept = [line for line in lines if not (line.startswith("a=candidate:") and ".local " in line.lower())]
    return "\r\n".join(kept) + "\r\n"
