"""Programs that publish or play and are not our own; browsers do it with the page.

A program that is not installed skips the test with a reason; where `CI` is `true`, it fails it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.browser.camera import start_firefox
from tests.support.clients import browsers, whip_web_client
from tests.support.clients.npm import FOLDER, NODE, missing, node, package_version
from tests.support.clients.tried import Tried
from tests.support.films import media_samples
from tests.support.network_namespaces import namespace
from tests.support.servers.server_process import Server, serving
from whycam.stream.video.codec import CodecName

ADDRESS = "10.77.0.9"
SYSTEM_PYTHON = "/usr/bin/python3"
"""Debian's, which has its `gi`."""
WAIT_S = 600


@dataclass(frozen=True, slots=True)
class Program:
    """A program, and how it publishes `frames` frames in each of `tries` calls."""

    name: str
    codec: str
    publish: Callable[[Server, int, int], Tried]
    version: Callable[[], str]
    is_inside: bool = False
    """Whether it uses no loopback address, so that it runs in a network namespace with the server."""


def _with_node(script: str, codec: CodecName | None) -> Callable[[Server, int, int], Tried]:
    """A script that publishes; with a codec it is given a file of frames to send, otherwise it makes its own."""

    def publish(server: Server, tries: int, frames: int) -> Tried:
        files = []
        if codec is not None:
            files = [server.recordings.parent / "frames"]
            encoded = media_samples.encoded(codec, 60, (160, 120), keyframes=(30,))
            files[0].write_bytes(b"".join(len(frame.data).to_bytes(4, "big") + frame.data for frame in encoded))
        command = node(script, server.url, tries, *files, frames)
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=WAIT_S)
        calls = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert len(calls) == tries, done.stderr
        assert {call["deleted"] for call in calls} == {200}
        return Tried(sum(call["connected"] for call in calls), tries, sum(call["sent"] for call in calls))

    return publish


def _libdatachannel_version() -> str:
    node("datachannel.js")  # skips the test where it is not installed
    code = f"console.log(require('{FOLDER}/node_modules/node-datachannel').getLibraryVersion())"
    return subprocess.check_output([*NODE, "-e", code], text=True).strip()


def ffmpeg() -> str:
    """An ffmpeg with the WHIP muxer; Debian's has none."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError:
        missing("PyPI's imageio-ffmpeg")
    path: str = get_ffmpeg_exe()
    return path


def _ffmpeg_version() -> str:
    return subprocess.check_output([ffmpeg(), "-version"], text=True).split()[2]


def _with_ffmpeg(*options: str) -> Callable[[Server, int, int], Tried]:
    def publish(server: Server, tries: int, frames: int) -> Tried:
        source = ["-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=30", "-f", "lavfi", "-i", "sine"]
        video = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "30", "-pix_fmt", "yuv420p"]
        command = [ffmpeg(), "-loglevel", "error", *source, "-t", str(frames / 30), *video, *options]
        connected = 0
        for _ in range(tries):
            whip = [*command, "-f", "whip", f"{server.url}/whip"]
            done = subprocess.run(whip, capture_output=True, text=True, check=False, timeout=60 + frames / 30)
            connected += done.returncode == 0
            if done.returncode:
                print(done.stderr)
        return Tried(connected, tries, connected * frames)

    return publish


def webrtcbin(*arguments: object) -> list[str]:
    """The command that runs GStreamer's webrtcbin."""
    gi = "import gi; gi.require_version('GstWebRTC', '1.0')"
    has_gi = subprocess.run([SYSTEM_PYTHON, "-c", gi], capture_output=True, check=False).returncode == 0
    if not has_gi or shutil.which("gst-inspect-1.0") is None:
        missing("GStreamer's webrtcbin (Debian's gir1.2-gst-plugins-bad-1.0, gstreamer1.0-nice, …)")
    return [SYSTEM_PYTHON, str(FOLDER / "webrtcbin.py"), *map(str, arguments)]


def _with_webrtcbin(parameters: str) -> Callable[[Server, int, int], Tried]:
    def publish(server: Server, tries: int, frames: int) -> Tried:
        calls = []
        for _ in range(tries):
            command = [*server.inside, *webrtcbin("publish", f"{server.url}/whip", frames, parameters)]
            calls.append(json.loads(subprocess.check_output(command, text=True, timeout=60)))
        return Tried(sum(call["connected"] for call in calls), tries, sum(call["frames"] for call in calls))

    return publish


def _webrtcbin_version() -> str:
    webrtcbin()
    return subprocess.check_output(["gst-inspect-1.0", "--version"], text=True).split()[2]


def _browser(name: str, codec: str, start: browsers.Start) -> Program:
    return Program(name, codec, browsers.calling(start), partial(browsers.version, start))


_SOUND = ("-c:a", "libopus", "-ar", "48000", "-ac", "2")
_ACTIVE = ("-an", "-whip_flags", "dtls_active")
PROGRAMS: Sequence[Program] = (
    Program(
        "Chromium, the page", "H264", browsers.calling(browsers.chromium), partial(browsers.version, browsers.chromium)
    ),
    Program("Firefox, the page", "VP8", browsers.calling(start_firefox), partial(browsers.version, start_firefox)),
    Program(
        f"{whip_web_client.NAME} in Chromium", "VP8", whip_web_client.publish, package_version(whip_web_client.NAME)
    ),
    Program("libdatachannel, the stack of OBS", "H264", _with_node("datachannel.js", "H264"), _libdatachannel_version),
    Program("@roamhq/wrtc", "VP8", _with_node("roamhq.js", None), package_version("@roamhq/wrtc")),
    Program("werift", "VP8", _with_node("werift.js", "VP8"), package_version("werift")),
    Program("ffmpeg -f whip", "H264", _with_ffmpeg("-an"), _ffmpeg_version),
    Program("ffmpeg -f whip, with sound", "H264", _with_ffmpeg(*_SOUND), _ffmpeg_version),
    Program("ffmpeg -f whip -whip_flags dtls_active", "H264", _with_ffmpeg(*_ACTIVE), _ffmpeg_version),
    Program("GStreamer webrtcbin, plain caps", "H264", _with_webrtcbin(""), _webrtcbin_version, is_inside=True),
)


@contextmanager
def served_for(program: Program, folder: Path) -> Iterator[Server]:
    """A server that the program reaches."""
    if not program.is_inside:
        with serving(folder, slowed="blind") as server:
            yield server
        return
    with (
        namespace(ADDRESS) as there,
        serving(folder, inside=there.prefix) as server,
    ):
        yield server
