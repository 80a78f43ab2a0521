"""The states of the panel that teaches classes."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.reports import rewrite
from tests.browser.teaching.taught import FIRST, TaughtServer, place

NAMES = ["Something else", "mug", "the blue pencil case with the broken zip"]
WARNING = "mugs.examples.zip is not used, so teaching begins without examples: it belongs to another model's file."
SCORES = [0.04, 0.93, 0.03]


def shown(names: list[str], scores: list[float]) -> dict[str, Any]:
    """The keys of a report about taught classes."""
    listed = sorted(zip(range(FIRST, FIRST + len(names)), names, scores, strict=True), key=lambda one: -one[2])
    return {
        "class_set": "ab12cd34ef56",
        "classes": [number for number, _, _ in listed],
        "labels": [name for _, name, _ in listed],
        "scores": [score for _, _, score in listed],
        "held": [],
        "drawn": [{"class": listed[0][0], "label": listed[0][1], "heat": 1}],
        "view": {"hold": []},
        "state": "exact",
    }


def open_panel(page: Page, url: str, server: TaughtServer) -> None:
    """The panel beside the live picture."""
    server.serve(page)
    page.goto(url)
    page.click("#start")
    expect(page.locator("body")).to_have_attribute("data-state", "live", timeout=20_000)
    page.click("#teach-open")
    expect(page.locator("#teach")).to_be_visible()


def live_teach_nothing_yet(page: Page, url: str) -> None:
    open_panel(page, url, TaughtServer(warning=WARNING))
    page.wait_for_timeout(7_500)  # the tip is over


def live_teach_impossible(page: Page, url: str) -> None:
    says = "The last layer of this model cannot be replaced: a softmax follows it twice. Choose another model."
    open_panel(page, url, TaughtServer(possible=False, says=says))
    expect(page.locator("#teach-why")).to_be_visible()
    page.wait_for_timeout(7_500)


def live_teach_held(page: Page, url: str) -> None:
    server = TaughtServer(NAMES, undo={"what": "examples", "class": "mug", "count": 31})
    open_panel(page, url, server)
    rewrite(page, **shown(NAMES, SCORES))
    page.locator(".hold").nth(1).evaluate("(button) => button.click()")
    expect(page.locator(".hold").nth(1)).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(7_500)


def live_teach_results(page: Page, url: str) -> None:
    server = TaughtServer(NAMES, accuracy={"share": 0.93, "tested": 40}, phones=True)
    server.wrong = [
        {"example": 17, "class": FIRST + 2, "taken_for": FIRST + 1, "probability": 0.83},
        {"example": 4, "class": FIRST + 1, "taken_for": FIRST, "probability": 0.51},
    ]
    server.places = [place(FIRST + 1, suspicious=False), place(FIRST + 2, suspicious=True)]
    open_panel(page, url, server)
    rewrite(page, **shown(NAMES, SCORES))
    for part in ("mistakes", "places"):
        page.locator(f"#{part} summary").click()
        expect(page.locator(f"#{part}-list li")).to_have_count(2)
    page.locator("#teach-clear").click()
    page.locator("#mistakes summary").scroll_into_view_if_needed()
    page.wait_for_timeout(6_000)


def live_teach_results_end(page: Page, url: str) -> None:
    live_teach_results(page, url)
    page.locator("#teach-body").evaluate("(body) => { body.scrollTop = 1e6 }")


def live_teach_example(page: Page, url: str) -> None:
    open_panel(page, url, TaughtServer(NAMES))
    page.locator(".example").first.click()
    expect(page.locator("#example-heat")).to_be_visible()
    page.wait_for_timeout(500)


def live_teach_button(page: Page, url: str) -> None:
    TaughtServer(NAMES).serve(page)
    page.goto(url)
    page.click("#start")
    expect(page.locator("body")).to_have_attribute("data-state", "live", timeout=20_000)
    expect(page.locator("#teach-open")).to_be_visible()
    rewrite(page, **shown(NAMES, SCORES))
    page.wait_for_timeout(7_500)


STATES = [
    live_teach_button, live_teach_nothing_yet, live_teach_impossible, live_teach_held, live_teach_results,
    live_teach_results_end, live_teach_example,
]  # fmt: skip


def on_the_wall(page: Page) -> None:
    """Call this before the page is opened."""
    TaughtServer(NAMES).serve(page)


def shown_on_the_wall(page: Page) -> None:
    page.evaluate("() => { window.giving = { class: 1000001, examples: 31 } }")
    rewrite(page, **shown(NAMES, SCORES))
    expect(page.locator(".tile .signs").first).to_contain_text("mug, ", timeout=10_000)
    page.wait_for_timeout(1_500)
