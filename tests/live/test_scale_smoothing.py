"""The common scale of neighbouring frames and of all classes follows the evidence by the stream's pts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whycam.stream.live.scale_smoothing import FAST_S, MAX_SCALE, SLOW_S, FrameScales, ScaleSmoother
from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.video.planes import Bytes

SECOND = 90_000


def drawn(evidence: float, class_id: int = 0, grid: Bytes | None = None) -> DrawnMap:
    if grid is None:
        grid = np.zeros((7, 7), np.uint8)
        grid[2:5, 2:5] = 255
    return DrawnMap(class_id, "", 0.5, grid, evidence)


def course(rate: int, evidence: Iterable[tuple[float, float]], seconds: float) -> dict[int, float]:
    """By pts the scale of the second class, with evidence given as (from second, value), beside a class with 4."""
    steady, scales = ScaleSmoother(), {}
    changes = list(evidence)
    for number in range(round(seconds * rate) + 1):
        now = number / rate
        value = [each for begin, each in changes if begin <= now][-1]
        pts = number * SECOND // rate
        scales[pts] = steady.scales(pts, [drawn(4, 0), drawn(value, 1)])[1]
    return scales


def test_half_the_evidence_has_half_the_scale() -> None:
    steady = ScaleSmoother()
    assert steady.scales(0, [drawn(3), drawn(1.5, 1), drawn(0.003, 2)]) == (1, 0.5, 0.001)


def test_the_hottest_map_is_the_reference_even_if_its_class_is_not_the_best() -> None:
    assert ScaleSmoother().scales(0, [drawn(1), drawn(4, 1)]) == (0.25, 1)


def test_the_scale_follows_the_evidence_with_a_time_constant() -> None:
    scales = course(100, [(0, 4), (0.5, 1)], 3)
    for elapsed in (0.0, 0.1, FAST_S, 0.5, 2.0):
        expected = 0.25 + 0.75 * math.exp(-elapsed / FAST_S)
        assert scales[round((0.5 + elapsed) * SECOND)] == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize("rate", [6, 10, 15, 50])
def test_the_scale_does_not_depend_on_the_frame_rate(rate: int) -> None:
    fast, slow = (course(each, [(0, 4), (1, 1), (2, 3)], 3) for each in (30, rate))
    both = fast.keys() & slow.keys()
    assert len(both) > 3 * min(rate, 10) / 2
    assert [fast[pts] for pts in sorted(both)] == pytest.approx([slow[pts] for pts in sorted(both)], abs=0.002)


def test_full_heat_follows_slowly_so_that_weak_evidence_looks_weak_for_a_while() -> None:
    steady = ScaleSmoother()
    steady.scales(0, [drawn(4)])
    steady.scales(SECOND, [drawn(1)])
    (soon,) = steady.scales(2 * SECOND, [drawn(1)])
    (later,) = steady.scales(2 * SECOND + round(5 * SLOW_S * SECOND), [drawn(1)])
    assert soon == pytest.approx((1 + 3 * math.exp(-1 / FAST_S)) / (1 + 3 * math.exp(-1 / SLOW_S)), abs=0.002)
    assert later == pytest.approx(1, abs=0.03)


def test_noise_in_one_cell_does_not_move_all_others() -> None:
    """When the evidence jumps because of one cell, the drawn heat of the other cells hardly changes."""
    random = np.random.default_rng(3)
    own, steadied, steady = [], [], ScaleSmoother()
    for number in range(200):
        raw = np.linspace(0.2, 2, 49).reshape(7, 7)
        raw[6, 6] += random.normal(0, 0.3)
        grid = np.rint(255 * raw / raw.max()).astype(np.uint8)
        (scale,) = steady.scales(number * 3000, [drawn(float(raw.max()), 0, grid)])
        own.append(float(grid[3, 3]))
        steadied.append(float(grid[3, 3]) * scale)
    assert np.abs(np.diff(steadied[30:])).mean() < 0.5 * np.abs(np.diff(own[30:])).mean()


def test_a_new_class_starts_with_its_own_evidence() -> None:
    steady = ScaleSmoother()
    for number in range(5):
        steady.scales(number * 3000, [drawn(4), drawn(0.4, 1)])
    assert steady.scales(5 * 3000, [drawn(4), drawn(2, 7)]) == (1, 0.5)
    assert steady.scales(6 * 3000, [drawn(4), drawn(4, 1)]) == (1, 1)


def test_a_frame_without_maps_resets_the_scale() -> None:
    steady = ScaleSmoother()
    steady.scales(0, [drawn(4), drawn(4, 1)])
    assert steady.scales(3000, []) == ()
    assert steady.scales(6000, [drawn(0.4), drawn(0.1, 1)]) == (1, 0.25)


def test_after_a_gap_the_scale_is_that_of_the_evidence_before_it() -> None:
    steady = ScaleSmoother()
    steady.scales(0, [drawn(4), drawn(4, 1)])
    steady.scales(3000, [drawn(4), drawn(1, 1)])
    assert steady.scales(3600 * SECOND, [drawn(4), drawn(1, 1)]) == (1, 0.25)


def test_time_that_goes_back_changes_nothing() -> None:
    steady = ScaleSmoother()
    steady.scales(SECOND, [drawn(4), drawn(4, 1)])
    before = steady.scales(SECOND, [drawn(4), drawn(1, 1)])
    assert steady.scales(0, [drawn(4), drawn(1, 1)]) == before == (1, 1)


@given(
    st.lists(
        st.tuples(st.integers(0, 10 * SECOND), st.floats(0, 1e6, width=32), st.integers(0, 255), st.integers(0, 2)),
        max_size=12,
    )
)
def test_the_scale_is_always_within_its_bounds(frames: list[tuple[int, float, int, int]]) -> None:
    steady, pts = ScaleSmoother(), 0
    for gap, evidence, level, class_id in frames:
        pts += gap
        grid = np.full((2, 2), level if evidence else 0, np.uint8)
        (scale,) = steady.scales(pts, [drawn(evidence, class_id, grid)])
        assert 0 <= scale <= MAX_SCALE


def half(evidence: float, class_id: int, cells: slice, value: int) -> DrawnMap:
    """A half of a difference that is hot in some rows."""
    grid = np.zeros((7, 7), np.uint8)
    grid[cells] = value
    return DrawnMap(class_id, str(class_id), 0.5, grid, evidence, against="the other")


def test_the_halves_of_a_difference_have_one_scale_however_they_change() -> None:
    scales, found = FrameScales(), []
    for number, (evidence, weaker) in enumerate([(8, 200), (8, 20), (2, 250), (1, 100), (1, 90), (1, 80)]):
        halves = half(evidence, 2, slice(0, 2), 255), half(evidence, 5, slice(4, 7), weaker)
        single, *both = scales.of(number * SECOND // 10, [drawn(4, 1), *halves[:: -1 if number % 2 else 1]])
        assert single == 1  # compared with other single classes, of which there are none
        found.append(both)
    assert all(one == other for one, other in found)
    assert found[0] == [1, 1]
    assert found[-1][0] < 0.7  # the evidence fell to an eighth


def test_a_difference_begins_with_a_scale_of_its_own() -> None:
    scales = FrameScales()
    pair = [half(8, 2, slice(0, 2), 255), half(8, 5, slice(4, 7), 100)]
    assert scales.of(0, [drawn(8, 2), drawn(2, 5)]) == (1, 0.25)
    assert scales.of(3000, [replace(each, evidence=0.5) for each in pair]) == (1, 1)
    weak = [replace(each, evidence=0.25) for each in pair]
    assert scales.of(6000, weak) == (1, 1)
    assert scales.of(15_000, weak)[0] < 1
    another = [replace(pair[0], evidence=0.1), replace(pair[1], class_id=6, evidence=0.1)]
    assert scales.of(18_000, another) == (1, 1)
    assert scales.of(21_000, []) == ()
    assert scales.of(24_000, [drawn(1, 2), drawn(4, 5)]) == (0.25, 1)
