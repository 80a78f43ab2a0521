"""Debian's Chromium with a fake camera: a cup of espresso, filmed by a hand that is not quite steady."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTH, HEIGHT, RATE = 640, 480, 30
CALM = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def camera_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A motion JPEG that Chromium takes for a camera: the photograph, moved by some pixels to and fro."""
    path = tmp_path_factory.mktemp("camera") / "espresso.mjpeg"
    photo = cv2.resize(skimage.data.coffee(), (WIDTH + 80, HEIGHT + 80), interpolation=cv2.INTER_AREA)
    with path.open("wb") as file:
        for number in range(60):
            turn = 2 * np.pi * number / 60
            x, y = round(40 + 40 * np.sin(turn)), round(40 + 40 * np.sin(2 * turn))
            view = photo[y : y + HEIGHT, x : x + WIDTH, ::-1]
            ok, jpeg = cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, 90])
            assert ok
            file.write(jpeg.tobytes())
    return path


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    if CHROMIUM is None:
        reason = "Chromium is not installed (Debian: apt install chromium)"
        assert not os.environ.get("WHYCAM_NEED_BROWSER"), reason
        pytest.skip(reason)
    with sync_playwright() as running:
        yield running


def start(playwright: Playwright, *flags: str) -> Browser:
    return playwright.chromium.launch(executable_path=CHROMIUM, args=[*CALM.split(), *flags])


@pytest.fixture(scope="session")
def browser(playwright: Playwright, camera_file: Path) -> Iterator[Browser]:
    """A browser whose user allows the camera."""
    chromium = start(
        playwright,
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera_file}",
    )
    yield chromium
    chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must not complain: an error on its console fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    new = context.new_page()
    complaints: list[str] = []
    new.on("pageerror", lambda error: complaints.append(str(error)))
    new.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield new
    context.close()
    # A test's server goes before its page, whose last goodbye then fails.
    assert [text for text in complaints if "ERR_CONNECTION_REFUSED" not in text] == []
