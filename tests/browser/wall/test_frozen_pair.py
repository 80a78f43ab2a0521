"""A frozen picture and the camera's beside it are the same frame: their numbers are read from the pictures."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, Playwright, expect

from tests.browser.camera import start_browser
from tests.browser.pages import begin, until
from tests.browser.publishing import published
from tests.support.films import numbered
from tests.support.models import tiny_models
from tests.support.servers.server_process import Server, serving
from whycam.stream.video.planes import Bytes, as_bytes

pytestmark = pytest.mark.alone

SIZE = (320, 240)
TRIES = 20
PICTURE = """(selector) => {
  const seen = document.querySelector(selector);
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [seen.videoWidth || seen.naturalWidth, seen.videoHeight || seen.naturalHeight];
  canvas.getContext('2d').drawImage(seen, 0, 0);
  return canvas.toDataURL('image/png');
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("pair")
    model = tiny_models.bright_spot(folder / "colours.onnx")
    with serving(folder, arguments=["--no-record", "--model", str(model)]) as running:
        yield running


@contextmanager
def loaded() -> Iterator[None]:
    """While two processes compute."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def picture(page: Page, selector: str) -> Bytes:
    data = base64.b64decode(page.evaluate(PICTURE, selector).partition(",")[2])
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert read is not None
    return as_bytes(read)


def number(page: Page, selector: str) -> int:
    return numbered.number_of(picture(page, selector))


def compare(page: Page, explained: str, still: str) -> int:
    """The number of both, when the explained picture has arrived; it does not change any more."""
    expect(page.locator(still)).not_to_have_attribute("hidden", "", timeout=10_000)
    wanted = number(page, still)
    until(lambda: number(page, explained) == wanted, 10)
    page.wait_for_timeout(150)
    assert number(page, explained) == number(page, still) == wanted
    assert np.abs(picture(page, still).astype(int) - picture(page, explained))[60:].mean() < 6  # below the label
    return wanted


@pytest.mark.long
def test_side_by_side_on_the_wall(playwright: Playwright, server: Server) -> None:
    browser = start_browser(playwright)
    wall = browser.new_page(viewport={"width": 1280, "height": 800})
    wall.goto(f"{server.url}/watch")
    with published(server, numbered.stream(SIZE)) as session, loaded():
        expect(wall.locator(".tile[data-state=seen]")).to_be_visible(timeout=30_000)
        wall.request.post(f"{server.url}/api/sessions/{session}/command", data={"opacity": 0})
        wall.keyboard.press("s")
        expect(wall.locator("video.camera[data-state=seen]")).to_be_visible(timeout=30_000)
        seen = set()
        for _ in range(TRIES):
            wall.keyboard.press("f")
            seen.add(compare(wall, "video.explained", ".still"))
            expect(wall.locator("video.camera")).to_be_hidden()
            wall.keyboard.press("f")
            expect(wall.locator(".still")).to_be_hidden(timeout=10_000)
            expect(wall.locator("video.camera")).to_be_visible()
            wall.wait_for_timeout(90)
        assert len(seen) > TRIES // 2  # different moments
        # Who comes while the picture is frozen, or asks for the camera only then, sees the same.
        wall.keyboard.press("s")
        wall.keyboard.press("f")
        wall.wait_for_function("() => whycam.tiles[0].report.frozen")
        wall.keyboard.press("s")
        compare(wall, "video.explained", ".still")
        pts = wall.evaluate("() => whycam.tiles[0].report.frozen_pts")
        path = f"{server.url}/api/sessions/{session}/frozen"
        assert wall.request.get(f"{path}/{pts}.jpg").ok
        assert wall.request.get(f"{path}/{pts + 1}.jpg").status == 404
    browser.close()


@pytest.mark.long
def test_the_peek_on_a_phone(playwright: Playwright, server: Server, tmp_path: Path) -> None:
    film = tmp_path / "numbers.mjpeg"
    with film.open("wb") as file:
        for each in range(numbered.COUNT):
            file.write(cv2.imencode(".jpg", numbered.numbered((640, 480), each))[1].tobytes())
    browser = start_browser(playwright, film)
    phone = browser.new_page(viewport={"width": 390, "height": 844})
    begin(phone, server)
    phone.evaluate("() => { const heat = document.querySelector('#opacity'); heat.value = 0; }")
    phone.locator("#opacity").dispatch_event("input")
    with loaded():
        for _ in range(TRIES):
            phone.click("#freeze")
            phone.wait_for_function("() => whycam.report.frozen", timeout=10_000)
            compare(phone, "#returned", "#still")
            phone.click("#peek")
            expect(phone.locator("#still")).to_be_visible()
            expect(phone.locator("#camera")).to_have_css("visibility", "hidden")
            phone.click("#peek")
            phone.click("#freeze")
            phone.wait_for_function("() => !whycam.report.frozen", timeout=10_000)
            phone.click("#peek")
            expect(phone.locator("#camera")).to_have_css("visibility", "visible")
            phone.click("#peek")
    browser.close()
