"""The heat that the page of recordings draws is the painter's: its enlargement, its colours, its strength."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, Route

from tests.support import ROOT
from tests.support.films import media_samples
from whycam.stream.inference.preprocess import Fit, Rectangle
from whycam.stream.overlay.colormaps import COLORMAPS, PINNED_COLORS, colours, colours_of
from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.overlay.painter import Painter, heat_planes
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes, as_bytes

WEB = ROOT / "web"
SIZE = (96, 64)
GREY = 128
PLANE = """async ([map, width, height]) => {
  const { heatPlane } = await import('/static/recordings/heatmap.js');
  return [...heatPlane({ ...map, grid: Uint8Array.from(map.grid) }, width, height)];
}"""
DRAWN = """async ([maps, look, film, fit, grey]) => {
  const { HeatmapPainter } = await import('/static/recordings/heatmap.js');
  const heat = document.createElement('canvas');
  new HeatmapPainter(heat).draw(maps.map((map) => ({ ...map, grid: Uint8Array.from(map.grid) })), look, film, fit);
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [film.width, film.height];
  const context = canvas.getContext('2d');
  context.fillStyle = `rgb(${grey} ${grey} ${grey})`;
  context.fillRect(0, 0, film.width, film.height);
  context.drawImage(heat, 0, 0, film.width, film.height);
  return [...context.getImageData(0, 0, film.width, film.height).data];
}"""


@pytest.fixture(scope="module")
def modules(browser: Browser) -> Iterator[Page]:
    """A page that can import the modules, without a server."""

    def answer(route: Route) -> None:
        path = WEB / route.request.url.partition("/static/")[2]
        if path.suffix == ".js":
            route.fulfill(path=path, content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html>", content_type="text/html")

    page = browser.new_page()
    page.route("**", answer)
    page.goto("http://localhost/")
    yield page
    page.close()


def grid_of(shape: tuple[int, int], seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def told(drawn: DrawnMap) -> dict[str, Any]:
    """A map as the page's sidecar has it."""
    rows, columns = drawn.grid.shape
    return {
        "class": drawn.class_id,
        "scale": drawn.scale,
        "rows": rows,
        "columns": columns,
        "grid": drawn.grid.ravel().tolist(),
    }


def drawn_map(class_id: int, grid: Bytes, scale: float = 1.0) -> DrawnMap:
    return DrawnMap(class_id, "x", 0.5, grid, 1.0, scale)


def test_the_colours_are_the_painters(modules: Page) -> None:
    for name in COLORMAPS:
        made = modules.evaluate(
            "async (name) => [...(await import('/static/shared/heat-colours.js')).coloursOf(name)]", name
        )
        assert made == colours(name).ravel().tolist()
    for place, color in enumerate(PINNED_COLORS):
        shade = modules.evaluate(
            "async (place) => [...(await import('/static/shared/heat-colours.js')).shadesOf(place)]", place
        )
        assert np.abs(np.array(shade) - colours_of(place).ravel()).max() <= 1, color


@pytest.mark.parametrize("shape", [(7, 7), (14, 14), (5, 9)])
@pytest.mark.parametrize("scale", [1.0, 0.37, 1.6])
def test_a_map_is_enlarged_as_the_painter_does_it(modules: Page, shape: tuple[int, int], scale: float) -> None:
    drawn = drawn_map(1, grid_of(shape), scale)
    width, height = SIZE
    (wanted,) = heat_planes([drawn], Rectangle(0, 0, width, height))[1]
    plane = modules.evaluate(PLANE, [told(drawn), width // 2, height // 2])
    made = np.array(plane, np.int64).reshape(wanted.shape)
    assert np.abs(made - wanted).max() <= 1
    assert wanted.std() > 20


@pytest.mark.parametrize("fit", ["stretch", "crop"])
@pytest.mark.parametrize("colormap", ["inferno", "viridis"])
@pytest.mark.parametrize("opacity", [0.7, 0.25])
def test_what_the_page_draws_is_what_the_painter_draws(modules: Page, fit: Any, colormap: Any, opacity: float) -> None:
    drawn = drawn_map(1, cv2_smooth(grid_of((7, 7), 3)))
    width, height = SIZE
    frame = media_samples.frame(np.full((height, width, 3), GREY, np.uint8))
    Painter(Fit(fit, (224, 224))).paint(frame, [drawn], View(opacity=opacity, colormap=colormap), lines=[])
    wanted = rgb(frame)
    look = {"colormap": colormap, "opacity": opacity}
    pixels = modules.evaluate(DRAWN, [[told(drawn)], look, {"width": width, "height": height}, fit, GREY])
    made = np.array(pixels, np.float64).reshape(height, width, 4)[..., :3]
    # The painter's chroma has half the size, the page's whole picture has: at steep edges they differ a little.
    assert np.abs(made - wanted).mean() < 1
    assert np.abs(made - wanted).max() < 10
    assert np.abs(wanted - GREY).max() > 60 * opacity
    if fit == "crop":
        left = (width - height) // 2
        assert np.abs(made[:, : left - 2] - GREY).max() <= 1
        assert np.abs(made[:, left + 2 : left + 12] - GREY).max() > 5


def cv2_smooth(grid: Bytes) -> Bytes:
    """As smooth as a network's map is."""
    return as_bytes(cv2.GaussianBlur(grid, (0, 0), 1.0))


def rgb(frame: av.VideoFrame) -> NDArray[np.float64]:
    luma, u, v = media_samples.pixels(frame)
    whole = [cv2.resize(plane, frame_size(frame), interpolation=cv2.INTER_LINEAR) for plane in (u, v)]
    return np.clip(media_samples.rgb_of(np.stack([luma, *whole], axis=-1)), 0, 255)


def frame_size(frame: av.VideoFrame) -> tuple[int, int]:
    return frame.width, frame.height


def test_two_held_classes_are_drawn_in_two_colours_as_the_painter_does_it(modules: Page) -> None:
    left, right = np.zeros((7, 7), np.uint8), np.zeros((7, 7), np.uint8)
    left[2:5, 0:3], right[2:5, 3:7] = 255, 200
    maps = [drawn_map(1, cv2_smooth(left)), drawn_map(2, cv2_smooth(right))]
    width, height = SIZE
    frame = media_samples.frame(np.full((height, width, 3), GREY, np.uint8))
    Painter(Fit("stretch", (224, 224))).paint(frame, maps, View(pinned=(1, 2)), lines=[])
    wanted = rgb(frame)
    look, size = {"colormap": "inferno", "opacity": 0.7}, {"width": width, "height": height}
    pixels = modules.evaluate(DRAWN, [[told(m) for m in maps], look, size, "stretch", GREY])
    made = np.array(pixels, np.float64).reshape(height, width, 4)[..., :3]
    assert np.abs(made - wanted).mean() < 1
    middle = height // 2
    assert made[middle, 12, 0] > made[middle, 12, 2] + 80  # orange
    assert made[middle, width - 24, 2] > made[middle, width - 24, 0] + 40  # blue


def test_an_opacity_of_nothing_draws_nothing(modules: Page) -> None:
    look = {"colormap": "inferno", "opacity": 0}
    drawn = told(drawn_map(1, grid_of((7, 7))))
    pixels = modules.evaluate(DRAWN, [[drawn], look, {"width": 64, "height": 64}, "stretch", GREY])
    assert set(pixels[0::4]) == {GREY}
