"""A film on the page: dropped or chosen, explained frame by frame, and found among the recordings."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import assert_accessible
from tests.support.films.dropped_film import dropped_film
from tests.support.models import tiny_models
from tests.support.servers.server_process import Server, free_port, lan_arguments, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("films")
    model = tiny_models.bright_spot(folder / "bright.onnx")
    with serving(folder, arguments=["--model", str(model)]) as running:
        yield running


def test_a_film_is_chosen_explained_and_watched_with_its_report(page: Page, server: Server, tmp_path: Path) -> None:
    page.goto(server.url)
    expect(page.locator("#choose-film")).to_have_text("Explain a film")
    assert_accessible(page)
    page.set_input_files("#film-file", dropped_film(tmp_path / "kitchen.mp4", 300))
    film = page.locator(".film-card", has_text="kitchen.mp4")
    expect(film.locator(".film-status")).to_have_text(re.compile(r"^\d+% explained"), timeout=30_000)
    assert_accessible(page)
    page.reload()  # the server goes on, and the page shows it again
    expect(film.locator(".film-status")).to_have_text("Explained: 300 frames.", timeout=60_000)
    assert_accessible(page)
    with page.expect_popup() as popup:
        film.get_by_role("link", name="Report").click()
    report = popup.value
    expect(report.locator("h1")).to_have_text("kitchen.mp4")
    assert report.evaluate("() => getComputedStyle(document.querySelector('.frames')).display") == "grid"
    report.close()
    film.get_by_role("link", name="Watch it").click()
    page.wait_for_function("() => window.whycam?.sidecar?.complete && whycam.player.explained.readyState >= 2")
    expect(page.locator("#title")).to_have_text("kitchen.mp4")
    expect(page.locator("#camera-film")).to_be_hidden()
    expect(page.locator("#as-then")).to_be_hidden()
    expect(page.locator("#ask-title")).to_have_text("Classes over time")
    expect(page.locator("#report")).to_be_visible()
    page.wait_for_selector("#classes button")
    assert_accessible(page)
    page.evaluate("() => whycam.player.seek(5)")
    page.wait_for_function("() => !whycam.player.explained.seeking")
    expect(page.locator("#classes .score").first).to_have_text(re.compile(r"\d+%"))
    page.click("#play")
    page.wait_for_function("() => whycam.player.time > 5.3")
    page.goto(f"{server.url}/recordings")
    expect(page.locator(".card .film")).to_have_text("kitchen.mp4")
    assert_accessible(page)


@pytest.mark.long
def test_a_film_that_the_browser_cannot_play_is_offered_to_be_explained(
    page: Page, server: Server, tmp_path: Path
) -> None:
    page.goto(server.url)
    page.set_input_files("#open-file", dropped_film(tmp_path / "iphone.mov", 8, codec="mpeg4"))
    film = page.locator(".film-card", has_text="iphone.mov")
    expect(film.locator(".film-status")).to_contain_text("cannot play it live")
    expect(page.locator("#error")).to_contain_text("cannot play iphone.mov")
    assert_accessible(page)
    film.get_by_role("button", name="Explain every frame").click()
    expect(page.locator("#error")).to_be_hidden()
    expect(film.locator(".film-status")).to_have_text("Explained: 8 frames.", timeout=60_000)


DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  for (const kind of %s) window.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
}"""


def drag(page: Page, film: Path, *kinds: str) -> None:
    page.evaluate(DROP % json.dumps(kinds), [film.name, base64.b64encode(film.read_bytes()).decode()])


@pytest.mark.long
def test_a_film_is_dropped_anywhere_on_the_page(page: Page, server: Server, tmp_path: Path) -> None:
    page.goto(server.url)
    expect(page.locator("#choose-film")).to_be_visible()
    film = dropped_film(tmp_path / "dropped.mp4", 8)
    drag(page, film, "dragenter", "dragenter", "dragleave")
    expect(page.locator("#drop")).to_be_visible()
    drag(page, film, "drop")
    expect(page.locator("#drop")).to_be_hidden()
    card = page.locator(".film-card", has_text="dropped.mp4")
    expect(card.locator(".film-status")).to_have_text("Explained: 8 frames.", timeout=60_000)
    expect(page.locator("#film-said")).to_have_text("dropped.mp4: Explained: 8 frames.")
    card.get_by_role("button").click()
    expect(card).to_have_count(0)


@pytest.mark.long
def test_films_wait_in_turn_and_are_cancelled(page: Page, server: Server, tmp_path: Path) -> None:
    page.goto(server.url)
    first, second = dropped_film(tmp_path / "first.mp4", 900), dropped_film(tmp_path / "second.mp4", 5)
    page.set_input_files("#film-file", [first, second])
    expect(page.locator(".film-card", has_text="second.mp4").locator(".film-status")).to_contain_text("Waits until")
    assert_accessible(page)
    page.get_by_role("button", name="Cancel first.mp4").click()
    expect(page.locator(".film-card", has_text="first.mp4")).to_have_count(0)
    status = page.locator(".film-card", has_text="second.mp4").locator(".film-status")
    expect(status).to_have_text("Explained: 5 frames.", timeout=60_000)


def test_what_is_no_film_is_refused_in_the_pages_language(browser: Browser, server: Server, tmp_path: Path) -> None:
    (tmp_path / "brief.mp4").write_bytes(b"Liebe Eltern" * 99)
    page = browser.new_context(locale="de-DE").new_page()
    page.goto(server.url)
    page.set_input_files("#film-file", tmp_path / "brief.mp4")
    film = page.locator(".film-card", has_text="brief.mp4")
    expect(film.locator(".film-status")).to_contain_text("Das ist kein Film", timeout=60_000)
    assert_accessible(page)
    page.context.close()


@pytest.mark.parametrize("phones", [False, True])
def test_a_phone_sends_films_only_where_it_may(browser: Browser, tmp_path: Path, phones: bool) -> None:
    arguments = [*lan_arguments(tmp_path, free_port()), *(["--uploads", "phones"] if phones else [])]
    with serving(tmp_path, arguments=arguments) as server:
        context = browser.new_context(ignore_https_errors=True, viewport={"width": 390, "height": 844})
        page = context.new_page()
        page.goto(server.invitation)
        expect(page.locator("#start")).to_be_visible()
        expect(page.locator("#choose-film")).to_be_visible(visible=phones)
        context.close()
