"""Opens addresses in a network: films and streams, nothing that they refer to on this computer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import av
from av.container import InputContainer

from whycam.stream.media.image import ENDINGS
from whycam.stream.media.losses import MediaError

SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps")
"""Beginnings of addresses that are read, if the network is allowed."""
PROTOCOLS = "http,https,tls,tcp,udp,rtp,rtsp,rtsps,rtmp,rtmps,crypto,data"
"""What addresses may refer to, by FFmpeg's names; without `file`, so that a playlist names no file of this computer."""
FORMATS = "rtsp,sdp,rtp,hls,live_flv"
"""Containers that only addresses have, by FFmpeg's names."""
CONNECT_S, SILENCE_S = 10.0, 20.0
"""Longest wait for a server's first answer, and for more of a stream."""
ADVICE = "An MP4 whose index is at its end needs a server that sends parts of it. Save it as a file first."


@dataclass(frozen=True, slots=True)
class Address:
    """An address in a network, and its name in messages."""

    url: str
    name: str


def connect(source: Address, formats: str, options: Mapping[str, str]) -> InputContainer:
    """Open an address, in one of these containers too; raises `MediaError`."""
    parts = urlsplit(source.url)
    if parts.scheme.lower() not in SCHEMES:
        raise MediaError(f"{source.name} cannot be read: whycam reads {', '.join(SCHEMES)}. Save it as a file first.")
    if Path(parts.path).suffix.lower() in ENDINGS:
        raise MediaError(f"{source.name} is an image; only films and streams are read so. Save it as a file first.")
    given = {
        **options,
        "protocol_whitelist": PROTOCOLS,
        "format_whitelist": f"{formats},{FORMATS}",
        # FFmpeg 8.1 otherwise asks for the rest of a film, behind whose frames the index is, on a connection that it
        # told the server to close.
        "multiple_requests": "1",
    }
    try:
        return av.open(source.url, "r", options=given, metadata_errors="replace", timeout=(CONNECT_S, SILENCE_S))
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or type(error).__name__
        raise MediaError(f"{source.name} cannot be read as a video ({reason}). Check the address.") from error
