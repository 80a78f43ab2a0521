"""Publishers (RFC 9725): how they are answered, and that their video is explained and recorded like a phone's."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import struct
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from aiohttp import ClientSession
from aioice import stun
from aiortc.rtp import is_rtcp

from tests.support.clients.camera_client import Phone
from tests.support.clients.stun_check import check
from tests.support.clients.whep_client import Watcher, watching
from tests.support.clients.whip_client import SDP, Publisher, publishing
from tests.support.films import media_samples
from tests.support.films.b_frames import with_b_frames
from tests.support.models.engines import fast
from tests.support.servers.calls import file_pts, only_recording, served, session_of
from tests.support.servers.lan_server import House
from tests.support.servers.refusals import at_home
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.video.codec import H264_PPS, H264_SPS, EncodedFrame

SIZE = (160, 120)


@pytest.fixture(scope="module")
def h264() -> list[EncodedFrame]:
    return media_samples.encoded("H264", 60, SIZE, keyframes=(30,))


def sections(sdp: str) -> list[list[str]]:
    """The lines of each media section."""
    return [("m=" + part).splitlines() for part in sdp.split("\nm=")[1:]]


def test_a_publisher_is_answered_according_to_the_rfc(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        publisher = Publisher(h264, sound=True)
        response = await publisher.publish(http, base)
        assert response.status == 201
        assert response.content_type == "application/sdp"
        assert response.headers["Location"].startswith("/whip/")
        tag = response.headers["ETag"]
        assert (tag[0], tag[-1]) == ('"', '"')
        assert len(tag) > 4
        sound, video = sections(publisher.answer)
        assert sound[0].split()[1] != "0"  # which would break the bundle that it leads
        assert "a=inactive" in sound
        assert "a=recvonly" in video
        assert "a=setup:passive" in video  # GStreamer's certificate is RSA; aiortc cannot be its client
        mids = [
            next(line.removeprefix("a=mid:") for line in part if line.startswith("a=mid:")) for part in (sound, video)
        ]
        assert f"a=group:BUNDLE {' '.join(mids)}" in publisher.answer.splitlines()
        refused = await http.patch(publisher.location, data="a=candidate:1", headers={"If-Match": tag})
        assert refused.status == 405
        assert "DELETE" in refused.headers["Allow"]
        assert "PATCH" not in refused.headers["Allow"]
        assert "Trickle ICE" in await refused.text()
        for path in (f"{base}/whip", publisher.location):
            got = await http.get(path)
            assert (got.status, await got.read()) == (204, b"")
        taken = await http.options(f"{base}/whip")
        assert (taken.status, taken.headers["Accept-Post"]) == (200, "application/sdp")
        assert len(sessions) == 1
        assert (await http.delete(publisher.location)).status == 200
        assert len(sessions) == 0
        assert (await http.delete(publisher.location)).status == 200
        assert (await http.delete(base + "/whip/unknown")).status == 404
        await publisher.close()

    served(fast(tmp_path), Settings(), body)


@pytest.mark.parametrize("pause_s", [0, 0.1])
def test_a_client_is_checked_before_its_check_is_answered(
    tmp_path: Path, h264: list[EncodedFrame], pause_s: float
) -> None:
    """ffmpeg, once it is answered, begins DTLS and answers no check any more."""

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        publisher, loop = Publisher(h264), asyncio.get_running_loop()
        offer = await publisher.offer()
        response = await http.post(f"{base}/whip", data=offer, headers=SDP)
        answer = await response.text()
        port = int(re.findall(r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host", answer)[0])
        await asyncio.sleep(pause_s)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("127.0.0.1", port))
            for _ in range(3):
                client.send(check(offer, answer))
            async with asyncio.timeout(5):
                got = [stun.parse_message(await loop.sock_recv(client, 2048)) for _ in range(4)]
        assert [message.message_class for message in got] == [stun.Class.REQUEST, *[stun.Class.RESPONSE] * 3]
        await http.delete(base + response.headers["Location"])
        await publisher.close()

    served(fast(tmp_path), Settings(), body)


@pytest.mark.parametrize("sound", [False, True])
def test_published_video_is_explained_and_recorded(tmp_path: Path, h264: list[EncodedFrame], sound: bool) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, h264, sound=sound) as publisher:
            async with watching(http, base, publisher.session_id) as watcher:
                await watcher.tap.until(30)
            assert publisher.keyframes_asked >= 1
            assert (await http.delete(publisher.location)).status == 200

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    recording = only_recording(tmp_path / "recordings")
    session = session_of(recording)
    counts = session["counts"]
    assert session["state"] == "ended"
    assert session["status"]["camera"] == "copied"
    assert counts["received"] == counts["recorded"] + counts["unrecorded"]
    assert counts["recorded"] >= 30
    assert set(file_pts(recording / "explained-000.mp4")) <= set(file_pts(recording / "camera-000.mp4"))
    _, lines = read_sidecar(recording / "predictions.jsonl")
    assert [line.maps[0].label for line in lines if line.maps][-1] == "red"


def test_a_publisher_with_b_frames_is_returned_in_display_order(tmp_path: Path) -> None:
    frames = with_b_frames()
    listed = []

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        publisher = Publisher(frames)
        publisher.camera.keep_pts(lap=60 * media_samples.STEP)
        response = await publisher.publish(http, base, profile="64001f")
        assert response.status == 201, await response.text()
        assert "profile-level-id=64001f" in publisher.answer  # as offered (RFC 6184, 8.2.2)
        async with watching(http, base, publisher.session_id) as watcher:
            await watcher.tap.until(60)
            listed.extend(await (await http.get(f"{base}/api/sessions")).json())
        stamps = [frame.pts for frame in watcher.tap.frames]
        assert all(0 < (after - before) % (1 << 32) < 1 << 31 for before, after in pairwise(stamps))
        await http.delete(publisher.location)
        await publisher.close()

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    assert listed[0]["recording"] == {"state": "on", "camera": "encoded anew"}
    recording = only_recording(tmp_path / "recordings")
    session = session_of(recording)
    counts = session["counts"]
    assert session["status"]["camera"] == "encoded anew"
    assert counts["received"] == counts["recorded"] + counts["unrecorded"]
    with av.open(recording / "camera-000.mp4") as file:
        camera = [packet.pts for packet in file.demux(video=0) if packet.pts is not None]
    # In file order; the last frame may have been received before frames that are shown before it.
    assert camera[:-1] == [number * media_samples.STEP for number in range(len(camera) - 1)]
    assert camera[-1] > camera[-2]
    assert len(camera) == counts["recorded"] >= 60
    explained = media_samples.times(recording / "explained-000.mp4")
    assert set(explained) <= set(camera)
    _, lines = read_sidecar(recording / "predictions.jsonl")
    assert [line.pts for line in lines] == explained  # in the order of the file


def send_two_layers(publisher: Publisher) -> None:
    """Let it send each packet a second time, as a further stream (SSRC) of the same section, like a layer."""
    transport = publisher.pc.getSenders()[0].transport
    send = transport._send_rtp

    async def send_twice(data: bytes) -> None:
        await send(data)
        if not is_rtcp(data):
            number, timestamp, ssrc = struct.unpack("!HII", data[2:12])
            head = struct.pack("!HII", (number + 20_000) & 0xFFFF, (timestamp + 90_000 * 50) & 0xFFFFFFFF, ssrc ^ 1)
            await send(data[:2] + head + data[12:])

    transport._send_rtp = send_twice  # type: ignore[method-assign]


def test_of_two_streams_in_one_section_one_is_taken(
    tmp_path: Path, h264: list[EncodedFrame], caplog: pytest.LogCaptureFixture
) -> None:
    """Layers of simulcast, although the answer took one. Mixed, all but a few frames were lost."""

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, h264) as publisher:
            send_two_layers(publisher)
            async with watching(http, base, publisher.session_id) as watcher:
                await watcher.tap.until(45)
            assert (await http.delete(publisher.location)).status == 200

    caplog.set_level("INFO")
    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    recording = only_recording(tmp_path / "recordings")
    times = file_pts(recording / "camera-000.mp4")
    assert len(times) >= 45
    assert times[-1] - times[0] == (len(times) - 1) * media_samples.STEP
    (ended,) = [record for record in caplog.records if "ended after" in record.getMessage()]
    assert vars(ended)["about"]["lost"] == 0
    assert vars(ended)["about"]["ignored_packets"] >= 45
    assert "several streams (SSRCs)" in caplog.text


def test_a_publisher_whose_parameter_sets_are_in_the_sdp_only_is_explained(
    tmp_path: Path, h264: list[EncodedFrame]
) -> None:
    """Every frame was lost."""
    sets = [unit for unit in h264[0].nal_units if unit[0] & 31 in (H264_SPS, H264_PPS)]
    sprop = ",".join(base64.b64encode(unit).decode() for unit in sets)
    bare = [
        replace(frame, data=b"".join(b"\0\0\0\1" + unit for unit in frame.nal_units if unit not in sets))
        for frame in h264
    ]

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, bare, profile=f"42001f;sprop-parameter-sets={sprop}") as publisher:
            async with watching(http, base, publisher.session_id) as watcher:
                await watcher.tap.until(30)
            assert (await http.delete(publisher.location)).status == 200

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    assert len(file_pts(only_recording(tmp_path / "recordings") / "camera-000.mp4")) >= 30


def test_a_publisher_above_a_limit_learns_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    large = media_samples.encoded("H264", 3, (2048, 1280))
    listed: list[dict[str, Any]] = []

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, large, rate=5) as publisher:
            ended = asyncio.Event()
            publisher.pc.on("connectionstatechange", ended.set)
            for state in ("connecting", "connected", "closed"):
                async with asyncio.timeout(10):
                    while publisher.pc.connectionState not in (state, "closed"):
                        await ended.wait()
                        ended.clear()
            async with asyncio.timeout(10):  # the client may know it first
                while not listed:
                    listed.extend(await (await http.get(f"{base}/api/sessions/ended")).json())
                    await asyncio.sleep(0.05)
            assert listed[0]["id"] == publisher.session_id
            assert await (await http.get(f"{base}/api/sessions")).json() == []
            assert (await http.delete(publisher.location)).status == 200

    caplog.set_level("INFO")
    served(fast(tmp_path), Settings(), body)
    (end,) = listed
    assert (end["code"], "2048x1280, larger than 1920x1080" in end["reason"]) == ("too-large", True)
    assert end["since"] <= end["ended"]
    assert end["reason"] in caplog.text


def test_a_viewers_h264_without_a_packetization_mode_is_accepted(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    """As GStreamer's plain caps have it."""

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, h264) as publisher:
            watcher = Watcher(("H264",))
            offer = (await watcher.offer()).replace("packetization-mode=1;", "")
            assert "packetization" not in offer
            response = await http.post(f"{base}/whep/{publisher.session_id}", data=offer, headers=SDP)
            answer = await response.text()
            assert (response.status, "packetization-mode" in answer) == (201, False), answer
            assert "profile-level-id=42001f" in answer
            await watcher.close()

    served(fast(tmp_path), Settings(), body)


REFUSED = {
    "no video": ("\r\nm=video", "\r\nm=application", "one video section"),
    "an offer that does not send": ("a=sendonly", "a=recvonly", "should send its video"),
    "an unknown codec": ("H264/90000", "H266/90000", "no codec"),
    "two sections of one name": ("a=mid:1", "a=mid:0", "cannot be answered"),
    "a section without a name": ("a=mid:1", "a=mid", "cannot be answered"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_publishers_offer_is_refused_with_a_reason(
    tmp_path: Path, h264: list[EncodedFrame], name: str
) -> None:
    old, new, words = REFUSED[name]

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        publisher = Publisher(h264, sound=True)
        offer = await publisher.offer()
        assert old in offer
        response = await http.post(f"{base}/whip", data=offer.replace(old, new), headers=SDP)
        text = await response.text()
        assert (response.status, words in text) == (400, True), text
        assert len(sessions) == 0
        await publisher.close()

    served(fast(tmp_path), Settings(), body)


def test_sound_is_for_publishers_only(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        phone = Phone(h264)
        phone.pc.addTransceiver("audio")
        response = await phone.call(http, base)
        assert response.status == 400
        assert "no sound" in await response.text()
        await phone.close()

    served(fast(tmp_path), Settings(), body)


def test_only_a_bearer_token_admits_a_publisher(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(home: House) -> None:
        async with home.device() as http, home.joined("viewer") as viewer:
            publisher = Publisher(h264)
            offer = await publisher.offer()
            for headers in (SDP, SDP | {"Authorization": "Bearer guess"}):
                refused = await http.post(f"{home.remote}/whip", data=offer, headers=headers)
                assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert (await viewer.post(f"{home.remote}/whip", data=offer, headers=SDP)).status == 403
            bearer = {"Authorization": f"Bearer {home.token}"}
            response = await http.post(f"{home.remote}/whip", data=offer, headers=SDP | bearer)
            assert response.status == 201
            location = home.remote + response.headers["Location"]
            assert (await viewer.delete(location)).status == 403
            assert (await http.delete(location)).status == 401
            assert (await http.patch(location)).status == 401
            assert (await http.patch(location, headers=bearer)).status == 405
            assert (await http.delete(location, headers=bearer)).status == 200
            # OPTIONS is open to all clients: a browser sends it without a token (CORS).
            assert (await http.options(f"{home.remote}/whip")).status == 200
            await publisher.close()

    at_home(tmp_path, body)


def test_a_session_in_the_list_has_what_a_viewer_needs_and_no_secret(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(home: House) -> None:
        async with home.device() as host, home.joined("viewer") as viewer, home.joined() as phone:
            assert await (await host.get(f"{home.local}/api/sessions")).json() == []
            async with publishing(host, home.local, h264) as publisher:
                async with watching(viewer, home.remote, publisher.session_id, "camera") as watcher:
                    await watcher.tap.until(1)
                    for http, base in ((host, home.local), (viewer, home.remote)):
                        text = await (await http.get(f"{base}/api/sessions")).text()
                        (session,) = json.loads(text)
                        since = session.pop("since")
                        assert session == {
                            "id": publisher.session_id,
                            "model": "bright spot",
                            "codec": "H264",
                            "size": [160, 120],
                            "viewers": {"explained": 0, "camera": 1},
                            "view": {
                                "hold": [],
                                "opacity": 0.7,
                                "colormap": "inferno",
                                "scale": "steady",
                                "hide": False,
                            },
                            "frozen": False,
                            "giver": "host",
                            "teaching": None,
                            "recording": {"state": "on", "camera": "copied"},
                        }
                        assert since.startswith("20")
                        assert str(tmp_path) not in text
                    assert (await phone.get(f"{home.remote}/api/sessions")).status == 403
                    async with home.device() as outsider:
                        assert (await outsider.get(f"{home.remote}/api/sessions")).status == 401
                for _ in range(100):
                    (session,) = await (await host.get(f"{home.local}/api/sessions")).json()
                    if session["viewers"]["camera"] == 0:
                        break
                    await asyncio.sleep(0.05)
                assert session["viewers"]["camera"] == 0

    at_home(tmp_path, body, Settings(recordings=tmp_path / "recordings"))


def test_a_viewer_that_never_connects_is_removed_when_the_server_ends(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with publishing(http, base, h264) as publisher:
            watcher = Watcher()
            response = await http.post(f"{base}/whep/{publisher.session_id}", data=await watcher.offer(), headers=SDP)
            assert response.status == 201
            await watcher.close()

    served(fast(tmp_path), Settings(), body)
