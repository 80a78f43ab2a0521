"""Recording is a choice: said before a camera starts, made by the host for all, with `ask` by the camera's person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import assert_accessible
from tests.browser.pages import begin, until, watch
from tests.support.models import tiny_models
from tests.support.servers.server_process import Server, free_port, lan_arguments, serving
from whycam.stream.recording.paths import recordings

pytestmark = pytest.mark.alone

READ = {
    "en-GB": {
        "on": "It records the video there",
        "ask": "It records nothing there unless",
        "off": "Nothing is recorded.",
    },
    "de-DE": {"on": "Er nimmt das Video auf", "ask": "Er nimmt nichts auf, außer", "off": "Nichts wird aufgenommen."},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("choice")
    model = tiny_models.bright_spot(folder / "colours.onnx")
    arguments = ["--record", "ask", "--model", str(model), *lan_arguments(folder, free_port())]
    with serving(folder, arguments=arguments) as running:
        yield running


@pytest.fixture
def phone(browser: Browser, server: Server) -> Iterator[Page]:
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(server.invitation)
    expect(page.locator("body")).to_have_attribute("data-state", "idle")
    yield page
    context.close()


@pytest.fixture(autouse=True)
def ask(server: Server, page: Page) -> None:
    """Each test begins as the server did."""
    change(page, server, "ask")


def change(page: Page, server: Server, mode: str) -> None:
    assert page.request.post(f"{server.url}/api/recording", data={"mode": mode}).ok


def recorded(page: Page, state: str) -> None:
    page.wait_for_function(f"() => whycam.report?.recording.state === '{state}'", timeout=15_000)


@pytest.mark.parametrize(
    "locale", [*list(READ)[:1], *(pytest.param(each, marks=pytest.mark.long) for each in list(READ)[1:])]
)
@pytest.mark.parametrize("mode", ["ask", *(pytest.param(each, marks=pytest.mark.long) for each in ("on", "off"))])
def test_it_is_said_before_the_camera_starts(
    browser: Browser, server: Server, page: Page, locale: str, mode: str
) -> None:
    change(page, server, mode)
    scheme = "light" if mode == "ask" else "dark"
    new = browser.new_context(locale=locale, color_scheme="light" if scheme == "light" else "dark").new_page()
    for width, height in ((390, 844), (844, 390), (1280, 800), (1920, 1080)):
        new.set_viewport_size({"width": width, "height": height})
        new.goto(server.url)
        expect(new.locator("#promise")).to_contain_text(READ[locale][mode])
        expect(new.locator("#promise")).to_be_visible()
        expect(new.locator("#record-all")).to_have_value(mode)
        assert new.evaluate("() => document.documentElement.scrollWidth") <= width
        assert_accessible(new)
    new.context.close()


def test_with_ask_its_own_person_decides(phone: Page, server: Server) -> None:
    before = set(recordings(server.recordings))
    expect(phone.locator("#record-all")).to_be_hidden()
    phone.click("#start")
    recorded(phone, "off")
    phone.wait_for_timeout(1000)
    assert set(recordings(server.recordings)) == before
    phone.click("#record")
    recorded(phone, "on")
    assert len(set(recordings(server.recordings)) - before) == 1


@pytest.mark.long
def test_a_phone_watches_what_it_recorded_and_nothing_else(
    browser: Browser, phone: Page, page: Page, server: Server
) -> None:
    change(page, server, "on")
    begin(page, server)  # the host's own
    recorded(page, "on")
    page.wait_for_timeout(1500)
    page.click("#stop")
    phone.reload()
    phone.click("#start")
    recorded(phone, "on")
    phone.wait_for_timeout(2000)
    phone.click("#stop")
    expect(phone.locator("#detail")).to_have_text("")
    phone.click("#again a")
    phone.wait_for_function("() => window.whycam?.player?.seconds > 1 && whycam.state === 'detail'", timeout=20_000)
    mine = phone.evaluate("() => whycam.recording.id")
    expect(phone.locator("#remove")).to_be_hidden()
    assert_accessible(phone)
    phone.goto(phone.url.partition("#")[0])
    expect(phone.locator(".card")).to_have_count(1)
    expect(phone.locator("#own-device")).to_contain_text("this device made")
    expect(phone.locator(".remove")).to_be_hidden()
    assert_accessible(phone)
    context = browser.new_context(ignore_https_errors=True, locale="de-DE", viewport={"width": 390, "height": 844})
    other = context.new_page()
    other.goto(server.invitation)
    expect(other.locator("body")).to_have_attribute("data-state", "idle")
    other.goto(server.invitation.partition("#")[0] + f"recordings#{mine}")
    expect(other.locator("#error")).to_be_visible()
    expect(other.locator("#own-device")).to_contain_text("von diesem Gerät")
    expect(other.locator(".card")).to_have_count(0)
    context.close()
    page.goto(f"{server.url}/recordings")
    expect(page.locator(f".card a[href='#{mine}']")).to_have_count(1)
    assert page.locator(".card").count() >= 2


@pytest.mark.long
def test_the_host_switches_all_cameras(phone: Page, page: Page, server: Server) -> None:
    phone.click("#start")
    recorded(phone, "off")
    page.goto(server.url)
    page.select_option("#record-all", "on")
    recorded(phone, "on")
    expect(phone.locator("#recording")).to_be_visible()
    page.select_option("#record-all", "off")
    recorded(phone, "off")
    expect(phone.locator("#recording")).to_be_hidden()
    phone.wait_for_timeout(800)
    phone.click("#record")
    expect(phone.locator("#error")).to_contain_text("switched off recording")
    assert watch(phone, "report")["recording"]["state"] == "off"
    refused = phone.evaluate(
        """async () => (await fetch('/api/recording', {
          method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"mode": "on"}',
        })).status"""
    )
    assert refused == 403


def test_nothing_starts_that_the_person_has_not_read(phone: Page, page: Page, server: Server) -> None:
    expect(phone.locator("#promise")).to_contain_text(READ["en-GB"]["ask"])
    change(page, server, "on")
    phone.click("#start")
    expect(phone.locator("#error")).to_contain_text("This has just changed")
    expect(phone.locator("#promise")).to_contain_text(READ["en-GB"]["on"])
    assert watch(phone, "state") == "idle"
    phone.click("#start")
    recorded(phone, "on")


@pytest.mark.long
def test_with_no_record_there_is_no_choice(page: Page, tmp_path: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "colours.onnx")
    with serving(tmp_path, arguments=["--no-record", "--model", str(model)]) as server:
        begin(page, server)
        expect(page.locator("#record-all-live")).to_be_hidden()
        page.click("#stop")
        expect(page.locator("#promise")).to_contain_text("Nothing is recorded.")
        assert page.request.post(f"{server.url}/api/recording", data={"mode": "on"}).status == 404
    until(lambda: not (tmp_path / "recordings").exists())
