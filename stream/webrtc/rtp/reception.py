"""Takes a camera's packets where they arrive, without the queue, task and objects of aiortc."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Coroutine
from typing import Any

from aiortc.codecs import depayload, is_rtx
from aiortc.rtcdtlstransport import State
from aiortc.rtp import RTCP_PSFB_APP, RtcpPsfbPacket, pack_remb_fci
from pylibsrtp import Error as SrtpError

from whycam.stream.webrtc.rtp.packetizer import ONE_BYTE
from whycam.stream.webrtc.rtp.source_choice import SourceChoice

_HEADER = struct.Struct("!BBHLL")
_EXTENSION = struct.Struct("!HH")
_PADDING, _EXTENDED, _SOURCES = 0x20, 0x10, 0x0F
"""Bits of an RTP header's first byte (RFC 3550, 5.1)."""


class ReceivedPacket:
    """A packet of the chosen stream, with the attributes that aiortc's statistics and the frame assembler read."""

    __slots__ = ("_data", "marker", "payload_type", "sequence_number", "ssrc", "timestamp")

    def __init__(self, payload_type: int, sequence_number: int, timestamp: int, marker: int, ssrc: int) -> None:
        self.payload_type = payload_type
        self.sequence_number = sequence_number
        self.timestamp = timestamp
        self.marker = marker
        self.ssrc = ssrc
        self._data = b""


class Reception:
    """Handles a receiver's packets of the chosen stream in the callback of their datagram.

    It does what `RTCDtlsTransport._recv_next` and `RTCRtpReceiver._handle_rtp_packet` do with them. Any other datagram
    goes through aiortc's queue: STUN, DTLS, RTCP, other and new streams, retransmissions, unusual headers, and whatever
    arrives while others wait there, so that nothing overtakes.
    """

    def __init__(self, receiver: Any, choice: SourceChoice) -> None:
        """Call it when the answer is made: until then, sections may still share another transport."""
        self._receiver = receiver
        self._choice = choice
        self._transport = receiver.transport
        self._connection = self._transport.transport._connection
        self._pass_on = self._connection.data_received
        self._connection.data_received = self._receive
        self._tasks: set[asyncio.Task[None]] = set()

    def _receive(self, data: bytes, component: int) -> None:
        if not self._take(data):
            self._pass_on(data, component)

    def _take(self, data: bytes) -> bool:
        """Handle a datagram, if it is a packet of the chosen stream; returns whether it was."""
        if len(data) < _HEADER.size or data[0] >> 6 != 2:
            return False
        first, second, number, timestamp, ssrc = _HEADER.unpack_from(data)
        receiver, transport = self._receiver, self._transport
        if ssrc != self._choice.chosen or transport._state is not State.CONNECTED or self._connection._queue.qsize():
            return False
        codec = receiver._RTCRtpReceiver__codecs.get(second & 0x7F)
        known = receiver._RTCRtpReceiver__remote_streams.get(ssrc)
        start = _payload_start(data, first)
        if codec is None or is_rtx(codec) or known is None or start is None or not receiver._enabled:
            return False
        try:
            plain = transport._rx_srtp.unprotect(data)
        except SrtpError:
            return True  # damaged, or not from the camera
        end = len(plain) - plain[-1] if first & _PADDING else len(plain)
        if not start <= end or (first & _PADDING and not plain[-1]):
            return True
        self._choice.takes(ssrc)
        packet = ReceivedPacket(second & 0x7F, number, timestamp, second >> 7, ssrc)
        self._estimate(plain, first, start, len(plain) - start, ssrc)
        known.add(packet)
        self._ask_for_missing(packet)
        if start < end:
            try:
                packet._data = depayload(codec, plain[start:end])
            except ValueError:
                return True
        receiver._RTCRtpReceiver__jitter_buffer.add(packet)
        return True

    def _estimate(self, plain: bytes, first: int, start: int, size: int, ssrc: int) -> None:
        """Update the estimate of the network's bit rate, and send it when it is due."""
        receiver = self._receiver
        number = self._transport._rtp_header_extensions_map._HeaderExtensionsMap__ids.abs_send_time
        sent = _extension(plain, first, start, number) if number else None
        if sent is None:
            return
        estimate = receiver._RTCRtpReceiver__remote_bitrate_estimator.add(
            arrival_time_ms=0, abs_send_time=sent, payload_size=size, ssrc=ssrc
        )
        own = receiver._RTCRtpReceiver__rtcp_ssrc
        if estimate is not None and own is not None:
            content = pack_remb_fci(*estimate)
            packet = RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=own, media_ssrc=0, fci=content)
            self._start(receiver._send_rtcp(packet))

    def _ask_for_missing(self, packet: ReceivedPacket) -> None:
        generator = self._receiver._RTCRtpReceiver__nack_generator
        if generator is not None and generator.add(packet):
            self._start(self._receiver._send_rtcp_nack(packet.ssrc, sorted(generator.missing)))

    def _start(self, sending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(sending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _payload_start(data: bytes, first: int) -> int | None:
    """Where a packet's payload begins; None if its header is cut off, or has extensions of another profile."""
    start = _HEADER.size + 4 * (first & _SOURCES)
    if first & _EXTENDED:
        if len(data) < start + _EXTENSION.size:
            return None
        profile, words = _EXTENSION.unpack_from(data, start)
        if profile != ONE_BYTE:
            return None
        start += _EXTENSION.size + 4 * words
    return start if start <= len(data) else None


def _extension(data: bytes, first: int, end: int, number: int) -> int | None:
    """The value of a header extension with this id (RFC 8285, 4.2), as a number; None if there is none of 3 bytes."""
    if not first & _EXTENDED:
        return None
    at = _HEADER.size + 4 * (first & _SOURCES) + _EXTENSION.size
    while at < end:
        kind, size = data[at] >> 4, (data[at] & 15) + 1
        if data[at] == 0:  # padding between extensions
            at += 1
        elif kind == number:
            return int.from_bytes(data[at + 1 : at + 4], "big") if size == 3 and at + 4 <= end else None
        else:
            at += 1 + size
    return None
