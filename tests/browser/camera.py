"""Chromium with a fake camera: a cup of espresso, filmed by a hand that is not quite steady; Firefox with its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from playwright.sync_api import Browser, Playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
FAKE_CAMERA = {"media.navigator.streams.fake": True, "media.navigator.permission.disabled": True}
"""Settings of Firefox: its user allows a camera whose picture is of one colour, which changes."""
WIDTH, HEIGHT = 640, 480
SMALL = 320, 240
"""For tests of what the page does: on two cores, most of the time goes to video at full size."""
COLOURS_KEPT, FADE = 12, 10
"""Of `changing_camera`: how many sets of colours there are, and how many frames lie between two of them."""
CALM = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required"
)


def fake_camera(folder: Path, size: tuple[int, int] = (WIDTH, HEIGHT), name: str = "coffee") -> Path:
    """A motion JPEG that Chromium takes for a camera (30 frames a second): a photograph of scikit-image moves."""
    path = folder / f"{name}.mjpeg"
    width, height = size
    margin = width // 8
    photo = cv2.resize(getattr(skimage.data, name)(), (width + margin, height + margin), interpolation=cv2.INTER_AREA)
    with path.open("wb") as file:
        for number in range(60):
            turn = 2 * np.pi * number / 60
            x, y = (round(margin / 2 * (1 + np.sin(times * turn))) for times in (1, 2))
            ok, jpeg = cv2.imencode(".jpg", photo[y : y + height, x : x + width, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
            assert ok
            file.write(jpeg.tobytes())
    return path


def changing_camera(folder: Path, size: tuple[int, int]) -> Path:
    """As `fake_camera`, of coloured patches that fade to other colours all the time, three times a second."""
    path = folder / "changing.mjpeg"
    colours = np.random.default_rng(3).integers(0, 256, (COLOURS_KEPT, 4, 4, 3)).astype(np.float32)
    with path.open("wb") as file:
        for number in range(COLOURS_KEPT * FADE):
            one, other = colours[number // FADE], colours[(number // FADE + 1) % COLOURS_KEPT]
            patches = cv2.addWeighted(one, 1 - number % FADE / FADE, other, number % FADE / FADE, 0)
            picture = cv2.resize(patches.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
            ok, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
            assert ok
            file.write(jpeg.tobytes())
    return path


def start_browser(playwright: Playwright, camera: Path | None = None, *flags: str) -> Browser:
    """Chromium; with a camera file its user allows that camera."""
    if camera is not None:
        flags = (
            *flags,
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={camera}",
        )
    needed(CHROMIUM, "Chromium is not installed (Debian: apt install chromium)")
    return playwright.chromium.launch(executable_path=CHROMIUM, args=[*CALM.split(), *flags])


def start_firefox(playwright: Playwright, settings: Mapping[str, str | float | bool] = FAKE_CAMERA) -> Browser:
    """Debian's Firefox, by WebDriver BiDi (not the build that Playwright patches and downloads)."""
    needed(FIREFOX, "Firefox is not installed (Debian: apt install firefox-esr)")
    return playwright.firefox.launch(
        channel="moz-firefox", executable_path=FIREFOX, firefox_user_prefs=dict(settings), timeout=60_000
    )


def needed(program: str | None, reason: str) -> None:
    """Skip the test, or fail it in CI, if a program is missing."""
    if program is None:
        assert not os.environ.get("WHYCAM_NEED_BROWSER"), reason
        pytest.skip(reason)
