"""Packs an encoded frame into RTP payloads once, for all receivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import av
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder

from whycam.stream.video.codec import TIME_BASE, CodecName, EncodedFrame


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
