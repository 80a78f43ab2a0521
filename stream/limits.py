"""What one server takes on, in one place: what is more is refused or ended in words, and everybody else goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any


def _limit(value: Any, says: str) -> Any:
    """A field whose value `says` what it is when it is put into it."""
    return field(default=value, metadata={"says": says})


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits, with their defaults. Sizes in bytes, times in seconds."""

    max_sessions: int = _limit(8, "{} cameras at once")
    max_sessions_per_address: int = _limit(2, "{} cameras of one device; this computer itself is not counted")
    max_viewers: int = _limit(32, "{} viewers, of all cameras together")
    max_calls_per_minute: int = _limit(60, "{} calls a minute of one device")
    max_pixels: int = _limit(1920 * 1088, "1920x1088 pixels of a camera")
    max_frame_rate: int = _limit(60, "{} frames a second of a camera")
    max_sources: int = _limit(8, "{} streams (SSRCs) in one call")
    max_offer_bytes: int = _limit(32 * 1024, "{} bytes of an offer")
    max_offer_sections: int = _limit(4, "{} sections of an offer")
    max_offer_candidates: int = _limit(8, "{} candidates of an offer; the others are left out")
    max_ice_letters: int = _limit(256, "{} letters of an ICE user name (ufrag), and of a password")
    max_offer_sources: int = _limit(64, "{} ssrc lines of an offer")
    max_amplification: int = _limit(3, "{} bytes to who has not answered a check, for each that came in")
    max_addresses_per_call: int = _limit(128, "{} addresses that one call comes from")
    max_command_length: int = _limit(4096, "{} letters of a command on the data channel")
    max_header_bytes: int = _limit(8 * 1024, "{} bytes of a request's header")
    max_connections: int = _limit(64, "{} connections at one address of the server")
    max_connections_per_address: int = _limit(8, "{} connections of one device")
    max_idle_s: float = _limit(10.0, "{:g} s for TLS, for a header, for a body, and between two requests")
    max_connect_s: float = _limit(30.0, "{:g} s until a viewer's connection stands")
    stalled_after_s: float = _limit(5.0, "{:g} s without a frame until the reports say so")
    max_silent_s: float = _limit(13.0, "{:g} s without a frame until a call is ended")
    min_free_bytes: int = _limit(1 << 30, "{} bytes of the disk stay free of recordings")

    def words(self) -> Iterator[str]:
        """Each limit as a person is told it."""
        for each in fields(self):
            value = getattr(self, each.name)
            yield each.metadata["says"].format(f"{value:,}" if type(value) is int else value)


LIMITS = Limits()
