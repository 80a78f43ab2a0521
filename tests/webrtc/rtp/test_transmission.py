"""Frames that are sent at once are the packets that aiortc's own loop sends."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiortc import RTCPeerConnection
from aiortc.rtcdtlstransport import State
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import RTP_HISTORY_SIZE, HeaderExtensionsMap, RtpPacket

from whycam.stream.webrtc import aiortc_patches
from whycam.stream.webrtc.rtp.packetizer import PackedFrame

FRAMES = [
    PackedFrame([bytes([number]) * (1 + number) for _ in range(1 + number % 4)], 3000 * number, number == 0)
    for number in range(80)
]
EXTENSIONS = RTCRtpParameters(
    headerExtensions=[
        RTCRtpHeaderExtensionParameters(2, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
        RTCRtpHeaderExtensionParameters(4, "urn:ietf:params:rtp-hdrext:sdes:mid"),
    ]
)


class Track:
    """Supplies the frames, then nothing more."""

    def __init__(self) -> None:
        self.frames = iter(FRAMES)

    async def recv(self) -> PackedFrame:
        frame = next(self.frames, None)
        if frame is None:
            await asyncio.sleep(3600)
        assert frame is not None
        return frame

    def stop(self) -> None:
        """aiortc stops a track when its sender ends."""


async def sent(lost: list[int] = [], *, directly: bool) -> tuple[list[RtpPacket], list[RtpPacket], Any]:  # noqa: B006
    """What a sender puts on the wire: frames, and then what is asked for again (numbers from the first)."""
    pc = RTCPeerConnection()
    sender: Any = pc.addTransceiver("video").sender
    transport, wire = sender.transport, list[bytes]()
    transport._state, transport._tx_srtp = State.CONNECTED, SimpleNamespace(protect=lambda data: data)

    async def put(data: bytes) -> None:
        wire.append(data)

    transport.transport._send = put
    aiortc_patches.send_packed(sender, lambda: None, lambda _: None)
    if not directly:
        del sender._next_encoded_frame  # aiortc's own
    sender._RTCRtpSender__track = Track()
    sender._RTCRtpSender__mid = "0"
    sender._RTCRtpSender__rtp_header_extensions_map.configure(EXTENSIONS)
    known = HeaderExtensionsMap()
    known.configure(EXTENSIONS)
    running = asyncio.ensure_future(sender._run_rtp(SimpleNamespace(payloadType=99)))
    await asyncio.sleep(0.1)
    first = [RtpPacket.parse(data, known) for data in wire]
    wire.clear()
    for number in lost:
        await sender._retransmit(first[0].sequence_number + number & 0xFFFF)
    again = [RtpPacket.parse(data, known) for data in wire]
    sender.last_stamp = aiortc_patches.rtp_timestamp(sender, FRAMES[-1].pts)
    running.cancel()
    await asyncio.wait([running])
    return first, again, sender


def described(packets: list[RtpPacket]) -> list[tuple[Any, ...]]:
    start = packets[0]
    return [
        (
            each.payload_type,
            each.marker,
            each.sequence_number - start.sequence_number & 0xFFFF,
            each.timestamp - start.timestamp & 0xFFFFFFFF,
            each.payload,
            each.extensions.mid,
            each.extensions.abs_send_time is None,
        )
        for each in packets
    ]


def test_the_packets_are_those_that_aiortcs_loop_sends() -> None:
    expected, _, theirs = asyncio.run(sent(directly=False))
    found, _, ours = asyncio.run(sent(directly=True))
    assert described(found) == described(expected)
    assert {each.ssrc for each in found} == {ours._ssrc}
    for name in ("octet_count", "packet_count"):
        counted = getattr(ours, f"_RTCRtpSender__{name}")
        assert counted == getattr(theirs, f"_RTCRtpSender__{name}")
        assert counted > 0
    assert ours._RTCRtpSender__rtp_timestamp == found[-1].timestamp
    assert ours.last_stamp == theirs.last_stamp - expected[-1].timestamp + found[-1].timestamp == found[-1].timestamp


def test_the_time_in_a_packet_is_that_of_sending() -> None:
    expected, _, _ = asyncio.run(sent(directly=False))
    found, _, _ = asyncio.run(sent(directly=True))
    theirs, ours = expected[-1].extensions.abs_send_time, found[-1].extensions.abs_send_time
    assert theirs is not None
    assert ours is not None
    assert 0 <= (ours - theirs & 0xFFFFFF) < 5 * 2**18, "in units of 2^-18 s, and later by less than 5 s"


def test_a_packet_is_sent_again_only_while_it_is_one_of_the_last() -> None:
    count = sum(len(frame.payloads) for frame in FRAMES)
    assert count > RTP_HISTORY_SIZE
    oldest = count - RTP_HISTORY_SIZE
    first, again, _ = asyncio.run(sent([oldest - 1, oldest, count - 1, count], directly=True))
    assert [each.payload for each in again] == [first[oldest].payload, first[count - 1].payload]
    assert [each.timestamp for each in again] == [first[oldest].timestamp, first[count - 1].timestamp]
    assert [each.marker for each in again] == [first[oldest].marker, first[count - 1].marker]
    assert [each.extensions for each in again] == [first[oldest].extensions, first[count - 1].extensions]


@pytest.mark.parametrize("closed", [True, False])
def test_a_connection_that_ends_ends_the_track(closed: bool) -> None:
    """As in aiortc: a session ends with its track."""

    async def run() -> bool:
        _, _, sender = await sent(directly=True)
        aiortc_patches.send_packed(sender, lambda: None, lambda _: None)
        ended: list[bool] = []
        sender._RTCRtpSender__track = SimpleNamespace(recv=Track().recv, stop=lambda: ended.append(True))
        running = asyncio.ensure_future(sender._run_rtp(SimpleNamespace(payloadType=99)))
        if closed:
            sender.transport._state = State.CLOSED
        await asyncio.sleep(0.05)
        running.cancel()
        return bool(ended)

    assert asyncio.run(run()) is closed
