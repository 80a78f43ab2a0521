"""Known problems of WebRTC in Python, in whole calls, because no test of one module would show them (docs/live.md)."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aiortc import RTCIceGatherer
from aiortc.rtp import is_rtcp

from tests.support.clients.camera_client import Phone, calling
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.servers.calls import file_pts, only_recording, served, session_of
from whycam.stream.live.pipeline import LiveStream
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.webrtc import aiortc_patches
from whycam.stream.webrtc import peer as peer_module
from whycam.stream.webrtc.answer import new_connection
from whycam.stream.webrtc.ice.config import LOOPBACK, IceConfig, ice_server
from whycam.stream.webrtc.peer import Peer, PeerEvents
from whycam.stream.webrtc.rtp import bandwidth_estimator

SIZE = (160, 120)
MAX_REPEATED = 8 * 1024


@pytest.fixture(scope="module")
def h264() -> list[EncodedFrame]:
    return media_samples.encoded("H264", 60, SIZE)


def test_no_outside_server_is_asked_for_an_address(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            (session,) = sessions.open_sessions.values()
            for transceiver in session.peer.pc.getTransceivers():
                connection = transceiver.receiver.transport.transport._connection
                assert (connection.stun_server, connection.turn_server) == (None, None)
            candidates = re.findall(r"a=candidate:.*", phone.pc.remoteDescription.sdp)
            assert candidates
            assert all(f" {LOOPBACK} " in line and "typ host" in line for line in candidates)

    served(fast(tmp_path), Settings(), body)


def test_the_phone_receives_the_uplinks_bit_rate(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        phone = Phone(h264)
        bit_rates: list[int] = []
        aiortc_patches.send_packed(phone._transceiver.sender, lambda: None, bit_rates.append)
        response = await phone.call(http, base)
        assert response.status == 201
        await phone.until(lambda: len(phone.reports) >= 60)  # two seconds
        await phone.close()
        assert len(bit_rates) >= 3
        assert bit_rates[0] == bandwidth_estimator.START
        assert bandwidth_estimator.START < max(bit_rates) <= bandwidth_estimator.MAX_BIT_RATE

    served(fast(tmp_path), Settings(), body)


def test_a_congested_uplink_limits_the_downlink_until_the_phone_sends_its_own_estimate() -> None:
    async def reported(returns: bool) -> list[int]:
        bit_rates: list[int] = []
        events = PeerEvents(
            on_frame=lambda *_: None,
            on_loss=lambda: None,
            on_command=lambda _: None,
            on_keyframe_request=lambda: None,
            on_bit_rate=bit_rates.append,
            on_end=lambda _: None,
        )
        peer = Peer(new_connection(IceConfig()), events)
        if returns:
            peer._add_return_track(peer.pc)
        for bit_rate in (1_000_000, 1_500_000, 800_000, 840_000, 700_000):
            peer._on_uplink_estimate(bit_rate)
        peer._on_remb(2_000_000)
        peer._on_uplink_estimate(300_000)
        peer._on_remb(100_000)
        peer._on_report(0.5, None)
        await peer.close()
        return bit_rates

    assert asyncio.run(reported(returns=True)) == [800_000, 700_000, 2_000_000, 1_000_000, 100_000]
    assert asyncio.run(reported(returns=False)) == [2_000_000, 1_000_000, 100_000]


def test_packets_asked_for_again_and_again_are_sent_within_a_budget_and_replaced_by_a_keyframe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a browser asks that loses most of what is sent: it was sent seven times the stream, and saw nothing."""
    monkeypatch.setattr(peer_module, "GAP_S", 0.2)
    monkeypatch.setattr(bandwidth_estimator, "MAX_REPEATED", MAX_REPEATED)
    repeated: list[int] = []

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, media_samples.encoded("H264", 60, (640, 480))) as phone:
            (session,) = sessions.open_sessions.values()
            assert session.peer is not None
            sender: Any = session.peer.pc.getSenders()[0]
            real = sender.transport._send_rtp

            async def send(data: bytes) -> None:
                if not is_rtcp(data) and data[1] & 0x7F == sender._RTCRtpSender__rtx_payload_type:
                    repeated.append(len(data))
                await real(data)

            monkeypatch.setattr(sender.transport, "_send_rtp", send)
            await phone.until(lambda: len(phone.pictures) >= 20)
            receiver: Any = phone._transceiver.receiver
            ((ssrc, stream),) = receiver._RTCRtpReceiver__remote_streams.items()
            seen, sent = len(phone.pictures), sender._RTCRtpSender__octet_count
            for _ in range(40):
                lost = [(stream.max_seq - back) & 0xFFFF for back in range(19, -1, -1)]
                await receiver._send_rtcp_nack(ssrc, lost)
                await asyncio.sleep(0.01)
            await phone.until(lambda: len(phone.pictures) >= seen + 30)
            share = bandwidth_estimator.REPEATED * (sender._RTCRtpSender__octet_count - sent)
            assert bandwidth_estimator.MAX_REPEATED / 2 < sum(repeated) <= 1.2 * (MAX_REPEATED + share)
            assert any(picture.key_frame for picture in phone.pictures[seen:])

    served(fast(tmp_path), Settings(), body)


def test_the_receivers_reports_are_read(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        reports: list[tuple[float, float | None]] = []
        async with calling(http, base, h264) as phone:
            (session,) = sessions.open_sessions.values()
            assert session.peer is not None
            session.peer._downlink.report = lambda *report: reports.append(report)  # type: ignore[method-assign]
            await phone.until(lambda: any(round_trip is not None for _, round_trip in reports))
            assert (await http.delete(phone.location)).status == 204
        assert {loss for loss, _ in reports} == {0.0}
        assert all(0 < round_trip < 1 for _, round_trip in reports if round_trip is not None)

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)


def test_a_phone_that_is_turned_continues_in_its_new_shape(tmp_path: Path) -> None:
    turned = SIZE[::-1]
    upright, across = (media_samples.encoded("H264", 30, size) for size in (turned, SIZE))

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, [*across, *upright, *across]) as phone:
            await phone.until(lambda: len(phone.pictures) >= 85)
            sizes = [(picture.width, picture.height) for picture in phone.pictures]
            assert {SIZE, turned} == set(sizes)
            changes = sum(a != b for a, b in pairwise(sizes))
            assert changes >= 2
            gaps = [b.pts - a.pts for a, b in pairwise(phone.pictures)]  # type: ignore[operator]
            assert max(gaps) < 90_000
            assert (await http.delete(phone.location)).status == 204

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    recording = only_recording(tmp_path / "recordings")
    session = session_of(recording)
    for stream in ("camera", "explained"):
        assert [tuple(part["size"]) for part in session[stream]][:3] == [SIZE, turned, SIZE]
        assert all(file_pts(recording / part["file"]) for part in session[stream])


def test_a_stream_that_ends_slowly_delays_no_other_client(
    tmp_path: Path, h264: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    real = LiveStream.close

    def slow(self: LiveStream) -> None:
        release.wait(20)
        real(self)

    monkeypatch.setattr(LiveStream, "close", slow)

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone, calling(http, base, h264) as other:
            await phone.until(lambda: len(phone.reports) >= 5)
            ending = asyncio.create_task(http.delete(phone.location))
            await other.until(lambda: len(other.reports) >= 5)
            seen = len(other.reports)
            await other.until(lambda: len(other.reports) >= seen + 20)
            assert not ending.done()
            release.set()
            assert (await ending).status == 204

    served(fast(tmp_path), Settings(), body)


def test_stray_packets_do_no_harm_and_are_not_logged(
    tmp_path: Path, h264: list[EncodedFrame], caplog: pytest.LogCaptureFixture
) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            await phone.until(lambda: len(phone.reports) >= 5)
            ports = {int(port) for port in re.findall(r"a=candidate:.* (\d+) typ host", phone.pc.remoteDescription.sdp)}
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outsider:
                for port in ports:
                    for number in range(200):
                        # STUN with an empty PRIORITY, for which aioice raised an error; and arbitrary packets
                        head = b"\x00\x01\x00\x08\x21\x12\xa4\x42" if number % 2 else b"\x80\xff\x16\xfe"
                        tail = b"\x00\x24\x00\x00" + bytes(4)
                        outsider.sendto(head + bytes([number]) * (20 - len(head)) + tail, (LOOPBACK, port))
            seen = len(phone.reports)
            await phone.until(lambda: len(phone.reports) >= seen + 20)

    with caplog.at_level(logging.WARNING):
        served(fast(tmp_path), Settings(), body)
    assert caplog.records == []


def test_time_stamps_that_jump_and_wrap_make_no_gap_of_hours(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            pack, jump = phone.camera._packer, 0
            phone.camera._packer = lambda frame: pack(replace(frame, pts=frame.pts + jump))  # type: ignore[assignment]
            await phone.until(lambda: len(phone.reports) >= 10)
            jump = 1 << 30  # three hours ahead
            await phone.until(lambda: len(phone.reports) >= 20)
            jump = 0  # and back
            await phone.until(lambda: len(phone.reports) >= 30)
            # Where the 32 bits end, ten frames later.
            jump = (1 << 32) - 30_000 - phone.reports[-1]["rtp_in"]
            await phone.until(lambda: len(phone.reports) >= 80)
            times = [report["pts"] for report in phone.reports]
            assert all(0 < later - earlier < 90_000 for earlier, later in pairwise(times))
            sent = [report["rtp_in"] for report in phone.reports[32:]]
            assert max(sent) > (1 << 32) - 90_000
            assert min(sent) < 90_000 * 3

    served(fast(tmp_path), Settings(), body)


@pytest.mark.parametrize(
    "url",
    [
        "stun:192.0.2.1",
        "stun:192.0.2.1:3478",
        "turn:user:secret@192.0.2.1:3478",
        "turn:u:s@x.org?transport=tcp",
        "turns:u:s@x.org",
    ],
)
def test_an_accepted_ice_server_can_be_used_by_every_call(url: str) -> None:
    """aiortc reads it only when a call comes."""
    IceConfig(addresses=("127.0.0.1", "127.0.0.2"), ice_servers=[url]).check()
    connection = RTCIceGatherer([ice_server(url)])._connection
    assert connection.stun_server or connection.turn_server


@pytest.mark.parametrize("url", ["stun::192.0.2.1:3478", "stun:192.0.2.1:x", "stun:a:0", "turn:u:s@a:65536", "stun:"])
def test_an_ice_server_that_no_call_could_use_is_refused_at_the_start(url: str) -> None:
    """Each call failed instead."""
    with pytest.raises(ValueError, match="should be stun:HOST:PORT"):
        IceConfig(addresses=("127.0.0.1", "127.0.0.2"), ice_servers=[url]).check()
