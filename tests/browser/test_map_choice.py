"""The choice of a map, and the difference of two classes, on the host's camera page, on a phone and on the wall."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.browser.axe import assert_accessible
from tests.browser.camera import start_browser
from tests.browser.pages import begin, watch
from tests.browser.publishing import published
from tests.support.films import media_samples
from tests.support.models import tiny_models
from tests.support.servers.server_process import Server, free_port, lan_arguments, serving

pytestmark = pytest.mark.alone

METHODS = ("grad-cam", "hirescam", "signed")
LARGE = ".tile[data-small=false][data-state=seen]"
TYPED_AFTER_CLOSING = """() => {
    document.getElementById("models").close();
    const { id } = document.activeElement;  // until the next picture is drawn
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "d", bubbles: true }));
    return id;
}"""
LEGEND = "Orange: speaks for {} rather than {}; Blue: the other way round"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model with two layers, two methods and signed maps, and one with a single map."""
    folder = tmp_path_factory.mktemp("maps")
    own = folder / "data" / "whycam" / "models"
    own.mkdir(parents=True)
    tiny_models.several_maps(own / "maps.onnx", methods=METHODS)
    tiny_models.bright_spot(own / "colours.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        arguments = ["--no-record", "--model", "maps", *lan_arguments(folder, free_port())]
        with serving(folder, arguments=arguments) as running:
            yield running


@pytest.fixture(autouse=True)
def first_map(server: Server, page: Page) -> None:
    """Each test begins with the file's first map."""
    wanted = {"name": "maps", "map": {"method": "grad-cam", "layer": "feature"}}
    answer = page.request.post(f"{server.url}/api/model", data=wanted)
    assert answer.ok, answer.text()


@pytest.fixture(scope="module")
def beamer(playwright: Playwright) -> Iterator[Browser]:
    chromium = start_browser(playwright)
    yield chromium
    chromium.close()


def drawn_by(page: Page, method: str, layer: str, report: str = "whycam.report") -> None:
    page.wait_for_function(
        f"() => {report}?.map.method === '{method}' && {report}.map.layer === '{layer}' && {report}.labels.length",
        timeout=20_000,
    )


def test_the_host_chooses_method_and_layer_and_a_phone_sees_which(page: Page, server: Server, browser: Browser) -> None:
    begin(page, server)
    drawn_by(page, "grad-cam", "feature")
    expect(page.locator("#map-method option")).to_have_text(["Grad-CAM", "HiResCAM"])
    expect(page.locator("#map-layer option")).to_have_text(["8×8 · coarse", "16×16 · fine"])
    page.locator("#map-layer").focus()
    page.select_option("#map-layer", "fine")
    expect(page.locator("#model-status")).to_have_text("The other heatmap is loading; the picture goes on.")
    drawn_by(page, "grad-cam", "fine")
    expect(page.locator("#error")).to_have_text("The heatmap is Grad-CAM, 16×16 now.")
    expect(page.locator("#map-layer")).to_be_focused()
    page.select_option("#map-method", label="HiResCAM")
    drawn_by(page, "hirescam", "fine")  # the layer stays
    expect(page.locator("#map-layer")).to_have_value("fine")
    assert_accessible(page)
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 390, "height": 844})
    phone = context.new_page()
    phone.goto(server.invitation)
    phone.click("#start")
    drawn_by(phone, "hirescam", "fine")
    phone.click("#chip")
    expect(phone.locator("#details")).to_contain_text("HeatmapHiResCAM, 16×16")
    phone.click("#more")
    expect(phone.locator("#models")).to_be_hidden()
    refused = phone.evaluate(
        """async () => (await fetch('/api/model', {
          method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"map": {"method": "grad-cam"}}',
        })).status"""
    )
    assert refused == 403
    context.close()


def test_a_method_that_is_chosen_at_once_keeps_the_layer(page: Page, server: Server) -> None:
    """Also before the list of models and maps has been loaded anew: here it never is."""
    begin(page, server)
    drawn_by(page, "grad-cam", "feature")
    page.route("**/api/models", lambda route: route.abort("connectionrefused"))
    page.select_option("#map-layer", "fine")
    drawn_by(page, "grad-cam", "fine")
    page.select_option("#map-method", label="HiResCAM")
    drawn_by(page, "hirescam", "fine")


@pytest.mark.long
def test_with_one_map_there_is_no_choice_of_one(page: Page, server: Server) -> None:
    assert page.request.post(f"{server.url}/api/model", data={"name": "colours"}).ok
    page.goto(server.url)
    expect(page.locator("#model-id")).to_have_value("colours")
    for select in ("#map-method", "#map-layer"):
        assert page.locator("label", has=page.locator(select)).get_attribute("hidden") is not None
    begin(page, server)
    page.wait_for_function("() => whycam.report?.labels.length > 1")
    pin_two(page)
    page.wait_for_timeout(500)
    expect(page.locator("#difference")).to_be_hidden()


def pin_two(page: Page) -> None:
    """While the picture is frozen, so that no name moves: a press means the class that was in the row 0.3 s before."""
    page.click("#freeze")
    page.wait_for_function("() => whycam.report.frozen")
    for place, count in ((0, 1), (1, 2)):
        page.wait_for_timeout(1000)
        page.locator("#labels button").nth(place).click()
        page.wait_for_function(f"() => whycam.report.view.hold.length === {count}")
    page.click("#freeze")
    page.wait_for_function("() => !whycam.report.frozen")


def assert_beside(page: Page, sign: str, button: str) -> None:
    """What is said is seen, and covers no part of the button."""
    expect(page.locator(sign)).to_be_visible()
    said, pressed = page.locator(sign).bounding_box(), page.locator(button).bounding_box()
    assert said is not None
    assert pressed is not None
    above = said["y"] + said["height"] <= pressed["y"] or pressed["y"] + pressed["height"] <= said["y"]
    assert above or pressed["x"] + pressed["width"] <= said["x"] or said["x"] + said["width"] <= pressed["x"]


@pytest.mark.parametrize(
    "size",
    [(390, 844), pytest.param((1280, 800), marks=pytest.mark.long), pytest.param((844, 390), marks=pytest.mark.long)],
)
def test_two_pinned_classes_are_drawn_as_their_difference(page: Page, server: Server, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    begin(page, server)
    page.wait_for_function("() => whycam.report?.labels.length > 1")
    button, legend = page.locator("#difference"), page.locator("#legend")
    expect(button).to_be_hidden()
    pin_two(page)
    expect(button).to_be_visible()
    expect(legend).to_be_hidden()
    button.focus()
    page.keyboard.press("Enter")
    expect(legend).to_be_visible(timeout=10_000)
    first, second = (each["label"] for each in watch(page, "report")["held"])
    expect(legend).to_have_text(LEGEND.format(first, second))
    expect(button).to_have_attribute("aria-pressed", "true")
    assert watch(page, "report")["difference"]
    assert_accessible(page)
    page.click("#freeze")
    expect(page.locator("body")).to_have_attribute("data-state", "frozen")
    expect(legend).to_be_visible()
    assert_beside(page, "#seen", "#difference")
    button.click()
    page.wait_for_function("() => !whycam.report.difference && whycam.report.frozen")
    expect(legend).to_be_hidden()
    button.click()
    page.wait_for_function("() => whycam.report.difference && whycam.report.frozen")
    page.locator("#labels button").nth(0).click()  # one class has no difference
    page.wait_for_function("() => !whycam.report.difference && !whycam.report.view.difference")
    expect(button).to_be_hidden()
    expect(legend).to_be_hidden()


@pytest.mark.long
def test_the_wall_chooses_maps_and_shows_a_difference_by_keys(beamer: Browser, server: Server) -> None:
    wall = beamer.new_page(viewport={"width": 1280, "height": 720})
    wall.goto(f"{server.url}/watch")
    with published(server, media_samples.encoded("H264", 60, (320, 240))):
        expect(wall.locator(LARGE)).to_be_visible(timeout=20_000)
        drawn_by(wall, "grad-cam", "feature", "whycam.tiles[0]?.report")
        wall.keyboard.press("d")
        expect(wall.locator("#note")).to_have_text("A difference is of two classes. Pin two of them first.")
        expect(wall.locator("#difference")).to_be_hidden()
        wall.keyboard.press("1")
        wall.wait_for_function("() => whycam.tiles[0].report.view.hold.length === 1")
        wall.keyboard.press("2")
        wall.wait_for_function("() => whycam.tiles[0].report.view.hold.length === 2")
        wall.mouse.move(300, 300)
        expect(wall.locator("#difference")).to_be_visible()
        wall.keyboard.press("d")
        wall.wait_for_function("() => whycam.tiles[0].report.difference")
        names = [each["label"] for each in wall.evaluate("() => whycam.tiles[0].report.held")]
        expect(wall.locator(".tile .signs")).to_contain_text(LEGEND.format(*names))
        assert_accessible(wall)
        wall.keyboard.press("m")
        expect(wall.locator("#map-method")).to_be_visible()
        wall.locator("#map-layer").focus()
        wall.select_option("#map-layer", "fine")
        drawn_by(wall, "grad-cam", "fine", "whycam.tiles[0]?.report")
        expect(wall.locator("#models-status")).to_have_text("The heatmap is Grad-CAM, 16×16 now.")
        expect(wall.locator("#map-layer")).to_be_focused()
        assert_accessible(wall)
        for layer, said in (("feature", ""), ("fine", "The heatmap is Grad-CAM, 16×16 now.")):  # from another page
            changed = {"map": {"method": "grad-cam", "layer": layer}}
            assert wall.request.post(f"{server.url}/api/model", data=changed).ok
            drawn_by(wall, "grad-cam", layer, "whycam.tiles[0]?.report")
            expect(wall.locator("#models-status")).to_have_text(said)
        wall.wait_for_function("() => whycam.tiles[0].report.difference")  # of the finer layer
        wall.keyboard.press("Escape")
        expect(wall.locator("#models")).to_be_hidden()
        wall.keyboard.press("d")
        wall.wait_for_function("() => !whycam.tiles[0].report.difference")
        expect(wall.locator(".tile .signs")).not_to_contain_text("Orange")
        wall.keyboard.press("m")
        expect(wall.locator("#models")).to_be_visible()
        wall.locator("#map-layer").focus()
        assert wall.evaluate(TYPED_AFTER_CLOSING) == "map-layer"
        wall.wait_for_function("() => whycam.tiles[0].report.difference")
        wall.keyboard.press("0")
    wall.context.close()


@pytest.mark.long
def test_a_model_without_signed_maps_says_what_adds_one(beamer: Browser, server: Server, page: Page) -> None:
    assert page.request.post(f"{server.url}/api/model", data={"name": "colours"}).ok
    wall = beamer.new_context(locale="de-DE").new_page()
    wall.goto(f"{server.url}/watch")
    with published(server):
        expect(wall.locator(LARGE)).to_be_visible(timeout=20_000)
        wall.wait_for_function(
            "() => whycam.tiles[0]?.report?.model === 'colours' && whycam.tiles[0].report.labels.length"
        )
        for key in "12":
            wall.keyboard.press(key)
            wall.wait_for_function(f"() => whycam.tiles[0].report.view.hold.length === {key}")
        wall.keyboard.press("d")
        expect(wall.locator("#note")).to_contain_text("keine Heatmap mit Vorzeichen")
    wall.context.close()
