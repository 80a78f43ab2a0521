"""A receiver that permits it is asked to show each frame when it is complete."""

from __future__ import annotations

import asyncio

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket, unpack_header_extensions

from whycam.stream.webrtc import aiortc_patches
from whycam.stream.webrtc.answer import take_offer
from whycam.stream.webrtc.rtp.packetizer import SentExtensions

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"


def sent(**ids: int) -> list[tuple[int, bytes]]:
    """The id and value of each extension of a packet as it is sent, where these ids are negotiated."""
    uris = {"mid": MID, "send_time": SEND_TIME, "playout": PLAYOUT_DELAY}
    parameters = RTCRtpParameters()
    parameters.headerExtensions = [RTCRtpHeaderExtensionParameters(id=n, uri=uris[name]) for name, n in ids.items()]
    extensions = SentExtensions()
    extensions.configure(parameters)
    packet = RtpPacket(payload=b"video")
    packet.extensions.mid, packet.extensions.abs_send_time = "0", 0x123456
    data = packet.serialize(extensions)
    assert len(data) % 4 == len(b"video") % 4
    assert RtpPacket.parse(data).payload == b"video"
    profile, length = int.from_bytes(data[12:14]), 4 * int.from_bytes(data[14:16]) if data[0] & 0x10 else 0
    return unpack_header_extensions(profile, data[16 : 16 + length]) if length else []


def test_each_packet_says_that_its_frame_is_not_to_wait() -> None:
    others = [(4, b"0"), (2, b"\x12\x34\x56")]
    assert sorted(sent(mid=4, send_time=2, playout=7)) == sorted([*others, (7, bytes(3))])
    assert sent(playout=14) == [(14, bytes(3))]


def test_without_the_extension_packets_are_as_aiortc_sends_them() -> None:
    assert sent(mid=4, send_time=2) == [(4, b"0"), (2, b"\x12\x34\x56")]
    assert sent() == []


@pytest.mark.parametrize("playout", [15, 200])
def test_an_id_that_needs_a_longer_header_is_left_out(playout: int) -> None:
    assert sent(mid=4, playout=playout) == [(4, b"0")]
    assert (playout, bytes(3)) not in sent(mid=20, playout=playout)


def test_a_negotiated_long_id_of_another_extension_stays_readable() -> None:
    assert sent(mid=20, playout=7) == [(20, b"0")]


def answered(*lines: str) -> list[str]:
    """The lines about extensions in the answer to an offer with these further lines."""

    async def answer() -> str:
        client, server = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
        try:
            client.addTransceiver("video")
            offer = await client.createOffer()
            sdp = offer.sdp.replace("a=mid:0", "\r\n".join(["a=mid:0", *lines]))
            await take_offer(server, sdp)
            (transceiver,) = server.getTransceivers()
            aiortc_patches.show_at_once(transceiver, sdp)
            return (await server.createAnswer()).sdp
        finally:
            await client.close()
            await server.close()

    return [line for line in asyncio.run(answer()).splitlines() if PLAYOUT_DELAY in line]


def test_the_answer_accepts_what_the_offer_permits() -> None:
    assert answered() == []
    assert answered(f"a=extmap:9 {PLAYOUT_DELAY}") == [f"a=extmap:9 {PLAYOUT_DELAY}"]
    assert answered(f"a=extmap:9/recvonly {PLAYOUT_DELAY}") == [f"a=extmap:9 {PLAYOUT_DELAY}"]
    assert answered(*[f"a=extmap:{n} {PLAYOUT_DELAY}" for n in (9, 10)]) == [f"a=extmap:9 {PLAYOUT_DELAY}"]


def test_the_private_parts_of_aiortc_are_as_expected() -> None:
    async def sender() -> object:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        try:
            return pc.addTransceiver("video").sender
        finally:
            await pc.close()

    made = asyncio.run(sender())
    assert isinstance(made._RTCRtpSender__rtp_header_extensions_map, HeaderExtensionsMap)  # type: ignore[attr-defined]
