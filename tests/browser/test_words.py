"""The pages' texts: the browser's language is chosen, both languages fill the same places, nothing jumps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.axe import assert_accessible
from tests.support.servers.server_process import Server, serving
from whycam.stream.recording.writer import Code
from whycam.stream.sessions.messages import CommandCode
from whycam.stream.uploads.job import CODES
from whycam.stream.webrtc import end_reason

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
TEXTS = """async () => {
  const { words: { phone, recordings } } = await import('/static/shared/i18n.js');
  return Object.fromEntries(Object.entries({
    commands: phone.problems.commands, recordingStopped: phone.recordingStopped, ended: phone.ended,
    films: phone.films.failed, recordings: recordings.ended,
  }).map(([name, texts]) => [name, Object.keys(texts)]));
}"""
REFUSALS = """async () => {
  const [{ german }, { english }] = await Promise.all(
    ['de', 'en'].map((language) => import(`/static/locales/${language}.js`)));
  return [german, english].map(({ common }) => common.problems.refusals);
}"""
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


@pytest.mark.parametrize(
    ("locale", "language"),
    [("de-AT", "de"), *(pytest.param(each, "en", marks=pytest.mark.long) for each in ("en-GB", "fr-FR"))],
)
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


@pytest.mark.parametrize("language", ["en", "de"])
def test_each_code_of_the_server_has_words(browser: Browser, server: Server, language: str) -> None:
    page = opened(browser, server, "/", language)
    texts: Any = page.evaluate(TEXTS)
    recordings = set(get_args(Code))
    assert set(texts["commands"]) == set(get_args(CommandCode))
    assert set(texts["recordingStopped"]) == recordings - {"cut-off"}  # that is said of one that is over
    assert set(texts["recordings"]) == recordings - {"folder"} | {"film-damaged"}  # of the first there is none
    assert set(texts["films"]) == set(CODES) - {"failed"}  # the server's own words say more
    assert set(texts["ended"]) == set(get_args(end_reason.Code))
    page.context.close()


def refusing(status: int) -> Callable[[Route], None]:
    return lambda route: route.fulfill(status=status, body="An English sentence.")


def test_every_refused_call_is_said_in_the_pages_language(browser: Browser, server: Server) -> None:
    page = opened(browser, server, "/", "de-DE")
    german, english = page.evaluate(REFUSALS)
    assert [status for status in german if german[status] == english[status]] == []
    for status in (400, 401, 403, 404, 408, 413, 421, 429, 431, 500, 503):
        page.goto(server.url)
        page.route("**/call", refusing(status))
        page.click("#start")
        wanted = german.get(f"call {status}") or german[str(status)]
        expect(page.locator("#error")).to_have_text(wanted, timeout=10_000)
        page.unroute("**/call")
    page.context.close()


def test_what_has_no_words_yet_is_quoted(browser: Browser, server: Server) -> None:
    page = opened(browser, server, "/", "de-DE")
    page.route("**/call", lambda route: route.fulfill(status=418, body="I am a teapot."))
    page.click("#start")
    expect(page.locator("#error")).to_have_text("Der Server sagt: „I am a teapot.“", timeout=10_000)
    page.context.close()


def test_german_numbers_have_a_comma(browser: Browser, server: Server) -> None:
    page = opened(browser, server, "/", "de-DE")
    told = page.evaluate(
        """async () => {
          const { percent } = await import('/static/shared/i18n.js');
          const { bytes, dayOf, span } = await import('/static/shared/format.js');
          return [
            percent(0.0123), percent(0.74), bytes(12_345_678), span(1234), span(56.7), dayOf('2026-11-25T12:00:00'),
          ];
        }"""
    )
    assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in told] == [
        "1,2 %", "74 %", "12,3 MB", "1,2 s", "57 ms", "Mittwoch, 25. November 2026",
    ]  # fmt: skip
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
@pytest.mark.parametrize("path", ["/", "/help"])
def test_what_is_first_seen_keeps_nobody_out(browser: Browser, server: Server, path: str, scheme: str) -> None:
    page = opened(browser, server, path, "de-DE", scheme)
    if path == "/":
        expect(page.locator("body")).to_have_attribute("data-state", "idle")
    assert_accessible(page)
    page.context.close()
