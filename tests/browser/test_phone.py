"""The phone page's states and controls, in one browser against one server, with a camera that shows a photograph."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.axe import assert_accessible
from tests.browser.pages import grab, until, watch
from tests.support.servers.server_process import Server, free_port, serving

pytestmark = pytest.mark.alone

PHONE: ViewportSize = {"width": 390, "height": 844}
SIZES = [(390, 844), (844, 390), (320, 568), (1280, 800), (1920, 1080)]
BEST, SECOND = (f"#labels li:nth-child({place}) button" for place in (1, 2))
OTHER = "#labels li[data-pinned=''] button"

# Cameras drawn by the page, one on each side, with a lamp and a lens; `asked` is what they were asked for.
CAMERAS = """
  window.asked = [];
  const sides = { environment: '#1d6', user: '#d61' };
  navigator.mediaDevices.enumerateDevices = async () => Object.keys(sides).map((side) => (
    { kind: 'videoinput', deviceId: side, label: `${side} camera` }));
  navigator.mediaDevices.getUserMedia = async ({ video }) => {
    window.asked.push(video);
    const side = video.deviceId?.exact ?? video.facingMode.exact ?? video.facingMode.ideal;
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [640, 480];
    const context = canvas.getContext('2d');
    let x = 0;
    const drawing = setInterval(() => {
      context.fillStyle = sides[side];
      context.fillRect(0, 0, 640, 480);
      context.fillStyle = '#222';
      context.fillRect(x = (x + 5) % 640, 200, 80, 80);
    }, 50);
    const stream = canvas.captureStream(20);
    const [track] = stream.getVideoTracks();
    const settings = track.getSettings.bind(track);
    track.getSettings = () => ({ ...settings(), facingMode: side, deviceId: side, zoom: 1 });
    track.getCapabilities = () => (side === 'user' ? {} : { torch: true, zoom: { min: 1, max: 4, step: 0.1 } });
    track.applyConstraints = async (wish) => { window.asked.push(wish.advanced[0]); };
    return stream;
  };
"""


# The fake camera, and another one, with a lamp and a lens.
TWO_CAMERAS = """
  const devices = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
  navigator.mediaDevices.enumerateDevices = async () => [
    ...await devices(), { kind: 'videoinput', deviceId: 'another', label: 'Another camera' }];
  MediaStreamTrack.prototype.getCapabilities = () => ({ torch: true, zoom: { min: 1, max: 4, step: 0.1 } });
  MediaStreamTrack.prototype.applyConstraints = async () => {};
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("phone")) as running:
        yield running


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A page in a phone's size that must not complain."""
    context = browser.new_context(viewport=PHONE, locale="en-GB", reduced_motion="reduce", accept_downloads=True)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    # What a server refuses or that it is gone, Chromium tells by itself; the page says it in words.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


def begin(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.click("#start")
    page.wait_for_selector("body[data-state=live]", timeout=20_000)
    page.wait_for_function("() => window.whycam.report?.classes.length === 5")


def report(page: Page, name: str) -> Any:
    return watch(page, f"report.{name}")


def test_one_tap_leads_to_the_heatmap_and_every_state_has_its_words(phone: Page, server: Server) -> None:
    phone.add_init_script("""
      window.states = [];
      new MutationObserver(() => {
        const state = document.body?.dataset.state;
        const words = document.querySelector('#headline')?.textContent;
        if (words && window.states.at(-1)?.[0] !== state) window.states.push([state, words]);
      }).observe(document, { attributes: true, childList: true, subtree: true });
    """)
    begin(phone, server)
    phone.click("#freeze")
    phone.wait_for_selector("body[data-state=frozen]")
    phone.click("#freeze")
    phone.wait_for_selector("body[data-state=live]")
    phone.click("#stop")
    phone.wait_for_selector("body[data-state=ended]")
    states = phone.evaluate("() => window.states")
    assert [state for state, _ in states] == [
        "joining", "idle", "asking", "calling", "live", "frozen", "live", "ended",
    ]  # fmt: skip
    assert all(words for _, words in states)
    assert len({words for _, words in states}) == 7
    again = phone.locator("#again a")
    expect(again).to_have_text("Watch it again")
    again.click()  # a link to this recording, not a path on the disk
    expect(phone.locator("body")).to_have_attribute("data-state", "detail", timeout=10_000)


def test_a_tap_shows_the_camera_alone_and_a_held_finger_compares(phone: Page, server: Server) -> None:
    begin(phone, server)
    phone.wait_for_function("() => document.querySelector('#camera').videoWidth > 0")
    phone.click("#peek")
    expect(phone.locator("#camera")).to_be_visible()
    expect(phone.locator("#returned")).not_to_be_visible()
    expect(phone.locator("#seen")).to_have_text("Camera, without the heatmap")
    phone.click("#peek")
    expect(phone.locator("#returned")).to_be_visible()
    expect(phone.locator("#camera")).not_to_be_visible()
    phone.locator("#peek").hover()
    phone.mouse.down()
    expect(phone.locator("#camera")).to_be_visible()
    phone.mouse.up()
    expect(phone.locator("#returned")).to_be_visible()
    phone.wait_for_timeout(100)
    expect(phone.locator("#peek")).to_have_attribute("aria-pressed", "false")
    phone.locator("#peek").press("Enter")
    expect(phone.locator("#peek")).to_have_attribute("aria-pressed", "true")


def test_two_labels_are_held_in_two_colours_and_a_third_takes_the_place_of_the_second(
    phone: Page, server: Server
) -> None:
    begin(phone, server)
    phone.click("#freeze")  # so that no name moves: a press means the class that was in the row 0.3 s before
    until(lambda: report(phone, "frozen"))
    phone.wait_for_timeout(1000)
    first = report(phone, "classes[0]")
    phone.click(BEST)
    until(lambda: report(phone, "view.hold") == [first])
    expect(phone.locator(f"#labels [data-class='{first}']")).to_have_attribute("data-pinned", "only")
    phone.click(SECOND)
    until(lambda: len(report(phone, "view.hold")) == 2)
    second = report(phone, "view.hold[1]")
    for number, colour in ((first, "rgb(255, 158, 27)"), (second, "rgb(58, 160, 255)")):
        expect(phone.locator(f"#labels [data-class='{number}'] .tag")).to_have_css("background-color", colour)
    phone.wait_for_timeout(500)
    phone.click(OTHER)
    until(lambda: report(phone, "view.hold")[1:] not in ([], [second]))
    assert report(phone, "view.hold")[0] == first
    assert len(report(phone, "view.hold")) == 2
    phone.click(f"#labels [data-class='{first}'] button")
    until(lambda: first not in report(phone, "view.hold"))
    expect(phone.locator(f"#labels [data-class='{first}']")).to_have_attribute("data-pinned", "")


def test_any_class_is_held_by_its_name(phone: Page, server: Server) -> None:
    begin(phone, server)
    phone.click("#more")
    phone.fill("#sought", "grand pia")
    phone.press("#sought", "Enter")
    until(lambda: report(phone, "view.hold") == [579])
    expect(phone.locator("#settings")).not_to_be_visible()
    expect(phone.locator("#labels [data-class='579']")).to_contain_text("grand piano")
    expect(phone.locator("#labels li")).to_have_count(5)
    phone.click("#more")
    phone.fill("#sought", "Butterbrot")
    phone.press("#sought", "Enter")
    expect(phone.locator("#error")).to_contain_text("The model has no class “Butterbrot”")
    phone.fill("#sought", "espresso")
    phone.press("#sought", "Enter")
    expect(phone.locator("#error")).to_be_hidden()


def settled(page: Page) -> NDArray[np.int16]:
    """The picture once it does not change any more: the encoder refines it for a moment. One that moves never does."""
    pictures = [grab(page).astype(np.int16)]

    def same() -> bool:
        page.wait_for_timeout(400)
        pictures.append(grab(page).astype(np.int16))
        return bool(np.abs(pictures[-1] - pictures[-2]).mean() < 2)

    until(same)
    return pictures[-1]


def test_a_frozen_picture_stands_and_can_be_asked_on(phone: Page, server: Server) -> None:
    begin(phone, server)
    phone.click("#freeze")
    phone.wait_for_selector("body[data-state=frozen]")
    expect(phone.locator("#seen")).to_contain_text("Frozen")
    still = settled(phone)
    phone.click(SECOND)
    until(lambda: len(report(phone, "view.hold")) == 1)
    asked = report(phone, "view.hold[0]")
    until(lambda: any(one["class"] == asked for one in report(phone, "held")))
    until(lambda: np.abs(grab(phone) - still).mean() > 2)
    phone.click("#freeze")
    phone.wait_for_selector("body[data-state=live]")


def test_the_hidden_evidence_tells_both_probabilities(phone: Page, server: Server) -> None:
    begin(phone, server)
    phone.click("#hide")
    expect(phone.locator("#hidden")).to_be_visible()
    expect(phone.locator("#hidden")).to_have_text(
        re.compile(r"^espresso [\d.]+% → [\d.]+%( \d+ s ago)?$"), timeout=15_000
    )
    hidden = report(phone, "hidden")
    assert hidden["after"] < hidden["before"]
    phone.click("#hide")
    expect(phone.locator("#hidden")).to_be_hidden()
    until(lambda: report(phone, "hidden") is None)
    phone.wait_for_timeout(800)
    expect(phone.locator("#hide")).to_have_attribute("aria-pressed", "false")


@pytest.mark.long
def test_with_a_slow_model_the_answer_stays_and_tells_its_age(phone: Page, tmp_path: Path) -> None:
    with serving(tmp_path, slowed=0.8) as slow:
        begin(phone, slow)
        phone.click("#hide")
        said = phone.locator("#hidden")
        expect(said).to_have_text(re.compile(r"^espresso [\d.]+% → [\d.]+%"), timeout=20_000)
        phone.evaluate("""() => {
          window.said = new Set();
          const sign = document.querySelector('#hidden');
          new MutationObserver(() => window.said.add(sign.textContent))
            .observe(sign, { childList: true, characterData: true, subtree: true });
        }""")
        phone.wait_for_timeout(6_000)
        said = phone.evaluate("() => [...window.said]")
        assert any(re.search(r"% [2-9] s ago$", text) for text in said)
        assert all(re.match(r"espresso [\d.]+% → [\d.]+%", text) for text in said), said


def test_the_picture_is_saved_and_shared(phone: Page, server: Server) -> None:
    phone.add_init_script("""
      navigator.canShare = () => true;
      navigator.share = async (what) => { window.shared = what.files[0]; };
    """)
    begin(phone, server)
    with phone.expect_download() as download:
        phone.click("#save")
    assert re.fullmatch(r"whycam espresso \d{4}-\d\d-\d\d \d\d-\d\d-\d\d\.jpg", download.value.suggested_filename)
    assert Path(download.value.path()).read_bytes().startswith(b"\xff\xd8")
    expect(phone.locator("#error")).to_contain_text("Saved as whycam espresso")
    phone.click("#more")
    phone.click("#share")
    phone.wait_for_function("() => window.shared?.size > 5000 && window.shared.type === 'image/jpeg'")


@pytest.mark.long
def test_an_iphone_saves_where_its_photographs_are(phone: Page, server: Server) -> None:
    phone.add_init_script("""
      Object.defineProperty(navigator, 'userAgent', { get: () => 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0)' });
      navigator.canShare = () => true;
      navigator.share = async (what) => {
        window.shared = what.files[0];
        if (window.cancels) throw new DOMException('', 'AbortError');
      };
    """)
    begin(phone, server)
    phone.click("#save")
    phone.wait_for_function("() => window.shared?.size > 5000 && window.shared.type === 'image/jpeg'")
    phone.evaluate("() => { window.shared = null; window.cancels = true }")
    phone.click("#save")
    phone.wait_for_function("() => window.shared")
    expect(phone.locator("#error")).to_be_hidden()
    phone.click("#more")
    expect(phone.locator("#share")).to_be_hidden()  # it would do the same


def test_the_cameras_are_turned_and_chosen_with_their_light_and_zoom(phone: Page, server: Server) -> None:
    phone.add_init_script(CAMERAS)
    phone.goto(server.url)
    phone.click("#start")
    phone.wait_for_selector("body[data-state=live]", timeout=20_000)
    assert phone.evaluate("() => window.asked[0].facingMode") == {"ideal": "environment"}
    phone.click("#torch")
    expect(phone.locator("#torch")).to_have_attribute("aria-pressed", "true")
    phone.fill("#zoom-by", "2.5")
    expect(phone.locator("#zoom-is")).to_have_text("2.5×")
    assert phone.evaluate("() => window.asked.slice(1)") == [{"torch": True}, {"zoom": 2.5}]
    until(lambda: is_green(grab(phone)))
    phone.click("#flip")
    until(lambda: not is_green(grab(phone)))
    assert phone.evaluate("() => window.asked.at(-1).facingMode") == {"exact": "user"}
    expect(phone.locator("#torch")).to_be_hidden()
    expect(phone.locator("#zoom")).to_be_hidden()
    phone.click("#more")
    phone.select_option("#camera-id", label="environment camera")
    until(lambda: is_green(grab(phone)))
    assert watch(phone, "state") == "live"


def is_green(picture: Any) -> bool:
    """The rear camera's colour, under whatever heat."""
    red, green, _ = picture.mean((0, 1))
    return bool(green > red)


@pytest.mark.long
def test_a_camera_that_another_app_uses_is_said_in_words(phone: Page, server: Server) -> None:
    phone.add_init_script("""
      navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('busy', 'NotReadableError'); };
    """)
    phone.goto(server.url)
    phone.click("#start")
    expect(phone.locator("#error")).to_contain_text("another app or tab")
    expect(phone.locator("#start")).to_be_visible()
    assert_accessible(phone)


@pytest.mark.long
def test_the_screen_stays_awake_while_a_picture_is_live(phone: Page, server: Server) -> None:
    phone.add_init_script("""
      window.locks = [];
      Object.defineProperty(navigator, 'wakeLock', { value: { request: async () => {
        const lock = { released: false, release: async () => { lock.released = true; } };
        window.locks.push(lock);
        return lock;
      } } });
    """)
    begin(phone, server)
    assert phone.evaluate("() => window.locks.map(({ released }) => released)") == [False]
    # The browser lets go of it while the page is hidden.
    phone.evaluate("() => { window.locks[0].released = true; document.dispatchEvent(new Event('visibilitychange')); }")
    phone.wait_for_function("() => window.locks.length === 2")
    phone.click("#stop")
    phone.wait_for_function("() => window.locks[1].released")


def test_a_bad_day_is_said_in_plain_words(phone: Page, tmp_path: Path) -> None:
    with serving(tmp_path, slowed=0.3) as slow:
        begin(phone, slow)
        expect(phone.locator("#bad-day")).to_contain_text(
            re.compile(r"The model takes (\d+ ms|[\d.]+ s) a frame"), timeout=15_000
        )
        expect(phone.locator("#exactness")).to_contain_text(re.compile(r"carried, (\d+ ms|[\d.]+ s) old"))
        phone.click("#chip")
        expect(phone.locator("#details")).to_contain_text("efficientnet-lite0")


@pytest.mark.long
def test_a_server_that_stands_still_is_not_called_a_slow_network(phone: Page, tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, port=port) as server:
        begin(phone, server)
        expect(phone.locator("#recording")).to_be_visible()
        server.process.send_signal(signal.SIGSTOP)
        nothing = "No picture comes back. If this lasts, the page connects again by itself."
        expect(phone.locator("#bad-day")).to_have_text(nothing, timeout=4_500)
        expect(phone.locator("#headline")).to_have_text(nothing)
        # The names stay, but nothing is said of now.
        expect(phone.locator("#labels .score")).to_have_text(["–"] * 5)
        expect(phone.locator("#labels li[data-explained=true]")).to_have_count(0)
        expect(phone.locator("#chip")).to_have_attribute("data-quality", "stalled")
        expect(phone.locator("#recording")).to_be_hidden()
        server.process.kill()
        phone.wait_for_selector("body[data-state=reconnecting]", timeout=20_000)
    with serving(tmp_path, port=port):
        phone.wait_for_selector("body[data-state=live]", timeout=30_000)
        expect(phone.locator("#bad-day")).to_be_hidden()
        expect(phone.locator("#headline")).to_have_text("Live.")
        expect(phone.locator("#chip")).to_have_attribute("data-quality", "good")
        expect(phone.locator("#labels .score").first).to_have_text(re.compile(r"\d%"))


def test_a_killed_server_is_said_within_three_seconds(phone: Page, tmp_path: Path) -> None:
    """Before, WebRTC noticed it after ten."""
    with serving(tmp_path) as server:
        begin(phone, server)
        phone.wait_for_timeout(1000)
        server.process.kill()
        phone.wait_for_selector("body[data-state=reconnecting]", timeout=3000)
        expect(phone.locator("#detail")).to_contain_text("The server does not answer. The page tries again by itself")


def test_a_call_made_again_goes_on_in_the_same_recording(phone: Page, tmp_path: Path) -> None:
    port = free_port()
    asked: list[str] = []
    phone.on("request", lambda request: asked.append(request.url) if "/call" in request.url else None)
    with serving(tmp_path, port=port) as before:
        begin(phone, before)
        recording = report(phone, "recording.id")
    assert recording
    phone.wait_for_selector("body[data-state=reconnecting]", timeout=20_000)
    with serving(tmp_path, port=port):
        phone.wait_for_selector("body[data-state=live]", timeout=30_000)
        until(lambda: report(phone, "recording.id") == recording)
        assert asked[-1].endswith(f"/call?continues={recording}")
        assert len(list((tmp_path / "recordings").iterdir())) == 2


@pytest.mark.long
def test_a_call_that_cannot_be_made_again_is_lost(phone: Page, server: Server) -> None:
    begin(phone, server)
    phone.wait_for_function("() => window.whycam.report.recording.state === 'on'")
    phone.route("**/call?*", lambda route: route.fulfill(status=400, content_type="text/plain", body="No."))
    phone.evaluate("() => window.whycam.connection.close()")
    phone.wait_for_selector("body[data-state=reconnecting]")
    assert phone.evaluate("() => document.querySelector('#last').width") == 640
    phone.wait_for_selector("body[data-state=lost]")
    expect(phone.locator("#headline")).to_have_text("The connection was lost.")
    expect(phone.locator("#again a")).to_be_visible()
    expect(phone.locator("#start")).to_have_text("Start again")
    assert_accessible(phone)


@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.long)])
def test_no_state_keeps_anybody_out(browser: Browser, server: Server, scheme: Any) -> None:
    context = browser.new_context(viewport=PHONE, locale="de-DE", color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    begin(page, server)
    assert_accessible(page)
    page.click("#more")
    page.click("#chip")
    page.wait_for_selector("#details dt")
    assert_accessible(page)
    page.click("#more")
    page.click(BEST)
    page.click(SECOND)
    page.click("#freeze")
    page.wait_for_selector("body[data-state=frozen]")
    page.wait_for_selector("#labels [data-pinned=second]")
    assert_accessible(page)
    page.set_viewport_size({"width": 1280, "height": 800})
    assert_accessible(page)
    assert page.evaluate("() => document.getAnimations().length") == 0
    page.click("#stop")
    page.wait_for_selector("body[data-state=ended]")
    assert_accessible(page)
    context.close()


LAYOUT = """() => {
  const shown = [...document.querySelectorAll('button, select, input, a, summary')].filter((e) => e.checkVisibility({
    visibilityProperty: true, opacityProperty: true }) && !e.closest('.hidden'));
  const touched = (e) => (e.closest('label') ?? e).getBoundingClientRect();
  const boxes = shown.map((e) => [e.id || e.className || e.textContent, touched(e)]);
  return {
    small: boxes.filter(([, { width, height }]) => Math.min(width, height) < 43.5).map(([name]) => name),
    outside: boxes.filter((_, i) => !shown[i].closest('.cover, #settings')) // those scroll
      .filter(([, { left, top, right, bottom }]) => left < 0 || top < 0 || right > innerWidth + .5
        || bottom > innerHeight + .5).map(([name]) => name),
    scrolls: document.documentElement.scrollWidth > innerWidth || document.documentElement.scrollHeight > innerHeight,
  };
}"""


def test_before_a_call_everything_can_be_touched(phone: Page, server: Server) -> None:
    phone.goto(server.url)
    phone.wait_for_selector("body[data-state=idle]")
    for width, height in SIZES:
        phone.set_viewport_size({"width": width, "height": height})
        assert phone.evaluate(LAYOUT) == {"small": [], "outside": [], "scrolls": False}, (width, height)


def test_everything_is_in_reach_in_every_size_and_nothing_jumps(phone: Page, server: Server) -> None:
    phone.add_init_script(TWO_CAMERAS)
    begin(phone, server)
    for width, height in SIZES:
        phone.set_viewport_size({"width": width, "height": height})
        for _ in ("closed", "open"):  # the settings, where they take the place of the labels
            phone.wait_for_timeout(150)
            layout = phone.evaluate(LAYOUT)
            assert layout == {"small": [], "outside": [], "scrolls": False}, (width, height)
            if phone.locator("#more").is_visible():
                phone.click("#more")
    phone.set_viewport_size(PHONE)
    phone.wait_for_timeout(300)
    phone.evaluate("""() => {
      window.shifted = [];
      new PerformanceObserver((list) => list.getEntries().forEach((entry) => window.shifted.push(
        ...entry.sources.map(({ node }) => node?.id || node?.parentElement?.id || node?.nodeName))))
        .observe({ type: 'layout-shift' });
    }""")
    for control in ("#hide", BEST, SECOND, "#freeze", "#more", "#chip", "#peek", "#more", "#chip"):
        phone.click(control)
        phone.wait_for_timeout(250)
    assert phone.evaluate("() => window.shifted") == []


def test_in_german_numbers_have_a_comma(browser: Browser, server: Server) -> None:
    context = browser.new_context(viewport=PHONE, locale="de-DE", reduced_motion="reduce")
    page = context.new_page()
    page.add_init_script(TWO_CAMERAS)
    begin(page, server)
    number = re.compile(r"^(\d{1,3}|\d,\d)\u00a0%$")
    expect(page.locator("#labels .score")).to_have_text([number] * 5)
    page.fill("#zoom-by", "2.5")
    expect(page.locator("#zoom-is")).to_have_text("2,5×")
    context.close()


@pytest.mark.long
def test_settings_that_do_not_fit_fade_until_they_are_scrolled_to_their_end(phone: Page, server: Server) -> None:
    begin(phone, server)
    phone.click("#more")
    settings = phone.locator("#settings")
    expect(settings).to_have_attribute("data-below", "true")
    settings.evaluate("(settings) => settings.scrollTo(0, settings.scrollHeight)")
    expect(settings).to_have_attribute("data-below", "false")


def test_the_keyboard_reaches_every_control_and_a_screen_reader_hears_what_is_seen(phone: Page, server: Server) -> None:
    begin(phone, server)
    expect(phone.locator("#said")).to_have_text(re.compile(r"espresso, \d+%"), timeout=10_000)
    phone.click("#more")
    wanted = {"stop", "chip", "peek", "sought", "opacity", "freeze", "hide", "record", "save", "more"}
    reached: set[str] = set()
    for _ in range(40):
        phone.keyboard.press("Tab")
        reached.add(phone.evaluate("() => document.activeElement?.id ?? ''"))
    assert wanted - reached == set()
    phone.locator("#colormap input").first.focus()
    phone.keyboard.press("ArrowRight")
    until(lambda: report(phone, "view.colormap") == "viridis")
    phone.click("#more")
    phone.click("#stop")
    expect(phone.locator("#said")).to_have_text("")
