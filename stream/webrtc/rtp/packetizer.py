"""What is sent over RTP: a frame as payloads, packed once for all receivers, and the header extensions of a packet."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import av
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.rtp import HeaderExtensions, HeaderExtensionsMap

from whycam.stream.video.codec import TIME_BASE, CodecName, EncodedFrame

PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
"""12 bits for the least and 12 for the most delay, in 10 ms
(https://webrtc.googlesource.com/src/+/main/docs/native-code/rtp-hdrext/playout-delay)."""
AT_ONCE = bytes(3)
"""No delay: a frame is shown when it is complete. Without, browsers hold frames back by the jitter that they expect, 30
to 90 ms, so that the picture moves evenly."""
ONE_BYTE = 0xBEDE
"""The profile of extensions with a header of one byte (RFC 8285)."""
MAX_ONE_BYTE_ID = 14


@dataclass(frozen=True, slots=True)
class PackedFrame:
    """An encoded frame as RTP payloads, shared by all receivers of the stream."""

    payloads: Sequence[bytes]
    pts: int
    """In 1/90000 s."""
    is_keyframe: bool


class Packer:
    """Splits the frames of one stream into RTP payloads, as aiortc's encoders do."""

    def __init__(self, codec: CodecName) -> None:
        self._pack = (H264Encoder() if codec == "H264" else Vp8Encoder()).pack

    def __call__(self, frame: EncodedFrame) -> PackedFrame:
        """The frame's payloads."""
        packet: av.Packet[Any] = av.Packet(frame.data)
        packet.pts = packet.dts = frame.pts
        packet.time_base = TIME_BASE
        payloads, pts = self._pack(packet)
        return PackedFrame(payloads, pts, frame.is_keyframe)


class SentExtensions(HeaderExtensionsMap):
    """Replaces a sender's map of header extensions: `set` gives those of a packet, as they are sent."""

    def __init__(self) -> None:
        super().__init__()
        self._playout_id = 0

    def configure(self, parameters: Any) -> None:
        """Take the ids of the negotiated extensions."""
        super().configure(parameters)
        for extension in parameters.headerExtensions:
            if extension.uri == PLAYOUT_DELAY:
                self._playout_id = extension.id

    def set(self, values: HeaderExtensions) -> tuple[int, bytes]:
        """The profile and the bytes of a packet's extensions."""
        profile, others = super().set(values)
        number = self._playout_id
        if not 0 < number <= MAX_ONE_BYTE_ID or profile not in (0, ONE_BYTE):
            return profile, others
        return ONE_BYTE, struct.pack("!B3s", number << 4 | len(AT_ONCE) - 1, AT_ONCE) + others
