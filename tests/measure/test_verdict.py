"""Which map is the best, in sentences that claim no more than the images show."""

from __future__ import annotations

import zlib
from dataclasses import asdict, replace

import numpy as np
import pytest

from whycam.stream.measure.faithfulness import Faithfulness
from whycam.stream.measure.verdict import Verdict, judge
from whycam.stream.report.measures import COLUMNS

IMAGES = 30
MEASURED = [column for column in COLUMNS if column.field in ("deletion", "insertion", "road_hottest", "drop")]
MIDDLE = {"deletion": 0.2, "insertion": 0.4, "road_hottest": 0.3, "drop": 0.5}


def way(images: int = IMAGES, **shifts: float) -> list[Faithfulness]:
    """Each image's measures: the same images for all ways, shifted by about so much, with some noise of their own."""
    shared = np.random.default_rng(7).normal(0, 0.1, images)
    own = np.random.default_rng(zlib.crc32(repr(shifts).encode()))
    found = []
    for image in range(images):
        values = {name: middle + shared[image] + shifts.get(name, 0) for name, middle in MIDDLE.items()}
        noisy = {name: value + own.normal(0, 0.005) for name, value in values.items()}
        found.append(Faithfulness(**noisy, road_coldest=0.5, rises=0.0))
    return found


NOISE = {"noise": way(deletion=0.1, insertion=-0.2, road_hottest=0.1, drop=0.2)}


def verdict(default: str = "usual", /, **maps: list[Faithfulness]) -> Verdict:
    return judge(maps, NOISE, MEASURED, default)


def test_a_default_that_is_better_than_all_is_the_best() -> None:
    found = verdict(usual=way(), other=way(deletion=0.1, insertion=-0.1, road_hottest=0.1, drop=0.1))
    assert (found.reference, found.is_default) == ("usual", True)
    assert found.sentences == [
        "No map is better than the default, usual, by any measure.",
        "usual is the best, better than each other map, by deletion, insertion, ROAD of the hottest and drop.",
        "usual is better than noise by deletion, insertion, ROAD of the hottest and drop.",
    ]
    assert {field: list(names) for field, names in found.best.items()} == {name: ["usual"] for name in MIDDLE}


def test_a_map_that_is_better_and_by_no_measure_worse_is_named() -> None:
    found = verdict(usual=way(), finer=way(deletion=-0.05, drop=-0.05), worse=way(drop=0.1))
    assert found.sentences[0] == "Better than the default, usual, and worse by no measure: finer by deletion and drop."
    assert found.best["deletion"] == ["finer"]
    assert found.compared["finer"]["deletion"].outcome == "better"


def test_a_map_that_is_better_by_one_measure_and_worse_by_another_is_no_choice() -> None:
    found = verdict(usual=way(), mixed=way(deletion=-0.05, insertion=-0.05))
    assert found.sentences[0] == (
        "No map is better than the default, usual, by one measure without being worse by another."
    )
    assert "mixed is better by deletion, and worse by insertion." in found.sentences


def test_a_difference_within_noise_makes_no_winner() -> None:
    twin = [replace(each, deletion=each.deletion - (0.02 if place % 2 else -0.019)) for place, each in enumerate(way())]
    found = verdict(usual=way(), twin=twin)
    assert np.mean([each.deletion for each in twin]) < np.mean([each.deletion for each in way()])
    assert found.sentences[0] == "No map is better than the default, usual, by any measure."
    assert found.best["deletion"] == ["twin", "usual"]
    assert found.sentences[1] == (
        "No map is better than usual, but the other cannot be told from it, by "
        "deletion (1), insertion (1), ROAD of the hottest (1) and drop (1)."
    )


def test_few_images_are_said_to_show_large_differences_only() -> None:
    found = judge({"usual": way(12), "other": way(12, drop=0.3)}, {}, MEASURED, "usual")
    assert found.sentences[-1] == "12 images show large differences only: better give 30 or more."


def test_maps_that_are_no_better_than_noise_are_named() -> None:
    found = verdict(usual=way(), blind=NOISE["noise"])
    assert found.sentences[-1] == "By no measure better than noise: blind."
    useless = verdict(usual=NOISE["noise"])
    assert useless.sentences == ["usual is better than noise by no measure."]
    assert useless.best["deletion"] == []
    others = verdict(usual=way(), blind=NOISE["noise"], deaf=NOISE["noise"])
    assert others.sentences[-1] == "No other map is better than noise by any measure."


def test_without_the_default_maps_are_compared_with_the_first() -> None:
    found = verdict("absent", one=way(), two=way(drop=0.1))
    assert (found.reference, found.is_default) == ("one", False)
    assert found.sentences[0] == "No map is better than the first of these, one, by any measure."


@pytest.mark.parametrize(("images", "words"), [(1, "One image is too few"), (5, "5 images are too few")])
def test_few_images_decide_nothing(images: int, words: str) -> None:
    found = judge(
        {"usual": way(images), "other": way(images, drop=0.3)}, {"noise": way(images, drop=0.4)}, MEASURED, "usual"
    )
    assert found.sentences == [f"{words} to tell maps apart: give 6 or more, better 30, that differ from each other."]
    assert found.best["drop"] == []
    assert found.compared["other"]["drop"].outcome == "open"


def test_the_figures_are_written_for_scripts() -> None:
    found = verdict(usual=way(), finer=way(deletion=-0.05))
    assert found.as_json()["reference"] == "usual"
    assert found.as_json()["best"]["deletion"] == ["finer"]
    assert found.compared_json("usual") is None
    written = found.compared_json("finer")
    assert written is not None
    assert written["deletion"].keys() == asdict(found.compared["finer"]["deletion"]).keys()
    assert written["deletion"]["outcome"] == "better"
    assert written["deletion"]["difference"] == pytest.approx(-0.05, abs=0.01)
