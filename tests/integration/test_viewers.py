"""Viewers: all receive the same packets, begin with a keyframe, and affect neither each other nor the phone."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
import pytest
from aiohttp import ClientSession
from aiortc import RTCSessionDescription

from tests.support.clients.camera_client import Phone, calling
from tests.support.clients.whep_client import Tap, Watcher, watching
from tests.support.clients.whip_client import SDP, publishing
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.servers.calls import only_session, served
from tests.support.servers.lan_server import House
from tests.support.servers.refusals import at_home
from whycam.stream.limits import Limits
from whycam.stream.live.live_encoder import Encoded, LiveEncoder
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.video.encoder import Encoder
from whycam.stream.webrtc import viewers as viewer_module
from whycam.stream.webrtc.ice import aioice_patches
from whycam.stream.webrtc.peer import Peer
from whycam.stream.webrtc.rtp.packetizer import PackedFrame

SIZE = (160, 120)
MARK = b"\0\0\0\1\x0c" + b"camera only"
"""A NAL unit of filler data (type 12), which decoders skip."""


@pytest.fixture(scope="module")
def h264() -> list[EncodedFrame]:
    return media_samples.encoded("H264", 60, SIZE, keyframes=(15, 30, 45))


def contains(whole: list[bytes], part: list[bytes]) -> bool:
    """Whether `part` is a contiguous part of `whole`."""
    return any(whole[at : at + len(part)] == part for at in range(len(whole) - len(part) + 1))


def units(data: bytes) -> list[bytes]:
    """The NAL units of an Annex B frame; start codes have three or four bytes."""
    return [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:]]


async def gone(sessions: Sessions, viewers: int) -> None:
    """Wait until `viewers` are left."""
    for _ in range(200):
        if len(sessions.open_viewers) == viewers:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_viewers_receive_the_same_packets_as_the_phone(tmp_path: Path, codec: str) -> None:
    frames = media_samples.encoded("H264" if codec == "H264" else "VP8", 60, SIZE)

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        phone = Phone(frames)
        tap = Tap(phone._transceiver.receiver, frames[0].codec)
        assert (await phone.call(http, base)).status == 201
        await tap.until(5)
        session_id = only_session(sessions).id
        async with watching(http, base, session_id) as one, watching(http, base, session_id) as other:
            await asyncio.gather(one.tap.until(25), other.tap.until(25))
            await tap.until(len(tap.frames) + 5)
            for watcher in (one, other):
                assert f"{codec}/90000" in watcher.answer
                assert "a=sendonly" in watcher.answer.splitlines()
                assert watcher.tap.frames[0].is_keyframe
                seen = [frame.data for frame in watcher.tap.frames[:20]]
                assert contains([frame.data for frame in tap.frames], seen)
                assert contains(tap.payloads, watcher.tap.payloads[:20])
        await phone.close()

    served(fast(tmp_path), Settings(), body)


@pytest.mark.parametrize("published", [False, True])
def test_the_cameras_stream_is_forwarded_unchanged(tmp_path: Path, h264: list[EncodedFrame], published: bool) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with (publishing if published else calling)(http, base, h264):
            async with watching(http, base, only_session(sessions).id, "camera") as watcher:
                await watcher.tap.until(40)
            assert watcher.tap.frames[0].is_keyframe
            sent = [unit for frame in [*h264, *h264] for unit in units(frame.data)]
            seen = [unit for frame in watcher.tap.frames[:40] for unit in units(frame.data)]
            assert contains(sent, seen)

    served(fast(tmp_path), Settings(), body)


def test_after_lost_packets_viewers_continue_with_a_keyframe(
    tmp_path: Path, h264: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, h264) as publisher:
            async with watching(http, base, publisher.session_id, "camera") as watcher:
                await watcher.tap.until(20)
                sender = publisher.pc.getSenders()[0]
                real = sender.transport._send_rtp
                left_out: list[bytes] = []

                async def send(data: bytes) -> None:
                    if len(left_out) < 3 and len(data) > 200:
                        left_out.append(data)
                        cast(Any, sender)._next_encoded_frame.__self__._sent.clear()  # so that it is not sent again
                        return
                    await real(data)

                monkeypatch.setattr(sender.transport, "_send_rtp", send)
                await watcher.tap.until(len(watcher.tap.frames) + 60)
            assert len(left_out) == 3
            place = {tuple(units(frame.data)): number for number, frame in enumerate(h264)}
            seen = [place[tuple(units(frame.data))] for frame in watcher.tap.frames]
            jumps = [after for before, after in pairwise(seen) if after != (before + 1) % len(h264)]
            assert len(jumps) >= 1
            assert all(h264[number].is_keyframe for number in jumps)

    served(fast(tmp_path), Settings(), body)


def test_a_late_viewer_requests_a_keyframe_and_receives_nothing_before_it(
    tmp_path: Path, h264: list[EncodedFrame]
) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, [h264[0], *h264[1:15] * 90]) as publisher:
            await asyncio.sleep(1)
            asked = publisher.keyframes_asked
            async with watching(http, base, publisher.session_id) as explained:
                await explained.tap.until(3)
                assert explained.tap.frames[0].is_keyframe
            async with watching(http, base, publisher.session_id, "camera") as camera:
                for _ in range(200):
                    if publisher.keyframes_asked > asked:
                        break
                    await asyncio.sleep(0.05)
                assert publisher.keyframes_asked > asked  # and this camera ignores it
                assert camera.tap.payloads == []

    served(fast(tmp_path), Settings(), body)


def test_many_picture_losses_cause_one_keyframe_in_half_a_second(
    tmp_path: Path, h264: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[EncodedFrame | None] = []
    real = Encoder.encode

    def encode(self: Encoder, frame: av.VideoFrame, *, keyframe: bool = False) -> EncodedFrame | None:
        encoded = real(self, frame, keyframe=keyframe)
        if keyframe:
            asked.append(encoded)
        return encoded

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        monkeypatch.setattr(Encoder, "encode", encode)
        async with publishing(http, base, h264) as publisher, AsyncExitStack() as stack:
            watchers = [await stack.enter_async_context(watching(http, base, publisher.session_id)) for _ in range(3)]
            for watcher in watchers:
                await watcher.tap.until(1)
            asked.clear()
            begin = time.monotonic()
            while time.monotonic() - begin < 2.2:
                await asyncio.gather(*(watcher.lose_picture() for watcher in watchers))
                await asyncio.sleep(0.05)
            assert 3 <= len(asked) <= 5  # of about 100 requests
            assert all(frame is not None and frame.is_keyframe for frame in asked)

    served(fast(tmp_path), Settings(), body)


def test_the_queue_of_a_stuck_viewer_is_bounded_and_the_others_receive_all(
    tmp_path: Path, h264: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whycam.stream.webrtc.track.MAX_UNSENT", 30)

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            session = only_session(sessions)
            async with watching(http, base, session.id) as slow, watching(http, base, session.id) as quick:
                await asyncio.gather(slow.tap.until(3), quick.tap.until(3))
                viewer = sessions.open_viewers[slow.location.rpartition("/")[2]]
                other = sessions.open_viewers[quick.location.rpartition("/")[2]]
                stuck = asyncio.Event()

                async def never(data: bytes) -> None:
                    await stuck.wait()

                monkeypatch.setattr(viewer.pc.getSenders()[0].transport, "_send_rtp", never)
                begin, reports, before = len(quick.tap.frames), len(phone.reports), other.dropped
                await quick.tap.until(begin + 80)
                assert viewer._track._queue.qsize() <= 30
                assert viewer.dropped > 30
                assert other.dropped == before
                # The stuck viewer requests no keyframes: these are the encoder's own, one in 90.
                assert sum(frame.is_keyframe for frame in quick.tap.frames[begin:]) <= 2
                assert len(phone.reports) >= reports + 60
                stuck.set()

    served(fast(tmp_path), Settings(), body)


def test_a_full_socket_delays_no_other_client(
    tmp_path: Path, h264: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whycam.stream.webrtc.track.MAX_UNSENT_BYTES", 10_000)

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264):
            session = only_session(sessions)
            async with watching(http, base, session.id) as one, watching(http, base, session.id) as other:
                await asyncio.gather(one.tap.until(3), other.tap.until(3))
                viewer = sessions.open_viewers[one.location.rpartition("/")[2]]
                assert aioice_patches.unsent_bytes(viewer.pc) == 0
                ice = viewer.pc.getSenders()[0].transport.transport._connection
                transport = ice._nominated[1].protocol.transport
                transport.sendto = lambda data, address: transport._buffer.append((data, address))  # the socket is full
                transport.get_write_buffer_size = lambda: sum(len(data) for data, _ in transport._buffer)
                for _ in range(200):
                    await other.tap.until(len(other.tap.frames) + 1)
                    if viewer.dropped >= 30:
                        break
                assert viewer.dropped >= 30
                assert 10_000 < aioice_patches.unsent_bytes(viewer.pc) < 30_000
                del transport.sendto  # a frame that is buffered now would keep the socket open
                transport._buffer.clear()

    served(fast(tmp_path), Settings(), body)


def test_a_viewers_bit_rate_estimate_is_ignored(
    tmp_path: Path, h264: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    bit_rates: list[int] = []
    monkeypatch.setattr(LiveEncoder, "set_bit_rate", lambda self, bit_rate: bit_rates.append(bit_rate))

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            async with watching(http, base, only_session(sessions).id) as watcher:
                await watcher.tap.until(20)  # it reports 1 Mbit/s twice a second
                bit_rates.clear()
                viewer = sessions.open_viewers[watcher.location.rpartition("/")[2]]
                sender = viewer.pc.getSenders()[0]
                sender._RTCRtpSender__encoder.target_bitrate = 50_000  # type: ignore[attr-defined]
            assert 50_000 not in bit_rates
            returned = only_session(sessions).peer.pc.getSenders()[0]
            returned._RTCRtpSender__encoder.target_bitrate = 700_000  # type: ignore[attr-defined]
            assert 700_000 in bit_rates
            assert phone.reports

    served(fast(tmp_path), Settings(), body)


def test_the_camera_gets_the_frames_of_its_own_encoder_and_viewers_the_others(
    tmp_path: Path, h264: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    real_encode, real_send = LiveEncoder.encode, Peer.send

    def encode(self: LiveEncoder, frame: av.VideoFrame, *, keyframe: bool, others: bool) -> Encoded | None:
        made = real_encode(self, frame, keyframe=keyframe, others=others)
        marked = None if made is None else replace(made.shared, data=made.shared.data + MARK)
        return None if made is None else Encoded(made.shared, marked)

    def send(self: Peer, frame: PackedFrame) -> None:
        sent.append(b"".join(frame.payloads))
        real_send(self, frame)

    monkeypatch.setattr(LiveEncoder, "encode", encode)
    monkeypatch.setattr(Peer, "send", send)

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with AsyncExitStack() as stack:
            phone = await stack.enter_async_context(calling(http, base, h264))
            watcher = await stack.enter_async_context(watching(http, base, only_session(sessions).id))
            await watcher.tap.until(20)
            await phone.until(lambda: len(phone.pictures) >= 20)
            assert all(b"camera only" in data for data in sent)
            assert not any(b"camera only" in payload for payload in watcher.tap.payloads)

    served(fast(tmp_path), Settings(), body)


@pytest.mark.parametrize("stream", ["explained", "camera"])
def test_the_end_of_a_session_ends_its_viewers(tmp_path: Path, h264: list[EncodedFrame], stream: str) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, h264) as publisher:
            async with watching(http, base, publisher.session_id, stream) as watcher:
                await watcher.tap.until(3)
                assert (await http.delete(publisher.location)).status == 200
                await asyncio.wait_for(watcher.ended.wait(), 5)
            assert len(sessions.open_viewers) == 0
            assert (await http.delete(watcher.location)).status == 200  # it has already ended
            late = Watcher()
            assert (await late.watch(http, base, publisher.session_id)).status == 404
            await late.close()

    served(fast(tmp_path), Settings(), body)


def test_a_viewer_ends_itself_and_only_itself(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with (
            publishing(http, base, h264) as publisher,
            watching(http, base, publisher.session_id) as one,
            watching(http, base, publisher.session_id) as other,
        ):
            await asyncio.gather(one.tap.until(3), other.tap.until(3))
            assert one.location.startswith(f"{base}/whep/{publisher.session_id}/")
            assert (await http.patch(one.location)).status == 405
            assert (await http.delete(one.location)).status == 200
            assert (await http.delete(one.location)).status == 200
            await asyncio.wait_for(one.ended.wait(), 5)
            await other.tap.until(len(other.tap.frames) + 10)
            assert len(sessions.open_viewers) == len(sessions) == 1
            await other.pc.close()  # without a DELETE
            await gone(sessions, 0)
            assert len(sessions) == 1

    served(fast(tmp_path), Settings(), body)


def test_a_viewer_too_many_is_asked_to_retry(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, h264) as publisher, AsyncExitStack() as stack:
            first = await stack.enter_async_context(watching(http, base, publisher.session_id))
            await stack.enter_async_context(watching(http, base, publisher.session_id, "camera"))
            third = Watcher()
            response = await third.watch(http, base, publisher.session_id)
            assert response.status == 503
            assert "2 viewers" in await response.text()
            assert response.headers["Retry-After"]
            await third.close()
            await http.delete(first.location)
            await stack.enter_async_context(watching(http, base, publisher.session_id))

    served(fast(tmp_path), Settings(limits=Limits(max_viewers=2)), body)


def test_a_viewer_that_never_connects_gives_its_place_back(
    tmp_path: Path, h264: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer_module, "CONNECT_S", 1.5)  # an answer of a busy computer takes a third of a second

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, h264) as publisher:
            watcher = Watcher()
            where = f"{base}/whep/{publisher.session_id}"
            assert (await http.post(where, data=await watcher.offer(), headers=SDP)).status == 201
            assert len(sessions.open_viewers) == 1
            await gone(sessions, 0)
            await watcher.close()

    served(fast(tmp_path), Settings(), body)


def test_a_viewer_whose_connection_fails_gives_its_place_back(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, h264) as publisher:
            watcher = Watcher()
            offer = re.sub(r"(a=fingerprint:\S+) ..:", r"\1 00:", await watcher.offer())
            response = await http.post(f"{base}/whep/{publisher.session_id}", data=offer, headers=SDP)
            assert response.status == 201
            await watcher.pc.setRemoteDescription(RTCSessionDescription(await response.text(), "answer"))
            await gone(sessions, 0)
            await watcher.close()

    served(fast(tmp_path), Settings(), body)


REFUSED = {
    "another codec": ("VP8", "a=recvonly", "a=recvonly", "codec is H264"),
    "an offer that does not receive": ("H264", "a=recvonly", "a=sendonly", "should receive the video"),
    "no video": ("H264", "m=video", "m=application", "one video section"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_viewers_offer_is_refused_with_a_reason(tmp_path: Path, h264: list[EncodedFrame], name: str) -> None:
    codec, old, new, words = REFUSED[name]

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, h264) as publisher:
            watcher = Watcher(["VP8" if codec == "VP8" else "H264"])
            offer = (await watcher.offer()).replace(old, new)
            response = await http.post(f"{base}/whep/{publisher.session_id}", data=offer, headers=SDP)
            text = await response.text()
            assert (response.status, words in text) == (400, True), text
            assert len(sessions.open_viewers) == 0
            await watcher.close()

    served(fast(tmp_path), Settings(), body)


def test_an_unknown_session_or_stream_is_reported(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        watcher = Watcher()
        offer = await watcher.offer()
        unknown = await http.post(f"{base}/whep/unknown", data=offer, headers=SDP)
        assert (unknown.status, await unknown.text()) == (404, "There is no such session, or not any more.")
        strange = await http.post(f"{base}/whep/unknown?stream=sound", data=offer, headers=SDP)
        assert strange.status == 400
        assert "explained and camera" in await strange.text()
        await watcher.close()

    served(fast(tmp_path), Settings(), body)


def test_sound_in_a_viewers_offer_is_answered_as_inactive(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with (
            publishing(http, base, h264) as publisher,
            watching(http, base, publisher.session_id, sound=True) as watcher,
        ):
            await watcher.tap.until(3)
            sound = watcher.answer.split("m=audio")[1].split("m=video")[0]
            assert "a=inactive" in sound.splitlines()

    served(fast(tmp_path), Settings(), body)


def test_only_viewers_phones_and_the_host_may_watch(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(home: House) -> None:
        async with (
            home.joined() as phone,
            home.joined("viewer") as viewer,
            home.joined("viewer") as other,
            home.device() as http,
            calling(phone, home.remote, h264),
        ):
            session = only_session(home.sessions)
            async with (
                watching(viewer, home.remote, session.id) as watcher,
                watching(phone, home.remote, session.id, "camera") as second,
                watching(http, home.local, session.id) as third,
            ):
                await asyncio.gather(*(each.tap.until(3) for each in (watcher, second, third)))
                outsider = Watcher()
                assert (await outsider.watch(http, home.remote, session.id)).status == 401
                await outsider.close()
                assert (await other.delete(watcher.location)).status == 403
                assert (await http.delete(watcher.location.replace(home.remote, home.local))).status == 200

    at_home(tmp_path, body)


def test_a_viewer_with_a_channel_receives_the_phones_reports_and_cannot_send(
    tmp_path: Path, h264: list[EncodedFrame]
) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with (
            calling(http, base, h264) as phone,
            watching(http, base, only_session(sessions).id, reports=True) as watcher,
            watching(http, base, only_session(sessions).id, "camera", reports=True) as second,
            watching(http, base, only_session(sessions).id) as plain,
        ):
            await asyncio.gather(*(each.tap.until(40) for each in (watcher, second, plain)))
            watcher.channel.send('{"opacity": 0.1}')
            watcher.channel.send(b"\0" * 10_000)
            await watcher.tap.until(len(watcher.tap.frames) + 20)
            assert {report["session"] for report in watcher.reports} == {only_session(sessions).id}
            for each in (watcher, second):
                assert len(each.reports) >= 20
                known = {report["pts"]: report for report in phone.reports}
                pairs = [(report, known[report["pts"]]) for report in each.reports if report["pts"] in known]
                assert len(pairs) >= 15
                assert all(report | {"rtp_out": 0} == own | {"rtp_out": 0} for report, own in pairs)
                # A viewer's stream has RTP times of its own, at a fixed distance from the phone's.
                sent = [times for pair in pairs if None not in (times := tuple(each["rtp_out"] for each in pair))]
                assert len(sent) >= 15
                assert len({(viewers - phones) % (1 << 32) for viewers, phones in sent}) == 1
                assert sent[0][0] != sent[0][1]
            assert only_session(sessions)._live.view.opacity != 0.1

    served(fast(tmp_path), Settings(), body)
