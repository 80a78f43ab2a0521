"""A server that is killed while it records loses at most one second, and the next one repairs the recording."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest
from aiohttp import ClientSession

from tests.support.clients.camera_client import calling
from tests.support.films import media_samples
from tests.support.processes import until
from tests.support.servers.server_process import serving
from whycam.stream.recording.containers import MIME_TYPES
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.video.codec import CodecName, EncodedFrame

pytestmark = [pytest.mark.timeout(900), pytest.mark.alone]
SIZE = (320, 240)


@dataclass
class Killed:
    """The cost of a kill: lost seconds of either stream, and seconds until the recording is repaired."""

    codec: CodecName
    camera_s: float
    explained_s: float
    repaired_s: float


async def record_and_kill(folder: Path, frames: Sequence[EncodedFrame], seconds: float) -> int:
    """The pts of the last explained frame when the server was killed; the camera's first frame has pts 0."""
    with serving(folder) as server:
        async with ClientSession() as http, calling(http, server.url, frames) as phone:
            await phone.until(lambda: len(phone.reports) >= 30)
            await asyncio.sleep(seconds)
            server.process.kill()
            last: int = phone.reports[-1]["pts"]
            assert phone.reports[-1]["recording"]["state"] == "on"
    return last


def note_of(folder: Path) -> dict[str, Any]:
    note = json.loads((folder / "session.json").read_text(encoding="utf-8"))
    assert isinstance(note, dict)
    return note


def kill(folder: Path, codec: CodecName, seconds: float) -> Killed:
    """Record, kill, start again, and check every file."""
    folder.mkdir()
    last = asyncio.run(record_and_kill(folder, media_samples.encoded(codec, 60, SIZE), seconds))
    (recording,) = (folder / "recordings").iterdir()
    with serving(folder):
        start = time.monotonic()
        until(lambda: note_of(recording)["state"] == "ended", 5)
        repaired = time.monotonic() - start
    note = note_of(recording)
    assert note["repaired"] is True
    lost = {}
    for track, count in (("camera", "recorded"), ("explained", "explained_recorded")):
        (segment,) = note[track]
        with av.open(recording / segment["file"]) as file:
            shots = [frame.pts * frame.time_base for frame in file.decode(video=0) if frame.pts is not None]
        assert len(shots) == note["counts"][count]
        lost[track] = last / 90_000 - float(shots[-1]) - segment["first_pts"] / 90_000
    lines = list(read_sidecar(recording / "predictions.jsonl")[1])
    assert len(lines) == note["counts"]["sidecar_lines"] >= note["counts"]["explained_recorded"]
    assert not [path.name for path in recording.iterdir() if path.suffix not in MIME_TYPES]
    return Killed(codec, lost["camera"], lost["explained"], repaired)


def kills(folder: Path, count: int, seed: int) -> list[Killed]:
    chance = random.Random(seed)
    codecs: list[CodecName] = ["H264", "VP8"]
    return [kill(folder / str(n), codecs[n % 2], chance.uniform(0, 4)) for n in range(count)]


def check(found: Sequence[Killed]) -> None:
    worst = max(max(each.camera_s, each.explained_s) for each in found)
    slowest = max(each.repaired_s for each in found)
    print(f"{len(found)} kills: at most {worst:.2f} s lost, repaired {slowest:.2f} s after the next server was ready")
    assert worst <= 1
    assert slowest <= 5


def test_a_server_killed_while_it_records_loses_less_than_a_second(tmp_path: Path) -> None:
    check(kills(tmp_path, 2, seed=1))


@pytest.mark.long
def test_twenty_kills(tmp_path: Path) -> None:
    check(kills(tmp_path, 20, seed=2))
