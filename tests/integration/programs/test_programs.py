"""Real programs publish, play and flood: OBS's stack, ffmpeg and GStreamer. The full table is made by tests/long."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.support.clients import browsers, whip_web_client
from tests.support.clients.npm import node
from tests.support.clients.programs import PROGRAMS, Program, served_for, webrtcbin
from tests.support.servers.calls import session_of
from tests.support.servers.server_process import Server, free_port, lan_arguments, serving

pytestmark = [pytest.mark.alone, pytest.mark.timeout(240)]
FRAMES = 45
SHORT = ("libdatachannel, the stack of OBS", "ffmpeg -f whip, with sound", "GStreamer webrtcbin, plain caps")
"""Those of `make test`; the others are in the long tests."""
OBS = [each for each in PROGRAMS if "libdatachannel" in each.name]
"""What did not connect each time: several calls show more than one."""


def ended(server: Server, count: int) -> str:
    """The server's log, when this many sessions have ended."""
    deadline = time.monotonic() + 10
    while (log := server.log.read_text()).count(" ended after ") < count and time.monotonic() < deadline:
        time.sleep(0.1)
    return log


@pytest.mark.parametrize(
    "program",
    [pytest.param(each, id=each.name, marks=() if each.name in SHORT else pytest.mark.long) for each in PROGRAMS],
)
def test_a_program_publishes_and_its_frames_are_recorded(tmp_path: Path, program: Program) -> None:
    publishes(program, tmp_path, 2 if program in OBS else 1)


@pytest.mark.long
@pytest.mark.parametrize("program", [pytest.param(each, id=each.name) for each in OBS])
def test_obs_stack_connects_each_time(tmp_path: Path, program: Program) -> None:
    publishes(program, tmp_path, 8)


def publishes(program: Program, tmp_path: Path, tries: int) -> None:
    """Every one of these calls is made, ended and recorded."""
    program.version()  # skips the test where it is not installed
    with served_for(program, tmp_path) as server:
        tried = program.publish(server, tries, FRAMES)
        assert tried.connected == tries
        log = ended(server, tries)
    # By DELETE, or by the end of DTLS, whichever comes first.
    assert log.count("The call was hung up.") + log.count("The camera is gone") == tries
    assert "Traceback" not in log
    recorded = sum(session_of(folder)["counts"]["recorded"] for folder in server.recordings.iterdir())
    assert recorded >= 0.8 * tried.sent  # GStreamer begins in the middle of a group of pictures


@pytest.mark.long
def test_gstreamer_plays_with_plain_caps(tmp_path: Path) -> None:
    """Without `packetization-mode`, whose default is 0."""
    (program,) = (each for each in PROGRAMS if each.is_inside)
    program.version()
    with served_for(program, tmp_path) as server:
        publish = webrtcbin("publish", f"{server.url}/whip", 100_000, "")
        with subprocess.Popen([*server.inside, *publish], stdout=subprocess.DEVNULL) as publisher:
            try:
                url = f"{server.url}/whep/{session_id(server)}"
                play = [*server.inside, *webrtcbin("play", url, FRAMES, "")]
                played = json.loads(subprocess.check_output(play, text=True, timeout=60))
            finally:
                publisher.kill()
    assert (played["connected"], played["frames"]) == (True, FRAMES)


def session_id(server: Server) -> str:
    """The id of the first session that has a picture."""
    asks = f"import urllib.request; print(urllib.request.urlopen('{server.url}/api/sessions').read().decode())"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        text = subprocess.check_output([*server.inside, "/usr/bin/python3", "-c", asks], text=True)
        for session in json.loads(text):
            if session["size"] is not None:
                return str(session["id"])
        time.sleep(0.2)
    raise TimeoutError("no session has a picture")


@pytest.mark.long
def test_a_flood_of_wrong_commands_closes_the_channel_and_not_the_call(tmp_path: Path) -> None:
    """Before, the event loop was late for as long as it lasted: 104 ms (99 %) with one client."""
    command = node("flood.js", "URL", 5)
    with serving(tmp_path, slowed="blind", limits={"max_silent_s": 60.0}) as server:
        command[-2] = server.url
        # libdatachannel may crash when it ends.
        printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
        done = json.loads(printed)
    assert json.loads(done["last"])["code"] == "too-many-commands"
    assert done["closedAfter"] < 2000
    assert done["state"] == "connected"
    assert done["sessions"] == 1
    assert server.log.read_text().count("too many commands") == 1


def test_a_publisher_in_a_browser_sends_the_phones_token_and_its_frames_are_explained(tmp_path: Path) -> None:
    """@eyevinn/whip-web-client, over https; its first request, OPTIONS, has the token too."""
    with (
        serving(tmp_path, arguments=lan_arguments(tmp_path, free_port())) as server,
        sync_playwright() as playwright,
    ):
        door, token = server.invitation.split("#")
        browser = browsers.chromium(playwright)
        page = browser.new_page(ignore_https_errors=True)
        whip_web_client.open_page(page, door.rstrip("/"))
        done = whip_web_client.publish_once(page, FRAMES, token)
        browser.close()
        log = ended(server, 1)
    assert done["connected"]
    assert log.count("The call was hung up.") == 1
    (folder,) = server.recordings.iterdir()
    counts = session_of(folder)["counts"]
    assert counts["recorded"] >= 0.8 * done["sent"]
    assert counts["explained"] >= 10
    assert counts["explained_recorded"] >= counts["explained"]
