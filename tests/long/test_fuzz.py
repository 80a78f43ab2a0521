"""Fuzzed commands, sidecars, notes, films, images, models and requests: each is accepted or refused with a sentence."""

from __future__ import annotations

import asyncio
import io
import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.support import ROOT
from tests.support.films import media_samples
from tests.support.fuzz import Child, bent, fuzz, keep
from tests.support.models import tiny_models
from tests.support.resources import held
from tests.support.servers.server_process import READY, serving
from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import SidecarFrame, SidecarWriter
from whycam.stream.server.listener import MAX_IDLE_S

pytestmark = pytest.mark.timeout(900)
TEN_MINUTES = 600.0


def commands(_: Path) -> list[bytes]:
    fields = (
        *({"hold": [1, 2]}, {"opacity": 0.5}, {"colormap": "jet"}, {"scale": "own"}, {"record": True}),
        {"hold": [], "opacity": 1, "colormap": "viridis", "scale": "steady", "record": None},
    )
    return [json.dumps(each).encode() for each in fields]


def sidecars(folder: Path) -> list[bytes]:
    path = folder / "predictions.jsonl"
    grid = np.arange(64, dtype=np.uint8).reshape(8, 8)
    with SidecarWriter(path, {"model": "tiny", "time_base": [1, 90_000]}) as writer:
        for number in range(4):
            maps = (DrawnMap(0, "red", 0.9, grid, 1.0), DrawnMap(1, "green", 0.1, grid, 0.5))
            writer.write(SidecarFrame(number * 3000, 0.0, maps, View(pinned=(number,))))
    return [path.read_bytes()]


def notes(_: Path) -> list[bytes]:
    segment = {"file": "camera-000.mp4", "codec": "H264", "size": [64, 48], "first_pts": 0}
    note = {"whycam": 1, "model": "tiny", "state": "recording", "status": {"state": "on"}, "counts": {"received": 3}}
    return [json.dumps(note | {"camera": [segment], "explained": [segment]}).encode()]


FILMS = (
    *(("mp4", "libx264", "yuv420p"), ("mov", "libx264", "yuv420p"), ("mp4", "libx265", "yuv420p10le")),
    *(("mkv", "libx264", "yuv444p"), ("webm", "libvpx", "yuv420p"), ("webm", "libvpx-vp9", "yuv420p")),
    *(("avi", "mpeg4", "yuv420p"), ("avi", "mjpeg", "yuvj420p"), ("mov", "prores_ks", "yuv422p10le")),
    *(("mkv", "ffv1", "yuv420p"), ("mpg", "mpeg2video", "yuv420p"), ("mpg", "mpeg1video", "yuv420p")),
    *(
        ("flv", "flv", "yuv420p"),
        ("ts", "libx264", "yuv420p"),
        ("mkv", "huffyuv", "yuv422p"),
        ("mp4", "libsvtav1", "yuv420p"),
    ),
)


def films(folder: Path) -> list[bytes]:
    """One of each container and codec that this build of FFmpeg writes."""
    made = []
    for number, (ending, codec, pix_fmt) in enumerate(FILMS):
        path = folder / f"{number}.{ending}"
        try:
            rate = {"time_base": Fraction(1, 1000)} if ending in ("flv", "mkv", "webm") else {}
            media_samples.write(path, count=6, codec=codec, pix_fmt=pix_fmt, **rate)  # type: ignore[arg-type]
        except (av.FFmpegError, ValueError):
            continue
        made.append(path.read_bytes())
    assert len(made) >= 12, "of sixteen kinds of film"
    return made


def pictures(_: Path) -> list[bytes]:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8))
    made = []
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        file = io.BytesIO()
        image.save(file, kind)
        made.append(file.getvalue())
    return made


def models(folder: Path) -> list[bytes]:
    return [tiny_models.bright_spot(folder / "bright.onnx").read_bytes()]


SEEDS: dict[str, Callable[[Path], list[bytes]]] = {
    "command": commands,
    "sidecar": sidecars,
    "note": notes,
    "film": films,
    "picture": pictures,
    "model": models,
}


def fuzzed(target: str, folder: Path, seconds: float, seed: int) -> None:
    outcome = fuzz(target, SEEDS[target](folder), seconds, random.Random(seed))
    print(outcome)
    assert outcome.mutants > 20
    assert not outcome.faults


CRASHES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "a model whose name is not UTF-8": (
        "model",
        lambda data: data.replace(b"bright spot", b"bright \xff\xfe\x80\xc0"),
        "refused",
    ),
    "a film whose title is not UTF-8": ("film", lambda data: data.replace(b"Lavf", b"\xff\xc0\x80f"), "taken"),
    "a film in an unknown codec": ("film", lambda data: data.replace(b"avc1", b"\0\0\0\0"), "refused"),
}
"""Inputs that the fuzzer found, each fixed since."""
KEPT = ROOT / "tests" / "data" / "fuzz"
"""Inputs that it found and that cannot be made by hand; a file's name begins with its target."""


@pytest.mark.parametrize("name", CRASHES)
def test_inputs_that_the_fuzzer_found_are_accepted_or_refused(tmp_path: Path, name: str) -> None:
    target, bend, expected = CRASHES[name]
    good = SEEDS[target](tmp_path)[0]
    mutant = bend(good)
    assert mutant != good
    child = Child(target)
    assert child.try_one(mutant) == expected
    child.end()


@pytest.mark.parametrize("file", sorted(KEPT.iterdir()), ids=lambda file: file.stem)
def test_the_stored_inputs_are_accepted_or_refused(file: Path) -> None:
    child = Child(file.name.partition("-")[0])
    assert child.try_one(file.read_bytes()) in ("taken", "refused")
    child.end()


@pytest.mark.parametrize("target", SEEDS)
def test_fuzzed_data_is_accepted_or_refused(tmp_path: Path, target: str) -> None:
    fuzzed(target, tmp_path, 2, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("target", SEEDS)
def test_fuzzed_data_for_ten_minutes(tmp_path: Path, target: str) -> None:
    fuzzed(target, tmp_path, TEN_MINUTES, seed=round(time.time()))


def request(line: str, *fields: str, body: str = "") -> bytes:
    head = [f"{line} HTTP/1.1", "Host: localhost", *fields]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", body]).encode()


SDP, JSON = "Content-Type: application/sdp", "Content-Type: application/json"
A_RECORDING = "/api/recordings/1f3a9c0d77e2"
REQUESTS = (
    request("GET /"),
    request("GET /static/phone/main.js", "Range: bytes=0-99", "If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT"),
    request("GET /healthz", "Accept: */*"),
    request("GET /metrics"),
    request("GET /api/sessions", "Cookie: __Host-whycam=phone.a.1.b"),
    request("GET /api/recordings"),
    request(f"GET {A_RECORDING}/files/camera-000.mp4", "Range: bytes=-5"),
    request(f"DELETE {A_RECORDING}", "Origin: http://localhost"),
    request("DELETE /call/abcdef", "Sec-Fetch-Site: same-origin"),
    request("POST /call", SDP, body="v=0\r\n"),
    request("POST /whep/abc?stream=camera", SDP, body="v=0"),
    request("POST /join", JSON, body='{"token": "abc"}'),
    request("POST /api/sessions/abc/command", JSON, body="{}"),
    request("POST /call", SDP, "Transfer-Encoding: chunked") + b"3\r\nv=0\r\n0\r\n\r\n",
    request("OPTIONS /whip", "Authorization: Bearer abc"),
    request("PATCH /whip/abc", "Content-Length: 0"),
)


async def answered(port: int, request: bytes) -> int | None:
    """The status of the response to a request; None if there is none, as for an incomplete request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(0.3):
            line = await reader.readline()
        return int(line.split()[1]) if line.startswith(b"HTTP/1.") else None
    except (ConnectionError, TimeoutError):
        return None
    finally:
        writer.close()


async def seconds_to(port: int, request: bytes) -> float:
    """Seconds until the answer without other load, the best of ten: a slow request is slow each time."""
    times = []
    for _ in range(10):
        start = time.monotonic()
        await answered(port, request)
        times.append(time.monotonic() - start)
    return min(times)


def requests(folder: Path, seconds: float, seed: int, late_s: float = math.inf) -> Counter[int | None]:
    """The status counts of fuzzed requests for `seconds`; no answer may take longer than `late_s`."""
    chance = random.Random(seed)
    answers: Counter[int | None] = Counter()

    slow: list[bytes] = []

    async def ask(port: int) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            mutant = bent(chance.choice(REQUESTS), chance)
            start = time.monotonic()
            status = await answered(port, mutant)
            if status is not None and time.monotonic() - start > late_s:
                slow.append(mutant)
            answers[status] += 1
            assert status is None or status < 500 or status in (501, 503, 505), keep("request", mutant)

    async def run(port: int) -> None:
        await asyncio.gather(*(ask(port) for _ in range(32)))
        assert await answered(port, REQUESTS[0]) == 200  # the server still answers
        for mutant in slow[:100]:
            assert await seconds_to(port, mutant) < late_s, keep("request", mutant)

    with serving(folder, arguments=["--model", str(tiny_models.bright_spot(folder / "bright.onnx"))]) as server:
        before = held(server)
        asyncio.run(run(int(server.url.rpartition(":")[2])))
        time.sleep(MAX_IDLE_S + 2)  # until requests without their body have timed out
        after = held(server)
    log = server.log.read_text().partition(READY)[2]
    print(f"{sum(answers.values())} requests: {dict(answers)}")
    print(f"before: {before}\nafter:  {after}\n{len(log.splitlines())} lines of log")
    assert abs(after.tasks - before.tasks) <= 2
    assert abs(after.descriptors - before.descriptors) <= 2
    assert after.mebibytes - before.mebibytes < 30
    assert "Traceback" not in log
    assert len(log.splitlines()) < 20  # an unauthenticated client must not fill the disk
    return answers


def test_fuzzed_requests_are_answered_or_refused(tmp_path: Path) -> None:
    answers = requests(tmp_path, 5, 1)
    assert answers[200]
    assert answers[400] > 50


@pytest.mark.long
def test_fuzzed_requests_for_ten_minutes(tmp_path: Path) -> None:
    requests(tmp_path, TEN_MINUTES, round(time.time()), late_s=0.1)
