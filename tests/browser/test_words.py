"""The pages' texts: the browser's language is chosen, both languages fill the same places, nothing jumps."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import assert_accessible
from tests.serving import Server, serving

SHIFTS = """
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const { value } of list.getEntries()) window.shifted += value;
  }).observe({ type: 'layout-shift', buffered: true });
"""
HEADINGS = {
    ("/help", "en"): "Help for phones",
    ("/help", "de"): "Hilfe für Handys",
    ("/watch", "en"): "whycam on the wall",
    ("/watch", "de"): "whycam an der Wand",
    ("/recordings", "en"): "Recordings",
    ("/recordings", "de"): "Aufnahmen",
}
EMPTY = "() => [...document.querySelectorAll('[data-words]')].filter((e) => !e.textContent).map((e) => e.outerHTML)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("words")) as running:
        yield running


def opened(browser: Browser, server: Server, path: str, locale: str, scheme: str = "dark") -> Page:
    page = browser.new_context(locale=locale, color_scheme="light" if scheme == "light" else "dark").new_page()
    page.add_init_script(SHIFTS)
    page.goto(server.url + path)
    page.wait_for_selector("html[data-words=ready]")
    return page


@pytest.mark.parametrize(("locale", "language"), [("en-GB", "en"), ("de-AT", "de"), ("fr-FR", "en")])
@pytest.mark.parametrize("path", ["/", "/help", "/watch", "/recordings"])
def test_a_page_speaks_the_browsers_language(
    browser: Browser, server: Server, path: str, locale: str, language: str
) -> None:
    page = opened(browser, server, path, locale)
    assert page.evaluate("() => document.documentElement.lang") == language
    assert page.evaluate(EMPTY) == []
    if path == "/":
        expect(page.locator("#start")).to_have_text({"en": "Start the camera", "de": "Kamera starten"}[language])
    else:
        expect(page.locator("h1")).to_have_text(HEADINGS[path, language])
        expect(page.locator("main")).not_to_contain_text(re.compile(r"[*`]"))
    page.wait_for_timeout(300)
    assert page.evaluate("() => window.shifted") < 0.01
    page.context.close()


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("path", ["/", "/help"])
def test_what_is_first_seen_keeps_nobody_out(browser: Browser, server: Server, path: str, scheme: str) -> None:
    page = opened(browser, server, path, "de-DE", scheme)
    if path == "/":
        expect(page.locator("body")).to_have_attribute("data-state", "idle")
    assert_accessible(page)
    page.context.close()
