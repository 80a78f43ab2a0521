"""All limits of a server. What exceeds one is refused or ended with a message; other clients are not affected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any


def _limit(value: Any, description: str) -> Any:
    """A field with a description; the value is inserted at `{}`."""
    return field(default=value, metadata={"description": description})


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits, with their defaults. Sizes in bytes, times in seconds."""

    max_sessions: int = _limit(8, "{} cameras at once")
    max_sessions_per_address: int = _limit(2, "{} cameras per device, except this computer")
    max_viewers: int = _limit(32, "{} viewers of all cameras together")
    max_calls_per_minute: int = _limit(60, "{} calls per minute of one device")
    max_pixels: int = _limit(1920 * 1088, "1920x1088 pixels per frame of a camera")
    max_frame_rate: int = _limit(60, "{} frames per second of a camera")
    max_sources: int = _limit(8, "{} streams (SSRCs) in one call")
    max_offer_bytes: int = _limit(32 * 1024, "{} bytes of an offer")
    max_offer_sections: int = _limit(4, "{} sections of an offer")
    max_offer_candidates: int = _limit(8, "{} candidates of an offer; the others are dropped")
    max_ice_length: int = _limit(256, "{} characters of an ICE user name (ufrag), and of a password")
    max_offer_sources: int = _limit(64, "{} ssrc lines of an offer")
    max_amplification: int = _limit(3, "{} bytes sent per byte received, to an address that has not answered a check")
    max_addresses_per_call: int = _limit(128, "{} remote addresses per call")
    max_command_length: int = _limit(4096, "{} characters of a command on the data channel")
    max_commands_per_second: int = _limit(200, "{} commands per second on the data channel; a refused one is ten")
    max_header_bytes: int = _limit(8 * 1024, "{} bytes of a request's header")
    max_connections: int = _limit(64, "{} connections at one address of the server")
    max_connections_per_address: int = _limit(8, "{} connections per device")
    max_idle_s: float = _limit(10.0, "{:g} s for TLS, for a header, for a body, and between two requests")
    max_connect_s: float = _limit(30.0, "{:g} s until a viewer's connection is established")
    stalled_after_s: float = _limit(5.0, "{:g} s without a frame until the reports' state is 'stalled'")
    max_silent_s: float = _limit(13.0, "{:g} s without a frame until a call is ended")
    min_free_bytes: int = _limit(1 << 30, "{} bytes of disk space that recordings leave free")

    max_film_bytes: int = _limit(4 << 30, "{} bytes of an uploaded film")
    max_films: int = _limit(5, "{} uploaded films that are received, wait or are explained")
    max_films_per_device: int = _limit(1, "{} of these per device, except this computer")

    max_classes: int = _limit(12, "{} taught classes")
    max_examples: int = _limit(200, "{} examples of a taught class")
    max_class_name: int = _limit(40, "{} characters of a taught class's name")

    def words(self) -> Iterator[str]:
        """The description of each limit, with its number."""
        for each in fields(self):
            value = getattr(self, each.name)
            yield each.metadata["description"].format(f"{value:,}" if type(value) is int else value)


LIMITS = Limits()
