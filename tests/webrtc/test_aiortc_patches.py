"""Each private part of aiortc and aioice that whycam uses exists as expected in the pinned versions."""

from __future__ import annotations

import asyncio
import inspect
import random
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

import pytest
from aioice import stun
from aioice.ice import CandidatePair, Connection, StunProtocol
from aiortc import (
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCSessionDescription,
    rtcpeerconnection,
)
from aiortc.codecs.h264 import h264_depayload
from aiortc.codecs.vpx import vp8_depayload
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rate import RemoteBitrateEstimator
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import RtpPacket

from tests.support.films import media_samples
from tests.support.fuzz import bent
from whycam.stream.video.codec import CodecName
from whycam.stream.webrtc import aiortc_patches
from whycam.stream.webrtc.ice import aioice_patches
from whycam.stream.webrtc.ice.amplification_limit import Allowance
from whycam.stream.webrtc.rtp import bandwidth_estimator, packetizer
from whycam.stream.webrtc.rtp.jitter_buffer import FrameAssembler


def test_the_versions_are_those_that_the_patches_were_written_for() -> None:
    assert version("aiortc") == "1.16.0"
    assert version("aioice") == "0.13.0"
    assert version("av").split(".")[0] == "18"


def test_the_receiver_uses_what_we_put_in_place_of_its_parts() -> None:
    source = inspect.getsource(RTCRtpReceiver._handle_rtp_packet)
    assert "pli_flag, encoded_frame = self.__jitter_buffer.add(packet)" in source
    assert "self.__remote_bitrate_estimator.add(" in source
    assert "depayload(codec, packet.payload)" in source
    assert list(inspect.signature(JitterBuffer.add).parameters) == list(
        inspect.signature(FrameAssembler.add).parameters
    )
    assert {"arrival_time_ms", "abs_send_time", "payload_size", "ssrc"} < set(
        inspect.signature(RemoteBitrateEstimator.add).parameters
    )


def test_the_answer_is_made_of_what_we_set() -> None:
    answer = inspect.getsource(RTCPeerConnection.createAnswer)
    assert 'if dtlsTransport._role == "auto"' in answer
    assert "create_media_description_for_transceiver" in answer
    assert "codecs=transceiver._codecs" in inspect.getsource(rtcpeerconnection.create_media_description_for_transceiver)


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_a_frame_is_packed_as_aiortc_packs_it_and_comes_out_again(codec: CodecName) -> None:
    frames = media_samples.encoded(codec, 3, (640, 480))
    packer = packetizer.Packer(codec)
    for frame in frames:
        packed = packer(frame)
        assert (packed.pts, packed.is_keyframe) == (frame.pts, frame.is_keyframe)
        assert all(len(payload) <= 1300 for payload in packed.payloads)
        depayload = h264_depayload if codec == "H264" else vp8_depayload
        data = b"".join(depayload(payload) for payload in packed.payloads)
        assert data.replace(b"\0\0\0\1", b"\0\0\1") == frame.data.replace(b"\0\0\0\1", b"\0\0\1")


def test_the_sender_uses_what_we_put_in_place_of_its_parts() -> None:
    loop = inspect.getsource(RTCRtpSender._run_rtp)
    assert "enc_frame = await self._next_encoded_frame(codec)" in loop
    assert re.search(r"if enc_frame is None:\s+continue", loop)
    rtcp = inspect.getsource(RTCRtpSender._handle_rtcp_packet)
    assert "self._send_keyframe()" in rtcp
    assert "self.__encoder.target_bitrate = bitrate" in rtcp


def test_our_estimate_replaces_aiortcs(monkeypatch: pytest.MonkeyPatch) -> None:
    """For any origin of the clocks, and although the sender's wraps every 64 seconds."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    streams: dict[int, StreamStatistics] = {}
    reported: list[int] = []
    estimator = aiortc_patches._Estimator(streams, reported.append)
    answers = []
    for number in range(8 * 70):
        stamp = int((now + 61.0) * 2**18) & 0xFFFFFF
        answer = estimator.add(arrival_time_ms=0, abs_send_time=stamp, payload_size=1200, ssrc=7)
        streams.setdefault(7, StreamStatistics(90_000)).add(RtpPacket(sequence_number=number, timestamp=0))
        answers += [answer] if answer else []
        now += 0.125
    assert reported == [rate for rate, _ in answers]
    assert answers[0] == (bandwidth_estimator.START, [7])
    assert len(answers) == 140
    assert {rate for rate, _ in answers[-100:]} == {bandwidth_estimator.MAX_BIT_RATE}


def test_the_private_attributes_exist() -> None:
    async def reach() -> None:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        transceiver = pc.addTransceiver("video")
        receiver, sender = transceiver.receiver, transceiver.sender
        for name in ("jitter_buffer", "remote_bitrate_estimator", "codecs", "remote_streams"):
            assert hasattr(receiver, f"_RTCRtpReceiver__{name}")
        for name in ("encoder", "rtp_timestamp", "packet_count", "rtp_header_extensions_map"):
            assert hasattr(sender, f"_RTCRtpSender__{name}")
        assert inspect.iscoroutinefunction(receiver._send_rtcp_pli)
        assert transceiver._codecs == []
        receiver.transport._set_role("server")
        assert receiver.transport._role == "server"
        assert aioice_patches.unsent_bytes(pc) == 0
        connection = receiver.transport.transport.iceGatherer._connection
        signature = inspect.signature(connection.get_component_candidates)
        assert list(signature.parameters) == ["component", "addresses", "timeout"]
        await pc.close()

    asyncio.run(reach())


async def _candidates(addresses: list[str], ports: range | None) -> list[str]:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        pc.addTransceiver("video")
        aioice_patches.bind_media(pc, addresses, ports)
        await pc.setLocalDescription(await pc.createOffer())
        return [line for line in pc.localDescription.sdp.splitlines() if "candidate:" in line]
    finally:
        await pc.close()


def test_media_uses_the_given_address_and_no_other() -> None:
    (candidate,) = asyncio.run(_candidates(["127.0.0.1"], None))
    assert candidate.split()[4] == "127.0.0.1"


def test_media_uses_the_given_ports_and_says_when_all_are_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(aioice_patches.NoFreePort, match=f"{port}-{port}"):
            asyncio.run(_candidates(["127.0.0.1"], range(port, port + 1)))
    (candidate,) = asyncio.run(_candidates(["127.0.0.1"], range(port, port + 1)))
    assert int(candidate.split()[5]) == port


def test_an_address_of_another_computer_is_reported() -> None:
    with pytest.raises(aioice_patches.NoFreePort, match=r"203\.0\.113\.5"):
        asyncio.run(_candidates(["203.0.113.5"], None))


def test_the_loop_is_patched_once_for_any_number_of_calls() -> None:
    async def many() -> None:
        for _ in range(5):
            await _candidates(["127.0.0.1"], range(20_000, 30_000))
        opener: object = asyncio.get_running_loop().create_datagram_endpoint
        assert isinstance(opener, aioice_patches._InRange)
        assert not isinstance(opener._real, aioice_patches._InRange)

    asyncio.run(many())


def test_all_waiting_datagrams_are_read_in_one_turn_of_the_loop() -> None:
    async def turns() -> int:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        receiver = pc.addTransceiver("video").receiver
        aioice_patches.bind_media(pc, ["127.0.0.1"], None)
        await pc.setLocalDescription(await pc.createOffer())
        (protocol,) = receiver.transport.transport._connection._protocols
        taken: list[bytes] = []
        protocol.datagram_received = lambda data, _: taken.append(data)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(20):
                sender.sendto(bytes([number]), protocol.transport.get_extra_info("sockname"))
        count = 0
        while len(taken) < 20:
            await asyncio.sleep(0)
            count += 1
        await pc.close()
        assert taken == [bytes([number]) for number in range(20)]
        return count

    assert asyncio.run(turns()) <= 2


def test_only_stun_is_sent_before_a_pair_is_nominated_and_it_passes_the_allowance() -> None:
    assert "self.__protocol.send_stun(self.__request, self.__addr)" in inspect.getsource(stun.Transaction)
    assert list(inspect.signature(StunProtocol.send_stun).parameters) == ["self", "message", "addr"]
    assert list(inspect.signature(StunProtocol.datagram_received).parameters) == ["self", "data", "addr"]
    sending = re.compile(r"\.(send_stun|send_data|sendto)\(")
    senders = [
        name for name, f in vars(Connection).items() if inspect.isfunction(f) and sending.search(inspect.getsource(f))
    ]
    assert senders == ["send", "sendto", "request_received", "respond_error"]
    for answers in (Connection.request_received, Connection.respond_error):
        assert "protocol.send_stun(response, addr)" in inspect.getsource(answers)
    assert "active_pair = self._nominated.get(component)" in inspect.getsource(Connection.sendto)
    assert inspect.getsource(StunProtocol).count("self.transport.sendto") == 2  # send_stun's, and sendto's by send_data


def test_a_pair_is_nominated_only_after_an_answer() -> None:
    """The state `SUCCEEDED` marks an answered pair, which keeps it."""
    check = inspect.getsource(Connection.check_start)
    assert check.index("await pair.protocol.request(") < check.index("if addr != pair.remote_addr:")
    assert check.index("if addr != pair.remote_addr:") < check.index("pair.nominated = True")
    assert "if pair.nominated:\n                self._nominated[pair.component] = pair" in inspect.getsource(
        Connection.check_complete
    )
    assert "if pair.state == CandidatePair.State.SUCCEEDED:\n                pair.nominated" in inspect.getsource(
        Connection.check_incoming
    )
    assert "pair.state in [CandidatePair.State.FROZEN, CandidatePair.State.FAILED]" in inspect.getsource(
        Connection.check_incoming
    )
    assert CandidatePair.State.SUCCEEDED in CandidatePair.State


async def _checks(allowance: Allowance | None, seconds: float) -> list[bytes]:
    """The datagrams received by a candidate's socket that never answers."""
    pc, caller = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.setblocking(False)
        try:
            caller.addTransceiver("video")
            aioice_patches.bind_media(caller, ["127.0.0.1"], None)
            await caller.setLocalDescription(await caller.createOffer())
            offer = caller.localDescription.sdp
            (line,) = [line for line in offer.splitlines() if "candidate:" in line]
            words = line.split()
            words[5] = str(silent.getsockname()[1])
            offer = offer.replace(line, " ".join(words))
            await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            aioice_patches.bind_media(pc, ["127.0.0.1"], None, allowance)
            await pc.setLocalDescription(await pc.createAnswer())
            await asyncio.sleep(seconds)
        finally:
            await pc.close()
            await caller.close()
        came = []
        while True:
            try:
                came.append(silent.recv(2048))
            except BlockingIOError:
                return came


def test_unanswered_checks_are_limited_by_the_allowance() -> None:
    """They are sent at 0, 0.5 and 1.5 s."""
    all_of_them = asyncio.run(_checks(None, 2))
    assert len(all_of_them) == 3
    assert all(stun.parse_message(each).message_class == stun.Class.REQUEST for each in all_of_them)
    size = len(all_of_them[0]) + 28
    assert len(asyncio.run(_checks(Allowance((2 * size + 2) // 3), 2))) == 2
    assert asyncio.run(_checks(Allowance((size - 1) // 3), 2)) == []


def test_a_client_that_answers_is_not_limited() -> None:
    """Although the offer gives no allowance: each check that arrives pays for its own answer."""

    async def connect() -> str:
        pc, caller = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
        try:
            caller.createDataChannel("reports")
            aioice_patches.bind_media(caller, ["127.0.0.1"], None)
            await caller.setLocalDescription(await caller.createOffer())
            await pc.setRemoteDescription(caller.localDescription)
            aioice_patches.bind_media(pc, ["127.0.0.1"], None, Allowance(0))
            await pc.setLocalDescription(await pc.createAnswer())
            changed = asyncio.Event()
            pc.on("connectionstatechange", changed.set)
            await caller.setRemoteDescription(pc.localDescription)
            async with asyncio.timeout(10):
                while pc.connectionState != "connected":
                    await changed.wait()
                    changed.clear()
            return pc.connectionState
        finally:
            await pc.close()
            await caller.close()

    assert asyncio.run(connect()) == "connected"


@asynccontextmanager
async def receiving_checks() -> AsyncIterator[tuple[Connection, StunProtocol]]:
    """The ICE connection of a call whose answer was sent, and its socket."""
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        pc.createDataChannel("reports")
        aioice_patches.bind_media(pc, ["127.0.0.1"], None, Allowance(0))
        await pc.setLocalDescription(await pc.createOffer())
        assert pc.sctp is not None
        connection = pc.sctp.transport.transport._connection
        connection.remote_username, connection.remote_password = "user", "password"
        connection._early_checks_done = True
        (protocol,) = connection._protocols
        yield connection, protocol
    finally:
        await pc.close()


def check_of(connection: Connection, **attributes: object) -> bytes:
    """A check as the client sends it."""
    check = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    check.attributes |= {"USERNAME": f"{connection.local_username}:user", **attributes}
    check.add_message_integrity(connection.local_password.encode())
    return bytes(check)


def test_the_remote_addresses_of_a_call_are_limited() -> None:
    """A client that was answered can send checks with forged source addresses; aioice remembers each."""

    async def known() -> int:
        async with receiving_checks() as (connection, protocol):
            for port in range(2000, 2000 + 2 * aioice_patches.MAX_ADDRESSES):
                for _ in range(2):
                    protocol.datagram_received(check_of(connection, PRIORITY=1), ("127.0.0.1", port))
            return len(connection._remote_candidates)

    assert asyncio.run(known()) == aioice_patches.MAX_ADDRESSES


def test_a_check_without_a_priority_is_taken() -> None:
    """ffmpeg 8.0 sends such."""

    async def known() -> list[int]:
        async with receiving_checks() as (connection, protocol):
            protocol.datagram_received(check_of(connection), ("127.0.0.1", 2000))
            return [candidate.port for candidate in connection._remote_candidates]

    assert asyncio.run(known()) == [2000]


def test_no_strangers_packet_raises() -> None:
    """aioice did for a number of the wrong length: a traceback in the log for each such packet."""

    async def receive() -> None:
        chance = random.Random(1)
        async with receiving_checks() as (connection, protocol):
            good = check_of(connection, PRIORITY=1, **{"ICE-CONTROLLING": 5, "USE-CANDIDATE": None})
            short = good.replace(bytes.fromhex("0024 0004 00000001"), bytes.fromhex("0024 0002 00010000"))
            for packet in (short, *(bent(good, chance) for _ in range(5000))):
                if len(packet) >= 20:  # else it is not taken for STUN
                    packet = packet[:2] + (len(packet) - 20 & 0xFFFF).to_bytes(2, "big") + packet[4:]
                protocol.datagram_received(packet, ("127.0.0.1", 2000))

    asyncio.run(receive())


def test_a_sender_that_stopped_has_no_time_stamp() -> None:
    async def ask() -> int | None:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        sender = pc.addTransceiver("video").sender
        aiortc_patches.send_packed(sender, lambda: None, lambda _: None)
        sender._RTCRtpSender__encoder = None  # type: ignore[attr-defined] # as aiortc leaves it
        stamp = aiortc_patches.rtp_timestamp(sender, 0)
        await pc.close()
        return stamp

    assert asyncio.run(ask()) is None


def test_aiortc_requests_no_keyframes_itself() -> None:
    """It would request one for each lost packet; the session requests them at its own rate."""
    lost: list[bool] = []

    async def tap() -> None:
        pc = RTCPeerConnection()
        receiver = pc.addTransceiver("video").receiver
        aiortc_patches.divert_encoded_frames(receiver, lambda *_: None, lambda: lost.append(True))
        buffer = receiver._RTCRtpReceiver__jitter_buffer  # type: ignore[attr-defined]
        flags = [buffer.add(packet)[0] for packet in (Packet(0, 0), Packet(2, 90_000), Packet(3, 180_000))]
        assert flags == [False, False, False]
        await pc.close()

    asyncio.run(tap())
    assert lost


@dataclass
class Packet:
    """A frame of one packet."""

    sequence_number: int
    timestamp: int
    marker: int = 1
    payload_type: int = 96
    _data: bytes = b"x"
