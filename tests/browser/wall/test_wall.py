"""The projector's page in a real browser, which has no camera and needs none; phone and projector at once."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.browser.axe import assert_accessible
from tests.browser.camera import start_browser
from tests.browser.pages import begin
from tests.browser.publishing import published
from tests.support.servers.server_process import Server, free_port, lan_arguments, serving

pytestmark = pytest.mark.alone

LARGE = ".tile[data-small=false][data-state=seen]"
GRID = ".tile[data-small=true][data-state=seen]"
LETTERS = "() => parseFloat(getComputedStyle(document.querySelector('.answer .name')).fontSize)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("wall")
    with serving(folder, arguments=["--no-record", *lan_arguments(folder, free_port())]) as running:
        yield running


@pytest.fixture(scope="module")
def beamer(playwright: Playwright) -> Iterator[Browser]:
    """A browser whose user allows nothing."""
    chromium = start_browser(playwright)
    yield chromium
    chromium.close()


@pytest.fixture
def wall(beamer: Browser) -> Iterator[Page]:
    page = beamer.new_page(viewport={"width": 1280, "height": 720})
    yield page
    page.context.close()


def report(page: Page, key: str, tile: int = 0) -> Any:
    return page.evaluate(f"() => whycam.tiles[{tile}]?.report?.{key}")


def told(page: Page, condition: str) -> None:
    """Wait until the newest report `r` of the first tile is so."""
    page.wait_for_function(f"() => {{ const r = whycam.tiles[0]?.report; return r && ({condition}); }}", timeout=20_000)


def visible_bar(page: Page) -> None:
    page.mouse.move(300, 300)
    page.mouse.move(310, 310)
    expect(page.locator("body")).to_have_attribute("data-resting", "false")


def test_while_nobody_is_live_it_invites_with_a_large_code(wall: Page, server: Server) -> None:
    wall.goto(f"{server.url}/watch")
    expect(wall.locator("body")).to_have_attribute("data-state", "empty")
    wall.wait_for_function("() => document.querySelector('#empty .code').naturalWidth > 0")
    box = wall.locator("#empty .code").bounding_box()
    assert box is not None
    assert box["width"] > 720 * 0.6
    expect(wall.locator("#empty-headline")).to_have_text(re.compile("Scan.*Point.*See", re.DOTALL))
    expect(wall.locator("#empty-address")).not_to_contain_text("#")
    assert_accessible(wall)


@pytest.mark.long
def test_without_a_lan_it_says_what_to_do(beamer: Browser, tmp_path: Path) -> None:
    page = beamer.new_context(locale="de-DE").new_page()
    with serving(tmp_path, arguments=["--no-record"]) as server:
        page.goto(f"{server.url}/watch")
        expect(page.locator("#empty")).to_contain_text("Keine Kamera ist live.")
        expect(page.locator("#empty-how")).to_contain_text("Handys mitmachen lassen")
        expect(page.locator("#empty .code")).to_be_hidden()
        expect(page.locator("#qr")).to_be_hidden()
    page.context.close()


def test_a_camera_that_starts_fills_the_wall_and_its_keys_work(wall: Page, server: Server) -> None:
    wall.goto(f"{server.url}/watch")
    expect(wall.locator("body")).to_have_attribute("data-state", "empty")
    with published(server) as session:
        expect(wall.locator(LARGE)).to_be_visible(timeout=20_000)
        assert wall.evaluate("() => whycam.large") == session
        picture = wall.locator("video.explained").bounding_box()
        assert picture is not None
        assert picture["height"] > 700
        expect(wall.locator(".answer .score")).to_have_text(re.compile(r"\d%"))
        assert wall.evaluate(LETTERS) > 720 / 20  # the last row reads a twentieth of the wall
        expect(wall.locator("#corner")).to_be_visible()
        visible_bar(wall)
        wall.locator("#side").focus()
        assert_accessible(wall)

        wall.keyboard.press("s")
        expect(wall.locator("video.camera[data-state=seen]")).to_be_visible(timeout=20_000)
        expect(wall.locator("#side")).to_have_attribute("aria-pressed", "true")
        wall.click("#side")
        expect(wall.locator("video.camera")).to_be_hidden()

        told(wall, "r.labels.length === 5")
        wall.keyboard.press("f")
        told(wall, "r.frozen")
        expect(wall.locator(".signs")).to_contain_text("Frozen")
        expect(wall.locator("#freeze")).to_have_attribute("aria-pressed", "true")
        wall.wait_for_timeout(1_000)  # no name moves any more
        second = report(wall, "classes[1]")
        wall.keyboard.press("2")
        told(wall, f"r.view.hold.length === 1 && r.view.hold[0] === {second}")
        wall.locator(".labels button").first.click()
        told(wall, "r.view.hold.length === 2")
        expect(wall.locator(".answer li")).to_have_count(2)
        wall.keyboard.press("3")
        told(wall, f"r.view.hold.length === 2 && r.view.hold[0] === {second}")  # as on the phone
        wall.keyboard.press("0")
        told(wall, "r.view.hold.length === 0")
        wall.click("#freeze")
        told(wall, "!r.frozen")

        wall.keyboard.press("q")
        expect(wall.locator("#corner")).to_be_hidden()
        wall.keyboard.press("q")
        expect(wall.locator("#corner")).to_be_visible()

        wall.keyboard.press("h")
        expect(wall.locator("#help")).to_be_visible()
        assert_accessible(wall)
        wall.keyboard.press("f")  # what is behind the list stays as it is
        wall.uncheck("#keys-on")
        wall.keyboard.press("Escape")
        expect(wall.locator("#help")).to_be_hidden()
        wall.keyboard.press("f")
        wall.keyboard.press("h")
        expect(wall.locator("#help")).to_be_hidden()
        assert not report(wall, "frozen")
        visible_bar(wall)
        wall.click("#keys")
        wall.check("#keys-on")
        wall.click("#help .close")
    expect(wall.locator("body")).to_have_attribute("data-state", "empty", timeout=20_000)


@pytest.mark.long
def test_hidden_evidence_tells_both_probabilities(wall: Page, server: Server) -> None:
    wall.goto(f"{server.url}/watch")
    with published(server):
        expect(wall.locator(LARGE)).to_be_visible(timeout=20_000)
        told(wall, "r.labels.length === 5")
        wall.keyboard.press("e")
        told(wall, "r.hidden")
        expect(wall.locator(".signs")).to_contain_text("Evidence hidden")
        wall.keyboard.press("1")  # the model is not sure of this film: the best class is another one soon
        told(wall, "r.view.hold.length === 1 && r.hidden?.class === r.view.hold[0]")
        expect(wall.locator(".answer .score")).to_have_text(re.compile(r"^[\d.]+% → [\d.]+%$"))
        expect(wall.locator(".signs")).to_contain_text("Evidence hidden")
        expect(wall.locator("#hide")).to_have_attribute("aria-pressed", "true")
        wall.keyboard.press("e")
        told(wall, "!r.hidden")
        expect(wall.locator(".answer .score")).to_have_text(re.compile(r"^[\d.]+%$"))


@pytest.mark.long
def test_the_controls_go_when_the_mouse_rests(wall: Page, server: Server) -> None:
    wall.goto(f"{server.url}/watch")
    expect(wall.locator("body")).to_have_attribute("data-resting", "true", timeout=10_000)
    expect(wall.locator("#bar")).to_have_css("opacity", "0")
    visible_bar(wall)
    expect(wall.locator("#bar")).to_have_css("opacity", "1")


def test_several_cameras_stand_in_a_grid_and_one_is_enlarged(wall: Page, server: Server) -> None:
    wall.goto(f"{server.url}/watch")
    with published(server) as first, published(server) as second:
        expect(wall.locator(GRID)).to_have_count(2, timeout=20_000)
        boxes = [box for tile in wall.locator(GRID).all() if (box := tile.bounding_box())]
        assert boxes[0]["y"] == boxes[1]["y"]
        assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
        assert_accessible(wall)
        wall.mouse.move(1270, 5)
        wall.keyboard.press("f")
        expect(wall.locator("#note")).to_contain_text("Several phones are live")
        wall.locator(".opens").nth(1).click()
        expect(wall.locator(LARGE)).to_have_count(1)
        assert wall.evaluate("() => whycam.large") == second
        wall.keyboard.press("ArrowRight")
        assert wall.evaluate("() => whycam.large") == first
        wall.keyboard.press("Escape")
        expect(wall.locator(GRID)).to_have_count(2)
        expect(wall.locator(".opens").first).to_be_focused()
        wall.keyboard.press("Enter")
        assert wall.evaluate("() => whycam.large") == first
        visible_bar(wall)
        wall.click("#all")
        expect(wall.locator(GRID)).to_have_count(2)
        # The address may name one.
        wall.goto(f"{server.url}/watch#{second}")
        expect(wall.locator(LARGE)).to_have_count(1, timeout=20_000)
        assert wall.evaluate("() => whycam.large") == second


def test_a_server_that_is_started_again_and_another_camera_come_back_by_themselves(wall: Page, tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, arguments=["--no-record"], port=port) as server:
        wall.goto(f"{server.url}/watch")
        with published(server) as first:
            expect(wall.locator(LARGE)).to_be_visible(timeout=20_000)
            server.process.kill()
            expect(wall.locator("#error")).to_contain_text("does not answer", timeout=10_000)
            # One sentence, and nothing of what was so before.
            for former in (".trouble", ".signs", ".answer", ".labels"):
                expect(wall.locator(former)).to_be_hidden()
            wall.wait_for_timeout(3_000)
            expect(wall.locator(".trouble")).to_be_hidden()
    with serving(tmp_path, arguments=["--no-record"], port=port) as server, published(server) as second:
        expect(wall.locator("#error")).to_be_hidden(timeout=10_000)
        expect(wall.locator(f"{LARGE}[data-session='{second}']")).to_be_visible(timeout=20_000)
        expect(wall.locator(f"[data-session='{first}']")).to_have_count(0)
        expect(wall.locator(".answer")).to_be_visible()


@pytest.mark.long
def test_who_only_watches_is_told_so(beamer: Browser, tmp_path: Path) -> None:
    port = free_port()
    context = beamer.new_context(ignore_https_errors=True, viewport={"width": 320, "height": 640})
    page = context.new_page()
    with serving(tmp_path, arguments=["--no-record", *lan_arguments(tmp_path, port)]) as server:
        door = f"https://127.0.0.1:{port}/watch"
        page.goto(f"{door}#nothing-that-is-known")
        expect(page.locator("#error")).to_contain_text("code")
        assert page.url == door
        assert_accessible(page)
        token = json.loads((tmp_path / "config" / "access.json").read_text())["tokens"]["viewer"]
        page.goto(f"{door}#{token}")
        expect(page.locator("#empty-headline")).to_have_text("No camera is live.", timeout=10_000)
        assert page.url == door
        with published(server):
            expect(page.locator(LARGE)).to_be_visible(timeout=20_000)
            told(page, "r.labels.length === 5")
            expect(page.locator("#corner")).to_be_hidden()
            expect(page.locator("#freeze")).to_have_attribute("aria-disabled", "true")
            for key in ("f", "e", "1", "0"):
                page.keyboard.press(key)
                expect(page.locator("#note")).to_contain_text("You are watching.")
                page.evaluate("() => { document.querySelector('#note').textContent = ''; }")
            time.sleep(0.5)
            assert report(page, "frozen") is False
            assert report(page, "view.hold") == []
            page.keyboard.press("h")
            expect(page.locator("#help-viewer")).to_be_visible()
            page.keyboard.press("Escape")
            assert page.evaluate("() => document.documentElement.scrollWidth") <= 320
            assert_accessible(page)
    context.close()


def test_what_the_phone_holds_the_wall_shows_and_what_the_wall_freezes_stands_on_the_phone(
    page: Page, wall: Page, server: Server
) -> None:
    phone = page
    wall.goto(f"{server.url}/watch")
    begin(phone, server)
    expect(wall.locator(LARGE)).to_be_visible(timeout=20_000)
    expect(wall.locator(".answer .name")).to_have_text("espresso", timeout=20_000)
    phone.locator("#labels button").nth(1).click()
    told(wall, "r.view.hold.length === 1")
    expect(wall.locator(".answer .name")).not_to_have_text("espresso")
    wall.keyboard.press("s")
    expect(wall.locator("video.camera[data-state=seen]")).to_be_visible(timeout=20_000)
    wall.keyboard.press("f")
    phone.wait_for_function("() => whycam.report?.frozen === true")
    expect(wall.locator("img.still")).to_be_visible()  # tests/browser/wall/test_frozen_pair.py compares the two
    wall.keyboard.press("f")
    phone.wait_for_function("() => whycam.report?.frozen === false")
    expect(wall.locator("img.still")).to_be_hidden()
    expect(wall.locator("video.camera")).to_be_visible()
