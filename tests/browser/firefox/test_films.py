"""Films, the door for phones and a recording's first picture in Firefox."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.films import media_samples
from tests.support.films.dropped_film import dropped_film
from tests.support.models import tiny_models
from tests.support.recordings.on_disk import record
from tests.support.servers.server_process import Server, free_port, lan_arguments, serving

RECORDED = "2026-11-22_20-03-55_1f3a9c000001"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("films")
    frames = media_samples.encoded("H264", 60, (160, 120))
    record(folder / "recordings" / RECORDED, frames, best=lambda number: (0, 1) if number > 29 else ())
    model = tiny_models.bright_spot(folder / "bright.onnx")
    door = [each for each in lan_arguments(folder, free_port()) if each != "--lan"]
    with serving(folder, arguments=["--model", str(model), *door]) as running:
        yield running


@pytest.mark.long
def test_a_film_is_chosen_explained_and_watched(page: Page, server: Server, tmp_path: Path) -> None:
    page.goto(server.url)
    expect(page.locator("#choose-film")).to_be_visible()
    page.set_input_files("#film-file", str(dropped_film(tmp_path / "kitchen.mp4", 60)))
    film = page.locator(".film-card", has_text="kitchen.mp4")
    expect(film.locator(".film-status")).to_contain_text("60", timeout=60_000)
    film.locator("a").first.click()
    page.wait_for_function("() => window.whycam?.sidecar?.complete && whycam.player.explained.readyState >= 2")
    expect(page.locator("#title")).to_have_text("kitchen.mp4")
    page.click("#play")
    page.wait_for_function("() => whycam.player.time > 0.3")


def test_the_host_lets_phones_join_and_none(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.click("#let-join")
    expect(page.locator("#code")).to_be_visible()
    page.wait_for_function("() => document.querySelector('#code').naturalWidth > 0")
    page.click("#let-none")
    expect(page.locator("#code")).to_be_hidden()
    expect(page.locator("#let-join")).to_be_visible()


def test_a_recording_opens_on_its_first_explained_frame(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/recordings#{RECORDED}")
    expect(page.locator("#heat-says")).to_have_text(re.compile(r"^banana \d+"), timeout=15_000)
    page.wait_for_function("() => Math.abs(whycam.player.time - 1) < 0.02 && !whycam.player.camera.seeking")
