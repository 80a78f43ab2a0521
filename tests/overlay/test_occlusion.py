"""Covering evidence: the hottest region is filled from its surroundings."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data

from tests.support.films import media_samples
from whycam.models import catalog
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.preprocess import Fit
from whycam.stream.overlay.heatmap import DrawnMap, OcclusionResult, caption
from whycam.stream.overlay.occlusion import mask_of, occlude, occlude_image
from whycam.stream.overlay.painter import Painter
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes

SIZE = (160, 120)
CELLS = 8


def hot(row: int, column: int, *, heat: int = 255) -> Bytes:
    grid = np.zeros((CELLS, CELLS), np.uint8)
    grid[row, column] = heat
    return grid


def gradient(size: tuple[int, int] = SIZE) -> Bytes:
    """A layer that is brighter from left to right."""
    return np.tile(np.linspace(40, 200, size[0]).astype(np.uint8), (size[1], 1))


def test_places_hotter_than_half_of_the_maximum_are_covered_and_cold_ones_are_not() -> None:
    grid = np.tile(np.linspace(0, 200, CELLS).astype(np.uint8), (CELLS, 1))
    covered = mask_of(grid, (CELLS, CELLS))  # each place is a cell
    assert covered[grid >= 100].min() == 255
    assert covered[grid < 0.34 * 200].max() == 0


@pytest.mark.parametrize("heat", [1, 40, 255])
def test_the_maximum_of_the_map_does_not_matter(heat: int) -> None:
    strong, weak = mask_of(hot(3, 5), SIZE), mask_of(hot(3, 5, heat=heat), SIZE)
    assert np.abs(strong.astype(int) - weak).mean() < (60 if heat == 1 else 2)
    assert weak[3 * 15 + 7, 5 * 20 + 10] == 255


def test_without_evidence_nothing_is_covered() -> None:
    covered = mask_of(np.zeros((CELLS, CELLS), np.uint8), SIZE)
    assert not covered.any()
    layer = media_samples.noise(SIZE)[..., 0].copy()
    before = layer.copy()
    occlude(layer, covered)
    assert np.array_equal(layer, before)


def test_uncovered_pixels_are_unchanged() -> None:
    covered = mask_of(hot(4, 4), SIZE)
    layer = media_samples.noise(SIZE)[..., 0].copy()
    before = layer.copy()
    occlude(layer, covered)
    assert np.array_equal(layer[covered == 0], before[covered == 0])
    assert (covered == 255).mean() > 0.01


def test_nothing_below_the_cover_remains() -> None:
    covered = mask_of(hot(4, 4), SIZE)
    one, other = (  # two images that differ only under the cover, including its soft edge
        np.ascontiguousarray(
            np.where(covered > 0, media_samples.noise(SIZE, number)[..., 0], media_samples.noise(SIZE, 0)[..., 0])
        )
        for number in (1, 2)
    )
    for layer in (one, other):
        occlude(layer, covered)
    soft = (covered > 0) & (covered < 255)
    assert soft.any()
    assert np.array_equal(one[~soft], other[~soft])


def test_the_fill_continues_the_surroundings_smoothly() -> None:
    layer, covered = gradient(), mask_of(hot(4, 4), SIZE)
    layer[covered > 0] = 255  # a bright thing on a gradient
    occlude(layer, covered)
    assert np.abs(layer[covered == 255].astype(int) - gradient()[covered == 255]).max() < 20
    edges = np.abs(np.diff(layer.astype(int), axis=1))
    assert edges[np.minimum(covered[:, 1:], covered[:, :-1]) == 255].max() <= 4


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 40), (3, 5), (640, 480), (97, 400)])
def test_images_of_any_size_can_be_covered_partly_or_completely(size: tuple[int, int]) -> None:
    for grid in (hot(0, 0), np.full((CELLS, CELLS), 255, np.uint8)):
        layer = gradient(size)
        mean = layer.mean()
        occlude(layer, mask_of(grid, size))
        assert layer.shape == size[::-1]
        if grid.all():  # without surroundings the fill is the mean
            assert np.abs(layer - mean).max() <= 1


def drawn(grid: Bytes, class_id: int = 0) -> DrawnMap:
    return DrawnMap(class_id, "cup", 0.74, grid, 1.0)


def test_the_same_region_is_covered_on_the_frame_as_in_the_networks_input() -> None:
    rgb = media_samples.noise((40, 30)).repeat(4, axis=0).repeat(4, axis=1)
    frame = media_samples.frame(rgb)
    fit = Fit("stretch", (32, 32))
    before, seen = media_samples.pixels(frame), fit.image(frame)
    grid = hot(6, 6)
    Painter(fit).paint(frame, [drawn(grid)], View(opacity=0, occlude=True), ())
    changed = np.abs(media_samples.pixels(frame)[0].astype(int) - before[0]) > 8
    in_network = np.abs(occlude_image(seen, grid).astype(int) - seen).max(axis=2) > 8
    small = cv2.resize(changed.astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA) > 0.3
    assert in_network.sum() > 10
    both, either = (small & in_network).sum(), (small | in_network).sum()
    assert both / either > 0.5


def test_a_covered_region_is_shown_without_heat_and_the_rest_with_it() -> None:
    grid = np.full((CELLS, CELLS), 80, np.uint8)
    grid[2:6, 4:] = 255
    frame, plain = media_samples.frame(media_samples.spot(SIZE)), media_samples.frame(media_samples.spot(SIZE))
    painter = Painter(Fit("stretch", (32, 32)))
    painter.paint(frame, [drawn(grid)], View(opacity=1, occlude=True), ())
    painter.paint(plain, [drawn(grid)], View(opacity=1), ())
    assert (
        np.abs(media_samples.colour_at(frame, 130, 50) - media_samples.GREY).max() < 8
    )  # the background, where it is hottest
    assert np.abs(media_samples.colour_at(plain, 130, 50) - media_samples.GREY).max() > 100
    assert np.abs(media_samples.colour_at(frame, 20, 20) - media_samples.colour_at(plain, 20, 20)).max() < 3


def test_only_the_first_of_two_pinned_classes_is_covered() -> None:
    one, other = drawn(hot(6, 1), 0), drawn(hot(4, 6), 1)
    frames = [media_samples.frame(media_samples.noise(SIZE)) for _ in range(2)]
    for frame, pinned in zip(frames, ((0, 1), (1, 0)), strict=True):
        Painter(Fit("stretch", (32, 32))).paint(frame, [one, other], View(pinned, 0, occlude=True), ())
    before = media_samples.pixels(media_samples.frame(media_samples.noise(SIZE)))[0]
    changed = [media_samples.pixels(frame)[0] != before for frame in frames]
    assert changed[0][97, 30]
    assert not changed[0][67, 130]
    assert changed[1][67, 130]
    assert not changed[1][97, 30]


def test_a_label_has_both_probabilities_of_the_covered_class() -> None:
    hidden = OcclusionResult(0, "cup", 0.74, 0.09, 0.0)
    assert caption([drawn(hot(1, 1))], hidden) == "74% -> 9% cup"
    assert caption([drawn(hot(1, 1), 3)], hidden) == "74% cup"  # of another class


def test_covering_the_evidence_costs_more_than_covering_as_much_elsewhere() -> None:
    """On photographs, with the bundled model; `tests/bench/hiding.py` has the kitchen too."""
    explainer = Explainer(catalog.find("efficientnet-lite0"), threads=1)
    fit = Fit("stretch", explainer.contract.input_size)
    hottest, elsewhere = [], []
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        seen = fit.image(media_samples.frame(np.ascontiguousarray(getattr(skimage.data, name)())))
        found = explainer.explain(seen[None], [-1])
        class_id, grid = int(found.classes[0, 0]), np.rint(found.heatmaps[0, 0] * 255).astype(np.uint8)
        rows, columns = grid.shape
        moved = [np.roll(grid, (rows // 2, 0), (0, 1)), np.roll(grid, (0, columns // 2), (0, 1))]
        covered = np.stack([occlude_image(seen, each) for each in (grid, *moved)])
        scores = explainer.explain(covered, []).scores[:, class_id] / found.scores[0, class_id]
        hottest.append(float(scores[0]))
        elsewhere.append(float(scores[1:].mean()))
    assert np.mean(hottest) < 0.6 * np.mean(elsewhere), (hottest, elsewhere)
    assert np.mean(np.array(hottest) < elsewhere) >= 0.75, (hottest, elsewhere)  # a cat that fills the image is hard
