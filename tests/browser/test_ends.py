"""What the page says and does when the server ends a call: in its own language, and not again where that is in vain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast, get_args

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import assert_accessible
from tests.support.models.engines import fast
from tests.support.servers.server_here import Here, serving_here
from tests.support.servers.server_process import serving
from whycam.stream.sessions.session import Settings
from whycam.stream.webrtc.end_reason import Code, EndReason

pytestmark = pytest.mark.alone

REASON = "A sentence of the server's."
AGAIN = "Die Seite versucht es von selbst wieder"
FIRST_PAUSE_MS = 500
"""Until the page calls again (`AGAIN_MS` in web/phone/call/reconnecting-call.js)."""

FINAL = {
    "too-large": ("Das Bild dieser Kamera ist größer, als der Server annimmt.", "Wähle eine andere Kamera"),
    "too-fast": ("Diese Kamera sendet mehr Bilder in der Sekunde", "Wähle eine andere Kamera"),
    "too-many-streams": ("Diese Seite hat mehr gesendet", "Lade sie neu"),
}
PASSING = {
    "server-ends": "Der Server wurde beendet.",
    "silent": "Von der Kamera dieses Geräts kam eine Weile kein Bild",
    "a-later-one": "Der Server hat die Verbindung beendet.",
}


def end(here: Here, code: str) -> None:
    """End each call for this reason, as the server does."""
    for session in list(here.sessions.open_sessions.values()):
        here.loop.call_soon_threadsafe(session._end, EndReason(REASON, cast(Code, code)))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with serving_here(fast(tmp_path_factory.mktemp("ends")), Settings()) as running:
        yield running


@pytest.fixture
def live(browser: Browser, here: Here) -> Iterator[Page]:
    """A German page in a call."""
    page = browser.new_context(viewport={"width": 390, "height": 844}, locale="de-DE").new_page()
    page.goto(here.url)
    page.click("#start")
    expect(page.locator("body")).to_have_attribute("data-state", "live", timeout=20_000)
    page.wait_for_function("() => window.whycam.report !== null")
    yield page
    page.context.close()


def test_every_reason_is_tried_here() -> None:
    assert {*FINAL, *PASSING} - {"a-later-one"} == set(get_args(Code))


@pytest.mark.parametrize(
    ("code", "what", "next_step"),
    [
        pytest.param(code, *words, marks=() if code == "too-large" else pytest.mark.long)
        for code, words in FINAL.items()
    ],
)
def test_a_call_that_would_end_again_in_the_same_way_is_not_made_again(
    live: Page, here: Here, code: str, what: str, next_step: str
) -> None:
    calls: list[str] = []
    live.on("request", lambda request: calls.append(request.url) if request.url.endswith("/call") else None)
    end(here, code)
    expect(live.locator("body")).to_have_attribute("data-state", "lost")
    for words in (what, next_step):
        expect(live.locator("#error")).to_contain_text(words)
    expect(live.locator("main")).not_to_contain_text(REASON)
    expect(live.locator("#start")).to_be_visible()
    assert_accessible(live)
    live.wait_for_timeout(4 * FIRST_PAUSE_MS)
    expect(live.locator("body")).to_have_attribute("data-state", "lost")
    assert calls == []


@pytest.mark.parametrize(
    ("code", "what"),
    [pytest.param(*each, marks=() if each[0] == "server-ends" else pytest.mark.long) for each in PASSING.items()],
)
def test_what_may_go_well_again_is_said_and_tried(live: Page, here: Here, code: str, what: str) -> None:
    live.evaluate("""() => {
      window.said = [];
      const detail = document.querySelector('#detail');
      new MutationObserver(() => window.said.push(detail.textContent)).observe(detail, { childList: true });
    }""")
    end(here, code)
    expect(live.locator("body")).to_have_attribute("data-state", "reconnecting")
    expect(live.locator("body")).to_have_attribute("data-state", "live", timeout=20_000)
    assert any(text.startswith(what) and AGAIN in text for text in live.evaluate("() => window.said"))


@pytest.mark.parametrize(
    ("limits", "code", "state"),
    [
        ({"max_pixels": 1000}, "too-large", "idle"),
        pytest.param({"max_frame_rate": 4}, "too-fast", "lost", marks=pytest.mark.long),
    ],
)
def test_a_camera_that_sends_too_much_is_told_so(
    browser: Browser, tmp_path: Path, limits: dict[str, float], code: str, state: str
) -> None:
    page = browser.new_context(locale="de-DE").new_page()
    with serving(tmp_path, slowed=0.05, limits=limits) as server:
        page.goto(server.url)
        page.click("#start")
        expect(page.locator("#error")).to_contain_text(FINAL[code][0], timeout=20_000)
        page.wait_for_timeout(4 * FIRST_PAUSE_MS)
        expect(page.locator("body")).to_have_attribute("data-state", state)
    page.context.close()
