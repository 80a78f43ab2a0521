"""Packets that are handled where they arrive leave the same frames, counts and requests as on aiortc's own path."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiortc import RTCPeerConnection
from aiortc.rtcdtlstransport import State
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensions, HeaderExtensionsMap, RtpPacket
from pylibsrtp import Error as SrtpError

from whycam.stream.webrtc.rtp.jitter_buffer import FrameAssembler
from whycam.stream.webrtc.rtp.reception import Reception
from whycam.stream.webrtc.rtp.source_choice import SourceChoice

SSRC, OTHER = 1234567, 7654321
VP8, RTX = 96, 97
SENT = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
SPOILT = b"spoilt"
"""Ends a datagram that SRTP refuses."""


def extensions(ids: int) -> HeaderExtensionsMap:
    known = HeaderExtensionsMap()
    listed = [RTCRtpHeaderExtensionParameters(ids, SENT), RTCRtpHeaderExtensionParameters(ids + 1, MID)]
    known.configure(RTCRtpParameters(headerExtensions=listed))
    return known


class Unencrypted:
    """Stands for SRTP."""

    def unprotect(self, data: bytes) -> bytes:
        if data.endswith(SPOILT):
            raise SrtpError(7)
        return data


@dataclass
class Seen:
    """What became of the packets."""

    frames: list[tuple[int, bytes, int]] = field(default_factory=list)
    estimated: list[tuple[int, int, int]] = field(default_factory=list)
    asked: list[tuple[int, list[int]]] = field(default_factory=list)
    losses: int = 0
    counts: tuple[int, ...] = ()
    missing: frozenset[int] = frozenset()


class Estimator:
    """Notes what the estimator of the bit rate is given."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    def add(self, *, arrival_time_ms: int, abs_send_time: int, payload_size: int, ssrc: int) -> None:
        self.seen.estimated.append((abs_send_time, payload_size, ssrc))


async def received(datagrams: list[bytes], *, directly: bool, ids: int = 3, busy: bool = False) -> tuple[Seen, int]:
    """Give a receiver these packets; what became of them, and how many were handled directly."""
    pc, seen, passed = RTCPeerConnection(), Seen(), list[bytes]()
    receiver: Any = pc.addTransceiver("video").receiver
    transport = receiver.transport
    transport._rtp_header_extensions_map = extensions(ids)
    transport._rx_srtp, transport._state = Unencrypted(), State.CONNECTED
    receiver._enabled = True
    receiver._RTCRtpReceiver__codecs = {
        VP8: RTCRtpCodecParameters("video/VP8", 90_000, payloadType=VP8),
        RTX: RTCRtpCodecParameters("video/rtx", 90_000, payloadType=RTX, parameters={"apt": VP8}),
    }
    receiver._RTCRtpReceiver__rtx_ssrc = {SSRC + 1: SSRC}

    def on_loss() -> None:
        seen.losses += 1

    assembler: Any = FrameAssembler(lambda *frame: seen.frames.append(frame), on_loss)
    receiver._RTCRtpReceiver__jitter_buffer = assembler
    receiver._RTCRtpReceiver__remote_bitrate_estimator = Estimator(seen)

    async def ask(ssrc: int, missing: list[int]) -> None:
        seen.asked.append((ssrc, missing))

    async def nothing(ssrc: int) -> None:
        """aiortc's request for a keyframe, which a session replaces."""

    receiver._send_rtcp_nack, receiver._send_rtcp_pli = ask, nothing
    choice = SourceChoice(lambda: None)
    connection = transport.transport._connection
    connection.data_received = lambda data, _component: passed.append(data)
    if directly:
        Reception(receiver, choice)
    if busy:
        connection._queue.put_nowait((b"\x16", 1))
    handled = 0
    for datagram in datagrams:
        connection.data_received(datagram, 1)
        handled += not passed
        for each in passed:  # aiortc's own path
            try:
                packet = RtpPacket.parse(transport._rx_srtp.unprotect(each), transport._rtp_header_extensions_map)
            except (ValueError, SrtpError):
                continue
            if packet.payload_type == RTX or choice.takes(packet.ssrc):
                await receiver._handle_rtp_packet(packet, arrival_time_ms=0)
        passed.clear()
        await asyncio.sleep(0)
    stream = receiver._RTCRtpReceiver__remote_streams[SSRC]
    seen.counts = (stream.packets_received, stream.packets_expected, stream.max_seq, stream.cycles)
    seen.missing = frozenset(receiver._RTCRtpReceiver__nack_generator.missing)
    await pc.close()
    return seen, handled


def packet(number: int, *, ids: int = 3, ssrc: int = SSRC, type_: int = VP8, **fields: Any) -> bytes:
    """Packet of a stream with five to a frame, as a browser sends it."""
    made = RtpPacket(
        payload_type=type_,
        marker=int(number % 5 == 4),
        sequence_number=number & 0xFFFF,
        timestamp=number // 5 * 3000,
        ssrc=ssrc,
        payload=bytes([0x10 if number % 5 == 0 else 0]) + number.to_bytes(4, "big") * (1 + number % 7),
    )
    made.extensions = HeaderExtensions(abs_send_time=number * 77 & 0xFFFFFF, mid="0" if number % 3 else None)
    for name, value in fields.items():
        setattr(made, name, value)
    return made.serialize(extensions(ids))


def varied(seed: int, ids: int) -> list[bytes]:
    """Lost, late, doubled, padded, damaged, foreign and unusual packets, over the wrap of the sequence number."""
    chance = random.Random(seed)
    made = [packet(0xFF00, ids=ids)]
    for number in range(0xFF01, 0xFF00 + 600):
        kind = chance.random()
        if kind < 0.03:
            continue
        fields: dict[str, Any] = {}
        if kind < 0.10:
            fields = {"padding_size": chance.randint(1, 20)}
        elif kind < 0.15:
            fields = {"csrc": [1, 2, 3][: chance.randint(1, 3)]}
            fields |= {"extensions": HeaderExtensions()} if chance.random() < 0.5 else {}
        elif kind < 0.18:
            fields = {"extensions": HeaderExtensions(mid="0")}
        elif kind < 0.21:
            fields = {"extensions": HeaderExtensions()}
        elif kind < 0.24:
            fields = {"payload": b""}
        data = packet(number, ids=ids, **fields)
        if 0.24 < kind < 0.28:
            made.append(data[: chance.randint(0, 30)])
        elif 0.28 < kind < 0.30:
            made.append(packet(number, ids=ids, ssrc=OTHER))
        elif 0.30 < kind < 0.32:
            made.append(data + SPOILT)
        elif 0.32 < kind < 0.34:
            made.append(bytes([data[0], data[1] & 0x80 | 50]) + data[2:])
        elif 0.34 < kind < 0.36 and data[0] & 0x10:
            made.append(data[:14] + b"\xff\xff" + data[16:])  # extensions longer than the packet
        elif 0.36 < kind < 0.38:
            again = packet(
                number, ids=ids, ssrc=SSRC + 1, type_=RTX, payload=(number & 0xFFFF).to_bytes(2, "big") + b"\0"
            )
            made += [again, data]
        elif 0.40 < kind < 0.42:
            made.append(packet(number, ids=ids, type_=RTX))  # of the stream itself
        elif 0.38 < kind < 0.40:
            made.append(data[:-1] + b"\0" if data[0] & 0x20 else bytes([data[0] | 0x20]) + data[1:-1] + b"\0")
        made.append(data)
        if kind > 0.93:
            made.append(data)
        if kind > 0.96 and len(made) > 4:
            made[-1], made[-4] = made[-4], made[-1]
    return made


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ids", [3, 13, 20])
def test_what_is_handled_directly_leaves_what_aiortcs_path_leaves(seed: int, ids: int) -> None:
    datagrams = varied(seed, ids)
    expected, none = asyncio.run(received(datagrams, directly=False, ids=ids))
    found, handled = asyncio.run(received(datagrams, directly=True, ids=ids))
    assert none == 0
    assert found == expected
    assert len(found.frames) > 40
    if ids + 1 <= 14:  # ids above 14 have headers of two bytes, which go aiortc's way
        assert handled > 0.8 * len(datagrams)


def test_nothing_overtakes_what_waits_in_the_queue() -> None:
    datagrams = [packet(number) for number in range(20)]
    _, handled = asyncio.run(received(datagrams, directly=True, busy=True))
    assert handled == 0


def test_the_first_packet_goes_aiortcs_way_and_the_others_do_not() -> None:
    datagrams = [packet(number) for number in range(20)]
    _, handled = asyncio.run(received(datagrams, directly=True))
    assert handled == 19
