"""Each layout in each style: size, position of the heat, and label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.films import media_samples
from tests.support.models import tiny_models
from whycam.models.contract import Fitting
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.preprocess import Fit
from whycam.stream.overlay.colormaps import colours
from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.overlay.layouts import LAYOUTS, LayoutName
from whycam.stream.overlay.painter import Painter
from whycam.stream.overlay.renderer import Look, Renderer
from whycam.stream.overlay.styles import STYLES, StyleName, usual_view
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes, rgb_frame, rgb_of

SIZE = (320, 240)
CELLS = 8


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(tiny_models.model(tmp_path_factory.mktemp("models") / "tiny.onnx"), threads=1)


def hot(row: int, column: int, class_id: int = 0, score: float = 0.5) -> DrawnMap:
    grid = np.zeros((CELLS, CELLS), np.uint8)
    grid[row, column] = 255
    return DrawnMap(class_id, f"class {class_id}", score, grid, 1.0)


MAPS = tuple(
    hot(row, column, number, 0.5 - number / 10)
    for number, (row, column) in enumerate([(6, 6), (6, 1), (3, 6), (4, 4), (2, 2)])
)


def look(style: StyleName = "blend", layout: LayoutName = "overlay") -> Look:
    return Look(usual_view(style, (), None, None), layout, style)


def drawn(contract: Explainer, wanted: Look, size: tuple[int, int] = SIZE, *maps: DrawnMap) -> av.VideoFrame:
    frame = media_samples.frame(media_samples.noise(size) // 8 + 90, 7)
    return Renderer.of(wanted, contract.contract).draw(frame, maps or MAPS)


def background(size: tuple[int, int] = SIZE) -> Bytes:
    return rgb_of(media_samples.frame(media_samples.noise(size) // 8 + 90))


def test_by_default_the_pixels_equal_the_painters(contract: Explainer) -> None:
    frame, expected = (media_samples.frame(media_samples.noise(SIZE), 7) for _ in range(2))
    Painter(Fit("stretch", (tiny_models.SIZE, tiny_models.SIZE))).paint(expected, MAPS, View())
    shown = Renderer.of(Look(), contract.contract).draw(frame, MAPS)
    assert shown is frame
    assert all(
        np.array_equal(a, b) for a, b in zip(media_samples.pixels(shown), media_samples.pixels(expected), strict=True)
    )


@pytest.mark.parametrize("size", [SIZE, (240, 320), (38, 22), (2, 2), (1918, 1078)])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_its_size_and_time(
    contract: Explainer, layout: LayoutName, style: StyleName, size: tuple[int, int]
) -> None:
    shown = drawn(contract, replace(look(style, layout), legend=True, top=3), size)
    width, height = size
    wide = {"side-by-side": 2 * width, "grid": max(4, width // 2 // 2 * 4)}.get(layout, width)
    high = max(4, height // 2 // 2 * 4) if layout == "grid" else height
    assert (shown.width, shown.height) == (wide, high)
    assert shown.pts == 7


@pytest.mark.parametrize("style", STYLES)
def test_side_by_side_is_the_frame_and_the_overlay(contract: Explainer, style: StyleName) -> None:
    shown = rgb_of(drawn(contract, look(style, "side-by-side")))
    assert np.abs(shown[:, : SIZE[0] - 2].astype(int) - background()[:, :-2]).max() <= 1
    overlay = rgb_of(drawn(contract, look(style, "overlay")))
    assert np.abs(shown[:, SIZE[0] + 2 :].astype(int) - overlay[:, 2:]).max() <= 1


def test_the_heat_alone_has_the_colours_of_the_map(contract: Explainer) -> None:
    wanted = replace(look(layout="heatmap"), label=False)
    block = np.zeros((CELLS, CELLS), np.uint8)
    block[5:, 5:] = 255
    shown = rgb_of(drawn(contract, wanted, SIZE, replace(MAPS[0], grid=block))).astype(int)
    table = colours("inferno").astype(int)
    assert np.abs(shown[-20, -20] - table[255]).max() <= 4
    assert np.abs(shown[10, 10] - table[0]).max() <= 4
    some = shown.reshape(-1, 1, 3)[::997]
    assert np.abs(some - table).max(2).min(1).max() <= 4


def test_the_heat_alone_in_the_books_colours_goes_from_blue_to_red(contract: Explainer) -> None:
    shown = rgb_of(drawn(contract, replace(look("book", "heatmap"), label=False))).astype(int)
    assert shown[10, 10].argmax() == 2
    assert shown[6 * SIZE[1] // 8 + 15, 6 * SIZE[0] // 8 + 20].argmax() == 0


@pytest.mark.parametrize("style", STYLES)
def test_a_grid_has_the_four_best_each_with_its_own_heat(contract: Explainer, style: StyleName) -> None:
    shown = rgb_of(drawn(contract, replace(look(style, "grid"), label=False))).astype(int)
    none = [replace(each, grid=np.zeros_like(each.grid)) for each in MAPS]
    cold = rgb_of(drawn(contract, replace(look(style, "grid"), label=False), SIZE, *none)).astype(int)
    changed = np.abs(shown - cold).sum(2)
    for number, each in enumerate(MAPS[:4]):
        y, x = number // 2 * SIZE[1] // 2, number % 2 * SIZE[0] // 2
        tile = changed[y : y + SIZE[1] // 2, x : x + SIZE[0] // 2]
        row, column = np.unravel_index(tile.argmax(), tile.shape)
        where = np.unravel_index(each.grid.argmax(), each.grid.shape)
        assert abs(int(row) * 8 // (SIZE[1] // 2) - int(where[0])) <= 1
        assert abs(int(column) * 8 // (SIZE[0] // 2) - int(where[1])) <= 1


def test_in_a_grid_the_pinned_class_comes_first(contract: Explainer) -> None:
    held = replace(look(layout="grid"), view=View(pinned=(4,)))
    ordered = drawn(contract, look(layout="grid"), SIZE, MAPS[4], *MAPS[:4])
    assert np.array_equal(rgb_of(drawn(contract, held)), rgb_of(ordered))


def test_a_model_of_few_classes_leaves_the_rest_of_the_grid_black(contract: Explainer) -> None:
    shown = rgb_of(drawn(contract, look(layout="grid"), SIZE, *MAPS[:3]))
    assert shown[SIZE[1] // 2 + 4 :, SIZE[0] // 2 + 4 :].max() <= 3


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_outside_the_crop_nothing_is_painted(contract: Explainer, layout: LayoutName, style: StyleName) -> None:
    wanted = replace(look(style, layout), fit="crop", label=False)
    full = [replace(each, grid=np.full((CELLS, CELLS), 255, np.uint8)) for each in MAPS]
    shown = rgb_of(drawn(contract, wanted, SIZE, *full)).astype(int)
    edge = shown[:, -20:] if layout != "grid" else shown[:, -8:]
    middle = (
        shown[:, -SIZE[0] // 2 : -SIZE[0] // 2 + 20]
        if layout != "grid"
        else shown[:, -SIZE[0] // 4 : -SIZE[0] // 4 + 8]
    )
    assert edge.std(axis=(0, 1)).max() < 12
    if layout == "heatmap":
        assert edge.max() <= 3
    else:
        assert np.abs(edge.mean((0, 1)) - edge.mean()).max() < 12  # still grey
    assert np.abs(middle.mean((0, 1)) - edge.mean((0, 1))).max() > 40


def label_height(frame: av.VideoFrame, plain: av.VideoFrame) -> int:
    rows = np.nonzero(np.abs(rgb_of(frame).astype(int) - rgb_of(plain)).sum(2)[:, :8].max(1) > 20)[0]
    return int(rows.max()) + 1 if len(rows) else 0


@pytest.mark.parametrize("style", STYLES)
def test_the_label_names_the_requested_number_of_classes(contract: Explainer, style: StyleName) -> None:
    flat = [replace(each, grid=np.zeros_like(each.grid)) for each in MAPS]
    none = drawn(contract, replace(look(style), label=False), SIZE, *flat)
    heights = [label_height(drawn(contract, replace(look(style), top=top), SIZE, *flat), none) for top in (1, 2, 3, 5)]
    assert heights == sorted(set(heights))
    steps = (heights[1] - heights[0], heights[2] - heights[1], (heights[3] - heights[2]) / 2)
    assert max(steps) - min(steps) <= 2
    assert label_height(none, none) == 0


def test_below_the_threshold_the_label_says_not_sure(contract: Explainer) -> None:
    renderer = Renderer.of(replace(look(), sure=0.45), contract.contract)
    assert renderer.label_lines(MAPS, View()) == ["50% class 0"]
    assert renderer.label_lines(MAPS[2:], View()) == ["not sure: 30% class 2"]
    assert renderer.label_lines(MAPS, View(pinned=(3,))) == ["not sure: 20% class 3"]
    several = Renderer.of(replace(look(), sure=0.6, top=2), contract.contract)
    assert several.label_lines(MAPS, View()) == ["not sure: 50% class 0", "40% class 1"]


@pytest.mark.parametrize("style", STYLES)
def test_the_legend_goes_from_the_coldest_to_the_hottest_colour(contract: Explainer, style: StyleName) -> None:
    size = (1280, 720)
    with_legend = rgb_of(drawn(contract, replace(look(style), legend=True), size)).astype(int)
    without = rgb_of(drawn(contract, look(style), size)).astype(int)
    rows, columns = np.nonzero(np.abs(with_legend - without).sum(2) > 12)
    assert rows.min() > 0.9 * size[1]
    assert columns.min() > 0.7 * size[0]
    line = with_legend[(int(rows.min()) + size[1]) // 2]
    table = Renderer.of(look(style), contract.contract)._style.colours(look(style).view.colormap, 1)[0].astype(int)
    nearest = [int(np.abs(line - colour).sum(1).argmin()) for colour in table[32::32]]
    assert nearest == sorted(nearest)
    assert nearest[0] > columns.min()


def test_an_rgb_frame_can_be_drawn_in_either_style(contract: Explainer) -> None:
    for style in STYLES:
        frame = rgb_frame(media_samples.noise((65, 49)), 3)
        shown = Renderer.of(look(style), contract.contract).draw(frame, MAPS)
        assert (shown.width, shown.height, shown.pts) == (65, 49, 3)


@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_the_network_sees_what_the_fit_says(contract: Explainer, fit: Fitting) -> None:
    for style in STYLES:
        picture = Renderer.of(replace(look(style), fit=fit), contract.contract).input_image(
            media_samples.frame(media_samples.spot(SIZE))
        )
        assert picture.shape == (tiny_models.SIZE, tiny_models.SIZE, 3)
    assert len(colours("inferno")) == 256


def test_more_classes_are_requested_if_the_label_names_more(contract: Explainer) -> None:
    assert Renderer.of(Look(top=8), contract.contract).targets == [-1, -2, -3, -4, -5, -6, -7, -8]
    assert Renderer.of(Look(View(pinned=(3,)), top=20), contract.contract).targets == [*range(-1, -11, -1), 3]


def test_the_default_view_of_a_style_can_be_changed(tmp_path: Path) -> None:
    assert usual_view("blend", (), None, None) == View()
    assert usual_view("book", (2,), None, None) == View((2,), 0.4, "jet")
    assert usual_view("book", (), 0.5, "viridis") == View((), 0.5, "viridis")
