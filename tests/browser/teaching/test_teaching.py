"""The panel that teaches one's own classes: against the real server, else against a double of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import assert_accessible
from tests.browser.pages import begin, watch
from tests.browser.publishing import published
from tests.browser.reports import rewrite
from tests.browser.states.teaching import NAMES, SCORES, open_panel, shown
from tests.browser.teaching.taught import FIRST, TaughtServer, place
from tests.support.servers.server_process import Server, free_port, lan_arguments, serving

pytestmark = pytest.mark.alone

EVIL = "<img src=x onerror='window.broken = true'>"
PATIENCE_MS = 20_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("teaching")
    with serving(folder, arguments=["--no-record", *lan_arguments(folder, free_port())]) as running:
        yield running


def state_of(page: Page) -> Any:
    return page.evaluate("async () => (await fetch('/api/teaching')).json()")


def hold(page: Page, name: str, examples: int) -> None:
    """Press the class's button with the mouse until this many examples are counted on it."""
    card = page.locator(".taught", has=page.get_by_role("heading", name=name, exact=True))
    before = int(card.locator(".count").text_content() or 0)
    card.locator(".hold").hover()
    page.mouse.down()
    expect(card.locator(".hold")).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(600)  # a shorter press would begin without being held
    page.wait_for_function(
        "([number, count]) => whycam.report.teaching?.class === number && whycam.report.teaching.examples >= count",
        arg=[int(card.get_attribute("data-class") or 0), before + examples],
        timeout=PATIENCE_MS,
    )
    page.mouse.up()
    expect(card.locator(".hold")).to_have_attribute("aria-pressed", "false")


def test_two_things_that_are_shown_are_the_classes_from_then_on(page: Page, server: Server) -> None:
    begin(page, server)
    page.click("#teach-open")
    page.click("#class-other")
    page.fill("#class-name", "mug")
    page.press("#class-name", "Enter")
    expect(page.locator(".taught-name")).to_have_text(["Something else", "mug"], timeout=PATIENCE_MS)
    hold(page, "Something else", 3)
    assert watch(page, "report.class_set") == ""
    hold(page, "mug", 4)
    page.wait_for_function("() => whycam.report.teaching === null && whycam.report.class_set", timeout=PATIENCE_MS)
    expect(page.locator("#shows input[value=taught]")).to_be_checked()
    expect(page.locator("#accuracy")).to_have_text(
        "Too few examples to say how good it is: show each thing once more, from another side."
    )
    expect(page.locator(".example img").first).to_have_js_property("complete", True)
    assert page.locator(".example img").first.evaluate("(image) => image.naturalWidth") > 0

    page.click("#teach-close")
    page.fill("#sought", "MUG")
    page.press("#sought", "Enter")
    mug = next(each["class"] for each in state_of(page)["classes"] if each["name"] == "mug")
    page.wait_for_function(f"() => String(whycam.report.view.hold) === '{mug}'", timeout=PATIENCE_MS)
    expect(page.locator("#labels li[data-pinned=only] .name")).to_have_text("mug")

    page.click("#teach-open")
    page.get_by_role("button", name="Rename mug").click()
    page.keyboard.type("cup")
    page.keyboard.press("Enter")
    before = watch(page, "report.class_set")
    page.wait_for_function(f"() => ![ '', '{before}' ].includes(whycam.report.class_set)", timeout=PATIENCE_MS)
    expect(page.locator("#labels li[data-pinned=only] .name")).to_have_text("cup", timeout=PATIENCE_MS)
    assert watch(page, "report.view.hold") == [mug]

    page.locator("#shows label", has=page.locator("input[value=own]")).click()
    page.wait_for_function("() => whycam.report.class_set === '' && whycam.report.classes.every((c) => c < 1000)")
    page.click("#teach-clear")
    page.click("#teach-clear-yes")
    expect(page.locator(".taught")).to_have_count(0, timeout=PATIENCE_MS)
    assert state_of(page)["classes"] == []


@pytest.mark.long
def test_a_button_is_held_by_pointer_or_key_and_switched_by_a_short_press_or_a_click(
    page: Page, server: Server
) -> None:
    open_panel(page, server.url, TaughtServer(NAMES))
    page.evaluate("() => { navigator.vibrate = (ms) => { window.ticks = (window.ticks ?? 0) + 1; return true } }")
    button = page.locator(".hold").nth(1)

    def commands() -> Any:
        return page.evaluate("() => window.commands.splice(0)")

    button.hover()
    page.mouse.down()
    page.wait_for_function("() => window.giving?.examples > 41", timeout=PATIENCE_MS)
    page.wait_for_function("() => Number(document.querySelectorAll('.hold .count')[1].textContent) > 40")
    page.mouse.up()
    assert commands() == [FIRST + 1, None]
    assert page.evaluate("() => window.ticks") >= 2
    button.click()  # short: it stays on
    page.wait_for_timeout(900)
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert commands() == [FIRST + 1, None]
    button.focus()
    page.keyboard.down(" ")
    page.wait_for_timeout(400)
    for _ in range(3):
        page.keyboard.down(" ")  # the key repeats
    page.keyboard.up(" ")
    assert commands() == [FIRST + 1, None]
    button.evaluate("(button) => button.click()")  # a screen reader's click
    page.locator(".hold").first.evaluate("(button) => button.click()")  # another class takes over
    expect(button).to_have_attribute("aria-pressed", "false")
    page.wait_for_function(f"() => window.giving?.class === {FIRST}", timeout=PATIENCE_MS)
    page.evaluate("() => { window.giving = null }")  # it ends by itself
    expect(page.locator(".hold[aria-pressed=true]")).to_have_count(0, timeout=PATIENCE_MS)
    assert commands() == [FIRST + 1, FIRST]
    button.hover()
    page.mouse.down()
    page.wait_for_timeout(400)
    page.locator("#teach-close").evaluate("(close) => close.click()")
    page.mouse.up()
    assert commands() == [FIRST + 1, None]


def test_names_are_text_and_what_went_wrong_is_said(page: Page, server: Server) -> None:
    double = TaughtServer([EVIL, "mug"], accuracy={"share": 0.9, "tested": 10})
    double.wrong = [{"example": 4, "class": FIRST, "taken_for": FIRST + 1, "probability": 0.83}]
    double.places = [place(FIRST, suspicious=True), place(FIRST + 1, suspicious=False)]
    open_panel(page, server.url, double)
    rewrite(page, **shown([EVIL, "mug"], [0.9, 0.1]))
    expect(page.locator(".taught .score")).to_have_text(["90%", "10%"])
    expect(page.locator("#accuracy")).to_have_text("9 of 10 right, of examples that it did not see while it learned.")
    page.click("#mistakes summary")
    expect(page.locator(".mistake p")).to_have_text(f"It took “{EVIL}” for “mug”, with 83%: it looked here.")
    page.click("#places summary")
    expect(page.locator(".place h3")).to_have_text([EVIL, "mug"])
    expect(page.locator(".place .suspicious")).to_have_text(
        ["It may have learned the background: move the object and try again."]
    )
    assert [page.locator(".place canvas").first.evaluate(f"(c) => c.{side}") for side in ("width", "height")] == [7, 7]
    assert_accessible(page)
    page.locator(".example").first.click()
    expect(page.locator("#example-title")).to_have_text(EVIL)
    expect(page.locator("#example-heat")).to_be_visible()
    assert_accessible(page)
    page.click("#example-remove")
    expect(page.locator(".taught").first.locator(".example")).to_have_count(2)
    assert ("DELETE", "/api/teaching/examples/0", None) in double.asked
    page.click("#teach-close")
    expect(page.locator("#labels .name").first).to_have_text(EVIL)
    assert page.evaluate("() => window.broken") is None


def test_the_host_saves_and_says_who_may_teach(page: Page, server: Server) -> None:
    double = TaughtServer(NAMES, undo={"what": "examples", "class": "mug", "count": 31})
    open_panel(page, server.url, double)
    expect(page.locator("#teach-undo")).to_have_text("Undo: 31 examples of mug")
    page.click("#teach-undo")
    expect(page.locator("#teach-undo")).to_be_hidden()
    page.fill("#class-name", " MUG ")
    page.press("#class-name", "Enter")
    expect(page.locator("#class-status")).to_have_text("There is “MUG” already.")
    page.fill("#teach-model", "kitchen")
    page.press("#teach-model", "Enter")
    expect(page.locator("#teach-saved")).to_have_text("Saved as kitchen: a model of this computer from now on.")
    for link, file in zip(page.locator("#teach-download a").all(), ("model.onnx", "classes.json"), strict=True):
        expect(link).to_have_attribute("href", f"/api/teaching/{file}")
    page.fill("#teach-model", "mugs")
    page.check("#teach-keep")
    page.press("#teach-model", "Enter")
    expect(page.locator("#teach-saved")).to_have_text(
        "Saved as mugs, with its examples: a model of this computer from now on."
    )
    expect(page.locator("#teach-keep")).not_to_be_checked()
    page.check("#teach-phones")
    page.get_by_role("button", name="Remove mug", exact=True).click()
    expect(page.locator(".taught")).to_have_count(2)
    asked = [(method, path, body) for method, path, body in double.asked if method != "GET"]
    assert asked == [
        ("POST", "/api/teaching", {"undo": True}),
        ("POST", "/api/teaching/save", {"name": "kitchen", "keep": False}),
        ("POST", "/api/teaching/save", {"name": "mugs", "keep": True}),
        ("POST", "/api/teaching", {"phones": True}),
        ("DELETE", f"/api/teaching/classes/{FIRST + 1}", None),
    ]
    page.keyboard.press("Escape")
    expect(page.locator("#teach")).to_be_hidden()
    expect(page.locator("#teach-open")).to_be_focused()


@pytest.mark.long
def test_a_phone_teaches_only_if_it_may_and_the_host_reads_why_nobody_can(browser: Browser, server: Server) -> None:
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 390, "height": 844}, locale="en-GB")
    phone = context.new_page()
    double = TaughtServer(NAMES)
    double.serve(phone)
    phone.goto(server.invitation)
    phone.click("#start")
    expect(phone.locator("body")).to_have_attribute("data-state", "live", timeout=PATIENCE_MS)
    expect(phone.locator("#teach-open")).to_be_hidden()
    double.changes["phones"] = True
    expect(phone.locator("#teach-open")).to_be_visible(timeout=PATIENCE_MS)
    phone.click("#teach-open")
    expect(phone.locator("#shows-now")).to_have_text("The pictures show what we taught.")
    for hosts in ("#shows", "#keeping", "#teach-undo", ".taught .rename", ".taught .remove"):
        expect(phone.locator(hosts).first).to_be_hidden()
    below, above = (phone.locator(each).bounding_box() for each in ("#teach", ".picture"))
    assert below is not None
    assert above is not None
    assert above["y"] + above["height"] <= below["y"] + 1
    assert_accessible(phone)
    double.classes[0]["removable"] = [1, 2]  # the first is of another device
    phone.wait_for_timeout(1_500)  # the state is loaded each second
    for example, may_remove in ((0, False), (1, True)):
        phone.click(f"[data-example='{example}']")
        expect(phone.locator("#example-remove")).to_be_visible(visible=may_remove)
        phone.click("#example-close")
    double.changes |= {"possible": False, "says": "A softmax follows it twice."}
    expect(phone.locator("#teach")).to_be_hidden(timeout=PATIENCE_MS)
    expect(phone.locator("#teach-open")).to_be_hidden()
    context.close()
    host = browser.new_page(locale="de-DE")
    double.changes["warning"] = "mugs.examples.zip is damaged."
    open_panel(host, server.url, double)
    expect(host.locator("#teach-why")).to_have_text("Der Server sagt: „A softmax follows it twice.“")
    expect(host.locator("#teach-body")).to_be_hidden()
    double.changes["possible"] = True
    expect(host.locator("#teach-warning")).to_have_text("Der Server sagt: „mugs.examples.zip is damaged.“")
    host.close()


@pytest.mark.long
def test_the_wall_says_who_shows_what_and_which_classes_are_shown(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, arguments=["--no-record"]) as running, published(running):
        TaughtServer(NAMES).serve(page)
        page.goto(f"{running.url}/watch")
        expect(page.locator(".tile[data-state=seen]")).to_be_visible(timeout=PATIENCE_MS)
        rewrite(page, **shown(NAMES, SCORES))
        page.evaluate("(number) => { window.giving = { class: number, examples: 31 } }", FIRST + 1)
        (session,) = page.request.get(f"{running.url}/api/sessions").json()
        signs = page.locator(".tile .signs span")
        expect(signs.first).to_contain_text(f"{session['giver']} shows: mug, ", timeout=PATIENCE_MS)
        expect(signs.last).to_have_text("What we taught")
        assert_accessible(page)
        page.evaluate("() => { window.giving = null }")
        rewrite(page, class_set="", state="exact")
        expect(signs).to_have_text(["What it knew"], timeout=PATIENCE_MS)
