"""The page in a real browser: from the button to the explained picture, and what it says when something is wrong."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.browser.camera import HEIGHT, WIDTH, fake_camera, start_browser
from tests.browser.pages import Picture, begin, grab, until, watch
from tests.support.servers.server_process import free_port, serving
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.sessions.recorder import SWITCH_EVERY_S
from whycam.stream.video.planes import as_bytes

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def camera_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_camera(tmp_path_factory.mktemp("camera"))


@pytest.fixture(scope="module")
def browser(playwright: Playwright, camera_file: Path) -> Iterator[Browser]:
    chromium = start_browser(playwright, camera_file)
    yield chromium
    chromium.close()


def frames_in(page: Page, seconds: float) -> int:
    """Returned frames that the browser showed in so many seconds."""
    before = watch(page, "frames")
    time.sleep(seconds)
    return int(watch(page, "frames")) - int(before)


WAITED = """async () => {
  const stats = [...(await window.whycam.connection.getStats()).values()].find(({ type }) => type === 'inbound-rtp');
  const { jitterBufferEmittedCount: frames, jitterBufferDelay: waited, jitterBufferTargetDelay: target } = stats;
  return { frames, ms: 1000 * waited / frames, target_ms: 1000 * target / frames };
}"""


def is_fluent(page: Page) -> bool:
    """Whether 40 frames are shown in 4 s, in one of three spans: something else may take the processor for a moment.

    `make bench` says how many it can be.
    """
    return any(frames_in(page, 4) >= 40 for _ in range(3))


@pytest.mark.parametrize("codec", ["H264", pytest.param("VP8", marks=pytest.mark.long)])
def test_the_camera_comes_back_explained_and_both_streams_are_recorded(page: Page, tmp_path: Path, codec: str) -> None:
    with serving(tmp_path) as server:
        begin(page, server, "?codec=vp8" if codec == "VP8" else "")
        page.check("#colormap [value=viridis]")  # green and yellow, which nothing in the photograph is
        until(lambda: watch(page, "report.labels")[:1] == ["espresso"])
        assert is_fluent(page)
        picture = grab(page)
        assert picture.shape == (HEIGHT, WIDTH, 3)
        expect(page.locator("#labels")).to_contain_text("espresso")
        folder = Path(watch(page, "report.recording.folder"))
        assert folder.parent.name == "recordings"
        page.click("#stop")
        expect(page.locator("body")).to_have_attribute("data-state", re.compile("ended|idle"))
        until(lambda: json.loads((folder / "session.json").read_text())["state"] == "ended")
    session = json.loads((folder / "session.json").read_text())
    counts = session["counts"]
    assert counts["received"] == counts["recorded"] + counts["unrecorded"]
    assert counts["decoded"] == counts["explained"] + counts["passed"] + counts["dropped"]
    (camera,), (explained,) = session["camera"], session["explained"]
    assert camera["codec"] == explained["codec"] == codec
    camera_pictures = decoded(folder / camera["file"])
    explained_pictures = decoded(folder / explained["file"])
    assert set(explained_pictures) <= set(camera_pictures)
    sidecar = list(read_sidecar(folder / "predictions.jsonl")[1])
    assert len(sidecar) == counts["sidecar_lines"] == len(explained_pictures)
    seen = [line for line in sidecar if line.maps]
    assert len(seen) > 0.8 * len(sidecar)  # before the first answer and after a gap there is none
    assert seen[-1].maps[0].label == "espresso"
    # The camera's file shows the photograph in its colours; the explained one differs from it where the map is hot.
    last = min(explained_pictures, key=lambda time: abs(time - seen[-1].pts / 90))
    plain, painted = camera_pictures[last], explained_pictures[last]
    assert np.abs(plain.mean((0, 1)) - skimage.data.coffee().mean((0, 1))).max() < 15
    grid = seen[-1].maps[0].grid
    assert np.corrcoef(grid.ravel(), change(plain, painted, grid.shape).ravel())[0, 1] > 0.6


def decoded(path: Path) -> dict[int, Picture]:
    """The pictures by their time stamps in milliseconds."""
    with av.open(path) as container:
        return {round((f.time or 0) * 1000): as_bytes(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)}


def change(plain: Picture, painted: Picture, cells: tuple[int, ...]) -> NDArray[np.float32]:
    """How far two pictures differ in each cell of a heatmap."""
    difference = np.abs(plain.astype(np.float32) - painted).sum(2)
    return np.asarray(cv2.resize(difference, cells[::-1], interpolation=cv2.INTER_AREA), np.float32)


def test_the_browser_holds_no_frame_back(page: Page, tmp_path: Path) -> None:
    """By `jitterBufferTargetDelay` it would: that is what it would wait by its own estimate of the jitter."""
    with serving(tmp_path) as server:
        begin(page, server)
        until(lambda: page.evaluate(WAITED)["frames"] > 60)
        waited = page.evaluate(WAITED)
    assert waited["ms"] < 0.6 * waited["target_ms"]


def test_a_slow_model_never_delays_the_picture(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, slowed=0.3) as server:
        begin(page, server)
        until(lambda: watch(page, "report.state") == "carried")
        assert is_fluent(page)  # a picture that waited for its model would show 13
        expect(page.locator("#chip")).to_contain_text(re.compile(r"\d+ ms"))
        assert watch(page, "report.age_ms") < 1500
        assert watch(page, "report.times.frame_ms") < 250


def test_opacity_colours_and_the_record_switch_reach_the_server(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        begin(page, server)
        until(lambda: watch(page, "report.recording.state") == "on")
        page.check("#colormap [value=viridis]")
        until(lambda: watch(page, "report.view.colormap") == "viridis")
        page.locator("#opacity").focus()
        before = watch(page, "report.view.opacity")
        page.keyboard.press("ArrowLeft")
        until(lambda: watch(page, "report.view.opacity") < before)
        page.click("#record")
        until(lambda: watch(page, "report.recording.state") == "off")
        time.sleep(SWITCH_EVERY_S)
        page.click("#record")
        until(lambda: watch(page, "report.recording.state") == "on")
        until(lambda: len(list(server.recordings.iterdir())) == 2)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed (Debian: apt install ffmpeg)")
def test_a_video_file_goes_through_the_live_path(page: Page, tmp_path: Path, camera_file: Path) -> None:
    film = tmp_path / "film.webm"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-framerate", "30", "-i", camera_file, "-c:v", "libvpx", "-b:v", "2M", film],
        check=True,
    )
    with serving(tmp_path) as server:
        page.goto(server.url)
        page.set_input_files("#open-file", film)
        expect(page.locator("body")).to_have_attribute("data-state", "live", timeout=20_000)
        until(lambda: watch(page, "frames") >= 10)
        # The film lasts two seconds; then the call ends by itself.
        expect(page.locator("body")).not_to_have_attribute("data-state", "live", timeout=15_000)
        (folder,) = server.recordings.iterdir()
        until(lambda: json.loads((folder / "session.json").read_text())["state"] == "ended")


def test_a_refused_camera_is_said_in_words(playwright: Playwright, tmp_path: Path) -> None:
    chromium = start_browser(playwright, None, "--use-fake-device-for-media-stream", "--deny-permission-prompts")
    with serving(tmp_path) as server:
        page = chromium.new_context(permissions=[]).new_page()
        page.goto(server.url)
        page.click("#start")
        expect(page.locator("#error")).to_contain_text("The camera is blocked", timeout=10_000)
        expect(page.locator("#start")).to_be_visible()
    chromium.close()


def test_a_machine_without_a_camera_is_told_so(playwright: Playwright, tmp_path: Path) -> None:
    chromium = start_browser(playwright, None, "--use-fake-ui-for-media-stream")
    with serving(tmp_path) as server:
        page = chromium.new_page()
        page.goto(server.url)
        page.click("#start")
        expect(page.locator("#error")).to_contain_text("The browser finds no camera", timeout=10_000)
    chromium.close()


def test_an_insecure_page_says_why_there_is_no_camera(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        page = browser.new_page()
        page.add_init_script("""
            Object.defineProperty(window, 'isSecureContext', { value: false });
            Object.defineProperty(navigator, 'mediaDevices', { value: undefined });
        """)
        page.goto(server.url)
        page.click("#start")
        expect(page.locator("#error")).to_contain_text("secure pages only")
        page.close()


@pytest.mark.long
def test_a_server_that_goes_is_said_and_can_be_called_again(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page()
    with serving(tmp_path) as server:
        begin(page, server)
        until(lambda: watch(page, "frames") >= 10)
    expect(page.locator("body")).to_have_attribute("data-state", "reconnecting", timeout=20_000)
    expect(page.locator("#status")).to_contain_text("by itself")
    page.click("#cancel")
    expect(page.locator("body")).to_have_attribute("data-state", "ended")
    page.click("#start")
    expect(page.locator("#error")).to_contain_text(re.compile("server", re.IGNORECASE), timeout=10_000)
    page.close()


def test_a_server_that_comes_back_is_called_again_as_the_person_left_it(browser: Browser, tmp_path: Path) -> None:
    page, port = browser.new_page(), free_port()
    with serving(tmp_path, port=port) as server:
        begin(page, server)
        page.check("#colormap [value=viridis]")
        page.click("#record")
        until(lambda: watch(page, "report.recording.state") == "off")
        until(lambda: watch(page, "report.view.colormap") == "viridis")
    expect(page.locator("body")).to_have_attribute("data-state", "reconnecting", timeout=20_000)
    with serving(tmp_path, port=port):
        expect(page.locator("body")).to_have_attribute("data-state", "live", timeout=30_000)
        until(lambda: watch(page, "report.view.colormap") == "viridis")
        until(lambda: watch(page, "report.recording.state") == "off")
        until(lambda: watch(page, "frames") >= 10)
    page.close()


def test_a_closed_page_ends_its_session_at_once(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        page = browser.new_page()
        begin(page, server)
        until(lambda: watch(page, "frames") >= 10)
        folder = server.recordings / Path(watch(page, "report.recording.folder")).name
        page.close(run_before_unload=False)
        until(lambda: json.loads((folder / "session.json").read_text())["state"] == "ended", 10)


def test_the_page_asks_nothing_of_the_internet(page: Page, tmp_path: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with serving(tmp_path) as server:
        begin(page, server)
        until(lambda: watch(page, "frames") >= 10)
    assert asked
    assert all(url.startswith((server.url, "blob:", "data:")) for url in asked)
