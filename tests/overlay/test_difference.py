"""The difference of two classes: it is the signed map of their logits' difference, in two colours, and says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.films import media_samples
from whycam.models.contract import Contract, ContractError, MapSpec
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.preprocess import Fit
from whycam.stream.overlay.colormaps import PINNED_COLORS
from whycam.stream.overlay.difference import check_difference, difference, with_difference
from whycam.stream.overlay.heatmap import DrawnMap, OcclusionResult, caption, drawn_maps, without_repeats
from whycam.stream.overlay.painter import Painter
from whycam.stream.overlay.renderer import Look, Renderer
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes, rgb_of

LABELS = ("banana", "slug", "cup", "spoon")
CLASSES = (1, 3, 0)
"""The explained classes, best first."""
BOTH = View((0, 1), difference=True)
CELLS = 4


def explained(signed: NDArray[np.float32] | None, images: int = 1) -> Explanation:
    """An explanation of the classes 1, 3 and 0, whose ordinary maps are hot in the first cell."""
    heatmaps = np.zeros((images, len(CLASSES), CELLS, CELLS), np.float32)
    heatmaps[..., 0, 0] = 1
    scores = np.tile(np.array([0.03, 0.77, 0.15, 0.05], np.float32), (images, 1))
    classes = np.tile(np.array(CLASSES, np.int64), (images, 1))
    return Explanation(scores, classes, heatmaps, np.ones((images, len(CLASSES)), np.float32), signed)


def signed_maps(seed: int = 0, images: int = 1) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return random.normal(0, 3, (images, len(CLASSES), CELLS, CELLS)).astype(np.float32)


def made(explanation: Explanation, view: View = BOTH, index: int = 0) -> dict[int, DrawnMap]:
    maps = with_difference(drawn_maps(explanation, index, LABELS), explanation, index, view)
    assert [each.class_id for each in maps] == list(CLASSES)
    return {each.class_id: each for each in maps}


@pytest.mark.parametrize("index", [0, 1])
def test_it_is_the_gradient_map_of_the_difference_of_two_logits(index: int) -> None:
    """For global average pooling and a dense layer: alpha of z_0 - z_1 is (W_0 - W_1) / cells."""
    random = np.random.default_rng(5)
    features = random.normal(0, 1, (2, 6, CELLS, CELLS))  # (N, channels, h, w)
    weights = random.normal(0, 1, (len(LABELS), 6))
    signed = np.array(
        [[sum(weights[c, k] * image[k] for k in range(6)) / CELLS**2 for c in CLASSES] for image in features]
    )
    alone = sum((weights[0, k] - weights[1, k]) * features[index, k] for k in range(6)) / CELLS**2
    maps = made(explained(signed.astype(np.float32), 2), index=index)
    largest = np.abs(alone).max()
    assert maps[0].evidence == maps[1].evidence == pytest.approx(largest, rel=1e-5)
    assert np.abs(maps[0].grid / 255 - np.clip(alone, 0, None) / largest).max() < 0.6 / 255
    assert np.abs(maps[1].grid / 255 - np.clip(-alone, 0, None) / largest).max() < 0.6 / 255
    assert {maps[0].scale, maps[1].scale} == {1.0}
    assert max(maps[0].grid.max(), maps[1].grid.max()) == 255


def test_no_place_speaks_for_both() -> None:
    maps = made(explained(signed_maps()))
    assert not (np.minimum(maps[0].grid, maps[1].grid)).any()


def test_the_other_order_exchanges_the_halves() -> None:
    explanation = explained(signed_maps())
    one, other = made(explanation), made(explanation, View((1, 0), difference=True))
    for class_id in (0, 1):
        assert np.array_equal(one[class_id].grid, other[class_id].grid)
        assert one[class_id].against == other[class_id].against == LABELS[1 - class_id]


@pytest.mark.parametrize(
    "view",
    [
        View((0, 1)),
        View((0,), difference=True),
        View((), difference=True),
        View((0, 1, 3), difference=True),
        View((0, 2), difference=True),  # a class that is not explained yet
    ],
)
def test_other_views_leave_every_map_as_it_is(view: View) -> None:
    explanation = explained(signed_maps())
    assert all(a is b for a, b in _pairs(explanation, view))


def test_without_signed_maps_every_map_stays_what_it_says_it_is() -> None:
    assert all(a is b and not a.against for a, b in _pairs(explained(None), BOTH))


def _pairs(explanation: Explanation, view: View) -> list[tuple[DrawnMap, DrawnMap]]:
    maps = drawn_maps(explanation, 0, LABELS)
    return list(zip(with_difference(maps, explanation, 0, view), maps, strict=True))


def test_a_class_that_is_not_compared_keeps_its_map() -> None:
    maps = made(explained(signed_maps()))
    assert maps[3].grid[0, 0] == 255
    assert maps[3].against == ""
    assert maps[3].evidence == 1


@pytest.mark.parametrize("value", [0.0, 2.5, np.nan, np.inf])
def test_equal_and_unusable_maps_have_no_heat(value: float) -> None:
    signed = np.full((1, len(CLASSES), CELLS, CELLS), value, np.float32)
    maps = made(explained(signed))
    assert not maps[0].grid.any()
    assert not maps[1].grid.any()
    assert maps[0].evidence == maps[1].evidence == 0


def test_large_values_do_not_overflow() -> None:
    large = np.full((2, 2), 3e38, np.float32)
    (first, second), peak = difference(large, -large)
    assert (first == 255).all()
    assert not second.any()
    assert peak == pytest.approx(6e38)


def test_each_half_is_drawn_in_its_class_colour_and_nothing_between() -> None:
    signed = np.zeros((1, len(CLASSES), CELLS, CELLS), np.float32)
    signed[0, CLASSES.index(0), 3, 0] = 4  # speaks for banana
    signed[0, CLASSES.index(1), 3, 3] = 4  # speaks for slug
    signed[0, :, 1, 1] = 7  # speaks for both, and so for neither
    explanation = explained(signed)
    maps = without_repeats(with_difference(drawn_maps(explanation, 0, LABELS), explanation, 0, BOTH))
    seen, plain = _painted(maps), _grey()
    for column, colour in ((8, PINNED_COLORS[0]), (120, PINNED_COLORS[1])):
        wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
        assert np.abs(seen[120, column] - (0.7 * wanted + 0.3 * 96)).max() < 16
    assert np.abs(seen[48, 48].astype(int) - plain[48, 48]).max() <= 2
    assert np.abs(seen[112, 64].astype(int) - plain[112, 64]).max() <= 2


def _grey() -> Bytes:
    return rgb_of(media_samples.frame(np.full((128, 128, 3), 96, np.uint8)))


def _painted(maps: tuple[DrawnMap, ...]) -> Bytes:
    frame = media_samples.frame(np.full((128, 128, 3), 96, np.uint8))
    Painter(Fit("stretch", (32, 32))).paint(frame, maps, BOTH)
    return rgb_of(frame)


def test_a_film_with_that_view_gets_the_difference() -> None:
    explanation = explained(signed_maps())
    renderer = Renderer(Look(BOTH), Fit("stretch", (32, 32)), LABELS)
    assert {each.class_id: each.against for each in renderer.maps(explanation, 0)} == {1: "banana", 3: "", 0: "slug"}
    plain = Renderer(Look(View((0, 1))), Fit("stretch", (32, 32)), LABELS)
    assert not any(each.against for each in plain.maps(explanation, 0))


def test_the_label_says_that_it_is_a_difference_with_both_probabilities() -> None:
    maps = made(explained(signed_maps()))
    banana, slug = maps[0], maps[1]
    assert caption([banana, slug]) == "banana - slug: 3%, 77%"
    assert caption([slug, banana]) == "slug - banana: 77%, 3%"
    assert caption([slug]) == "slug - banana: 77%"
    assert caption([slug, banana], OcclusionResult(1, "slug", 0.77, 0.4, 0.0)) == "slug - banana: 77% -> 40%, 3%"
    plain = made(explained(signed_maps()), View((0, 1)))
    assert caption([plain[0], plain[1]]) == "3% banana  77% slug"


def test_two_classes_without_a_name_are_no_difference() -> None:
    nameless = [DrawnMap(number, "", 0.5, np.zeros((2, 2), np.uint8), 1.0) for number in (0, 1)]
    assert caption(nameless) == "50%   50% "


def test_a_model_without_a_signed_map_is_refused_with_the_remedy() -> None:
    drawn = MapSpec("heatmaps", "conv5", "hirescam", (4, 4), (0, 0, 1, 1))
    signed = MapSpec("signed", "conv5", "signed", (4, 4), (0, 0, 1, 1))
    other = MapSpec("signed", "conv3", "signed", (4, 4), (0, 0, 1, 1))
    contract = Contract("tiny", LABELS, "stretch", "probability", maps=(drawn, other))
    with pytest.raises(ContractError, match=r"of 'conv5'.* It has one of 'conv3': draw a map of that layer"):
        check_difference(contract)
    with pytest.raises(ContractError, match=r"of 'conv5'.* `whycam export … --method signed`, beside others"):
        check_difference(replace(contract, maps=(drawn,)))
    check_difference(Contract("tiny", LABELS, "stretch", "probability", maps=(drawn, signed)))
