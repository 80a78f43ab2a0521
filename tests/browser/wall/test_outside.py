"""A wall that cannot show anything says why, and what to do; its controls cover no words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, expect

from tests.browser.axe import assert_accessible
from tests.browser.camera import start_browser
from tests.support.models import tiny_models
from tests.support.servers.server_process import Server, free_port, lan_arguments, serving

pytestmark = pytest.mark.alone

SIZES = [(320, 568), (390, 844), (844, 390), (1280, 800), (1920, 1080)]
WITHOUT_CALLS = "delete window.RTCPeerConnection"
COVERED = """() => {
  const bar = document.querySelector('#bar').getBoundingClientRect();
  return [...document.querySelectorAll('#empty :is(p, a, img)')].filter((e) => e.checkVisibility()).filter((e) => {
    const box = e.getBoundingClientRect();
    return box.left < bar.right && box.right > bar.left && box.top < bar.bottom && box.bottom > bar.top;
  }).map((e) => e.textContent || e.tagName);
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("outside")
    model = tiny_models.bright_spot(folder / "colours.onnx")
    arguments = ["--no-record", "--model", str(model), *lan_arguments(folder, free_port())]
    with serving(folder, arguments=arguments) as running:
        yield running


@pytest.fixture(scope="module")
def beamer(playwright: Playwright) -> Iterator[Browser]:
    chromium = start_browser(playwright)
    yield chromium
    chromium.close()


@pytest.mark.parametrize(("locale", "sentence"), [("en-GB", "cannot make live calls"), ("de-DE", "WebRTC fehlt")])
def test_without_webrtc_it_says_so(beamer: Browser, server: Server, locale: str, sentence: str) -> None:
    page = beamer.new_context(locale=locale).new_page()
    page.add_init_script(WITHOUT_CALLS)
    page.goto(f"{server.url}/watch")
    expect(page.locator("#error")).to_contain_text(sentence)
    expect(page.locator("#back a")).to_have_attribute("href", "/")
    assert_accessible(page)
    page.context.close()


@pytest.mark.long
def test_a_phone_that_may_not_watch_gets_words_and_a_link_back(beamer: Browser, server: Server) -> None:
    page = beamer.new_context(ignore_https_errors=True, viewport={"width": 390, "height": 844}).new_page()
    page.goto(server.invitation)
    expect(page.locator("body")).to_have_attribute("data-state", "idle")
    page.goto(server.invitation.partition("#")[0] + "watch")
    expect(page.locator("#error")).to_contain_text("joined with the code for phones")
    assert_accessible(page)
    page.click("#back a")
    expect(page.locator("#start")).to_be_visible()
    page.context.close()


@pytest.mark.parametrize(
    ("locale", "taps"),
    [
        ("en-GB", ["Show Details", "visit this website", "Advanced", "Proceed to …"]),
        ("de-DE", ["Details einblenden", "diese Website besuchen", "Erweitert", "Weiter zu …"]),
    ],
)
@pytest.mark.parametrize("path", ["/watch", pytest.param("/", marks=pytest.mark.long)])
def test_the_certificate_warning_is_announced_beside_the_code(
    beamer: Browser, server: Server, path: str, locale: str, taps: list[str]
) -> None:
    page = beamer.new_context(locale=locale, color_scheme="light" if path == "/" else "dark").new_page()
    page.goto(server.url + path)
    expect(page.locator("#warning .tap")).to_have_text(taps)
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        expect(page.locator("#warning .warning-title")).to_be_visible()
        if height > 720:
            expect(page.locator("#warning .tap").first).to_be_visible()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        assert page.locator("#warning .tap").evaluate_all(
            "(all) => all.every((e) => e.scrollWidth <= e.clientWidth + 1)"
        )
        assert_accessible(page)
    page.context.close()


@pytest.mark.parametrize("locale", ["de-DE", pytest.param("en-GB", marks=pytest.mark.long)])
def test_the_controls_cover_nothing_of_the_invitation(beamer: Browser, server: Server, locale: str) -> None:
    page = beamer.new_context(locale=locale).new_page()
    page.goto(f"{server.url}/watch")
    page.wait_for_function("() => document.querySelector('#empty .code').naturalWidth > 0")
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.mouse.move(10, 10)
        page.mouse.move(20, 20)
        expect(page.locator("body")).to_have_attribute("data-resting", "false")
        assert page.evaluate(COVERED) == [], (width, height)
    page.context.close()
