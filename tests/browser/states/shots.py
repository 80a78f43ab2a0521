"""Photographs the pages' states: `python -m tests.browser.states.shots [STATE …]` writes sheets to tests/shots/.

Each sheet has one state in four sizes (columns), English and German, dark and light (rows). Problems that a program can
see are printed: axe's violations, a page wider than its window, and words that are cut off.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from playwright.sync_api import Browser, Page, Playwright, Route, expect, sync_playwright

from tests.browser.axe import AXE, LOOK
from tests.browser.camera import fake_camera, start_browser
from tests.browser.publishing import published
from tests.browser.reports import naming, rewrite, rewriting
from tests.browser.states import teaching
from tests.support import ROOT
from tests.support.films import media_samples
from tests.support.films.dropped_film import dropped_film
from tests.support.recordings.on_disk import record
from tests.support.servers.server_process import Server, free_port, lan_arguments, serving

SIZES = [(390, 844), (844, 390), (1280, 800), (1920, 1080)]
LANGUAGES = ["en-GB", "de-DE"]
SCHEMES: list[Literal["dark", "light"]] = ["dark", "light"]
SHEETS = ROOT / "tests" / "shots"
HEIGHT = 420
"""Of a photograph on a sheet."""
PATIENCE_MS = 30_000
"""For what a state waits for: a loaded machine needs more than Playwright's five seconds to let a phone join."""
RECORDED = "2026-11-22_20-03-55_1f3a9c000001"
LONG = ["black-footed ferret, Mustela nigripes", "German short-haired pointer", "sewing machine"]
CUT = """() => {
  if (document.documentElement.scrollWidth > innerWidth) return ['the page is wider than its window'];
  const cut = (e) => e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1
    && getComputedStyle(e).overflowX !== 'visible'
    && getComputedStyle(e).overflowX !== 'auto' && !e.closest('.hidden, [aria-hidden=true]');
  return [...document.querySelectorAll('p, a, button, h1, h2, li, span, label')]
    .filter((e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
    .filter((e) => e.textContent.trim() && cut(e))
    .map((e) => `cut off: ${e.id || e.className}: ${e.textContent.trim().slice(0, 60)}`);
}"""


SAYS = "() => `${document.body.dataset.state}: ${document.querySelector('#error')?.textContent ?? ''}`"


@dataclass
class Home:
    """The servers, and files for their pages."""

    closed: Server
    """Without `--lan`."""
    open: Server
    waiting: Server
    """Lets phones join, but none has."""
    folder: Path
    films: Mapping[str, Path] = field(default_factory=dict)


State = Callable[[Page, Home], None]
STATES: dict[str, State] = {}


def state(prepare: State) -> State:
    STATES[prepare.__name__] = prepare
    return prepare


@state
def home_closed(page: Page, home: Home) -> None:
    page.goto(home.closed.url)
    expect(page.locator("#let-join")).to_be_visible()


@state
def home_code_and_warning(page: Page, home: Home) -> None:
    page.goto(home.open.url)
    expect(page.locator("#warning")).to_be_visible()
    page.locator("#warning").scroll_into_view_if_needed()


@state
def phone_before_it_starts(page: Page, home: Home) -> None:
    page.goto(home.open.invitation)
    expect(page.locator("#start")).to_be_visible()


@state
def phone_that_may_not_watch(page: Page, home: Home) -> None:
    page.goto(home.open.invitation)
    expect(page.locator("#start")).to_be_visible()
    page.goto(home.open.invitation.partition("#")[0] + "watch")
    expect(page.locator("#error")).to_be_visible()


def without_films(page: Page, home: Home) -> None:
    """The page with an empty list of films."""
    for job in page.request.get(f"{home.closed.url}/api/films").json()["films"]:
        page.request.delete(f"{home.closed.url}/api/films/{job['id']}")
    page.goto(home.closed.url)
    expect(page.locator("#choose-film")).to_be_visible()


@state
def films_offered_sent_and_explained(page: Page, home: Home) -> None:
    without_films(page, home)
    page.set_input_files("#open-file", home.films["iphone"])
    expect(page.locator(".film-card[data-state=offered]")).to_be_visible()
    page.set_input_files("#film-file", [home.films["long"], home.films["waiting"]])
    expect(page.locator(".film-card[data-state=explaining]")).to_be_visible(timeout=20_000)
    expect(page.locator(".film-card[data-state=waiting]")).to_be_visible(timeout=20_000)
    expect(page.locator(".film-card[data-state=explaining] .film-status")).to_contain_text("%", timeout=30_000)
    page.locator("#films").scroll_into_view_if_needed()


@state
def films_done_and_refused(page: Page, home: Home) -> None:
    without_films(page, home)
    page.set_input_files("#film-file", [home.films["none"], home.films["short"]])
    expect(page.locator(".film-card[data-state=done]")).to_be_visible(timeout=60_000)
    expect(page.locator(".film-card[data-state=failed]")).to_be_visible()
    page.locator("#films").scroll_into_view_if_needed()


@state
def film_over_the_page(page: Page, home: Home) -> None:
    page.goto(home.closed.url)
    expect(page.locator("#choose-film")).to_be_visible()
    page.evaluate("() => { document.body.dataset.dropping = 'true' }")


@state
def live_guess(page: Page, home: Home) -> None:
    page.goto(home.closed.url)
    page.click("#start")
    expect(page.locator("body")).to_have_attribute("data-state", "live", timeout=20_000)
    rewrite(page, **naming(LONG, [0.024, 0.02, 0.01], first=1), sure=0.2)
    page.wait_for_timeout(8_000)  # the tip is over


@state
def live_nothing_speaks(page: Page, home: Home) -> None:
    live_guess(page, home)
    changes = naming(LONG, [0.5, 0.02, 0.01], first=1, pinned=1)
    rewrite(page, **changes | {"drawn": [changes["drawn"][0] | {"heat": 0.0}]})
    page.wait_for_timeout(800)


@state
def live_frozen(page: Page, home: Home) -> None:
    page.goto(home.closed.url)
    page.click("#start")
    expect(page.locator("body")).to_have_attribute("data-state", "live", timeout=20_000)
    page.click("#freeze")
    expect(page.locator("body")).to_have_attribute("data-state", "frozen")


MAPS = [
    {"method": method, "layer": layer, "grid": grid, "current": (method, layer) == ("grad-cam", "blocks.4")}
    for method in ("grad-cam", "negative")
    for layer, grid in (("features", [7, 7]), ("blocks.4", [14, 14]), ("blocks.2", [28, 28]))
]
DRAWN = {"method": "grad-cam", "layer": "blocks.4", "grid": [14, 14]}


def with_maps(page: Page) -> None:
    """The model has several maps and signed ones; call this before the page is opened."""

    def several(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"maps": MAPS, "signed": True})

    page.route("**/api/model", several)
    page.route("**/api/models", several)


def compared(names: list[str]) -> dict[str, Any]:
    """The keys of a report about the difference of two classes."""
    changes = naming(names, [0.41, 0.3, 0.01], first=1, pinned=2)
    return changes | {"map": DRAWN, "difference": True, "view": changes["view"] | {"difference": True}}


@state
def live_difference(page: Page, home: Home) -> None:
    with_maps(page)
    live_guess(page, home)
    rewrite(page, **compared(LONG))
    expect(page.locator("#legend")).to_be_visible()
    expect(page.locator("#difference")).to_be_visible()
    page.wait_for_timeout(800)


@state
def live_choice_of_a_map(page: Page, home: Home) -> None:
    with_maps(page)
    live_guess(page, home)
    rewrite(page, **naming(LONG, [0.5, 0.02, 0.01], first=1), map=DRAWN)
    page.evaluate("() => document.querySelector('#more').click()")  # it is hidden in a wide window
    page.locator("#map-layer").scroll_into_view_if_needed()


@state
def live_on_a_bad_day(page: Page, home: Home) -> None:
    page.goto(home.closed.url)
    page.click("#start")
    expect(page.locator("body")).to_have_attribute("data-state", "live", timeout=20_000)
    rewrite(page, engine="restarting")
    expect(page.locator("#bad-day")).to_be_visible(timeout=10_000)


for prepare in teaching.STATES:

    def taught(page: Page, home: Home, prepare: Callable[[Page, str], None] = prepare) -> None:
        prepare(page, home.closed.url)

    STATES[prepare.__name__] = taught


@state
def wall_teaching(page: Page, home: Home) -> None:
    teaching.on_the_wall(page)
    on_the_wall(page, home)
    teaching.shown_on_the_wall(page)


@state
def stopped_watch_it_again(page: Page, home: Home) -> None:
    live_frozen(page, home)
    page.click("#stop")
    expect(page.locator("#again")).to_be_visible()


@state
def wall_closed(page: Page, home: Home) -> None:
    page.goto(f"{home.closed.url}/watch")
    expect(page.locator("#empty-how")).to_be_visible()


@state
def wall_code_and_warning(page: Page, home: Home) -> None:
    page.goto(f"{home.waiting.url}/watch")
    expect(page.locator("#warning")).to_be_visible()


@state
def wall_without_webrtc(page: Page, home: Home) -> None:
    page.add_init_script("delete window.RTCPeerConnection")
    page.goto(f"{home.closed.url}/watch")
    expect(page.locator("#error")).to_be_visible()


def on_the_wall(page: Page, home: Home) -> None:
    page.goto(f"{home.open.url}/watch")
    expect(page.locator(".tile[data-state=seen]").first).to_be_visible(timeout=20_000)
    page.keyboard.press("s")


@state
def wall_side_by_side_with_long_names(page: Page, home: Home) -> None:
    on_the_wall(page, home)
    rewrite(page, **naming(LONG, [0.41, 0.3, 0.01], first=1, pinned=2))
    page.wait_for_timeout(1500)


@state
def wall_difference(page: Page, home: Home) -> None:
    with_maps(page)
    on_the_wall(page, home)
    rewrite(page, **compared(LONG))
    expect(page.locator(".tile .signs")).to_contain_text("black-footed")
    page.wait_for_timeout(1500)


@state
def wall_choice_of_a_map(page: Page, home: Home) -> None:
    with_maps(page)
    page.goto(f"{home.closed.url}/watch")
    expect(page.locator("body")).to_have_attribute("data-state", "empty")
    page.keyboard.press("m")
    expect(page.locator("#map-layer")).to_be_visible()


@state
def wall_guess(page: Page, home: Home) -> None:
    on_the_wall(page, home)
    rewrite(page, **naming(["jellyfish", *LONG], [0.024, 0.02, 0.01, 0.01], first=1), sure=0.2)
    page.wait_for_timeout(1500)


@state
def wall_nothing_speaks(page: Page, home: Home) -> None:
    on_the_wall(page, home)
    changes = naming(["lemon", *LONG], [0.024, 0.02, 0.01, 0.01], first=1, pinned=1)
    rewrite(page, **changes | {"drawn": [changes["drawn"][0] | {"heat": 0.0}]})
    page.wait_for_timeout(1500)


def with_film(page: Page, home: Home) -> None:
    """One of the recordings is a film."""
    ask, url = page.request, home.closed.url
    if not any(each["film"] for each in ask.get(f"{url}/api/recordings").json()):
        film, headers = home.films["short"], {"Content-Type": "application/octet-stream"}
        ask.post(f"{url}/api/films", params={"name": film.name}, data=film.read_bytes(), headers=headers)
    while not any(each["film"] for each in ask.get(f"{url}/api/recordings").json()):
        page.wait_for_timeout(200)


@state
def recordings_list(page: Page, home: Home) -> None:
    with_film(page, home)
    page.goto(f"{home.closed.url}/recordings")
    expect(page.locator(".card .film").first).to_be_visible()
    page.wait_for_timeout(800)


@state
def recording_two_compared(page: Page, home: Home) -> None:
    page.goto(f"{home.closed.url}/recordings#{RECORDED}")
    page.wait_for_selector("#classes button")
    for button in page.locator("#classes button").all()[:2]:
        button.click()


@state
def recording_of_a_film(page: Page, home: Home) -> None:
    with_film(page, home)
    page.goto(f"{home.closed.url}/recordings")
    page.locator(".card", has=page.locator(".film")).locator(".open").first.click()
    page.wait_for_selector("#classes button")
    expect(page.locator("#report")).to_be_visible()
    page.wait_for_timeout(800)


@state
def recordings_of_a_phone(page: Page, home: Home) -> None:
    page.goto(home.open.invitation)
    expect(page.locator("#start")).to_be_visible()
    page.goto(home.open.invitation.partition("#")[0] + "recordings")
    expect(page.locator("#empty")).to_be_visible()


@contextmanager
def homes() -> Iterator[Home]:
    """Two servers, one of which lets phones join and has a camera, with recordings and a film."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "closed").mkdir()
        (folder / "open").mkdir()
        frames = media_samples.encoded("H264", 60, (320, 240))
        record(folder / "closed" / "recordings" / RECORDED, frames, best=lambda n: (0, 1, 2) if n < 40 else (2, 0, 1))
        (folder / "none.mp4").write_bytes(b"no film" * 99)
        films = {
            "none": folder / "none.mp4",
            "iphone": dropped_film(folder / "IMG_4711.MOV", 5, codec="mpeg4"),
            "long": dropped_film(folder / "kitchen in the morning.mp4", 3000, (640, 480)),
            "waiting": dropped_film(folder / "waiting.mp4", 5),
            "short": dropped_film(folder / "a film whose name is longer than most names are.mp4", 30, (320, 240)),
        }
        (folder / "waiting").mkdir()
        arguments = [["--no-record", *lan_arguments(folder / name, free_port())] for name in ("open", "waiting")]
        with (
            serving(folder / "closed") as closed,
            serving(folder / "open", arguments=arguments[0]) as open_,
            serving(folder / "waiting", arguments=arguments[1]) as waiting,
            published(open_),
        ):
            yield Home(closed, open_, waiting, folder, films)


def reach(page: Page, home: Home, name: str) -> None:
    """Bring the page into a state; a failure says what the page says."""
    expect.set_options(timeout=PATIENCE_MS)
    try:
        STATES[name](page, home)
    except Exception as error:
        error.add_note(f"In {name}, {page.url} says: {page.evaluate(SAYS)}")
        raise
    finally:
        expect.set_options(timeout=5_000)


def photograph(browser: Browser, home: Home, name: str) -> tuple[list[list[Path]], list[str]]:
    """The state's photographs in rows, and the problems that were seen."""
    rows: list[list[Path]] = []
    problems: list[str] = []
    for language in LANGUAGES:
        for scheme in SCHEMES:
            context = browser.new_context(
                locale=language, color_scheme=scheme, ignore_https_errors=True, viewport={"width": 1280, "height": 800}
            )
            page = context.new_page()
            rewriting(page)
            reach(page, home, name)
            if AXE.exists():
                page.evaluate(AXE.read_text())
            rows.append([])
            for width, height in SIZES:
                page.set_viewport_size({"width": width, "height": height})
                page.wait_for_timeout(350)
                path = SHEETS / f"{name}-{language[:2]}-{scheme}-{width}x{height}.png"
                page.screenshot(path=path)
                rows[-1].append(path)
                seen = page.evaluate(CUT) + (page.evaluate(LOOK) if AXE.exists() else [])
                problems += [f"{path.stem}: {each}" for each in seen]
            context.close()
    return rows, problems


def sheet(rows: list[list[Path]], path: Path) -> None:
    """All photographs of a state on one picture."""
    made = []
    for row in rows:
        shots: list[Any] = [cv2.imread(str(each)) for each in row]
        scaled = [
            cv2.resize(s, (round(s.shape[1] * HEIGHT / s.shape[0]), HEIGHT), interpolation=cv2.INTER_AREA)
            for s in shots
        ]
        made.append(np.hstack([np.pad(s, ((4, 4), (4, 4), (0, 0)), constant_values=128) for s in scaled]))
    cv2.imwrite(str(path), np.vstack(made))


def photographed(playwright: Playwright, names: list[str]) -> list[str]:
    """Write the sheets of these states; returns the problems."""
    SHEETS.mkdir(exist_ok=True)
    problems = []
    with homes() as home:
        browser = start_browser(playwright, fake_camera(home.folder))
        for name in names:
            rows, seen = photograph(browser, home, name)
            sheet(rows, SHEETS / f"{name}.png")
            print(json.dumps({"state": name, "problems": len(seen)}), *seen, sep="\n", flush=True)
            problems += seen
        browser.close()
    return problems


def main() -> None:
    unknown = sorted(set(sys.argv[1:]) - set(STATES))
    if unknown:
        raise SystemExit(f"No state is called {' or '.join(unknown)}. There are: {', '.join(STATES)}.")
    with sync_playwright() as playwright:
        problems = photographed(playwright, sys.argv[1:] or list(STATES))
    print(f"{len(problems)} problems; the sheets are in {SHEETS.relative_to(ROOT)}/")
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()
