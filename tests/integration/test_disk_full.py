"""A disk that fills up and gets space again: the recording stops and continues, the stream is not affected."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.support.clients.camera_client import calling
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.processes import until
from tests.support.recordings.recorded_sessions import Session, check_equations, read_lines, session_json
from tests.support.servers.calls import served
from whycam.stream.limits import Limits
from whycam.stream.recording import writer as module
from whycam.stream.recording.paths import new_folder
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings
from whycam.stream.video.encoder import SOFTWARE, Encoder

SIZE = (320, 240)
MIB = 1 << 20
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of 16 MiB; a stopped recording continues when 4 MiB are free."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(place)], capture_output=True)
    if mount.returncode:
        pytest.skip("only root may mount a small disk")
    monkeypatch.setattr(module, "HEADROOM", 4 * MIB)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """A file of another program that leaves `leave` bytes free."""
    ballast = disk / "ballast"
    free = shutil.disk_usage(disk).free
    ballast.write_bytes(bytes(max(0, free - leave)))
    return ballast


@pytest.mark.parametrize(
    ("min_free", "leave", "words"), [(0, 300_000, "No space left"), (2 * MIB, MIB, "must stay free")]
)
def test_a_recording_continues_when_the_disk_has_space_again(disk: Path, min_free: int, leave: int, words: str) -> None:
    folder = new_folder(disk / "recordings")
    frames = media_samples.encoded("H264", 300, SIZE, keyframes=(100, 150, 200))
    session = Session(folder, min_free=min_free)
    session.feed(frames[:50])
    session.settle()
    assert session.recording.status.state == "on"
    ballast = fill(disk, leave)
    encoder = Encoder(SOFTWARE["H264"])
    pictures = (
        media_samples.frame(media_samples.noise(SIZE, number), (50 + number) * media_samples.STEP)
        for number in range(40)
    )
    noisy = [frame for picture in pictures if (frame := encoder.encode(picture)) is not None]
    session.recording._checked = 0.0
    session.feed(noisy)
    until(lambda: session.recording.status.state == "stopped", 5)
    assert words in session.recording.status.reason
    assert session.recording.status.code == "disk-full"
    assert session_json(folder)["state"] == "recording"
    session.feed(frames[100:140])  # the stream continues
    ballast.unlink()
    until(lambda: session.recording.status.state == "on", 5)
    again = session.recording.status
    assert again.reason == ""
    assert again.code is None
    assert session.wishes[-1] == "camera"
    session.feed(frames[150:])
    note = session.close()
    assert (note["status"]["state"], note["state"]) == ("on", "ended")
    assert len(note["camera"]) == len(note["explained"]) == 2
    counts = note["counts"]
    assert counts["received"] == counts["recorded"] + counts["unrecorded"] == 280
    assert counts["recorded"] >= 150
    if min_free:
        check_equations(folder, note)
        assert counts["recorded"] == counts["sidecar_lines"] == 200
    else:  # a full disk truncates the last fragment, whose lines may have been written
        recorded = sum(len(media_samples.times(folder / segment["file"])) for segment in note["camera"])
        assert recorded == counts["recorded"]
        assert len(read_lines(folder)) == counts["sidecar_lines"] >= counts["explained_recorded"]


def test_the_phone_is_informed_within_two_seconds_and_its_video_continues(disk: Path, tmp_path: Path) -> None:
    frames = media_samples.encoded("H264", 60, SIZE)

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, frames) as phone:
            await phone.until(lambda: phone.reports and phone.reports[-1]["recording"]["state"] == "on")
            ballast = fill(disk, MIB)
            had = len(phone.reports)
            await phone.until(lambda: phone.reports[-1]["recording"]["state"] == "stopped", 2)
            assert "must stay free" in phone.reports[-1]["recording"]["reason"]
            await phone.until(lambda: len(phone.reports) >= had + 60)
            ballast.unlink()
            await phone.until(lambda: phone.reports[-1]["recording"]["state"] == "on", 5)
            had = len(phone.reports)  # the test's camera sends a keyframe every two seconds, regardless of requests
            await phone.until(lambda: len(phone.reports) >= had + 75)
            assert (await http.delete(phone.location)).status == 204

    served(fast(tmp_path), Settings(recordings=disk / "recordings", limits=Limits(min_free_bytes=2 * MIB)), body)
    (folder,) = (disk / "recordings").iterdir()
    note = session_json(folder)
    assert len(note["camera"]) == 2
    check_equations(folder, note)


def test_a_recording_that_was_switched_off_while_it_waited_does_not_continue(disk: Path, tmp_path: Path) -> None:
    frames = media_samples.encoded("VP8", 60, SIZE)

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        ballast = fill(disk, MIB)
        async with calling(http, base, frames) as phone:
            await phone.until(lambda: phone.reports and phone.reports[-1]["recording"]["state"] == "stopped")
            phone.commands.send('{"record": false}')
            await phone.until(lambda: phone.reports[-1]["recording"]["state"] == "off", 5)
            ballast.unlink()
            await asyncio.sleep(2)
            assert phone.reports[-1]["recording"]["state"] == "off"

    served(fast(tmp_path), Settings(recordings=disk / "recordings", limits=Limits(min_free_bytes=2 * MIB)), body)
