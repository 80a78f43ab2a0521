"""The page of recordings in a real browser: the list, and one recording opened."""

from __future__ import annotations

import base64
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import assert_accessible
from tests.browser.pages import until
from tests.browser.publishing import published
from tests.support.films import media_samples
from tests.support.recordings.on_disk import record
from tests.support.servers.server_process import Server, free_port, lan_arguments, serving
from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import SidecarFrame, SidecarWriter
from whycam.stream.report.report import write_report

SMALL, TURNED = (160, 120), (120, 160)
FIRST, SECOND = "2026-11-22_20-03-55_1f3a9c000001", "2026-11-22_20-10-00_1f3a9c000001"
OTHER, CUT_OFF = "2026-11-21_09-30-00_2f3a9c000002", "2026-11-20_10-00-00_3f3a9c000003"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings made in code: one of two parts, one whose camera was turned."""
    folder = tmp_path_factory.mktemp("shelf") / "recordings"
    record(
        folder / FIRST, media_samples.encoded("H264", 60, SMALL), best=lambda number: (0, 1) if number < 30 else (2, 0)
    )
    record(folder / SECOND, media_samples.encoded("H264", 30, SMALL))
    turned = media_samples.encoded("H264", 30, SMALL) + media_samples.encoded(
        "H264", 30, TURNED, first=30 * media_samples.STEP
    )
    record(
        folder / OTHER, turned, best=lambda number: (5, 6, 2) if number < 40 else (6, 2, 5) if number < 55 else (2, 6)
    )
    return folder


def cut_off(folder: Path, elsewhere: Path) -> None:
    """A recording as a power cut leaves it: what was on the disk while it ran."""
    running = record(elsewhere / folder.name, media_samples.encoded("H264", 60, SMALL), end=False)
    sidecar = running.folder / "predictions.jsonl"
    until(lambda: sidecar.exists() and len(sidecar.read_text().splitlines()) > 40)
    shutil.copytree(running.folder, folder)
    running.close()


@pytest.fixture(scope="module")
def server(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(made.parent) as running:
        # A server that starts repairs what it finds.
        cut_off(made / CUT_OFF, tmp_path_factory.mktemp("running"))
        yield running


def opened(page: Page, server: Server, recording: str = "") -> Page:
    page.goto(f"{server.url}/recordings" + (f"#{recording}" if recording else ""))
    page.wait_for_selector(f"body[data-state={'detail' if recording else 'list'}]")
    if recording:
        page.wait_for_function("() => whycam.sidecar?.complete && whycam.player.camera.readyState >= 2")
        page.wait_for_selector("#classes button")
    return page


def seek(page: Page, time: float) -> None:
    page.evaluate("(time) => whycam.player.seek(time)", time)
    page.wait_for_function("() => !whycam.player.camera.seeking && !whycam.player.explained.seeking")


def moment(page: Page) -> float:
    return float(page.evaluate("() => whycam.player.time"))


def heat(page: Page) -> int:
    """How many pixels of the heat's canvas are seen."""
    return int(
        page.evaluate(
            """() => {
              const canvas = document.querySelector('#heat');
              const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
              return data.filter((value, i) => i % 4 === 3 && value > 8).length;
            }"""
        )
    )


def colour(page: Page) -> list[int]:
    """Of the middle of the heat's canvas."""
    found: list[int] = page.evaluate(
        """() => {
          const canvas = document.querySelector('#heat');
          return [...canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data];
        }"""
    )
    return found


def test_the_list_shows_each_session_with_its_pictures_length_model_and_labels(page: Page, server: Server) -> None:
    opened(page, server)
    cards = page.locator(".card")
    expect(cards).to_have_count(3)
    newest = cards.first
    expect(newest).to_contain_text("2 parts")
    expect(newest.locator(".length")).to_have_text("0:03")
    expect(newest.locator(".shares")).to_contain_text("banana")
    expect(newest.locator(".about")).to_contain_text("tiny")
    page.wait_for_function("() => [...document.querySelectorAll('.strip img')].every((one) => one.naturalWidth > 0)")
    assert newest.locator(".strip img").count() == 3
    expect(cards.last).to_contain_text("cut off")
    expect(page.locator(".card", has_text="stopped early")).to_have_count(0)
    assert_accessible(page)


@pytest.mark.long
def test_the_parts_of_one_session_are_shown_together(page: Page, server: Server) -> None:
    opened(page, server)
    page.locator(".card .open").first.click()
    expect(page.locator("#parts a")).to_have_count(2)
    expect(page.locator("#parts a[aria-current]")).to_contain_text("Part 2")
    page.locator("#parts a").first.click()
    page.wait_for_function("(id) => whycam.recording?.id === id", arg=FIRST)
    expect(page.locator("#clock")).to_contain_text("/ 0:02")
    page.keyboard.press("Escape")
    expect(page.locator("body")).to_have_attribute("data-state", "list")
    expect(page.locator(".card").first.locator(".open")).to_be_focused()


@pytest.mark.parametrize(
    ("locale", "told", "marked"),
    [
        pytest.param("en-GB", "stopped early: the disk was full", "stopped early", marks=pytest.mark.long),
        ("de-DE", "vorzeitig beendet: Der Datenträger war voll", "vorzeitig beendet"),
    ],
)
def test_why_a_recording_stopped_early_is_said_in_the_pages_language(
    browser: Browser, server: Server, made: Path, locale: str, told: str, marked: str
) -> None:
    recording = "2026-11-15_10-00-00_8f3a9c00000a"
    record(made / recording, media_samples.encoded("H264", 10, SMALL))
    note = made / recording / "session.json"
    session = json.loads(note.read_text())
    session["status"] |= {"state": "stopped", "reason": "The disk is full.", "code": "disk-full"}
    note.write_text(json.dumps(session))
    page = browser.new_context(locale=locale).new_page()
    opened(page, server)
    expect(page.locator(f"[data-session='{recording.rpartition('_')[2]}'] .cut")).to_have_text(marked)
    opened(page, server, recording)
    expect(page.locator("#facts")).to_contain_text(told)
    expect(page.locator("#facts")).not_to_contain_text("The disk is full.")
    page.context.close()
    shutil.rmtree(made / recording)


def test_both_films_play_in_step_and_one_that_is_ahead_is_fetched_back(page: Page, server: Server) -> None:
    opened(page, server, FIRST)
    page.select_option("#rate", "0.25")
    page.keyboard.press(" ")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Pause")
    page.wait_for_function("() => whycam.player.time > 0.2")
    page.evaluate("() => { whycam.player.explained.currentTime += 1 }")
    page.wait_for_function("() => !whycam.player.explained.seeking && Math.abs(whycam.player.drift) < 0.1")
    page.keyboard.press("k")
    page.wait_for_function("() => whycam.player.camera.paused && Math.abs(whycam.player.drift) < 0.002")


@pytest.mark.long
def test_a_film_that_has_ended_begins_anew(page: Page, server: Server) -> None:
    opened(page, server, SECOND)
    seek(page, 0.8)
    page.click("#play")
    page.wait_for_function("() => !whycam.player.playing && whycam.player.time > 0.9")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Play")
    page.click("#play")
    page.wait_for_function("() => whycam.player.playing && whycam.player.time < 0.7")


def test_the_time_line_is_clicked_and_moved_along_by_keys(page: Page, server: Server) -> None:
    opened(page, server, FIRST)
    line = page.locator("#timeline")
    assert page.locator("#timeline .line").count() == 2
    box = line.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + 10)
    assert moment(page) == pytest.approx(1.5, abs=0.05)
    expect(line).to_have_attribute("aria-valuetext", re.compile(r"0:01 of 0:02, cup \d+%"))
    line.focus()
    page.keyboard.press("ArrowLeft")
    assert moment(page) == pytest.approx(0.5, abs=0.05)
    expect(line).to_have_attribute("aria-valuetext", re.compile("banana"))
    page.keyboard.press("Home")
    assert moment(page) == 0
    page.keyboard.press("End")
    assert moment(page) == pytest.approx(2, abs=0.1)
    page.keyboard.press("PageDown")
    assert moment(page) == 0


def test_comma_and_full_stop_move_by_one_frame(page: Page, server: Server) -> None:
    opened(page, server, FIRST)
    seek(page, 0.5)
    page.keyboard.press(".")
    assert moment(page) == pytest.approx(0.5 + 1 / 30, abs=0.006)
    page.keyboard.press(",")
    page.keyboard.press(",")
    assert moment(page) == pytest.approx(0.5 - 1 / 30, abs=0.006)


def test_the_heat_is_drawn_anew_for_another_class_and_in_other_colours(page: Page, server: Server) -> None:
    opened(page, server, FIRST)
    says = page.locator("#heat-says")
    expect(says).to_have_text(re.compile(r"^banana \d+%$"))
    assert heat(page) > 1000
    inferno = colour(page)
    page.select_option("#colormap", "viridis")
    assert colour(page)[1] > inferno[1]
    cup = page.locator("#classes button", has_text="cup")
    cup.click()
    expect(cup).to_have_attribute("aria-pressed", "true")
    # In the first second the cup is not among the best.
    expect(says).to_have_text("cup is not among the five best here")
    assert heat(page) == 0
    seek(page, 1.5)
    expect(says).to_have_text(re.compile(r"^cup \d+%$"))
    assert heat(page) > 1000
    page.locator("#opacity").fill("0")
    assert heat(page) == 0
    # Two are compared in two colours, as live.
    page.locator("#opacity").fill("1")
    seek(page, 0.5)
    banana = page.locator("#classes button", has_text="banana")
    banana.click()
    expect(says.locator("span")).to_have_text([re.compile(r"^banana \d+%$"), "cup is not among the five best here"])
    seek(page, 1.5)
    expect(says.locator(".pinned")).to_have_text([re.compile(r"^cup \d+%$"), re.compile(r"^banana \d+%$")])
    red, green, blue, _ = colour(page)
    assert red > green > 2 * blue  # of two that are equally hot the first is seen, in orange
    assert [button.get_attribute("data-pinned") for button in (cup, banana)] == ["first", "second"]
    expect(page.locator("#timeline .line.chosen")).to_have_count(2)
    assert_accessible(page)
    page.click("#as-then")
    expect(cup).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#as-then")).to_be_disabled()
    expect(page.locator("#colormap")).to_have_value("inferno")
    expect(page.locator("#opacity")).to_have_value("0.7")
    assert heat(page) > 1000


@pytest.mark.long
def test_where_there_is_no_heat_yet_it_is_said(page: Page, server: Server, made: Path) -> None:
    recording = "2026-11-17_11-00-00_9f3a9c000009"
    record(made / recording, media_samples.encoded("H264", 30, SMALL), best=lambda number: (0, 1) if number > 9 else ())
    opened(page, server, recording)
    # It opens on the first frame that is explained.
    expect(page.locator("#heat-says")).to_have_text(re.compile(r"^banana \d+%$"))
    page.wait_for_function("() => !whycam.player.camera.seeking")
    assert moment(page) == pytest.approx(10 / 30, abs=0.01)
    assert heat(page) > 1000
    seek(page, 0)
    expect(page.locator("#heat-says")).to_have_text("no heatmap at this moment")
    page.reload()
    page.wait_for_function("() => window.whycam?.player.time > 0.3")
    shutil.rmtree(made / recording)


TINTS = """() => {
  const lines = [...document.querySelectorAll('#timeline .line')];
  return [...document.querySelectorAll('#classes button')].map((button) => [
    button.querySelector('.name').textContent,
    getComputedStyle(button.querySelector('.tint')).backgroundColor,
    getComputedStyle(lines.find((line) => line.dataset.class === button.dataset.class)).stroke,
  ]);
}"""


def test_a_class_has_one_colour_in_list_time_line_heat_and_report(page: Page, server: Server, made: Path) -> None:
    page.emulate_media(color_scheme="light")
    opened(page, server, OTHER)
    before = page.evaluate(TINTS)
    names = [name for name, *_ in before]
    assert all(dot == line for _, dot, line in before)
    assert len({dot for _, dot, _ in before}) == len(before)
    report = made.parent / "report.html"
    write_report(
        made / OTHER / "predictions.jsonl",
        made / OTHER / "explained-000.mp4",
        "x",
        [report, report.with_suffix(".png")],
    )
    other = page.context.new_page()
    other.emulate_media(color_scheme="light")
    other.set_content(report.read_text())
    for name, dot, _ in before:
        row = other.locator("th", has_text=name)
        assert row.locator(".dot").evaluate("(dot) => getComputedStyle(dot).backgroundColor") == dot
    other.close()
    # Two that are compared have the colours of their heat: orange and blue.
    page.emulate_media(color_scheme="dark")
    page.locator("#classes button", has_text=names[-1]).click()
    page.locator("#classes button", has_text=names[0]).click()
    after = {name: (dot, line) for name, dot, line in page.evaluate(TINTS)}
    assert after[names[-1]] == ("rgb(255, 184, 77)",) * 2
    assert after[names[0]] == ("rgb(92, 184, 255)",) * 2
    assert len(set(after.values())) == len(after)


@pytest.mark.long
def test_weak_classes_are_seen_with_their_own_maximum(page: Page, server: Server, made: Path) -> None:
    recording = "2026-11-17_10-00-00_6f3a9c000006"
    record(made / recording, media_samples.encoded("H264", 30, SMALL))
    sidecar = made / recording / "predictions.jsonl"
    sidecar.write_text(re.sub(r'"scale":1.0', '"scale":0.02', sidecar.read_text()))
    opened(page, server, recording)
    assert heat(page) == 0
    page.check("#own")
    assert heat(page) > 1000
    page.click("#as-then")
    expect(page.locator("#own")).not_to_be_checked()
    assert heat(page) == 0
    shutil.rmtree(made / recording)


def test_what_cannot_be_read_or_played_is_said(page: Page, server: Server, made: Path) -> None:
    recording = "2026-11-16_10-00-00_7f3a9c000007"
    record(made / recording, media_samples.encoded("H264", 30, SMALL))
    (made / recording / "predictions.jsonl").write_text('{"whycam": 7}\n{}\n')
    page.goto(f"{server.url}/recordings#{recording}")
    expect(page.locator("#error")).to_contain_text("The sidecar with the heatmaps cannot be read")
    page.wait_for_function("() => whycam.player.camera.readyState >= 2")
    other = "2026-11-16_11-00-00_7f3a9c000008"
    record(made / other, media_samples.encoded("H264", 30, SMALL))
    (made / other / "predictions.jsonl").unlink()
    (made / other / "explained-000.mp4").write_bytes(b"no film" * 100)
    page.goto(f"{server.url}/recordings#{other}")
    expect(page.locator("#error")).to_contain_text("cannot play explained-000.mp4")
    expect(page.locator("#heat-says")).to_contain_text("sidecar with the heatmaps is missing")
    assert_accessible(page)
    shutil.rmtree(made / recording)
    shutil.rmtree(made / other)


@pytest.mark.long
def test_single_keys_can_be_switched_off(page: Page, server: Server) -> None:
    opened(page, server, FIRST)
    page.uncheck("#keys-on")
    page.keyboard.press("Tab")
    page.keyboard.press("k")
    assert page.evaluate("() => whycam.player.playing") is False
    page.reload()
    page.wait_for_selector("#classes button")
    expect(page.locator("#keys-on")).not_to_be_checked()
    page.check("#keys-on")
    page.keyboard.press("Tab")
    page.keyboard.press("k")
    assert page.evaluate("() => whycam.player.playing") is True


@pytest.mark.long
def test_a_server_that_is_gone_is_told_of(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page()
    with serving(tmp_path) as server:
        page.goto(f"{server.url}/recordings")
        expect(page.locator("#empty")).to_be_visible()
        server.process.kill()
        expect(page.locator("#error")).to_contain_text("does not answer", timeout=10_000)
    page.close()


@pytest.mark.long
def test_a_camera_that_was_turned_is_followed(page: Page, server: Server) -> None:
    opened(page, server, OTHER)
    size = "() => [whycam.player.camera.videoWidth, whycam.player.camera.videoHeight]"
    assert page.evaluate(size) == list(SMALL)
    seek(page, 0.9)
    page.keyboard.press(" ")
    page.wait_for_function(f"() => String(({size})()) === '{TURNED[0]},{TURNED[1]}' && whycam.player.time > 1.05")
    expect(page.locator("#films")).to_have_attribute("data-upright", "true")
    page.keyboard.press(" ")
    assert heat(page) > 1000
    assert page.evaluate("() => whycam.player.explained.videoWidth") == TURNED[0]


def test_files_are_downloaded(page: Page, server: Server, tmp_path: Path) -> None:
    opened(page, server, FIRST)
    for name, begins in (("camera-000.mp4", b"ftyp"), ("predictions.jsonl", b'"whycam":1')):
        with page.expect_download() as download:
            page.locator("#files a", has_text=name).click()
        download.value.save_as(tmp_path / name)
        assert begins in (tmp_path / name).read_bytes()[:64]
        assert download.value.suggested_filename.endswith(name)
    with page.expect_download() as download:
        page.locator("#files a", has_text="ZIP").click()
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as all_of_it:
        assert {Path(name).name for name in all_of_it.namelist()} >= {"camera-000.mp4", "session.json"}


def test_what_is_deleted_can_be_had_back(page: Page, server: Server, made: Path) -> None:
    opened(page, server)
    page.locator(".card").first.locator(".remove").click()
    undo = page.locator(".card .undo")
    expect(undo).to_be_focused()
    expect(page.locator(".card.gone")).to_contain_text("deleted")
    assert not (made / FIRST).exists()
    assert not (made / SECOND).exists()
    assert_accessible(page)
    page.keyboard.press("Enter")
    expect(page.locator(".card").first.locator(".open")).to_be_focused()
    assert (made / FIRST).exists()
    assert (made / SECOND).exists()

    opened(page, server, OTHER)
    page.click("#remove")
    expect(page.locator("body")).to_have_attribute("data-state", "list")
    expect(undo).to_be_focused()
    undo.click()
    expect(page.locator(".card.gone")).to_have_count(0)


@pytest.mark.long
def test_what_is_deleted_for_good_is_said_to_be(browser: Browser, server: Server, made: Path) -> None:
    recording = "2026-11-19_10-00-00_4f3a9c000004"
    record(made / recording, media_samples.encoded("H264", 10, SMALL))
    page = opened(browser.new_page(), server, recording)
    page.click("#remove")
    expect(page.locator(".undo")).to_be_visible()
    (aside,) = [path for path in made.rglob("*") if recording in path.name and path.is_dir()]
    shutil.rmtree(aside)
    page.locator(".undo").click()
    expect(page.locator("#error")).to_contain_text("too late")
    expect(page.locator(".card")).to_have_count(3)
    page.close()


def test_a_recording_that_does_not_exist_leads_to_those_that_do(browser: Browser, server: Server) -> None:
    page = browser.new_page()
    page.goto(f"{server.url}/recordings#nothing")
    expect(page.locator("#error")).to_contain_text("no such recording")
    expect(page.locator(".card")).to_have_count(3)
    page.close()


@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.long)])
def test_one_opened_keeps_nobody_out_and_fits_320_pixels(browser: Browser, server: Server, scheme: Any) -> None:
    context = browser.new_context(color_scheme=scheme, locale="de-DE", viewport={"width": 320, "height": 640})
    page = opened(context.new_page(), server, FIRST)
    expect(page.locator("#ask-title")).to_have_text("Wo ist …?")
    assert_accessible(page)
    page.locator("#classes button").first.click()
    assert_accessible(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 320
    page.goto(f"{server.url}/recordings#")
    page.wait_for_selector("body[data-state=list]")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 320
    context.close()


@pytest.mark.long
def test_a_session_that_is_recorded_is_live_and_then_a_film(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        page.goto(f"{server.url}/recordings")
        expect(page.locator("#empty")).to_contain_text("Nothing is recorded yet.")
        assert_accessible(page)
        with published(server):
            expect(page.locator(".card .live")).to_be_visible(timeout=15_000)
            expect(page.locator(".card .remove")).to_be_hidden()
            page.locator(".card .open").click()
            for name in ("camera", "explained"):
                page.wait_for_function(f"() => document.querySelector('#{name}').videoWidth === 320", timeout=20_000)
            expect(page.locator("#live-link")).to_have_attribute("href", re.compile("^/watch#."))
            expect(page.locator("#timeline")).to_be_hidden()
            assert_accessible(page)
        expect(page.locator("#timeline")).to_be_visible(timeout=20_000)
        page.wait_for_function("() => whycam.player.camera.readyState >= 2 && whycam.player.seconds > 0")


@pytest.mark.long
def test_nothing_is_called_live_by_a_server_that_is_gone(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        page.goto(f"{server.url}/recordings")
        with published(server):
            expect(page.locator(".card .live")).to_be_visible(timeout=15_000)
            server.process.kill()
            expect(page.locator("#error")).to_contain_text("does not answer", timeout=10_000)
            expect(page.locator(".card .live")).to_be_hidden()


def test_a_viewer_has_no_recordings_and_a_phone_only_its_own(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, arguments=lan_arguments(tmp_path, free_port())) as server:
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        token = json.loads((tmp_path / "config" / "access.json").read_text())["tokens"]["viewer"]
        page.goto(server.invitation.partition("#")[0] + f"recordings#{token}")
        expect(page.locator("#error")).to_contain_text("on the computer that runs whycam, and on the phone")
        assert page.url.endswith("/recordings")
        assert_accessible(page)
        page.goto(server.invitation)
        expect(page.locator("#start")).to_be_visible()
        page.goto(server.invitation.partition("#")[0] + "recordings")
        expect(page.locator("#empty")).to_be_visible()
        context.close()


@pytest.mark.long
def test_a_large_sidecar_is_read_while_the_page_goes_on(page: Page, server: Server, made: Path) -> None:
    recording = "2026-11-18_10-00-00_5f3a9c000005"
    record(made / recording, media_samples.encoded("H264", 30, SMALL))
    grid = np.random.default_rng(0).integers(0, 256, (14, 14), np.uint8)
    maps = tuple(DrawnMap(number, f"class {number}", 0.3, grid, 1.0) for number in range(5))
    header = {"model": "tiny", "fit": "stretch", "settings": {"hold": [], "opacity": 0.7, "colormap": "inferno"}}
    sidecar = made / recording / "predictions.jsonl"
    with SidecarWriter(sidecar, {**header, "time_base": [1, 90000]}) as writer:
        for number in range(18_000):  # ten minutes
            writer.write(SidecarFrame(number * media_samples.STEP, 0.0, maps, View()))
    assert sidecar.stat().st_size > 20e6
    page.add_init_script(
        """window.reading = { from: 0, to: 0, before: 0, longest: 0 };
        const look = (now) => {
          if (window.whycam?.sidecar && !whycam.sidecar.complete) {
            reading.from ||= now;
            reading.to = now;
            reading.longest = Math.max(reading.longest, now - (reading.before || now));
          }
          reading.before = now;
          requestAnimationFrame(look);
        };
        requestAnimationFrame(look);"""
    )
    page.goto(f"{server.url}/recordings#{recording}")
    page.wait_for_function("() => whycam.sidecar?.complete", timeout=60_000)
    assert page.evaluate("() => whycam.sidecar.frames") == 18_000
    reading = page.evaluate("() => window.reading")
    # The page drew on while a worker read: read by itself, in one piece, there would be one gap as long as all of it.
    assert reading["longest"] < (reading["to"] - reading["from"]) / 3
    assert page.evaluate("() => whycam.sidecar.at(599.9).maps[4].grid.length") == 196
    found = page.evaluate("() => btoa(String.fromCharCode(...whycam.sidecar.at(300).maps[2].grid))")
    assert base64.b64decode(found) == grid.tobytes()
    shutil.rmtree(made / recording)
