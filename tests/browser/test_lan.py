"""A phone in the LAN: Chromium comes by the URL that a phone would scan, to https with whycam's own certificate."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.axe import assert_accessible
from tests.browser.pages import until, watch
from tests.support.qr_codes import decoded
from tests.support.servers.server_process import free_port, lan_arguments, serving
from whycam.stream.video.planes import as_bytes

pytestmark = pytest.mark.alone


@pytest.fixture
def phone(browser: Browser) -> Iterator[BrowserContext]:
    """Its person passed the certificate's warning."""
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 390, "height": 844})
    yield context
    context.close()


def goes_live(page: Page) -> None:
    page.click("#start")
    expect(page.locator("body")).to_have_attribute("data-state", "live", timeout=20_000)
    until(lambda: watch(page, "frames") >= 10)


def test_the_page_shows_the_code_a_phone_scans_it_and_is_explained(
    page: Page, phone: BrowserContext, tmp_path: Path
) -> None:
    with serving(tmp_path, arguments=lan_arguments(tmp_path, free_port())) as server:
        page.goto(server.url)
        expect(page.locator("#code")).to_be_visible()
        page.wait_for_function("() => document.querySelector('#code').naturalWidth > 0")
        shot = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert shot is not None
        scanned = decoded(as_bytes(shot))
        assert scanned == server.invitation
        expect(page.locator("#phones-urls")).not_to_contain_text("#")

        mobile = phone.new_page()
        mobile.goto(scanned)
        expect(mobile.locator("body")).to_have_attribute("data-state", "idle")
        assert mobile.url == scanned.partition("#")[0]
        expect(mobile.locator("#phones")).to_be_hidden()
        goes_live(mobile)
        (cookie,) = phone.cookies()
        assert cookie["name"].startswith("__Host-")
        assert cookie["httpOnly"]
        assert cookie["secure"]
        # The cookie is enough from now on.
        mobile.goto(mobile.url)
        goes_live(mobile)
        # A page that is closed says goodbye with the same cookie.
        folder = server.recordings / Path(watch(mobile, "report.recording.folder")).name
        mobile.close(run_before_unload=False)
        until(lambda: json.loads((folder / "session.json").read_text())["state"] == "ended", 10)


@pytest.mark.long
def test_a_device_outside_is_told_how_to_come_in(phone: BrowserContext, tmp_path: Path) -> None:
    with serving(tmp_path, arguments=lan_arguments(tmp_path, free_port())) as server:
        door, token = server.invitation.split("#")
        page = phone.new_page()
        page.goto(door)
        expect(page.locator("body")).to_have_attribute("data-state", "outside")
        expect(page.locator("#error")).to_contain_text("has not joined")
        expect(page.locator("#start")).to_be_hidden()
        page.goto(door + "#an-old-code")
        expect(page.locator("#error")).to_contain_text("old code")
        assert page.url == door
        page.goto(f"{door}#{token}")
        expect(page.locator("body")).to_have_attribute("data-state", "idle")


@pytest.mark.long
def test_a_server_that_comes_back_knows_the_phone_until_there_is_a_new_token(
    phone: BrowserContext, tmp_path: Path
) -> None:
    arguments, port = lan_arguments(tmp_path, free_port()), free_port()
    page = phone.new_page()
    with serving(tmp_path, arguments=arguments, port=port) as server:
        page.goto(server.invitation)
        goes_live(page)
    expect(page.locator("body")).to_have_attribute("data-state", "reconnecting", timeout=20_000)
    with serving(tmp_path, arguments=arguments, port=port):
        expect(page.locator("body")).to_have_attribute("data-state", "live", timeout=30_000)
        until(lambda: watch(page, "frames") >= 10)
    with serving(tmp_path, arguments=[*arguments, "--new-token"], port=port) as server:
        expect(page.locator("body")).to_have_attribute("data-state", "outside", timeout=30_000)
        expect(page.locator("#error")).to_contain_text("old code")
        page.goto(server.invitation)
        expect(page.locator("body")).to_have_attribute("data-state", "idle")


@pytest.mark.long
def test_a_full_server_is_said_in_words(page: Page, phone: BrowserContext, tmp_path: Path) -> None:
    with serving(tmp_path, arguments=lan_arguments(tmp_path, free_port())) as server:
        pages = [phone.new_page() for _ in range(3)]
        pages[0].goto(server.invitation)
        goes_live(pages[0])
        for each in pages[1:]:
            each.goto(server.invitation.partition("#")[0])
        goes_live(pages[1])
        pages[2].click("#start")
        expect(pages[2].locator("#error")).to_contain_text("the limit of the server or of this device is reached")
        expect(pages[2].locator("#start")).to_be_visible()


def test_the_help_page_explains_and_hands_out_the_certificate(phone: BrowserContext, tmp_path: Path) -> None:
    with serving(tmp_path, arguments=lan_arguments(tmp_path, free_port())) as server:
        page = phone.new_page()
        page.goto(server.invitation.partition("#")[0])
        page.click("#help a")
        expect(page.locator("h1")).to_contain_text("Help")
        for words in ("iPhone", "Android", "does not protect", "hotspot"):
            expect(page.locator("main")).to_contain_text(re.compile(words))
        with page.expect_download() as download:
            page.click("a.button")
        assert download.value.path().read_bytes() == (tmp_path / "config" / "authority.crt").read_bytes()


@pytest.mark.long
def test_the_host_lets_phones_join_and_sends_them_away_without_a_restart(
    page: Page, browser: Browser, phone: BrowserContext, tmp_path: Path
) -> None:
    arguments = [each for each in lan_arguments(tmp_path, free_port()) if each != "--lan"]
    with serving(tmp_path, arguments=arguments) as server:
        assert "Let phones join" in server.log.read_text()
        wall = browser.new_page()
        wall.goto(f"{server.url}/watch")
        expect(wall.locator("#empty-how")).to_contain_text("No phone can join yet")
        page.goto(server.url)
        expect(page.locator("#phones-urls")).to_contain_text("No phone can join yet")
        expect(page.locator("#code")).to_be_hidden()
        assert_accessible(page)
        page.click("#let-join")
        expect(page.locator("#code")).to_be_visible()
        expect(page.locator("#let-none")).to_be_focused()
        page.wait_for_function("() => document.querySelector('#code').naturalWidth > 0")
        page.locator("#code").scroll_into_view_if_needed()
        assert_accessible(page)
        expect(wall.locator("#empty-headline")).to_contain_text("Scan", timeout=10_000)
        shot = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert shot is not None
        mobile = phone.new_page()
        mobile.goto(decoded(as_bytes(shot)))
        goes_live(mobile)
        page.click("#let-none")
        expect(page.locator("#code")).to_be_hidden()
        expect(page.locator("#let-join")).to_be_focused()
        expect(mobile.locator("body")).not_to_have_attribute("data-state", "live", timeout=15_000)
        expect(wall.locator("#empty-how")).to_contain_text("No phone can join yet", timeout=15_000)
        assert_accessible(wall)
        wall.close()
        # The phone's cookie is good again when the door is.
        page.click("#let-join")
        expect(page.locator("#code")).to_be_visible()
        mobile.reload()
        goes_live(mobile)
        mobile.close()
