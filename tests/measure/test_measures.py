"""Each measure on networks whose probability is known: it is the mean brightness of a part of the image."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from whycam.stream.inference.preprocess import Rectangle
from whycam.stream.measure import curves, faithfulness, masking, pointing, road, sanity
from whycam.stream.measure.network import Heat, hottest_first
from whycam.stream.video.planes import Bytes

SIDE = 64
SQUARE = (slice(16, 32), slice(24, 40))
"""The part that the network looks at: a sixteenth of the image."""


class Looks:
    """Its probability is the mean level of a part of the image, 0…1."""

    def __init__(self, *part: slice) -> None:
        self.part = part

    def probabilities(self, images: Bytes, class_id: int) -> NDArray[np.float64]:
        return np.array([image[self.part].mean() / 255 for image in images])

    def heat(self, image: Bytes, class_id: int) -> Heat:
        made = np.zeros(image.shape[:2], np.float32)
        made[self.part] = 1
        return made


def photograph() -> Bytes:
    """Dark, with a bright square."""
    image = np.full((SIDE, SIDE, 3), 20, np.uint8)
    image[SQUARE] = 240
    return image


def heat_at(*part: slice) -> Heat:
    return Looks(*part).heat(photograph(), 0)


RIGHT, WRONG = heat_at(*SQUARE), heat_at(slice(48, 64), slice(0, 16))
NETWORK = Looks(*SQUARE)


def test_pixels_are_ordered_by_heat_and_equal_ones_at_random() -> None:
    heat = np.zeros((8, 8), np.float32)
    heat[2, 3], heat[5, 5] = 1, 0.5
    order = hottest_first(heat)
    assert sorted(order) == list(range(64))
    assert [divmod(int(place), 8) for place in order[:2]] == [(2, 3), (5, 5)]
    assert list(order[2:]) != sorted(order[2:])
    assert list(order) == list(hottest_first(heat))


def test_deletion_ends_at_the_mean_colour_and_falls_at_once_for_the_right_map() -> None:
    image = photograph()
    right = curves.deletion(NETWORK, image, 0, RIGHT)
    assert (right.shares[0], right.shares[-1]) == (0, 1)
    assert right.probabilities[0] == pytest.approx(240 / 255)
    assert right.probabilities[-1] == pytest.approx(round(image.mean()) / 255)
    assert right.probabilities[2] == pytest.approx(right.probabilities[-1])  # after a sixteenth of the pixels
    wrong = curves.deletion(NETWORK, image, 0, WRONG)
    assert wrong.probabilities[2] == pytest.approx(240 / 255)
    # The area of a line that falls over a sixteenth, then stays; and of one that falls over the other fifteen.
    low = round(image.mean()) / 255
    assert right.area == pytest.approx(low + (240 / 255 - low) / 32, abs=1e-6)
    assert wrong.area == pytest.approx(low + (240 / 255 - low) * (1 / 16 + 15 / 32), abs=0.03)


def test_insertion_begins_blurred_and_rises_at_once_for_the_right_map() -> None:
    image = photograph()
    right, wrong = (curves.insertion(NETWORK, image, 0, heat) for heat in (RIGHT, WRONG))
    assert right.probabilities[0] < 0.9 * 240 / 255
    assert right.probabilities[-1] == pytest.approx(240 / 255)
    assert right.probabilities[2] == pytest.approx(240 / 255)
    assert right.area > wrong.area + 0.02


def test_road_fills_a_hole_with_what_surrounds_it() -> None:
    image = np.empty((40, 40, 3), np.uint8)
    image[:] = np.arange(40)[:, None, None] * 4 + 40  # a ramp: each pixel is the mean of its neighbours
    hole = np.zeros((40, 40), np.bool_)
    hole[10:25, 12:30] = True
    filled = road.imputed(image, hole)
    assert np.array_equal(filled[~hole], image[~hole])
    error = filled[hole].astype(int) - image[hole]
    assert abs(error.mean()) < 0.5
    assert np.std(error) == pytest.approx(road.NOISE, rel=0.15)
    assert np.array_equal(road.imputed(image, np.zeros_like(hole)), image)


def test_each_removed_pixel_is_the_weighted_mean_of_its_neighbours() -> None:
    random = np.random.default_rng(3)
    image = random.integers(0, 256, (24, 24, 3), np.uint8)
    hole = random.random((24, 24)) < 0.6
    hole[0, :5] = hole[-1, -1] = True  # at edges and a corner, too
    exact = road.solved(image, hole)
    wide = np.pad(exact, ((1, 1), (1, 1), (0, 0)))
    inside = np.pad(np.ones((24, 24)), 1)
    total, weight = np.zeros_like(exact), np.zeros((24, 24))
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            part = {0: 0, 1: 1 / 6, 2: 1 / 12}[abs(dy) + abs(dx)]
            total += part * wide[1 + dy : 25 + dy, 1 + dx : 25 + dx]
            weight += part * inside[1 + dy : 25 + dy, 1 + dx : 25 + dx]
    assert np.abs(exact - total / weight[..., None])[hole].max() < 0.05
    assert np.array_equal(exact[~hole], image[~hole])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (40, 24), (7, 90)])
def test_a_dissection_has_each_pixel_once(height: int, width: int) -> None:
    assert sorted(road.dissection(height, width)) == list(range(height * width))


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_hole_may_be_the_whole_image(share: float) -> None:
    image = photograph()
    hole = np.zeros(image.shape[:2], np.bool_)
    hole[: round(share * SIDE)] = True
    filled = road.imputed(image, hole)
    assert filled.shape == image.shape
    assert abs(filled[hole].mean() - (image.mean() if share == 1 else 20)) < 30


def test_road_is_low_for_the_hottest_and_high_for_the_coldest_pixels_of_the_right_map() -> None:
    hottest, coldest = road.road(NETWORK, photograph(), 0, RIGHT)
    assert hottest < 0.3
    assert coldest > 0.9
    other_hottest, other_coldest = road.road(NETWORK, photograph(), 0, WRONG)
    assert other_hottest > hottest + 0.2
    assert other_coldest < coldest - 0.1


def test_an_image_of_which_only_the_hot_places_are_left() -> None:
    assert masking.masked(NETWORK, photograph(), 0, RIGHT) == (0.0, False)
    assert masking.masked(NETWORK, photograph(), 0, WRONG) == (1.0, False)
    half = masking.masked(NETWORK, photograph(), 0, RIGHT * np.float32(0.5))
    assert half.drop == pytest.approx(0.5, abs=0.01)

    class Disturbed(Looks):
        def probabilities(self, images: Bytes, class_id: int) -> NDArray[np.float64]:
            found: NDArray[np.float64] = super().probabilities(images, class_id) / (1 + images.mean((1, 2, 3)) / 255)
            return found

    assert masking.masked(Disturbed(*SQUARE), photograph(), 0, RIGHT) == (0.0, True)


@pytest.mark.parametrize(("left", "hit"), [(100, True), (115, True), (117, False), (60, True), (43, False)])
def test_the_pointing_game_has_a_tolerance_in_pixels_of_the_photograph(left: float, hit: bool) -> None:
    heat = np.zeros((10, 10), np.float32)
    heat[5, 2] = 1  # the middle of the cell is 50 + 2.5 * 20 = 100, 5.5 * 20 = 110
    box = pointing.Box("cup", left, 100, left + 41 if left < 90 else left + 200, 120)
    assert pointing.hits(heat, Rectangle(50, 0, 200, 200), [box]) is hit


def test_a_map_without_heat_points_nowhere() -> None:
    everywhere = pointing.Box("cup", 0, 0, 1000, 1000)
    assert not pointing.hits(np.zeros((7, 7), np.float32), Rectangle(0, 0, 100, 100), [everywhere])


def test_the_likeness_of_maps_is_that_of_their_ranks() -> None:
    heat = np.random.default_rng(0).random((20, 20)).astype(np.float32)
    assert sanity.similarity(heat, heat**3) == pytest.approx(1)
    assert sanity.similarity(heat, 1 - heat) == pytest.approx(-1)
    assert abs(sanity.similarity(heat, np.random.default_rng(1).random((20, 20)).astype(np.float32))) < 0.2
    assert sanity.similarity(heat, np.zeros_like(heat)) == 0


def test_all_measures_prefer_the_right_map_to_noise_and_to_the_middle() -> None:
    subject = faithfulness.Subject(
        "a", photograph(), 0, Rectangle(0, 0, SIDE, SIDE), [pointing.Box("x", 24, 16, 40, 32)]
    )
    right = faithfulness.measure(NETWORK, subject, NETWORK.heat, faithfulness.random_heat).values
    assert right.pointing == 1
    assert right.sanity is not None
    assert abs(right.sanity) < 0.6
    for baseline in (faithfulness.random_heat, lambda image, class_id: heat_at(slice(40, 64), slice(40, 64))):
        other = faithfulness.measure(NETWORK, subject._replace(boxes=()), baseline).values
        assert (other.pointing, other.sanity) == (None, None)
        assert right.deletion < other.deletion
        assert right.insertion > other.insertion
        assert right.road_hottest < other.road_hottest
        assert right.road_coldest > other.road_coldest
        assert right.drop < other.drop


def test_means_are_over_the_images_that_have_a_value() -> None:
    one = faithfulness.Faithfulness(0.1, 0.5, 0.2, 0.8, 0.3, 1.0, 1.0, None)
    two = faithfulness.Faithfulness(0.3, 0.7, 0.4, 0.6, 0.5, 0.0, None, None)
    *means, pointing_game, sanity_check = dataclasses.astuple(faithfulness.mean([one, two]))
    assert means == pytest.approx([0.2, 0.6, 0.3, 0.7, 0.4, 0.5])
    assert (pointing_game, sanity_check) == (1.0, None)
    assert faithfulness.standard_error([1.0]) == 0
    assert faithfulness.standard_error([1.0, 3.0]) == pytest.approx(1)
