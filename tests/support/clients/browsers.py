"""Browsers that call with whycam's own page, again and again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright
from playwright.sync_api import TimeoutError as Late

from tests.browser.camera import fake_camera, start_browser
from tests.support.clients.tried import Tried
from tests.support.servers.server_process import Server

Start = Callable[[Playwright], Browser]
SENT = """async () => [...(await window.whycam.connection.getStats()).values()]
  .find(({ type, kind }) => type === 'outbound-rtp' && kind === 'video').framesEncoded"""
WAIT_MS = 15_000


def chromium(playwright: Playwright) -> Browser:
    return start_browser(playwright, fake_camera(Path(tempfile.mkdtemp(prefix="whycam-"))))


def version(start: Start) -> str:
    with sync_playwright() as playwright:
        browser = start(playwright)
        found = browser.version
        browser.close()
        return found


def calling(start: Start) -> Callable[[Server, int, int], Tried]:
    """Press the button, wait until so many frames have come back explained, press stop."""

    def publish(server: Server, tries: int, frames: int) -> Tried:
        with sync_playwright() as playwright:
            browser = start(playwright)
            page = browser.new_page()
            page.goto(server.url)
            sent = [called(page, frames) for _ in range(tries)]
            browser.close()
        return Tried(sum(each > 0 for each in sent), tries, sum(sent))

    return publish


def called(page: Page, frames: int) -> int:
    """The frames that were sent in a call until so many came back; 0 if it was not live in time."""
    page.click("#start")
    try:
        page.wait_for_function(f"() => whycam.state === 'live' && whycam.frames >= {frames}", timeout=WAIT_MS)
        sent = int(page.evaluate(SENT))
    except Late:
        return 0
    page.click("#stop")
    expect(page.locator("#start")).to_be_visible()
    return sent
