"""What browser tests do with a page: open it, begin a call, wait, look at its picture."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from tests.support.servers.server_process import Server
from whycam.stream.video.planes import as_bytes

Picture = NDArray[np.uint8]


def begin(page: Page, server: Server, query: str = "") -> None:
    page.goto(server.url + "/" + query)
    page.click("#start")
    expect(page.locator("body")).to_have_attribute("data-state", "live", timeout=20_000)


def watch(page: Page, name: str) -> Any:
    return page.evaluate(f"() => window.whycam.{name}")


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.1)


def grab(page: Page) -> Picture:
    """The returned picture as the browser decoded it, RGB."""
    url = page.evaluate(
        """() => {
          const video = document.querySelector('#returned');
          const canvas = document.createElement('canvas');
          [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
          canvas.getContext('2d').drawImage(video, 0, 0);
          return canvas.toDataURL('image/png');
        }"""
    )
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    return as_bytes(picture)
