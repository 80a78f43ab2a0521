"""The size of the picture: asked for in the address, turned in mid-stream."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.support.servers.server_process import serving

pytestmark = pytest.mark.alone

LIVE = "body[data-state=live]"
# A camera drawn by the page: it gives what it is asked for, and `turned()` turns it.
CAMERA = """
  navigator.mediaDevices.getUserMedia = async ({ video }) => {
    const canvas = document.createElement('canvas');
    canvas.width = video.width.ideal;
    canvas.height = video.height.ideal;
    const context = canvas.getContext('2d');
    let hue = 0;
    setInterval(() => {
      context.fillStyle = `hsl(${hue += 3} 80% 50%)`;
      context.fillRect(0, 0, canvas.width, canvas.height);
    }, 50);
    window.turned = () => { [canvas.width, canvas.height] = [canvas.height, canvas.width]; };
    return canvas.captureStream(20);
  };
"""
RETURNED = "() => { const v = document.querySelector('#returned'); return [v.videoWidth, v.videoHeight]; }"


@pytest.mark.parametrize(
    ("query", "size"),
    [("", [640, 480]), ("?size=720p", [1280, 720]), pytest.param("?size=9", [640, 480], marks=pytest.mark.long)],
)
def test_the_picture_has_the_size_that_the_address_asks_for(
    page: Page, tmp_path: Path, query: str, size: list[int]
) -> None:
    page.add_init_script(CAMERA)
    with serving(tmp_path) as server:
        page.goto(f"{server.url}/{query}")
        page.click("#start")
        page.wait_for_selector(LIVE)
        page.wait_for_function(f"(size) => String(({RETURNED})()) === String(size)", arg=size)


def test_a_phone_that_is_turned_turns_the_picture_and_begins_a_new_file(page: Page, tmp_path: Path) -> None:
    page.add_init_script(CAMERA)
    with serving(tmp_path) as server:
        page.goto(server.url)
        page.click("#start")
        page.wait_for_selector(LIVE)
        page.wait_for_function(f"() => String(({RETURNED})()) === '640,480'")
        page.evaluate("() => window.turned()")
        page.wait_for_function(f"() => String(({RETURNED})()) === '480,640'", timeout=10_000)
        seen = page.evaluate("() => window.whycam.frames")
        page.wait_for_function("(seen) => window.whycam.frames > seen + 10", arg=seen)
        assert page.evaluate("() => window.whycam.state") == "live"
        page.click("#stop")
        page.wait_for_selector("body[data-state=ended]")
        (folder,) = server.recordings.iterdir()
    session = json.loads((folder / "session.json").read_text())
    for stream in ("camera", "explained"):
        assert [part["size"] for part in session[stream]] == [[640, 480], [480, 640]]
