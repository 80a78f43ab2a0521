"""Whole calls in one process: a client other than our page, the server, and the files on disk afterwards."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
from aiohttp import ClientSession

from tests.support.clients.camera_client import Phone, calling
from tests.support.clients.whip_client import SDP
from tests.support.films import media_samples
from tests.support.models.engines import SlowEngine, fast
from tests.support.servers.calls import file_pts, only_recording, served, session_of
from whycam.stream.limits import Limits
from whycam.stream.overlay.view import View
from whycam.stream.recording.paths import new_folder
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.sessions.recorder import SWITCH_EVERY_S
from whycam.stream.sessions.registry import ServerFull, Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.video.codec import CodecName, EncodedFrame
from whycam.stream.video.planes import rgb_of
from whycam.stream.webrtc.peer import Peer

SIZE = (160, 120)


@pytest.fixture(scope="module", params=["H264", "VP8"])
def codec(request: pytest.FixtureRequest) -> CodecName:
    name: CodecName = request.param
    return name


@pytest.fixture(scope="module")
def h264() -> list[EncodedFrame]:
    return media_samples.encoded("H264", 60, SIZE)


def test_a_call_returns_explained_pictures_and_records_both_streams(tmp_path: Path, codec: CodecName) -> None:
    frames = media_samples.encoded(codec, 60, SIZE)

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, frames) as phone:
            await phone.until(lambda: len(phone.pictures) >= 45 and len(phone.reports) >= 45)
            picture = rgb_of(phone.pictures[-1])
            report = phone.reports[-1]
            assert (await http.delete(phone.location)).status == 204
        assert report["labels"][0] == "red"
        assert report["state"] in ("exact", "carried")
        counts = report["counts"]
        assert counts["decoded"] == counts["explained"] + counts["passed"] + counts["dropped"]
        assert set(report) == set(messages_keys())
        assert picture.shape == (SIZE[1], SIZE[0], 3)

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    recording = only_recording(tmp_path / "recordings")
    session = session_of(recording)
    (camera,), (explained,) = session["camera"], session["explained"]
    assert camera["codec"] == explained["codec"] == codec
    assert camera["size"] == explained["size"] == list(SIZE)
    counts = session["counts"]
    assert session["state"] == "ended"
    assert counts["received"] == counts["recorded"] + counts["unrecorded"]
    assert counts["decoded"] == counts["explained"] + counts["passed"] + counts["dropped"]
    camera_pts = file_pts(recording / camera["file"])
    explained_pts = file_pts(recording / explained["file"])
    assert camera_pts[0] == 0
    assert len(camera_pts) == counts["recorded"] >= 45
    assert set(explained_pts) <= set(camera_pts)
    header, lines = read_sidecar(recording / "predictions.jsonl")
    sidecar = list(lines)
    assert header["model"] == "bright spot"
    assert len(sidecar) == len(explained_pts) == counts["sidecar_lines"] == counts["explained_recorded"]
    if codec == "H264":  # WebM counts in milliseconds
        assert [line.pts for line in sidecar] == explained_pts


def messages_keys() -> list[str]:
    """The keys of a report, as docs/api.md shows them."""
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    example = text.split("### Report")[1].split("```json")[1].split("```")[0]
    return list(json.loads(example))


def test_the_server_uses_the_codec_that_the_offer_names_first(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        for first in ("VP8", "H264"):
            phone = Phone(h264)
            offer = await phone.offer("VP8" if first == "VP8" else "H264")
            response = await http.post(f"{base}/call", data=offer, headers=SDP)
            answer = await response.text()
            (media,) = [line for line in answer.splitlines() if line.startswith("m=video")]
            chosen = media.split()[3]
            assert f"a=rtpmap:{chosen} {first}/90000" in answer
            await phone.close()

    served(fast(tmp_path), Settings(), body)


def test_the_heat_is_on_the_object_in_the_returned_picture(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    still = [h264[0]]  # a keyframe again and again: the spot stays where it is

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, still, 15) as phone:
            await phone.until(lambda: len(phone.pictures) >= 20)
            picture = rgb_of(phone.pictures[-1]).astype(int)
        change = np.abs(picture - media_samples.spot(SIZE).astype(int)).sum(axis=2)
        x, y = media_samples.place(SIZE).middle
        assert change[y - 10 : y + 10, x - 10 : x + 10].mean() > 100
        assert change[40:, 100:].mean() < 30  # far from the spot, and below the label

    served(fast(tmp_path), Settings(), body)


def test_a_slow_model_keeps_the_picture_fluent(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            await phone.until(lambda: len(phone.reports) >= 20)
            before = phone.reports[-1]["counts"]
            await asyncio.sleep(2)
            after = phone.reports[-1]["counts"]
            shown = after["explained"] - before["explained"]
            assert shown >= 0.8 * (after["received"] - before["received"])
            assert phone.reports[-1]["state"] == "carried"

    served(SlowEngine(tmp_path, 0.3), Settings(), body)


def test_a_client_without_data_channels_is_served_too(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264, channels=False) as phone:
            await phone.until(lambda: len(phone.pictures) >= 10)

    served(fast(tmp_path), Settings(), body)


def test_commands_change_the_view_and_bad_ones_change_nothing(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            await phone.until(lambda: phone.reports)
            phone.commands.send(json.dumps({"hold": [2], "opacity": 0.25, "colormap": "viridis"}))
            await phone.until(lambda: phone.reports[-1]["view"]["hold"] == [2])
            view = phone.reports[-1]["view"]
            assert view == {"hold": [2], "opacity": 0.25, "colormap": "viridis", "scale": "steady", "hide": False}
            await phone.until(lambda: [h["label"] for h in phone.reports[-1]["held"]] == ["blue"])
            for bad in ('{"hold": [3]}', '{"opacity": 2}', '{"colormap": "pink"}', "{", '{"zoom": 1}', "x" * 5000):
                phone.replies.clear()
                phone.commands.send(bad)
                await phone.until(lambda: phone.replies)
                assert phone.replies[0]["error"]
                assert phone.replies[0]["code"]
            phone.replies.clear()
            phone.commands.send('{"record": true}')
            await phone.until(lambda: phone.replies)
            assert "--no-record" in phone.replies[0]["error"]
            assert phone.replies[0]["code"] == "no-recordings"
            assert phone.reports[-1]["view"] == view

    served(fast(tmp_path), Settings(), body)


def test_the_record_switch_ends_a_recording_and_begins_another(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            await phone.until(lambda: len(phone.reports) >= 15)
            phone.commands.send('{"record": false}')
            await phone.until(lambda: phone.reports[-1]["recording"]["state"] == "off")
            phone.commands.send('{"record": true}')  # too soon
            await phone.until(lambda: phone.replies)
            assert "a moment ago" in phone.replies[0]["error"]
            assert phone.replies[0]["code"] == "too-soon"
            await asyncio.sleep(SWITCH_EVERY_S)
            phone.commands.send('{"record": true}')
            await phone.until(lambda: phone.reports[-1]["recording"]["state"] == "on")
            seen = len(phone.reports)
            # The camera repeats two seconds of video, whose only keyframe is the first frame.
            await phone.until(lambda: len(phone.reports) >= seen + 100)

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    recordings = sorted((tmp_path / "recordings").iterdir())
    assert len(recordings) == 2
    for recording in recordings:
        session = session_of(recording)
        counts = session["counts"]
        assert session["state"] == "ended"
        assert counts["received"] == counts["recorded"] + counts["unrecorded"]
        assert counts["decoded"] == counts["explained"] + counts["passed"] + counts["dropped"]
        assert file_pts(recording / "camera-000.mp4")[0] == 0
        assert set(file_pts(recording / "explained-000.mp4")) <= set(file_pts(recording / "camera-000.mp4"))


def test_a_full_disk_stops_the_recording_and_not_the_stream(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            await phone.until(lambda: phone.reports and phone.reports[-1]["recording"]["state"] == "stopped", 5)
            assert "GiB" in phone.reports[-1]["recording"]["reason"]
            assert phone.reports[-1]["recording"]["code"] == "disk-full"
            seen = len(phone.pictures)
            await phone.until(lambda: len(phone.pictures) >= seen + 20)

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings", limits=Limits(min_free_bytes=1 << 60)), body)


def test_a_folder_that_cannot_be_made_stops_only_the_recording(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    (tmp_path / "file").write_text("not a folder")

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            await phone.until(lambda: len(phone.reports) >= 5)
            assert phone.reports[-1]["recording"]["state"] == "stopped"
            assert "file" in phone.reports[-1]["recording"]["reason"]
            assert phone.reports[-1]["recording"]["code"] == "folder"

    served(fast(tmp_path), Settings(recordings=tmp_path / "file" / "recordings"), body)


def test_without_recordings_nothing_is_on_the_disk(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    engine = fast(tmp_path)
    before = set(tmp_path.rglob("*"))

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            await phone.until(lambda: len(phone.reports) >= 5)
            assert phone.reports[-1]["recording"]["state"] == "off"

    served(engine, Settings(), body)
    assert set(tmp_path.rglob("*")) == before


def test_a_phone_that_vanishes_ends_its_session_and_leaves_whole_files(
    tmp_path: Path, h264: list[EncodedFrame]
) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            await phone.until(lambda: len(phone.reports) >= 15)
            phone.camera.running.clear()
            for _ in range(100):
                await asyncio.sleep(0.1)
                if len(sessions) == 0:
                    break
            assert len(sessions) == 0

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings", limits=Limits(max_silent_s=1.0)), body)
    recording = only_recording(tmp_path / "recordings")
    assert session_of(recording)["state"] == "ended"
    assert len(file_pts(recording / "explained-000.mp4")) >= 10


def test_a_call_too_many_is_asked_to_retry(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(calling(http, base, h264))
            await stack.enter_async_context(calling(http, base, h264))
            third = Phone(h264)
            response = await third.call(http, base)
            assert response.status == 503
            assert "2 cameras" in await response.text()
            assert response.headers["Retry-After"]
            await third.close()

    served(fast(tmp_path), Settings(limits=Limits(max_sessions=2)), body)


def test_a_call_can_be_ended_again_and_an_unknown_one_cannot(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            assert (await http.delete(phone.location)).status == 204
            assert (await http.delete(phone.location)).status == 204
            assert (await http.delete(phone.location + "x")).status == 404

    served(fast(tmp_path), Settings(), body)


def test_a_call_that_never_connects_leaves_nothing(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        phone = Phone(h264)
        response = await http.post(f"{base}/call", data=await phone.offer(), headers=SDP)
        assert response.status == 201
        await phone.close()

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    assert not (tmp_path / "recordings").exists()


def test_a_call_that_comes_while_the_server_ends_is_refused(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        phone = Phone(h264)
        offer = await phone.offer()
        answering = asyncio.create_task(sessions.start(offer))
        await asyncio.sleep(0)  # it has begun
        await sessions.close()
        with pytest.raises(ServerFull, match="ending"):
            await answering
        with pytest.raises(ServerFull, match="ending"):
            await sessions.start(offer)
        await phone.close()

    served(fast(tmp_path), Settings(), body)


def test_a_session_ends_even_if_its_connection_fails_to_close(
    tmp_path: Path, h264: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = Peer.close

    async def broken(self: Peer, close_message: str | None) -> None:
        await real(self, close_message)
        raise AttributeError("half built")

    monkeypatch.setattr(Peer, "close", broken)

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            await phone.until(lambda: len(phone.reports) >= 10)
            assert (await http.delete(phone.location)).status == 204
            assert len(sessions) == 0

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    assert session_of(only_recording(tmp_path / "recordings"))["state"] == "ended"
    assert "half built" in caplog.text


def test_a_sender_that_gives_up_ends_the_session(
    tmp_path: Path, h264: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            await phone.until(lambda: len(phone.reports) >= 5)

            def fail(packet: object) -> None:
                raise ConnectionError

            (session,) = sessions.open_sessions.values()
            packer = session.peer.pc.getSenders()[0]._RTCRtpSender__encoder  # type: ignore[attr-defined]
            monkeypatch.setattr(packer, "pack", fail)
            for _ in range(100):
                await asyncio.sleep(0.05)
                if len(sessions) == 0:
                    break
            assert len(sessions) == 0

    served(fast(tmp_path), Settings(), body)


def test_a_frame_of_a_gigabyte_ends_the_session(tmp_path: Path) -> None:
    small = media_samples.encoded("VP8", 30, SIZE)
    bomb = EncodedFrame("VP8", small[0].data[:6] + b"\xff\x3f\xff\x3f" + small[0].data[10:], 0)
    assert bomb.is_too_large

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, [*small[:20], bomb]):
            for _ in range(100):
                await asyncio.sleep(0.05)
                if len(sessions) == 0:
                    break
            assert len(sessions) == 0

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    assert len(session_of(only_recording(tmp_path / "recordings"))["camera"]) == 1


def test_a_changed_view_is_in_the_sidecar(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            await phone.until(lambda: len(phone.reports) >= 15)
            phone.commands.send('{"opacity": 0.25, "hold": [1]}')
            await phone.until(lambda: phone.reports[-1]["view"]["opacity"] == 0.25)
            await phone.until(lambda: len(phone.reports) >= 40)

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    header, lines = read_sidecar(only_recording(tmp_path / "recordings") / "predictions.jsonl")
    views = [line.view for line in lines]
    assert header["settings"]["opacity"] == views[0].opacity == View().opacity
    assert views[-1] == View(pinned=(1,), opacity=0.25, scale="steady")


def test_a_command_by_http_does_what_one_on_the_channel_does(tmp_path: Path, h264: list[EncodedFrame]) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, h264) as phone:
            await phone.until(lambda: phone.reports)
            session_id = phone.reports[-1]["session"]
            where = f"{base}/api/sessions/{session_id}/command"
            response = await http.post(where, json={"hold": [2], "opacity": 0.25})
            assert (response.status, await response.text()) == (204, "")
            await phone.until(lambda: phone.reports[-1]["view"]["hold"] == [2])
            (listed,) = await (await http.get(f"{base}/api/sessions")).json()
            assert (listed["id"], listed["view"]["opacity"], listed["frozen"]) == (session_id, 0.25, False)
            for bad, status, words in (
                ('{"hold": [3]}', 400, "class numbers from 0 to 2"),
                ("{", 400, "not JSON"),
                (b"\xff", 400, "UTF-8"),
                ("{}" + " " * 5000, 413, "at most 4096"),
            ):
                response = await http.post(where, data=bad, headers={"Content-Type": "application/json"})
                text = await response.text()
                assert (response.status, words in text) == (status, True), text
            assert (await http.post(where, data="{}")).status == 415
            assert (await http.post(where.replace(session_id, "none"), json={})).status == 404
            assert (await http.get(where)).status == 405
            assert phone.reports[-1]["view"]["opacity"] == 0.25

    served(fast(tmp_path), Settings(), body)


def test_a_repeated_call_continues_the_recording_and_an_unknown_id_is_ignored(
    tmp_path: Path, h264: list[EncodedFrame]
) -> None:
    """Also in the same second, when a folder of that name exists."""

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        ids: list[str] = []
        for wanted in ("", None, "../../etc", "0123456789ab"):
            known = ids[0] if wanted is None else wanted
            async with calling(http, base, h264, continues=known) as phone:
                await phone.until(lambda phone=phone: phone.reports and phone.reports[-1]["recording"]["id"])
                ids.append(phone.reports[-1]["recording"]["id"])
                if wanted is None:  # only the first recording of a call continues another one
                    phone.commands.send('{"record": false}')
                    await phone.until(lambda phone=phone: phone.reports[-1]["recording"]["state"] == "off")
                    await asyncio.sleep(SWITCH_EVERY_S)
                    phone.commands.send('{"record": true}')
                    await phone.until(lambda phone=phone: phone.reports[-1]["recording"]["state"] == "on")
                    assert phone.reports[-1]["recording"]["id"] != ids[0]
                await http.delete(phone.location)
        assert ids[1] == ids[0]
        assert len(set(ids)) == 3
        assert all(len(each) >= 12 for each in ids)
        shown = await (await http.get(f"{base}/api/recordings")).json()
        assert [each["session"] for each in shown].count(ids[0]) == 2

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)
    folders = [folder for folder in (tmp_path / "recordings").iterdir() if not folder.name.startswith(".")]
    assert len(folders) == 5
    assert all(session_of(folder)["state"] == "ended" for folder in folders)


def test_two_recordings_of_one_session_and_one_second_have_two_folders(tmp_path: Path) -> None:
    folders = [new_folder(tmp_path / "recordings", "1f3a9c0d77e2") for _ in range(3)]
    assert len(set(folders)) == 3
    assert {folder.name.rpartition("_")[2] for folder in folders} == {"1f3a9c0d77e2"}
