"""The sidecar: it is read as it was written, and damage is reported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from whycam.stream.inference.explainer import MAX_PINNED
from whycam.stream.inference.known_classes import ClassNames
from whycam.stream.overlay.colormaps import COLORMAPS
from whycam.stream.overlay.heatmap import DrawnMap, OcclusionResult
from whycam.stream.overlay.view import SCALES, View
from whycam.stream.recording.sidecar import SidecarError, SidecarFrame, SidecarWriter, read_sidecar

HEADER: dict[str, Any] = {
    "model": "tiny",
    "sha256": "0" * 64,
    "fit": "crop",
    "settings": View().settings(),
    "time_base": [1, 90_000],
}


def line(pts: int = 0, *, label: str = "cup", maps: int = 2) -> SidecarFrame:
    random = np.random.default_rng(pts)
    return SidecarFrame(
        pts,
        16.7,
        tuple(
            DrawnMap(i, label, 0.25 + i / 100, random.integers(0, 256, (7, 7), np.uint8), 1.5 + i, 0.75)
            for i in range(maps)
        ),
        View(),
    )


def halved(label: str, other: str) -> DrawnMap:
    """One half of a difference."""
    return DrawnMap(0, label, 0.5, np.zeros((7, 7), np.uint8), 1.5, against=other)


def write(path: Path, *frames: SidecarFrame) -> Path:
    with SidecarWriter(path, HEADER) as sidecar:
        for frame in frames:
            sidecar.write(frame)
    return path


def same(found: SidecarFrame, expected: SidecarFrame) -> bool:
    fields = [(each.pts, each.age_ms, each.view, each.frozen, each.hidden) for each in (found, expected)]
    return fields[0] == fields[1] and all(
        (a.class_id, a.label, a.score, a.scale, a.evidence, a.against)
        == (b.class_id, b.label, b.score, b.scale, b.evidence, b.against)
        and a.grid.dtype == np.uint8
        and np.array_equal(a.grid, b.grid)
        for a, b in zip(found.maps, expected.maps, strict=True)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "predictions.jsonl"


def test_a_sidecar_is_read_as_it_was_written(path: Path) -> None:
    frames = [
        line(0),
        line(3003, label="Käse, 芝士"),
        line(6006, maps=0),
        SidecarFrame(9009, None, (), View((3,), 0.2, "jet", "steady")),
        SidecarFrame(12_012, None, (), View((3,), 0.2, "jet", "steady"), 9009),
        SidecarFrame(15_015, None, (), View((3,), 0.2, "jet", "steady"), 9009),
        SidecarFrame(18_018, None, (), View((3,), 0.2, "jet", "steady")),
        SidecarFrame(21_021, None, (), View(occlude=True), None, OcclusionResult(3, "Käse", 0.74, 0.09, 433.3)),
        SidecarFrame(24_024, None, (), View(occlude=True)),
        replace(line(27_027), view=View((0, 1), difference=True)),
        SidecarFrame(30_030, None, (halved("cup", "mug"), halved("mug", "cup")), View((0, 1), difference=True)),
    ]
    header, found = read_sidecar(write(path, *frames))
    assert header == json.loads(json.dumps({"whycam": 1, **HEADER}))
    assert all(same(a, b) for a, b in zip(found, frames, strict=True))


names = st.text(st.characters(codec="utf-8"), max_size=20)
levels = st.floats(0, 1, width=32).map(lambda value: round(value, 6))
made = st.builds(
    DrawnMap,
    st.integers(0, 999),
    names,
    levels,
    arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=6)),
    st.floats(0, 2.0**20, width=32).map(lambda value: float(f"{value:.6g}")),
    st.floats(0, 1),
    names,
)


views = st.builds(
    View,
    st.lists(st.integers(0, 999), max_size=MAX_PINNED).map(tuple),
    st.floats(0, 1),
    st.sampled_from(COLORMAPS),
    st.sampled_from(SCALES),
    st.booleans(),
    st.booleans(),
)


@given(
    st.lists(
        st.builds(
            SidecarFrame,
            st.integers(-1000, 1 << 40),
            st.none() | levels,
            st.lists(made, max_size=3).map(tuple),
            views,
            st.none() | st.integers(-1000, 1 << 40),
            st.none() | st.builds(OcclusionResult, st.integers(0, 999), names, levels, levels, levels),
        ),
        max_size=4,
    )
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_frames_are_read_as_they_were_written(path: Path, frames: list[SidecarFrame]) -> None:
    _, found = read_sidecar(write(path, *frames))
    assert all(same(a, b) for a, b in zip(found, frames, strict=True))


def test_a_sidecar_without_a_scale_means_each_maps_own(path: Path) -> None:
    text = write(path, line(0)).read_text(encoding="utf-8")
    path.write_text(text.replace(',"scale":"own","hide":false', ""), encoding="utf-8")
    header, (frame,) = read_sidecar(path)
    assert "scale" not in header["settings"]
    assert frame.view == View(scale="own")


def test_a_sidecar_without_a_difference_has_no_word_of_it_and_means_each_class_alone(path: Path) -> None:
    text = write(path, line(0)).read_text(encoding="utf-8")
    assert "difference" not in text
    assert "against" not in text
    _, (frame,) = read_sidecar(path)
    assert not frame.view.difference
    assert [each.against for each in frame.maps] == ["", ""]


MUG = ClassNames("ab12", ((1_000_000, "mug"), (1_000_003, "<table>")))
TWO_MUGS = ClassNames("cd34", ((1_000_000, "mug"), (1_000_004, "other mug")))


def test_a_line_names_its_classes_where_they_change(path: Path) -> None:
    expected = [None, MUG, MUG, TWO_MUGS, None, None, MUG]
    write(path, *(replace(line(pts), class_set=classes) for pts, classes in enumerate(expected)))
    assert [frame.class_set for frame in read_sidecar(path)[1]] == expected
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    assert ["class_set" in json.loads(each) for each in lines] == [False, True, False, True, True, False, True]


@pytest.mark.parametrize("continued", [None, MUG, TWO_MUGS])
def test_a_continued_sidecar_does_not_go_on_with_former_classes(path: Path, continued: ClassNames | None) -> None:
    write(path, replace(line(0), class_set=MUG))
    with SidecarWriter(path, HEADER, append=True) as sidecar:
        sidecar.write(replace(line(1), class_set=continued))
    assert [frame.class_set for frame in read_sidecar(path)[1]] == [MUG, continued]


def test_a_continued_sidecar_without_taught_classes_has_no_word_of_them(path: Path) -> None:
    write(path, line(0))
    with SidecarWriter(path, HEADER, append=True) as sidecar:
        sidecar.write(line(1))
    assert "class_set" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("damage", ['{"id": "a"}', '{"id": "a", "labels": [["mug", 3]]}', "[]", "7"])
def test_damaged_classes_are_an_error_that_names_the_line(path: Path, damage: str) -> None:
    write(path, replace(line(0), class_set=MUG))
    text = path.read_text(encoding="utf-8")
    start = text.index('"class_set":') + len('"class_set":')
    end = text.index("]]}", start) + 3
    path.write_text(text[:start] + damage + text[end:], encoding="utf-8")
    with pytest.raises(SidecarError, match="line 2"):
        list(read_sidecar(path)[1])


def test_a_line_has_the_documented_keys(path: Path) -> None:
    _, written = write(path, line(3003)).read_text(encoding="utf-8").splitlines()
    value = json.loads(written)
    assert list(value) == ["pts", "time", "classes", "labels", "scores", "age_ms", "heatmaps"]
    assert (value["pts"], value["time"]) == (3003, 0.033367)
    assert value["classes"] == [0, 1]
    assert value["scores"] == [0.25, 0.26]
    assert list(value["heatmaps"][0]) == ["class", "evidence", "scale", "shape", "data"]
    assert value["heatmaps"][1]["shape"] == [7, 7]


def test_a_written_line_can_be_read_at_once(path: Path) -> None:
    with SidecarWriter(path, HEADER) as sidecar:
        for number in range(3):
            sidecar.write(line(number))
            assert len(list(read_sidecar(path)[1])) == number + 1


def test_a_last_line_cut_off_by_a_crash_is_left_out(path: Path) -> None:
    whole = write(path, line(0), line(3003, label="Käse 芝士")).read_bytes()
    before = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for end in range(before, len(whole), 3):
        path.write_bytes(whole[:end])
        (frame,) = read_sidecar(path)[1]
        assert same(frame, line(0))
    path.write_bytes(whole)
    assert len(list(read_sidecar(path)[1])) == 2


@pytest.mark.parametrize(
    "label", ["two\nlines", "carriage\rreturn", "next\x85line", "line\u2028separator", "form\x0cfeed"]
)
def test_a_label_may_contain_line_separators(path: Path, label: str) -> None:
    frames = [line(0, label=label), line(3003)]
    assert all(same(a, b) for a, b in zip(read_sidecar(write(path, *frames))[1], frames, strict=True))


@pytest.mark.parametrize(
    "damage",
    [
        b"\n",
        b"{\n",
        b"[1]\n",
        b"{}\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"pts": 1, "age_ms": 0, "labels": ["a"], "scores": [], "heatmaps": []}\n',
        b'{"pts": 1, "age_ms": 0, "labels": ["a"], "scores": [1], "heatmaps": [3]}\n',
        b'{"pts": 1, "age_ms": 0, "labels": ["a"], "scores": [1], "heatmaps": [{"data": "AAAA", "shape": [7, 7]}]}\n',
        b'{"pts": 1, "age_ms": 0, "labels": ["a"], "scores": [1], "heatmaps": [{"data": "A", "shape": [1, 1]}]}\n',
    ],
)
def test_the_error_names_a_damaged_line(path: Path, damage: bytes) -> None:
    lines = write(path, line(0), line(3003), line(6006)).read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], damage, *lines[3:]]))
    frames = read_sidecar(path)[1]
    assert same(next(frames), line(0))
    with pytest.raises(SidecarError, match=r"predictions\.jsonl is damaged in line 3"):
        next(frames)


@pytest.mark.parametrize(
    "content", [b"", b'{"whycam": 1', b"{}\n", b'{"whycam": 2}\n', b"[]\n", b"not JSON\n", b"\x00\xff\n", b"\n\n"]
)
def test_a_file_that_is_no_sidecar_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(SidecarError, match=r"predictions\.jsonl is"):
        read_sidecar(path)
