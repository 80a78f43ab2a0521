"""The choice of a model on the host's camera page and on the wall; a phone only sees which one it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.browser.axe import assert_accessible
from tests.browser.camera import start_browser
from tests.browser.pages import begin, until, watch
from tests.browser.publishing import published
from tests.support.models import tiny_models
from tests.support.servers.server_process import Server, free_port, lan_arguments, serving
from whycam.models.contract import MULTI_LABEL
from whycam.stream.recording.paths import recordings

pytestmark = pytest.mark.alone

FIRST = "efficientnet-lite0"
LARGE = ".tile[data-small=false][data-state=seen]"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The bundled model, `colours` with three classes, `several` that judges each of them alone, and a broken file."""
    folder = tmp_path_factory.mktemp("models")
    own = folder / "data" / "whycam" / "models"
    own.mkdir(parents=True)
    tiny_models.bright_spot(own / "colours.onnx")
    tiny_models.bright_spot(own / "several.onnx", task=MULTI_LABEL)
    (own / "broken.onnx").write_bytes(b"no model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        with serving(folder, arguments=lan_arguments(folder, free_port())) as running:
            yield running


@pytest.fixture(autouse=True)
def first_model(server: Server, page: Page) -> None:
    """Each test begins with the bundled model."""
    answer = page.request.post(f"{server.url}/api/model", data={"name": FIRST})
    assert answer.ok, answer.text()


@pytest.fixture(scope="module")
def beamer(playwright: Playwright) -> Iterator[Browser]:
    chromium = start_browser(playwright)
    yield chromium
    chromium.close()


def explained_by(page: Page, model: str) -> None:
    page.wait_for_function(f"() => whycam.report?.model === '{model}' && whycam.report.labels.length", timeout=20_000)


def test_the_host_chooses_another_model_and_the_picture_continues(page: Page, server: Server) -> None:
    before = set(recordings(server.recordings))
    begin(page, server)
    explained_by(page, FIRST)
    expect(page.locator("#model-id")).to_have_value(FIRST)
    expect(page.locator("#model-id option")).to_have_text([FIRST, "broken", "colours", "several"])
    expect(page.locator("#sought")).to_have_attribute("placeholder", "Where is the … banana?")
    page.locator("#labels button").first.click()
    until(lambda: watch(page, "report")["view"]["hold"])
    frames = watch(page, "frames")
    page.select_option("#model-id", "colours")
    expect(page.locator("#model-status")).to_have_text(re.compile("^colours is loading"))
    explained_by(page, "colours")
    expect(page.locator("#error")).to_have_text("The model is colours now.")
    expect(page.locator("#model-status")).to_have_text("")
    expect(page.locator("#labels .name").first).to_have_text(re.compile("^(red|green|blue)$"))
    assert watch(page, "report")["view"]["hold"] == []  # no class of that name
    assert set(watch(page, "report")["labels"]) == {"red", "green", "blue"}
    until(lambda: watch(page, "frames") > frames + 30)
    assert watch(page, "state") == "live"
    assert watch(page, "report")["counts"]["lost"] == 0
    expect(page.locator("#labels li:visible")).to_have_count(3)
    # The names to search are the new model's.
    expect(page.locator("#sought")).to_have_attribute("placeholder", "Where is the … red?")
    page.fill("#sought", "banana")
    page.press("#sought", "Enter")
    expect(page.locator("#error")).to_have_text("The model has no class “banana”. It has names such as red or green.")
    page.fill("#sought", "gre")
    page.press("#sought", "Enter")
    until(lambda: watch(page, "report")["held"])
    assert watch(page, "report")["held"][0]["label"] == "green"
    assert_accessible(page)
    page.click("#stop")
    until(lambda: len(finished := set(recordings(server.recordings)) - before) == 2 and all(map(ended, finished)))
    made = sorted(set(recordings(server.recordings)) - before)
    assert [note(folder)["model"] for folder in made] == [FIRST, "bright spot"]
    # Both are parts of one session, and both play.
    for folder in made:
        page.goto(f"{server.url}/recordings#{folder.name}")
        expect(page.locator("body")).to_contain_text(note(folder)["model"])
        page.wait_for_function(
            "() => [...document.querySelectorAll('video')].some((film) => film.readyState >= 2 && film.duration > 0.5)",
            timeout=20_000,
        )
        page.goto("about:blank")
    assert len({folder.name.rpartition("_")[2] for folder in made}) == 1


def note(folder: Path) -> dict[str, Any]:
    value = json.loads((folder / "session.json").read_text())
    assert isinstance(value, dict)
    return value


def ended(folder: Path) -> bool:
    return (folder / "session.json").is_file() and note(folder)["state"] == "ended"


@pytest.mark.long
def test_a_model_that_cannot_be_used_is_said_and_the_former_one_stays(browser: Browser, server: Server) -> None:
    page = browser.new_context(locale="de-DE", viewport={"width": 320, "height": 640}).new_page()
    begin(page, server)
    explained_by(page, FIRST)
    page.click("#more")
    expect(page.locator("#model-choice")).to_contain_text("Modell")
    page.locator("#model-id").focus()
    page.select_option("#model-id", "broken")
    expect(page.locator("#error")).to_contain_text("Die Datei dieses Modells lässt sich nicht benutzen", timeout=15_000)
    expect(page.locator("#model-id")).to_have_value(FIRST)
    expect(page.locator("#model-id")).to_be_focused()
    assert watch(page, "report")["model"] == FIRST
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 320
    assert_accessible(page)
    page.context.close()


@pytest.mark.long
def test_a_phone_sees_the_new_model_but_has_no_choice(browser: Browser, server: Server, page: Page) -> None:
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 390, "height": 844})
    phone = context.new_page()
    phone.goto(server.invitation)
    phone.click("#start")
    explained_by(phone, FIRST)
    phone.click("#more")
    expect(phone.locator("#opacity")).to_be_visible()
    expect(phone.locator("#models")).to_be_hidden()
    refused = phone.evaluate(
        """async () => (await fetch('/api/model', {
          method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"name": "colours"}',
        })).status"""
    )
    assert refused == 403
    assert phone.evaluate("async () => (await fetch('/api/models')).status") == 403
    assert page.request.post(f"{server.url}/api/model", data={"name": "colours"}).ok
    explained_by(phone, "colours")
    expect(phone.locator("#error")).to_have_text("The model is colours now.")
    assert phone.evaluate("async () => (await fetch('/api/labels')).json()") == ["red", "green", "blue"]
    assert phone.evaluate("async () => (await (await fetch('/api/model')).json()).classes") == 3
    phone.click("#chip")
    expect(phone.locator("#details")).to_contain_text("colours")
    context.close()


@pytest.mark.long
def test_the_wall_offers_the_models_by_a_key(beamer: Browser, server: Server) -> None:
    wall = beamer.new_page(viewport={"width": 1280, "height": 720})
    wall.goto(f"{server.url}/watch")
    with published(server):
        expect(wall.locator(LARGE)).to_be_visible(timeout=20_000)
        wall.wait_for_function("() => whycam.tiles[0]?.report?.labels.length")
        wall.mouse.move(300, 300)
        expect(wall.locator("#model")).to_be_visible()
        wall.keyboard.press("h")
        expect(wall.locator("#help-keys")).to_contain_text("choose another model")
        wall.keyboard.press("Escape")
        wall.keyboard.press("m")
        expect(wall.locator("#models")).to_be_visible()
        expect(wall.locator("#models-list button[aria-current=true]")).to_be_focused()
        listed = [f"{FIRST}1000 classes", "broken", "colours", "several"]
        expect(wall.locator("#models-list button")).to_have_text(listed)
        assert_accessible(wall)
        wall.keyboard.press("f")  # what is behind the dialog stays as it is
        wall.keyboard.press("Tab")
        wall.keyboard.press("Enter")  # broken
        expect(wall.locator("#models-error")).to_contain_text("cannot be used", timeout=15_000)
        wall.locator("#models-list button", has_text="colours").press("Enter")
        expect(wall.locator("#models")).to_be_hidden(timeout=20_000)
        expect(wall.locator("#note")).to_have_text("The model is colours now.")
        wall.wait_for_function("() => whycam.tiles[0].report.model === 'colours'")
        expect(wall.locator(".labels li:visible .name")).to_have_count(3)
        expect(wall.locator(".task")).to_be_hidden()
        expect(wall.locator(".answer .name")).to_have_text(re.compile("^(red|green|blue)$"))
        assert not wall.evaluate("() => whycam.tiles[0].report.frozen")
        wall.keyboard.press("m")
        wall.keyboard.press("m")
        expect(wall.locator("#models")).to_be_hidden()
    wall.context.close()


@pytest.mark.parametrize(
    ("locale", "sentence"),
    [
        ("en-GB", "Each class is judged by itself: the bars do not add up to 100%."),
        ("de-DE", "Jede Klasse wird für sich beurteilt: Die Balken ergeben zusammen nicht 100 %."),
    ],
)
@pytest.mark.long
def test_the_pages_say_that_a_model_judges_each_class_by_itself(
    browser: Browser, server: Server, page: Page, locale: str, sentence: str
) -> None:
    assert page.request.get(f"{server.url}/api/model").json()["task"] == "single-label"
    context = browser.new_context(locale=locale, viewport={"width": 390, "height": 844})
    phone, wall, shelf = context.new_page(), context.new_page(), context.new_page()
    before = set(recordings(server.recordings))
    begin(phone, server)
    explained_by(phone, FIRST)
    expect(phone.locator("#task")).to_be_hidden()
    wall.goto(f"{server.url}/watch")
    wall.set_viewport_size({"width": 1280, "height": 720})
    assert page.request.post(f"{server.url}/api/model", data={"name": "several"}).ok
    expect(wall.locator(".task")).to_have_text(sentence)
    expect(wall.locator(".task")).to_be_visible(timeout=20_000)
    assert_accessible(wall)
    phone.bring_to_front()  # a page in the background draws nothing
    explained_by(phone, "several")
    expect(phone.locator("#task")).to_have_text(sentence)
    expect(phone.locator("#task")).to_be_visible()
    expect(phone.locator("#labels li:visible")).to_have_count(3)
    assert_accessible(phone)
    phone.click("#stop")
    until(lambda: len(made := set(recordings(server.recordings)) - before) == 2 and all(map(ended, made)))
    for folder in set(recordings(server.recordings)) - before:
        shelf.goto(f"{server.url}/recordings#{folder.name}")
        expect(shelf.locator("#classes button").first).to_be_visible()
        expect(shelf.locator("#task")).to_be_visible(visible=note(folder)["model"] != FIRST)
        shelf.goto("about:blank")
    context.close()


@pytest.mark.long
def test_with_one_model_there_is_the_choice_of_its_maps(
    beamer: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "no models"))
    page = beamer.new_context(locale="de-DE").new_page()
    with serving(tmp_path, arguments=["--no-record"]) as server:
        page.goto(f"{server.url}/watch")
        expect(page.locator("body")).to_have_attribute("data-state", "empty")
        page.keyboard.press("m")
        expect(page.locator("#models-list button")).to_have_text([f"{FIRST}1000 Klassen"])
        expect(page.locator("#map-method")).to_have_value("grad-cam")
        expect(page.locator("#map-layer option")).to_have_text(["7×7 · grob", "14×14", "28×28 · fein"])
        page.goto(server.url)
        expect(page.locator("body")).to_have_attribute("data-state", "idle")
        assert page.locator("#models").get_attribute("hidden") is None
        assert page.locator("#model-choice").get_attribute("hidden") is not None
    page.context.close()


ONE_MAP = [{"method": "grad-cam", "layer": "feature", "grid": [7, 7], "current": True}]


def test_with_one_model_and_one_map_there_is_no_choice(beamer: Browser, server: Server) -> None:
    page = beamer.new_context(locale="de-DE").new_page()
    only = {"models": [{"name": FIRST, "current": True, "classes": 1000}], "changing": None, "maps": ONE_MAP}
    page.route("**/api/models", lambda route: route.fulfill(json=only))
    page.goto(f"{server.url}/watch")
    expect(page.locator("body")).to_have_attribute("data-state", "empty", timeout=20_000)
    page.mouse.move(300, 300)
    expect(page.locator("#keys")).to_be_visible()
    expect(page.locator("#model")).to_be_hidden()
    page.keyboard.press("m")
    expect(page.locator("#note")).to_contain_text("Dieser Computer hat nur ein Modell.")
    page.keyboard.press("h")
    expect(page.locator("#help-keys")).not_to_contain_text("anderes Modell", use_inner_text=True)
    page.goto(server.url)
    expect(page.locator("body")).to_have_attribute("data-state", "idle")
    assert page.locator("#models").get_attribute("hidden") is not None
    page.context.close()
