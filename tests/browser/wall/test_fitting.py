"""No name is cut off, however long it is, in any layout of the wall and of the camera page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.browser.camera import start_browser
from tests.browser.pages import begin
from tests.browser.publishing import published
from tests.browser.reports import naming, rewrite, rewriting
from tests.support.models import tiny_models
from tests.support.servers.server_process import Server, free_port, lan_arguments, serving

pytestmark = pytest.mark.alone

NAMES = {
    "short": ["cup", "red", "lemon", "crane", "bowl"],
    "long": [
        "American Staffordshire terrier",
        "German short-haired pointer",
        "sewing machine",
        "coffeepot",
        "black and gold garden spider",
    ],
    "German": [
        "Geschwindigkeitsbegrenzung",
        "Donaudampfschifffahrtsgesellschaftskapitän",
        "Kaffeekanne",
        "Rindfleischetikettierungsüberwachungsaufgabe",
        "Nähmaschine",
    ],
}
SCORES = [1.0, 0.074, 0.04, 0.02, 0.01]
SIZES = [(320, 568), (390, 844), (844, 390), (1024, 768), (1280, 800), (1920, 1080), (3840, 2160)]
SHORT = [(320, 568), (844, 390), (1024, 768)]
"""The narrowest, the lowest, and the smallest of a projector."""
# A line of text is higher than its letters: the part of its font that may reach over an edge.
CUT = """(selector) => {
  const problems = [];
  const visible = (e) => e.textContent && e.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const boxesOf = (e) => {
    const range = document.createRange();
    range.selectNodeContents(e);
    return [...range.getClientRects()];
  };
  const others = [...document.querySelectorAll('.scores, #corner .code')].filter((e) => e.checkVisibility());
  for (const e of document.querySelectorAll(selector)) {
    if (!visible(e)) continue;
    const type = parseFloat(getComputedStyle(e).fontSize);
    if (type < 9) problems.push(`${e.textContent} is ${type} px high`);
    for (const box of boxesOf(e)) {
      for (let around = e; around; around = around.parentElement) {
        const root = around === document.documentElement;
        if (!root && getComputedStyle(around).overflow === 'visible') continue;
        const edge = root ? new DOMRect(0, 0, innerWidth, innerHeight) : around.getBoundingClientRect();
        if (box.left < edge.left - 1 || box.right > edge.right + 1
          || box.top < edge.top - 0.2 * type || box.bottom > edge.bottom + 0.2 * type) {
          problems.push(`${e.textContent} is cut off by ${around.className || around.tagName}`);
        }
      }
      for (const other of others) {
        if (other.contains(e)) continue;
        const its = other.getBoundingClientRect();
        if (box.left < its.right - 1 && box.right > its.left + 1 && box.top + 0.2 * type < its.bottom
          && box.bottom - 0.2 * type > its.top) problems.push(`${e.textContent} is over ${other.className}`);
      }
    }
  }
  return [...new Set(problems)];
}"""
WALL = ".answer .lead, .answer .name, .answer .score, .labels .name, .labels .score, .signs span, .task"
PHONE = "#labels .name, #labels .score, #labels .tag, #task, #hidden > *"
numbers = count(10, 10)  # the model itself has three


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("fitting")
    model = tiny_models.bright_spot(folder / "colours.onnx")
    arguments = ["--no-record", "--model", str(model), *lan_arguments(folder, free_port())]
    with serving(folder, arguments=arguments) as running:
        yield running


@pytest.fixture(scope="module")
def beamer(playwright: Playwright) -> Iterator[Browser]:
    chromium = start_browser(playwright)
    yield chromium
    chromium.close()


def show(page: Page, names: list[str], pinned: int, hide: bool = False) -> None:
    """Wait until the page shows a report that names these classes."""
    said = naming(names, SCORES, first=next(numbers), pinned=pinned)
    first = said["classes"][0]
    hidden = {"class": first, "label": names[0], "before": 0.74, "after": 0.09, "age_ms": 3400.0} if hide else None
    said["view"]["hide"] = hide
    if pinned == 2:
        said["drawn"][1]["heat"] = 0  # nothing speaks for it
    # Of none pinned, the best is a guess.
    rewrite(page, **said, hidden=hidden, frozen=hide, sure=0 if pinned else 1.1)
    page.wait_for_function(f"() => document.querySelector('[data-class=\"{first}\"]')", timeout=5_000)
    page.wait_for_timeout(60)  # a frame, for what is laid out after it


def check(page: Page, selector: str, layout: str, sizes: list[tuple[int, int]]) -> list[str]:
    """What is cut off with each set of names, none, one and two of them pinned, at each size."""
    problems = []
    for width, height in sizes:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(150)
        for kind, names in NAMES.items():
            for pinned in (0, 1, 2):
                show(page, names, pinned, hide=pinned == 1)
                cut = page.evaluate(CUT, selector)
                problems += [f"{layout}, {width}x{height}, {kind}, {pinned} pinned: {problem}" for problem in cut]
    return problems


@pytest.mark.parametrize(
    ("layout", "sizes"),
    [
        ("tiles", SHORT),
        *(pytest.param(each, SIZES, marks=pytest.mark.long) for each in ("tiles", "one", "side by side")),
    ],
)
def test_no_name_is_cut_off_on_the_wall(
    beamer: Browser, server: Server, layout: str, sizes: list[tuple[int, int]]
) -> None:
    page = beamer.new_page(viewport={"width": 1280, "height": 800})
    rewriting(page)
    page.goto(f"{server.url}/watch")
    with published(server):
        expect(page.locator(".tile[data-state=seen]")).to_be_visible(timeout=20_000)
        if layout == "side by side":
            page.keyboard.press("s")
            expect(page.locator("video.camera[data-state=seen]")).to_be_visible(timeout=20_000)
        if layout == "tiles":
            with published(server):
                expect(page.locator(".tile[data-small=true][data-state=seen]")).to_have_count(2, timeout=20_000)
                problems = check(page, WALL, layout, sizes)
        else:
            problems = check(page, WALL, layout, sizes)
    page.context.close()
    assert problems == [], "\n".join(problems)


@pytest.mark.parametrize("sizes", [SHORT, pytest.param(SIZES, marks=pytest.mark.long)])
def test_no_name_is_cut_off_on_a_phone(browser: Browser, server: Server, sizes: list[tuple[int, int]]) -> None:
    page = browser.new_context(locale="de-DE").new_page()
    rewriting(page)
    begin(page, server)
    problems = check(page, PHONE, "phone", sizes)
    page.context.close()
    assert problems == [], "\n".join(problems)
