"""The pages in Firefox, on the server's own computer: it uses no loopback address for media."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.pages import begin, grab, until, watch
from tests.support.servers.server_process import Server, serving

pytestmark = pytest.mark.alone

SERVERS_ADDRESS = """async () => {
  const stats = [...(await window.whycam.connection.getStats()).values()];
  const pair = stats.find(({ type, nominated }) => type === 'candidate-pair' && nominated);
  return stats.find(({ id }) => id === pair.remoteCandidateId).address;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("firefox")) as running:
        yield running


def test_the_camera_comes_back_over_the_computers_own_address_and_is_recorded(page: Page, server: Server) -> None:
    page.goto(server.url)
    expect(page.locator("body")).to_have_attribute("data-state", "idle")
    expect(page.locator("#start")).to_be_visible()
    begin(page, server)
    until(lambda: watch(page, "frames") >= 30)
    assert not page.evaluate(SERVERS_ADDRESS).startswith("127.")
    assert len(watch(page, "report.labels")) == 5
    assert grab(page).std() > 0
    folder = Path(watch(page, "report.recording.folder"))
    page.click("#stop")
    expect(page.locator("body")).to_have_attribute("data-state", re.compile("ended|idle"))
    until(lambda: json.loads((folder / "session.json").read_text())["state"] == "ended")
    session = json.loads((folder / "session.json").read_text())
    for (part,) in (session["camera"], session["explained"]):
        with av.open(folder / part["file"]) as film:
            assert sum(1 for _ in film.decode(video=0)) >= 30


@pytest.mark.long
def test_a_frozen_picture_stands_and_runs_again(page: Page, server: Server) -> None:
    begin(page, server)
    page.click("#freeze")
    expect(page.locator("body")).to_have_attribute("data-state", "frozen")
    page.wait_for_function("() => whycam.report.frozen")
    page.click("#freeze")
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    page.click("#stop")


@pytest.mark.long
def test_a_call_that_is_stopped_at_once_ends_quietly(page: Page, server: Server) -> None:
    """Two seconds after its start the page looks for candidates; of a closed connection, Firefox has no description."""
    begin(page, server)
    page.evaluate("() => window.whycam.connection.close()")  # as Stop does, within those two seconds
    page.click("#stop")
    page.wait_for_timeout(2_500)


@pytest.mark.long
def test_the_wall_shows_the_camera_and_the_shelf_plays_it(page: Page, browser: Browser, server: Server) -> None:
    begin(page, server)
    wall = browser.new_page()
    wall.goto(f"{server.url}/watch")
    expect(wall.locator(".tile")).to_have_attribute("data-state", "seen", timeout=20_000)
    wall.wait_for_function("() => document.querySelector('.tile video').currentTime > 1")
    until(lambda: watch(page, "frames") >= 30)
    folder = Path(watch(page, "report.recording.folder")).name
    page.click("#stop")
    expect(wall.locator("body")).to_have_attribute("data-state", "empty", timeout=20_000)
    wall.close()
    page.goto(f"{server.url}/recordings#{folder}")
    page.wait_for_function("() => whycam.sidecar?.complete && whycam.player.camera.readyState >= 2")
    page.click("#play")
    page.wait_for_function("() => whycam.player.camera.currentTime > 0.3 && whycam.player.explained.currentTime > 0.3")
