"""A guess and an empty heatmap are explained, on the wall and on the phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.browser.axe import assert_accessible
from tests.browser.camera import start_browser
from tests.browser.pages import begin
from tests.browser.publishing import published
from tests.browser.reports import naming, rewrite, rewriting
from tests.support.models import tiny_models
from tests.support.servers.server_process import Server, serving

pytestmark = pytest.mark.alone

LARGE = ".tile[data-small=false][data-state=seen]"
TYPE = "(name) => parseFloat(getComputedStyle(name).fontSize)"
UNSURE = [0.024, 0.02, 0.01]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("verdict")
    model = tiny_models.bright_spot(folder / "colours.onnx")
    with serving(folder, arguments=["--no-record", "--model", str(model), "--sure", "0.3"]) as running:
        yield running


@pytest.fixture
def wall(playwright: Playwright) -> Iterator[Page]:
    chromium = start_browser(playwright)
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    rewriting(page)
    yield page
    chromium.close()


def test_a_pinned_class_for_which_nothing_speaks_says_so(wall: Page, server: Server) -> None:
    wall.goto(f"{server.url}/watch")
    with published(server) as session:
        expect(wall.locator(f"{LARGE} .answer .name")).to_have_text("red", timeout=20_000)
        expect(wall.locator(".answer .lead")).to_be_hidden()
        wall.request.post(f"{server.url}/api/sessions/{session}/command", data={"hold": [1]})  # green, of a red spot
        expect(wall.locator(".answer .lead")).to_have_text("Nothing here speaks for")
        expect(wall.locator(".answer .name")).to_have_text("green")
        wall.request.post(f"{server.url}/api/sessions/{session}/command", data={"hold": [0, 1]})
        expect(wall.locator(".answer .lead")).to_have_text(["", "Nothing here speaks for"])
        assert_accessible(wall)


def test_a_guess_is_no_headline(wall: Page, server: Server) -> None:
    wall.goto(f"{server.url}/watch")
    with published(server):
        expect(wall.locator(f"{LARGE} .answer .name")).to_have_text("red", timeout=20_000)
        large = wall.locator(".answer .name").evaluate(TYPE)
        rewrite(wall, **naming(["jellyfish", "cup", "bowl"], UNSURE, first=10))
        expect(wall.locator(".answer")).to_contain_text("Not sure, perhaps")
        expect(wall.locator(".answer .name")).to_have_text("jellyfish")
        assert wall.locator(".answer .name").evaluate(TYPE) < large * 0.7
        assert wall.evaluate("() => whycam.tiles[0].report.sure") == 0.3
        assert_accessible(wall)
        rewrite(wall, **naming(["jellyfish", "cup", "bowl"], [0.31, 0.02, 0.01], first=10))
        expect(wall.locator(".answer .lead")).to_be_hidden()
        # A person who pins a class asks for it; it is no guess.
        rewrite(wall, **naming(["jellyfish", "cup", "bowl"], UNSURE, first=10, pinned=1))
        expect(wall.locator(".answer .lead")).to_be_hidden()


def test_a_phone_says_it_in_its_language(browser: Browser, server: Server) -> None:
    phone = browser.new_context(locale="de-DE", viewport={"width": 390, "height": 844}).new_page()
    rewriting(phone)
    begin(phone, server)
    phone.click("#panel .dock", position={"x": 2, "y": 2})  # who found the controls needs no tip
    verdict = phone.locator("#verdict")
    rewrite(phone, **naming(["jellyfish", "cup", "bowl"], UNSURE, first=10))
    expect(verdict).to_have_text("Unsicher, vielleicht jellyfish.")
    expect(verdict).to_be_visible()
    empty = naming(["red", "green", "blue"], [0.9, 0.05, 0.05], first=10, pinned=2)
    rewrite(
        phone,
        **{**empty, "drawn": [{"class": 10, "label": "red", "heat": 0.9}, {"class": 11, "label": "green", "heat": 0}]},
    )
    expect(verdict).to_have_text("Nichts hier spricht für green.")
    assert_accessible(phone)
    phone.click("#peek")
    expect(verdict).to_be_hidden()
    phone.context.close()
