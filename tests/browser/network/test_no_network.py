"""A computer without any network: browsers gather no candidate, not even for loopback, and the page says so at once."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.browser.camera import start_browser, start_firefox
from tests.browser.pages import until, watch
from tests.support.network_namespaces import Namespace, namespace
from tests.support.servers.server_process import Server, serving

pytestmark = pytest.mark.alone
ADDRESS = "10.77.0.9"
Start = Callable[[Playwright], Browser]


def leave(there: Namespace) -> None:
    ip(there, "addr flush dev out")
    ip(there, "link set out down")


def join(there: Namespace) -> None:
    ip(there, f"addr add {ADDRESS}/32 dev out")
    ip(there, "link set out up")
    ip(there, "route add default dev out")


def ip(there: Namespace, command: str) -> None:
    subprocess.run([*there.prefix, "ip", *command.split()], check=True, capture_output=True)


@pytest.mark.parametrize("start", ["chromium", pytest.param("firefox", marks=pytest.mark.long)])
def test_the_page_says_it_and_is_live_once_there_is_a_network(start: str, tmp_path: Path, camera_file: Path) -> None:
    def browse() -> None:
        with sync_playwright() as playwright:
            browser = start_browser(playwright, camera_file) if start == "chromium" else start_firefox(playwright)
            try:
                says_it_then_is_live(browser.new_page(locale="en-GB"), server, there)
            finally:
                browser.close()

    with namespace(ADDRESS) as there:
        leave(there)
        with serving(tmp_path, inside=there.prefix) as server:
            there.run(browse)


def says_it_then_is_live(page: Page, server: Server, there: Namespace) -> None:
    page.goto(server.url)
    page.click("#start")
    began = time.monotonic()
    for words in ("This computer is in no network", "hotspot", "needs no internet"):
        expect(page.locator("#error")).to_contain_text(words, timeout=10_000)
    assert time.monotonic() - began < 8  # three, and a busy machine; a call without answer is given up after 15 s
    join(there)
    # Chromium may take a moment to notice the network.
    until(lambda: is_live(page), 30)
    until(lambda: watch(page, "frames") >= 10)


def is_live(page: Page) -> bool:
    """Press the button where it is shown, and look."""
    state = page.evaluate("document.body.dataset.state")
    if page.locator("#start").is_visible():
        page.click("#start")
        page.wait_for_timeout(1000)
    return bool(state == "live")
