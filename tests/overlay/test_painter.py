"""Heat and label on a frame: in the right place and colours, and nowhere else."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.films import media_samples
from tests.support.models import tiny_models
from whycam.models.contract import Fitting
from whycam.stream.inference.explainer import BEST, MAX_PINNED, Explainer
from whycam.stream.inference.preprocess import Fit
from whycam.stream.overlay.colormaps import COLORMAPS, PINNED_COLORS, Colormap
from whycam.stream.overlay.heatmap import DrawnMap, chosen, drawn_maps, without_repeats
from whycam.stream.overlay.painter import Painter
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes

SIZE = (192, 144)
CELLS = 8
# The hottest colour of each colormap, as published by its authors.
HOTTEST = {name: tuple(round(255 * part) for part in matplotlib.colormaps[name](1.0)[:3]) for name in COLORMAPS}
"""RGB, as matplotlib has it."""


def drawn(grid: NDArray[Any], class_id: int = 0, label: str = "cup", *, score: float = 0.5) -> DrawnMap:
    return DrawnMap(class_id, label, score, np.asarray(grid, np.uint8), 1.0)


def cell(row: int, column: int, heat: int = 255) -> Bytes:
    """A map (8, 8) with heat in one cell."""
    grid = np.zeros((CELLS, CELLS), np.uint8)
    grid[row, column] = heat
    return grid


def everywhere(heat: int) -> Bytes:
    return np.full((CELLS, CELLS), heat, np.uint8)


def grey(size: tuple[int, int] = SIZE, level: int = 96) -> av.VideoFrame:
    return media_samples.frame(np.full((size[1], size[0], 3), level, np.uint8))


def painter(kind: Fitting = "stretch") -> Painter:
    return Painter(Fit(kind, (32, 32)))


def painted(frame: av.VideoFrame, *maps: DrawnMap, view: View | None = None, kind: Fitting = "stretch") -> Bytes:
    """The luma after painting."""
    painter(kind).paint(frame, maps, view or View())
    return media_samples.pixels(frame)[0]


def label_box(size: tuple[int, int] = SIZE, label: str = "cup") -> tuple[int, int]:
    """Width and height in pixels of the area that a label alone changes."""
    frame = grey(size)
    changed = (
        painted(frame, drawn(everywhere(255), label=label), view=View(opacity=0)) != media_samples.pixels(grey(size))[0]
    )
    rows, columns = np.nonzero(changed)
    return int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize(("row", "column"), [(2, 5), (6, 1), (4, 4), (7, 7), (3, 0)])
def test_heat_is_drawn_where_the_map_is_hot(row: int, column: int) -> None:
    luma = painted(grey(), drawn(cell(row, column))).astype(int)
    changed = np.abs(luma - media_samples.pixels(grey())[0])
    box_width, box_height = label_box()
    changed[:box_height, :box_width] = 0
    y, x = np.unravel_index(changed.argmax(), changed.shape)
    assert int(y) * CELLS // SIZE[1] == row
    assert int(x) * CELLS // SIZE[0] == column
    assert changed.max() > 60


def test_a_cold_place_keeps_its_pixels_exactly() -> None:
    frame, before = (
        media_samples.frame(media_samples.noise(SIZE)),
        media_samples.pixels(media_samples.frame(media_samples.noise(SIZE))),
    )
    painter().paint(frame, [drawn(cell(6, 6))], View(opacity=1))
    for plane, was in zip(media_samples.pixels(frame), before, strict=True):
        height, width = plane.shape
        far = np.ones(plane.shape, bool)
        far[height * 3 // 8 :, width * 3 // 8 :] = False  # two cells of cubic interpolation around the hot one
        box_width, box_height = label_box()
        far[: box_height * height // SIZE[1] + 1, : box_width * width // SIZE[0] + 1] = False
        assert np.array_equal(plane[far], was[far])
        assert not np.array_equal(plane, was)


@pytest.mark.parametrize(("heat", "opacity"), [(0, 1.0), (255, 0.0)])
def test_without_heat_or_without_opacity_only_the_label_is_drawn(heat: int, opacity: float) -> None:
    frame, before = (
        media_samples.frame(media_samples.noise(SIZE)),
        media_samples.pixels(media_samples.frame(media_samples.noise(SIZE))),
    )
    painter().paint(frame, [drawn(everywhere(heat))], View(opacity=opacity))
    for plane, was in zip(media_samples.pixels(frame), before, strict=True):
        rows, columns = np.nonzero(plane != was)
        assert 0 < rows.max() < plane.shape[0] * 0.15
        assert 0 < columns.max() < plane.shape[1] * 0.5


def test_without_a_map_the_frame_stays_as_it_is() -> None:
    frame, before = grey(), media_samples.pixels(grey())
    painter().paint(frame, [], View())
    assert all(np.array_equal(now, was) for now, was in zip(media_samples.pixels(frame), before, strict=True))


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("colormap", COLORMAPS)
def test_the_hottest_place_has_the_colormaps_hottest_colour(
    matrix: media_samples.Matrix, full_range: bool, colormap: Colormap
) -> None:
    frame = media_samples.frame(
        np.full((SIZE[1], SIZE[0], 3), media_samples.BLUE, np.uint8), matrix=matrix, full_range=full_range
    )
    painter().paint(frame, [drawn(everywhere(255))], View(opacity=1, colormap=colormap))
    found = media_samples.colour_at(frame, 150, 100, matrix=matrix, full_range=full_range)
    assert np.abs(found - HOTTEST[colormap]).max() <= 3


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("opacity", [0.25, 0.5, 0.75])
def test_opacity_mixes_the_heat_with_the_picture(
    matrix: media_samples.Matrix, full_range: bool, opacity: float
) -> None:
    background = (200, 60, 20)
    frame = media_samples.frame(
        np.full((SIZE[1], SIZE[0], 3), background, np.uint8), matrix=matrix, full_range=full_range
    )
    painter().paint(frame, [drawn(everywhere(255))], View(opacity=opacity, colormap="viridis"))
    expected = opacity * np.array(HOTTEST["viridis"]) + (1 - opacity) * np.array(background)
    assert np.abs(media_samples.colour_at(frame, 150, 100, matrix=matrix, full_range=full_range) - expected).max() <= 4


def test_more_heat_covers_more() -> None:
    background = media_samples.pixels(grey())[0][100, 150]
    covered = []
    for heat in (0, 32, 64, 128, 192, 255):
        frame = media_samples.frame(media_samples.noise(SIZE))
        contrast = painted(frame, drawn(everywhere(heat)), view=View(opacity=0.9))[60:, 60:].std()
        covered.append(float(contrast))
    assert covered == sorted(covered, reverse=True)
    assert covered[0] > 5 * covered[-1]
    assert background > 0


def test_the_scale_multiplies_the_whole_map() -> None:
    half = replace(drawn(everywhere(200)), scale=0.5)
    assert np.array_equal(painted(grey(), half), painted(grey(), drawn(everywhere(100))))
    too_much = replace(drawn(everywhere(200)), scale=9.0)
    assert np.array_equal(painted(grey(), too_much), painted(grey(), drawn(everywhere(255))))


def test_the_best_class_is_drawn_unless_others_are_pinned() -> None:
    best, second, third = (drawn(cell(0, 0), class_id) for class_id in (7, 3, 9))
    maps = (best, second, third)
    assert chosen(maps, View()) == (best,)
    assert chosen(maps, View(pinned=(3,))) == (second,)
    assert chosen(maps, View(pinned=(9, 3))) == (third, second)
    assert chosen(maps, View(pinned=(4,))) == (best,)
    assert chosen((), View(pinned=(4,))) == ()


def test_a_pinned_class_is_drawn_instead_of_the_best() -> None:
    best, pinned = drawn(cell(6, 1), 0, "cup"), drawn(cell(4, 6), 1, "jug", score=0.1)
    assert np.array_equal(painted(grey(), best, pinned, view=View(pinned=(1,))), painted(grey(), pinned))
    assert not np.array_equal(painted(grey(), best, pinned), painted(grey(), pinned))


ORANGE, BLUE = (255, 158, 27), (58, 160, 255)


def test_of_two_pinned_classes_the_first_is_orange_and_the_second_blue() -> None:
    left, right = everywhere(0), everywhere(0)
    left[:, :3] = right[:, 5:] = 255
    maps = drawn(left, 0), drawn(right, 1)
    for pinned, colours in (((0, 1), (ORANGE, BLUE)), ((1, 0), (BLUE, ORANGE))):
        frame = grey()
        painter().paint(frame, maps, View(pinned, opacity=1))
        for x, expected in ((20, colours[0]), (170, colours[1])):
            assert np.abs(media_samples.colour_at(frame, x, 120) - expected).max() <= 3


BASE = Path(__file__).parents[2] / "web" / "shared" / "base.css"


def test_the_page_and_the_painter_have_the_same_two_colours() -> None:
    style = BASE.read_text(encoding="utf-8")
    assert [PINNED_COLORS[0], PINNED_COLORS[1]] == [
        re.findall(rf"--{name}: (#\w+);", style)[0] for name in ("first", "second")
    ]


def test_each_place_has_the_colour_of_the_class_that_is_hottest_there() -> None:
    one, other = everywhere(100), everywhere(0)
    other[:, 4:] = 200
    frame = grey()
    painter().paint(frame, [drawn(one, 0), drawn(other, 1)], View((0, 1), opacity=1))
    alone = grey()
    painter().paint(alone, [drawn(one, 0), drawn(everywhere(0), 1)], View((0, 1), opacity=1))
    cold, hot = media_samples.colour_at(frame, 20, 120), media_samples.colour_at(frame, 170, 120)
    assert np.abs(cold - media_samples.colour_at(alone, 20, 120)).max() <= 2
    assert hot[2] > hot[0] + 60  # blue, although the other class is orange there
    assert cold[0] > cold[2] + 10


@pytest.mark.parametrize("count", [2, 3, 5])
def test_several_pinned_classes_have_different_colours(count: int) -> None:
    frame = grey()
    grids = [everywhere(0) for _ in range(count)]
    for number, grid in enumerate(grids):
        grid[:, number] = 255
    painter().paint(frame, [drawn(g, n) for n, g in enumerate(grids)], View(tuple(range(count)), opacity=1), ())
    found = [media_samples.colour_at(frame, round((n + 0.5) * SIZE[0] / CELLS), 100) for n in range(count)]
    apart = [np.abs(a - b).max() for number, a in enumerate(found) for b in found[:number]]
    assert min(apart) > 40


def test_there_is_a_colour_for_each_class_that_may_be_pinned() -> None:
    assert len(set(PINNED_COLORS)) == MAX_PINNED


def test_one_pinned_class_has_the_colormap() -> None:
    frame, best = grey(), grey()
    painter().paint(frame, [drawn(everywhere(200), 0)], View((0,)))
    painter().paint(best, [drawn(everywhere(200), 0)], View())
    assert all(
        np.array_equal(a, b) for a, b in zip(media_samples.pixels(frame), media_samples.pixels(best), strict=True)
    )


@pytest.mark.parametrize(
    "draw",
    [
        lambda frame: painter().paint(frame, [drawn(everywhere(255))], View(opacity=1)),
        lambda frame: painter().write(frame, "The model is restarting."),
    ],
    ids=["heat", "a sentence"],
)
def test_painting_decoded_frames_does_not_change_later_frames(draw: Callable[[av.VideoFrame], None]) -> None:
    stored = io.BytesIO()
    with av.open(stored, "w", format="h264") as file:
        stream = file.add_stream("libx264", 30, options={"preset": "medium", "bf": "3", "refs": "4"})
        stream.width, stream.height = SIZE
        for number in range(30):
            file.mux(stream.encode(media_samples.frame(media_samples.spot(SIZE, number), number)))
        file.mux(stream.encode(None))

    def decode(draw: Callable[[av.VideoFrame], None] | None) -> list[tuple[Bytes, Bytes, Bytes]]:
        found = []
        with av.open(io.BytesIO(stored.getvalue()), "r", format="h264") as file:
            file.streams.video[0].thread_type = "NONE"
            for frame in file.decode(video=0):
                found.append(media_samples.pixels(frame))
                if draw is not None:
                    draw(frame)
                    assert not np.array_equal(media_samples.pixels(frame)[0], found[-1][0])
        return found

    clean, beside_paint = decode(None), decode(draw)
    assert len(clean) == 30
    for now, was in zip(beside_paint, clean, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(now, was, strict=True))


@pytest.mark.parametrize("size", [(192, 144), (193, 145), (144, 192), (150, 85)])
def test_only_the_part_that_the_network_sees_is_painted(size: tuple[int, int]) -> None:
    x, y, width, height = Fit("crop", (32, 32)).rectangle(*size)
    frame, before = (
        media_samples.frame(media_samples.noise(size)),
        media_samples.pixels(media_samples.frame(media_samples.noise(size))),
    )
    painter("crop").paint(frame, [drawn(everywhere(255))], View(opacity=1))
    for plane, was in zip(media_samples.pixels(frame), before, strict=True):
        half = 2 if plane.shape[1] < size[0] else 1
        outside = np.ones(plane.shape, bool)
        outside[y // half : -(-(y + height) // half), x // half : -(-(x + width) // half)] = False
        inside = ~outside
        box_width, box_height = label_box(size)
        outside[: -(-box_height // half), : -(-box_width // half)] = False
        assert np.array_equal(plane[outside], was[outside])
        if half == 1:
            assert np.ptp(plane[inside][plane[inside].size // 3 :].astype(int)) <= 2


@pytest.mark.parametrize("background", [0, 96, 255])
def test_the_label_is_readable_on_any_background(background: int) -> None:
    size = (640, 480)
    box_width, box_height = label_box(size)
    luma = painted(grey(size, background), drawn(everywhere(0)))[: box_height - 1, : box_width - 1]
    letters = luma > 200
    box = np.median(luma)
    assert 0.05 < letters.mean() < 0.5
    assert 235 - box > 130
    assert box_height >= 480 // 25


def test_a_sentence_is_written_at_the_labels_position_and_nowhere_else() -> None:
    frame, before = (
        media_samples.frame(media_samples.noise(SIZE)),
        media_samples.pixels(media_samples.frame(media_samples.noise(SIZE))),
    )
    painter().write(frame, "100% cup")
    luma, was = media_samples.pixels(frame)[0], before[0]
    rows, columns = np.nonzero(luma != was)
    box_width, box_height = label_box(label="cup")  # with a score of 50%, one digit less
    assert rows.max() < box_height
    assert 0.5 * box_width < columns.max() < 1.5 * box_width
    assert luma[:box_height, :box_width].max() > 200


def test_another_label_looks_different() -> None:
    cup = painted(grey(), drawn(everywhere(0), label="cup"))
    assert not np.array_equal(cup, painted(grey(), drawn(everywhere(0), label="cap")))
    assert not np.array_equal(cup, painted(grey(), drawn(everywhere(0), label="cup", score=0.9)))
    assert np.array_equal(cup, painted(grey(), drawn(everywhere(0), label="cup")))


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (192, 144), (96, 400)])
def test_a_long_label_shrinks_until_its_end_is_visible(size: tuple[int, int]) -> None:
    long = "black-and-tan coonhound with a very long name "
    width, height = label_box(size, long)
    assert width < size[0]
    assert height <= label_box(size, "cup")[1]
    one, other = (painted(grey(size), drawn(everywhere(0), label=long + end)) for end in ("a", "b"))
    assert not np.array_equal(one, other)


def test_letters_that_the_font_lacks_become_question_marks() -> None:
    luma = painted(grey(), drawn(everywhere(0), label="Käse 芝士"))
    assert np.array_equal(luma, painted(grey(), drawn(everywhere(0), label="K?se ??")))


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 40), (40, 1), (3, 5), (16, 9), (2, 300)])
@pytest.mark.parametrize("kind", ["stretch", "crop"])
@pytest.mark.parametrize("view", [View(opacity=1), View(opacity=1, occlude=True), View((0, 1), 1, occlude=True)])
def test_frames_of_any_size_can_be_painted(size: tuple[int, int], kind: Fitting, view: View) -> None:
    frame = grey(size)
    painter(kind).paint(frame, [drawn(cell(3, 4)), drawn(everywhere(255), 1)], view)
    assert (frame.width, frame.height) == size


def test_a_new_map_in_the_memory_of_an_old_one_is_drawn_anew() -> None:
    used = painter()
    for number in range(40):
        heat = drawn(cell(number // CELLS + 2, number % CELLS))
        frame, expected = grey(), grey()
        used.paint(frame, [heat], View())
        painter().paint(expected, [heat], View())
        assert np.array_equal(media_samples.pixels(frame)[0], media_samples.pixels(expected)[0])
        del heat  # so that the next one may reuse its memory


def test_a_painter_never_shows_what_it_drew_before() -> None:
    used, random = painter("crop"), np.random.default_rng(5)
    grids = [random.integers(0, 256, (CELLS, CELLS), np.uint8) for _ in range(2)]
    views = [View(), View(opacity=0.3), View(colormap="turbo"), View(pinned=(1,)), View(pinned=(1, 0), occlude=True)]
    matrices: tuple[media_samples.Matrix, ...] = ("bt601", "bt709")
    for _ in range(200):
        scale, view, matrix = random.choice([0.5, 1.0]), views[random.integers(5)], matrices[random.integers(2)]
        full_range, size = bool(random.integers(2)), (SIZE, (SIZE[1], SIZE[0]))[random.integers(2)]
        maps = [replace(drawn(grids[i]), class_id=i, scale=scale) for i in random.permutation(2)]
        frames = [media_samples.frame(media_samples.spot(size), matrix=matrix, full_range=full_range) for _ in range(2)]
        used.paint(frames[0], maps, view)
        painter("crop").paint(frames[1], maps, view)
        for now, expected in zip(media_samples.pixels(frames[0]), media_samples.pixels(frames[1]), strict=True):
            assert np.array_equal(now, expected)


def test_a_map_drawn_again_looks_the_same() -> None:
    used, heat = painter(), drawn(cell(4, 4))
    frames = [grey() for _ in range(3)]
    for frame in frames:
        used.paint(frame, [heat], View())
    assert all(np.array_equal(media_samples.pixels(frames[0])[0], media_samples.pixels(frame)[0]) for frame in frames)


def test_an_explanation_is_drawn_with_its_labels_scores_and_maps(tmp_path: Path) -> None:
    explainer = Explainer(tiny_models.model(tmp_path / "tiny.onnx"), threads=1)
    explanation = explainer.explain(tiny_models.images(3), [*BEST, 4])
    maps = drawn_maps(explanation, 2, explainer.contract.labels)
    best = np.argsort(explanation.scores[2])[::-1]
    assert [m.class_id for m in maps[:5]] == best[:5].tolist()
    assert [m.label for m in maps[:5]] == [f"class {c}" for c in best[:5]]
    assert [m.score for m in maps[:5]] == pytest.approx(explanation.scores[2, best[:5]].tolist(), abs=1e-6)
    for index, each in enumerate(maps):
        assert each.grid.dtype == np.uint8
        assert np.abs(each.grid / 255 - explanation.heatmaps[2, index]).max() <= 0.501 / 255
        assert each.evidence == pytest.approx(float(explanation.evidence[2, index]))


def test_a_pinned_class_that_is_among_the_best_is_there_once_at_its_first_position() -> None:
    maps = [drawn(cell(row, 2), class_id) for row, class_id in enumerate((7, 3, 9, 3, 4))]
    assert [m.class_id for m in without_repeats(maps)] == [7, 3, 9, 4]


def test_each_target_has_its_map_even_if_two_mean_the_same_class(tmp_path: Path) -> None:
    explainer = Explainer(tiny_models.model(tmp_path / "tiny.onnx"), threads=1)
    best = int(explainer.explain(tiny_models.images(1), [-1]).classes[0, 0])
    maps = drawn_maps(explainer.explain(tiny_models.images(1), [best, -2, -1]), 0, explainer.contract.labels)
    assert [m.class_id == best for m in maps] == [True, False, True]


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"colormap": "rainbow"}, "There is no colormap 'rainbow'. Choose one of inferno"),
        ({"scale": "log"}, "There is no scale 'log'. Choose one of own, steady."),
        ({"opacity": 1.5}, "The opacity should be 0 to 1, it is 1.5."),
        ({"opacity": -0.1}, "The opacity should be 0 to 1"),
        ({"opacity": float("nan")}, "The opacity should be 0 to 1"),
        ({"pinned": tuple(range(MAX_PINNED + 1))}, "At most 5 classes can be held, these are 6."),
    ],
)
def test_a_view_that_cannot_be_drawn_is_refused_with_a_sentence(choice: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        View(**choice)


def test_a_view_keeps_its_old_names_on_the_wire_and_on_disk() -> None:
    """Clients and recordings of every version depend on them, in this order."""
    settings = View(pinned=(3,), opacity=0.4, colormap="magma", scale="steady", occlude=True).settings()
    assert list(settings.items()) == [
        ("hold", (3,)),
        ("opacity", 0.4),
        ("colormap", "magma"),
        ("scale", "steady"),
        ("hide", True),
    ]
