"""Sends a track's packed frames as RTP packets, in place of aiortc's loop, which makes an object of each packet."""

from __future__ import annotations

import struct
from typing import Any

from aiortc import clock
from aiortc.rtcrtpsender import random_sequence_number
from aiortc.rtp import RTP_HISTORY_SIZE, HeaderExtensions, RtpPacket
from aiortc.utils import random32

_HEADER = struct.Struct("!BBHLL")
_EXTENSION = struct.Struct("!HH")
_VERSION, _EXTENDED = 0x80, 0x10


class Transmission:
    """Replaces a sender's `_next_encoded_frame`: sends a whole frame, and leaves nothing to send to aiortc's loop.

    The time stamp and the counts are where aiortc's sender reports read them. `find` has what may be asked for again.
    """

    def __init__(self, sender: Any) -> None:
        self._sender = sender
        self._number = random_sequence_number()
        self._origin = random32()
        self._payload_type = 0
        self._sent: dict[int, tuple[int, int, int, HeaderExtensions, bytes]] = {}
        """The last packets by number modulo `RTP_HISTORY_SIZE`: number, time stamp, marker, extensions and payload."""
        sender._next_encoded_frame = self._send_next

    async def _send_next(self, codec: Any) -> None:
        sender = self._sender
        frame = await sender._RTCRtpSender__track.recv()
        encoder, transport = sender._RTCRtpSender__encoder, sender.transport
        if encoder is None or not sender._enabled:
            return
        payloads, pts = encoder.pack(frame)
        timestamp = self._origin + pts & 0xFFFFFFFF
        values = HeaderExtensions(
            abs_send_time=clock.current_ntp_time() >> 14 & 0x00FFFFFF, mid=sender._RTCRtpSender__mid
        )
        first, extensions = self._packed(values)
        ssrc, type_ = sender._ssrc, codec.payloadType
        self._payload_type = type_
        for place, payload in enumerate(payloads, 1):
            marker, number = int(place == len(payloads)), self._number
            self._sent[number % RTP_HISTORY_SIZE] = number, timestamp, marker, values, payload
            header = _HEADER.pack(first, marker << 7 | type_, number, timestamp, ssrc)
            self._number = number + 1 & 0xFFFF
            await transport._send_rtp(header + extensions + payload)
        sender._RTCRtpSender__ntp_timestamp = clock.current_ntp_time()
        sender._RTCRtpSender__rtp_timestamp = timestamp
        sender._RTCRtpSender__octet_count += sum(map(len, payloads))
        sender._RTCRtpSender__packet_count += len(payloads)

    def _packed(self, values: HeaderExtensions) -> tuple[int, bytes]:
        """The first byte of a packet's header, and its extensions: the same for all packets of a frame."""
        profile, content = self._sender._RTCRtpSender__rtp_header_extensions_map.set(values)
        if not content:
            return _VERSION, b""
        return _VERSION | _EXTENDED, _EXTENSION.pack(profile, len(content) // 4) + content

    def find(self, number: int) -> RtpPacket | None:
        """The sent packet of this number, if it is one of the last."""
        found = self._sent.get(number % RTP_HISTORY_SIZE)
        if found is None or found[0] != number:
            return None
        _, timestamp, marker, extensions, payload = found
        packet = RtpPacket(
            payload_type=self._payload_type,
            marker=marker,
            sequence_number=number,
            timestamp=timestamp,
            ssrc=self._sender._ssrc,
            payload=payload,
        )
        packet.extensions = extensions
        return packet
