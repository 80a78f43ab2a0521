"""What is read on the camera page is what is in the picture: the list's numbers, and the label that is burnt in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.browser.camera import HEIGHT, SMALL, WIDTH, changing_camera, start_browser
from tests.browser.pages import begin, watch
from tests.browser.reports import percent, rewrite, rewriting
from tests.support.films import media_samples
from tests.support.models import tiny_models
from tests.support.servers.server_process import Server, serving
from whycam.stream.overlay.text import write_label
from whycam.stream.video.planes import planes

pytestmark = pytest.mark.alone

SIZES = [(320, 568), (390, 844), (844, 390), (1024, 768), (1280, 800), (1920, 1080)]
# Every report that arrives, by the RTP time stamp of its frame, apart from what the page keeps.
REPORTS = """
  window.reports = new Map();
  const listen = RTCDataChannel.prototype.addEventListener;
  RTCDataChannel.prototype.addEventListener = function (kind, take, ...options) {
    return listen.call(this, kind, kind !== 'message' ? take : (event) => {
      const message = JSON.parse(event.data);
      if (message.rtp_out) window.reports.set(message.rtp_out, message);
      return take(event);
    }, ...options);
  };
"""
# Of each frame on screen: its RTP time stamp, the words that are painted with it, and whether its report was there.
PAINTED = """([selector, answer, count]) => new Promise((resolve) => {
  const seen = [];
  const video = document.querySelector(selector);
  const text = (element, part) => element.querySelector(part).textContent;
  const read = (rtp, known, ms) => {
    const rows = [...document.querySelectorAll('#labels li, .labels li')].filter((row) => row.dataset.class);
    seen.push({ rtp, known, ms, rows: rows.map((row) => [text(row, '.name'), text(row, '.score')]),
      answer: answer && [...document.querySelectorAll(answer)]
        .map((one) => [text(one, '.name'), text(one, '.score')]) });
    if (seen.length === count) resolve([seen, [...window.reports.values()]]);
  };
  const next = (_, { rtpTimestamp }) => {
    if (seen.length < count) video.requestVideoFrameCallback(next);
    const [known, ms] = [window.reports.has(rtpTimestamp), performance.now()];
    requestAnimationFrame(() => read(rtpTimestamp, known, ms)); // after the page's own callback, before it is painted
  };
  video.requestVideoFrameCallback(next);
})"""
FRAMES = 150
WAITS_MS = 500 + 60
"""How long a name may wait, with its number of a frame that was on screen then, and a margin."""
NOTICE = """(aspect) => {
  document.body.style.setProperty('--aspect', aspect);
  const [box, notice] = ['#returned', '#bad-day'].map((id) => document.querySelector(id).getBoundingClientRect());
  const width = Math.min(box.width, box.height * aspect);
  const top = box.top + (box.height - width / aspect) / 2;
  return { top, short: Math.min(width, width / aspect), notice: notice.top, height: notice.height };
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("truth"), arguments=["--no-record"]) as running:
        yield running


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a model that explains each frame, of whose ten classes another is the best about three times a second."""
    folder = tmp_path_factory.mktemp("quick")
    model = tiny_models.model(folder / "ten.onnx", seed=5)
    with serving(folder, arguments=["--no-record", "--model", str(model)]) as running:
        yield running


@pytest.fixture(scope="module", params=[SMALL, pytest.param((WIDTH, HEIGHT), marks=pytest.mark.long)])
def changing(
    request: pytest.FixtureRequest, playwright: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """A browser whose camera shows what changes all the time; at full size, slow machines exceed the late reports."""
    chromium = start_browser(playwright, changing_camera(tmp_path_factory.mktemp("changing"), request.param))
    yield chromium
    chromium.close()


@pytest.fixture
def phone(changing: Browser) -> Iterator[Page]:
    context = changing.new_context(viewport={"width": 390, "height": 844}, locale="en-GB")
    context.add_init_script(REPORTS)
    yield context.new_page()
    context.close()


@dataclass(frozen=True)
class Seen:
    """A frame on screen and what is painted with it: rows and the wall's large answer, as names and numbers."""

    ms: float
    report: dict[str, Any]
    known: bool
    """Whether the report was there before the frame."""
    rows: list[list[str]]
    answer: list[list[str]] | None


def painted(page: Page, video: str, answer: str | None = None) -> list[Seen]:
    """Frames on screen; the reports of few come after them."""
    seen, reports = page.evaluate(PAINTED, [video, answer, FRAMES])
    known = {report["rtp_out"]: report for report in reports}
    late = sum(not each["known"] for each in seen)
    assert late <= FRAMES // 20, late
    found = [
        Seen(each["ms"], known[each["rtp"]], each["known"], each["rows"], each["answer"])
        for each in seen
        if each["rtp"] in known
    ]
    explained = [frame.report for frame in found if frame.report["labels"]]
    assert len({report["scores"][0] for report in explained}) > 10  # the camera's picture changes
    return found


def check(frames: list[Seen], pinned: bool = False) -> None:
    """The best class is in the first row with its own frame's number, and so are the pinned ones; others wait."""
    for at, frame in enumerate(frames):
        if not frame.known:
            continue
        rows = [(name, number) for name, number in frame.rows]
        report = frame.report
        if not report["labels"]:  # of a new scene, which has no answer yet: nothing is written into the frame either
            assert rows == [], at
            continue
        drawn = [(one["label"], percent(one["score"])) for one in report["held"]]
        best = report["labels"][0], percent(report["scores"][0])
        assert rows[0] == best, at
        assert len(rows) == len({name for name, _ in rows}) == 5
        numbers = [float(number.removesuffix("%")) for _, number in rows]
        assert numbers == sorted(numbers, reverse=True), (at, rows)
        assert sum(numbers) <= 102.5, (at, rows)  # five rounded ones
        if pinned:
            assert set(drawn) <= set(rows), (at, rows)
        if frame.answer is not None:
            assert [(name, number) for name, number in frame.answer] == (drawn if pinned else [best]), at
        if frame.ms - frames[0].ms > WAITS_MS:
            recent = [one for one, later in pairwise(frames[: at + 1]) if frame.ms - later.ms <= WAITS_MS]
            said = {pair for one in [*recent, frame] for pair in pairs(one.report)}
            assert set(rows) <= said, (at, rows)


def pairs(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from zip(report["labels"], map(percent, report["scores"]), strict=True)
    yield from ((one["label"], percent(one["score"])) for one in report["held"])


def changes(frames: list[Seen]) -> int:
    """How often another class is the best."""
    best = [frame.report["classes"][0] for frame in frames if frame.report["classes"]]
    return sum(one != other for one, other in pairwise(best))


def test_each_frame_on_a_phone_has_its_own_number_beside_it(phone: Page, quick: Server) -> None:
    begin(phone, quick)
    phone.wait_for_function("() => whycam.listed?.labels.length === 5")
    frames = painted(phone, "#returned")
    check(frames)
    assert changes(frames) > 2
    phone.locator("#labels button").nth(1).click()
    phone.wait_for_function("() => whycam.listed?.view.hold.length === 1")
    check(painted(phone, "#returned"), pinned=True)


def test_each_frame_on_the_wall_has_its_own_number_beside_it(phone: Page, quick: Server) -> None:
    begin(phone, quick)
    wall = phone.context.new_page()
    wall.set_viewport_size({"width": 1280, "height": 800})
    wall.goto(f"{quick.url}/watch")
    wall.wait_for_function("() => whycam.tiles[0]?.listed?.labels.length === 5", timeout=20_000)
    frames = painted(wall, ".tile video.explained", ".answer li")
    check(frames)
    assert changes(frames) > 2
    wall.keyboard.press("2")
    wall.wait_for_function("() => whycam.tiles[0].listed.view.hold.length === 1")
    check(painted(wall, ".tile video.explained", ".answer li"), pinned=True)


def test_a_frozen_picture_has_its_whole_list(page: Page, server: Server) -> None:
    begin(page, server)
    page.wait_for_function("() => whycam.listed?.labels.length === 5")
    page.click("#freeze")
    page.wait_for_function("() => whycam.report.frozen && whycam.listed.frozen")
    page.wait_for_timeout(1500)
    listed, report = watch(page, "listed"), watch(page, "report")
    assert (listed["classes"], listed["scores"]) == (report["classes"], report["scores"])
    expect(page.locator("#labels .name")).to_have_text(listed["labels"])
    expect(page.locator("#labels .score")).to_have_text([percent(score) for score in listed["scores"]])


def label_height(width: int, height: int) -> float:
    """The height of the label that is burnt in, as a part of the shorter side."""
    frame = media_samples.frame(np.full((height, width, 3), 128, np.uint8))
    grey = planes(frame)[0][0, 0]
    write_label(frame, ["74% cup"])  # longer ones are written smaller
    rows = np.flatnonzero((planes(frame)[0] != grey).any(axis=1))
    return float(rows[-1] + 1) / min(width, height)


@pytest.mark.parametrize(
    "size", [(480, 640), *(pytest.param(each, marks=pytest.mark.long) for each in ((640, 480), (1280, 720)))]
)
def test_a_notice_is_below_the_label_in_the_picture(page: Page, server: Server, size: tuple[int, int]) -> None:
    part = label_height(*size)
    rewriting(page)
    begin(page, server)
    rewrite(page, engine="restarting")
    expect(page.locator("#bad-day")).to_contain_text("The model is restarting.", timeout=10_000)
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        found = page.evaluate(NOTICE, size[0] / size[1])
        assert found["notice"] >= found["top"] + part * found["short"], (width, height)
        assert found["notice"] + found["height"] <= height
