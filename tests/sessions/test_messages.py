"""Reports and commands follow docs/api.md, and all other messages are refused with a sentence."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whycam.models.class_set import ClassSet
from whycam.models.contract import WHOLE, MapSpec
from whycam.stream.inference.explainer import MAX_PINNED
from whycam.stream.inference.known_classes import KnownClasses
from whycam.stream.live.pipeline import Counts, Painted, State
from whycam.stream.overlay.colormaps import COLORMAPS
from whycam.stream.overlay.heatmap import DrawnMap, OcclusionResult
from whycam.stream.overlay.view import SCALES, View
from whycam.stream.recording.writer import Code, RecordingStatus
from whycam.stream.sessions.messages import (
    STOP,
    TOP,
    Command,
    CommandCode,
    CommandError,
    for_viewers,
    parse_command,
    refusal,
    report,
)
from whycam.stream.video.codec import EncodedFrame

API = Path(__file__).parents[2] / "docs" / "api.md"
LABELS = [f"class {number}" for number in range(10)]
CLASSES = KnownClasses(LABELS)
MODEL = "tiny"
NOW = View(pinned=(3,), opacity=0.5, colormap="viridis", scale="steady")


COUNTS = Counts(received=9, decoded=8, explained=6, passed=1, dropped=1)


def documented(heading: str) -> dict[str, Any]:
    """The JSON example under a heading of docs/api.md."""
    part = API.read_text(encoding="utf-8").split(f"### {heading}")[1]
    example = re.search(r"```json\n(.*?)```", part, re.DOTALL)
    assert example is not None
    value = json.loads(example.group(1))
    assert isinstance(value, dict)
    return value


def drawn(class_id: int, score: float) -> DrawnMap:
    return DrawnMap(class_id, LABELS[class_id], score, np.zeros((7, 7), np.uint8), 1.0)


def made(
    *,
    maps: tuple[DrawnMap, ...],
    age_ms: float | None,
    state: State,
    inference_ms: float | None,
    view: View = NOW,
    frozen_pts: int | None = None,
    hidden: OcclusionResult | None = None,
) -> Painted:
    return Painted(
        EncodedFrame("VP8", b"", 181_500),
        None,
        maps,
        age_ms,
        state,
        view,
        COUNTS,
        inference_ms,
        19.8123,
        "running",
        frozen_pts,
        hidden,
        "tiny",
        MapSpec("heatmaps", "features", "grad-cam", (7, 7), WHOLE),
    )


def reported(painted: Painted, recording: RecordingStatus | None = None, *, rtp_out: int | None = 8) -> dict[str, Any]:
    """The report of a frame, as JSON and back."""
    value = report(
        painted,
        session="iDr9",
        rtp_in=7,
        rtp_out=rtp_out,
        recording=recording or RecordingStatus("off"),
        sure=0.2,
    )
    read_again = json.loads(json.dumps(value))
    assert isinstance(read_again, dict)
    return read_again


def shape(value: object) -> object:
    """A JSON value with types in place of values, and lists cut to their first member."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value[:1]]
    return "number" if isinstance(value, int | float) else type(value).__name__


def test_a_report_has_exactly_the_keys_that_are_documented() -> None:
    maps = tuple(drawn(class_id, round(0.9 - class_id / 10, 6)) for class_id in (0, 1, 2, 4, 5, 3))
    covered = OcclusionResult(0, LABELS[0], 0.9, 0.1, 400.0)
    painted = made(maps=maps, age_ms=33.333, state="carried", inference_ms=14.149, hidden=covered)
    assert shape(reported(painted, RecordingStatus("on", "recordings/now", "1f3a"))) == shape(documented("Report"))


def test_a_report_has_the_five_best_classes_and_the_pinned_ones() -> None:
    maps = tuple(drawn(class_id, round(0.9 - class_id / 10, 6)) for class_id in (0, 1, 2, 4, 5, 3))
    painted = made(maps=maps, age_ms=33.333, state="carried", inference_ms=14.149)
    found = reported(painted)
    assert found["session"] == "iDr9"
    assert found["classes"] == [0, 1, 2, 4, 5]
    assert len(found["classes"]) == TOP
    assert found["labels"] == [LABELS[c] for c in found["classes"]]
    assert found["scores"] == [0.9, 0.8, 0.7, 0.5, 0.4]
    assert found["held"] == [{"class": 3, "label": "class 3", "score": 0.6}]
    assert (found["pts"], found["rtp_in"], found["rtp_out"]) == (181_500, 7, 8)
    assert (found["age_ms"], found["state"], found["frozen"]) == (33.3, "carried", False)
    assert found["times"] == {"inference_ms": 14.1, "frame_ms": 19.8}
    assert found["counts"] == {"received": 9, "lost": 0, "decoded": 8, "explained": 6, "passed": 1, "dropped": 1}
    assert found["view"] == {"hold": [3], "opacity": 0.5, "colormap": "viridis", "scale": "steady", "hide": False}
    assert found["hidden"] is None


def test_the_heat_of_what_is_drawn_is_reported() -> None:
    maps = tuple(
        replace(drawn(c, 0.5), grid=np.full((2, 2), level, np.uint8), scale=0.5) for c, level in enumerate((255, 0))
    )
    best = reported(made(maps=maps, age_ms=0, state="exact", inference_ms=14, view=View()))
    assert (best["drawn"], best["sure"]) == ([{"class": 0, "label": "class 0", "heat": 0.5}], 0.2)
    pinned = reported(made(maps=maps, age_ms=0, state="exact", inference_ms=14, view=View(pinned=(1, 0))))
    assert [(each["class"], each["heat"]) for each in pinned["drawn"]] == [(1, 0.0), (0, 0.5)]


def test_hidden_evidence_is_reported_with_both_probabilities() -> None:
    covered = OcclusionResult(0, LABELS[0], 0.912345, 0.087654, 433.3333)
    painted = made(maps=(drawn(0, 0.9),), age_ms=0, state="exact", inference_ms=14, hidden=covered)
    assert reported(painted)["hidden"] == {
        "class": 0,
        "label": "class 0",
        "before": 0.912345,
        "after": 0.087654,
        "age_ms": 433.3,
    }


def test_viewers_get_the_report_without_the_place_on_the_disk() -> None:
    status = RecordingStatus("stopped", "/home/me/r", "1f3a", "/home/me/r cannot be written.", "failed")
    found = reported(made(maps=(), age_ms=None, state="none", inference_ms=None), status)
    text = for_viewers(found)
    assert "/home/me" not in text
    seen = json.loads(f"{text}7}}")
    assert seen.pop("rtp_out") == 7
    found.pop("rtp_out")
    assert found["recording"].pop("folder") == "/home/me/r"
    assert found["recording"].pop("reason")
    assert found["recording"].pop("id")
    assert [seen["recording"].pop(key) for key in ("folder", "reason", "id")] == ["", "", ""]
    assert seen == found


def test_pinned_classes_are_reported_in_the_order_in_which_they_are_pinned() -> None:
    maps = tuple(drawn(class_id, round(0.9 - class_id / 10, 6)) for class_id in (0, 1, 2, 4, 5, 3))
    for hold in ((3, 0), (0, 3), (4, 9, 1)):  # class 9 is not explained yet
        painted = made(maps=maps, age_ms=0, state="exact", inference_ms=14, view=View(hold))
        assert [held["class"] for held in reported(painted)["held"]] == [c for c in hold if c != 9]
    assert reported(made(maps=maps, age_ms=0, state="exact", inference_ms=14, view=View((9,))))["held"] == []


def test_before_the_first_explanation_a_report_says_that_there_is_none() -> None:
    painted = made(maps=(), age_ms=None, state="none", inference_ms=None)
    stopped = RecordingStatus("stopped", "there", "1f3a", "The disk is full.", "disk-full")
    found = reported(painted, stopped, rtp_out=None)
    assert (found["classes"], found["labels"], found["scores"], found["held"]) == ([], [], [], [])
    assert (found["age_ms"], found["rtp_out"], found["times"]["inference_ms"]) == (None, None, None)
    assert found["recording"] == {
        "state": "stopped",
        "folder": "there",
        "id": "1f3a",
        "reason": "The disk is full.",
        "code": "disk-full",
        "camera": "copied",
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Command(NOW, None)),
        ({"hold": [4, 0, 4]}, Command(View((4, 0), 0.5, "viridis", "steady"), None)),
        ({"hold": []}, Command(View((), 0.5, "viridis", "steady"), None)),
        ({"opacity": 1}, Command(View((3,), 1.0, "viridis", "steady"), None)),
        ({"opacity": 0.25}, Command(View((3,), 0.25, "viridis", "steady"), None)),
        ({"colormap": "turbo"}, Command(View((3,), 0.5, "turbo", "steady"), None)),
        ({"scale": "own"}, Command(View((3,), 0.5, "viridis", "own"), None)),
        ({"hide": True}, Command(View((3,), 0.5, "viridis", "steady", True), None)),
        ({"hide": False}, Command(NOW, None)),
        ({"hide": None}, Command(NOW, None)),
        ({"difference": False}, Command(NOW)),
        ({"difference": None}, Command(NOW)),
        ({"hold": [4, 1], "difference": True}, Command(replace(NOW, pinned=(4, 1), difference=True))),
        ({"record": True}, Command(NOW, True)),
        ({"record": False}, Command(NOW, False)),
        ({"record": None}, Command(NOW, None)),
        ({"freeze": True}, Command(NOW, freeze=True)),
        ({"freeze": False, "record": True}, Command(NOW, True, False)),
        ({"freeze": None}, Command(NOW)),
        (
            {"hold": [1], "opacity": 0, "colormap": "jet", "scale": "own", "record": True},
            Command(View((1,), 0.0, "jet", "own"), True),
        ),
    ],
)
def test_a_command_changes_what_it_names_and_nothing_else(fields: dict[str, Any], expected: Command) -> None:
    assert parse_command(json.dumps(fields), NOW, CLASSES, MODEL) == expected


@pytest.mark.parametrize(("model", "pinned"), [(MODEL, (1,)), ("another", NOW.pinned)])
def test_class_numbers_of_another_model_pin_nothing(model: str, pinned: tuple[int, ...]) -> None:
    command = parse_command(json.dumps({"hold": [1], "opacity": 0.25, "model": model}), NOW, CLASSES, MODEL)
    assert command == Command(replace(NOW, pinned=pinned, opacity=0.25))
    # Numbers beyond this model's are no error either: they may be right for the other one.
    assert parse_command(json.dumps({"hold": [999], "model": "another"}), NOW, CLASSES, MODEL) == Command(NOW)


COMPARING = replace(NOW, pinned=(3, 4), difference=True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"opacity": 0.25}, replace(COMPARING, opacity=0.25)),
        ({"hold": [3, 5]}, replace(COMPARING, pinned=(3, 5))),
        ({"hold": [3]}, NOW),
        ({"hold": [3, 4, 5]}, replace(NOW, pinned=(3, 4, 5))),
        ({"hold": []}, replace(NOW, pinned=())),
        ({"hold": [3], "model": "another"}, COMPARING),
        ({"hold": [3, 4], "model": "another", "difference": False}, replace(NOW, pinned=(3, 4))),
    ],
)
def test_a_difference_ends_when_one_of_its_classes_is_released(fields: dict[str, Any], expected: View) -> None:
    assert parse_command(json.dumps(fields), COMPARING, CLASSES, MODEL) == Command(expected)


def test_a_difference_that_the_model_cannot_draw_is_refused_with_what_to_do() -> None:
    both = json.dumps({"hold": [1, 2], "difference": True})
    with pytest.raises(CommandError, match="export it again") as caught:
        parse_command(both, NOW, CLASSES, MODEL, no_difference="It has no signed map; export it again.")
    assert caught.value.code == "no-difference"
    # Sent for another model, it is left out like the classes.
    late = json.dumps({"hold": [1, 2], "difference": True, "opacity": 0.25, "model": "another"})
    assert parse_command(late, NOW, CLASSES, MODEL, no_difference="no") == Command(replace(NOW, opacity=0.25))
    assert parse_command(late, NOW, CLASSES, MODEL) == Command(replace(NOW, opacity=0.25))


TAUGHT = KnownClasses(
    LABELS, ClassSet(("mug", "table"), np.zeros((2, 2), np.float32), np.zeros(2, np.float32), (1_000_000, 1_000_003))
)


def test_of_the_pinned_classes_only_those_of_the_current_set_are_taken() -> None:
    text = json.dumps({"hold": [1_000_003, 4, 1_000_001, 2000]})
    assert parse_command(text, View(), TAUGHT, MODEL) == Command(View(pinned=(1_000_003,)))
    text = json.dumps({"hold": [4, 1_000_003]})
    assert parse_command(text, View(), CLASSES, MODEL) == Command(View(pinned=(4,)))


@pytest.mark.parametrize(("value", "expected"), [("1000003", 1_000_003), ("null", STOP)])
def test_a_command_begins_and_ends_to_teach_a_class(value: str, expected: int) -> None:
    assert parse_command(f'{{"teach": {value}}}', NOW, CLASSES, MODEL) == Command(NOW, teach=expected)


@pytest.mark.parametrize("classes", [CLASSES, TAUGHT])
def test_what_no_class_has_is_refused_as_its_number(classes: KnownClasses) -> None:
    with pytest.raises(CommandError, match="list of class numbers"):
        parse_command('{"hold": [-1]}', View(), classes, MODEL)


def test_the_documented_command_is_understood() -> None:
    example = documented("Command")
    labels = KnownClasses([str(number) for number in range(1000)])
    assert parse_command(json.dumps(example), View(), labels, example["model"]) == Command(
        View(
            tuple(example["hold"]),
            *(example[key] for key in ("opacity", "colormap", "scale", "hide", "difference")),
        ),
        example["record"],
        example["freeze"],
        example["teach"],
    )
    table = API.read_text(encoding="utf-8").split("### Command")[1]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(example)
    assert all(f"`{choice}`" in table for choice in (*COLORMAPS, *SCALES))
    assert f"up to {MAX_PINNED} class numbers" in table


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"A command is a JSON object; this is not JSON"),
        ("hold", r"A command is a JSON object; this is not JSON"),
        ("[" * 100_000, r"A command is a JSON object; this is not JSON"),
        ('{"opacity": ' + "1" * 5000 + "}", r"A command is a JSON object; this is not JSON"),
        ("[1]", r"A command is a JSON object\."),
        ("null", r"A command is a JSON object\."),
        ('{"zoom": true, "Hold": [1]}', r"A command has no key 'Hold', 'zoom'\."),
        ('{"hold": 3}', r"'hold' should be a list of class numbers from 0 to 9\."),
        ('{"hold": [10]}', r"'hold' should be a list of class numbers from 0 to 9\."),
        ('{"hold": [-1]}', r"'hold' should be a list of class numbers from 0 to 9\."),
        ('{"hold": [true]}', r"'hold' should be a list of class numbers from 0 to 9\."),
        ('{"hold": [1.0]}', r"'hold' should be a list of class numbers from 0 to 9\."),
        ('{"hold": ["1"]}', r"'hold' should be a list of class numbers from 0 to 9\."),
        ('{"hold": null}', r"'hold' should be a list of class numbers from 0 to 9\."),
        ('{"hold": [0, 1, 2, 3, 4, 5]}', r"At most 5 classes can be held, these are 6\."),
        ('{"opacity": "1"}', r"'opacity' should be a number from 0 to 1\."),
        ('{"opacity": true}', r"'opacity' should be a number from 0 to 1\."),
        ('{"opacity": null}', r"'opacity' should be a number from 0 to 1\."),
        ('{"opacity": 1.01}', r"The opacity should be 0 to 1, it is 1\.01\."),
        ('{"opacity": -1}', r"The opacity should be 0 to 1"),
        ('{"opacity": NaN}', r"'opacity' should be a number from 0 to 1\."),
        ('{"opacity": 1e999}', r"'opacity' should be a number from 0 to 1\."),
        ('{"opacity": ' + "1" * 400 + "}", r"'opacity' should be a number from 0 to 1\."),
        ('{"colormap": "rainbow"}', r"There is no colormap 'rainbow'\. Choose one of inferno, viridis"),
        ('{"colormap": ["jet"]}', r"There is no colormap"),
        ('{"colormap": null}', r"There is no colormap"),
        ('{"scale": "log"}', r"There is no scale 'log'\. Choose one of own, steady\."),
        ('{"scale": ["own"]}', r"There is no scale"),
        ('{"scale": null}', r"There is no scale"),
        ('{"record": 1}', r"'record' should be true or false\."),
        ('{"record": "yes"}', r"'record' should be true or false\."),
        ('{"hide": 1}', r"'hide' should be true or false\."),
        ('{"difference": 1}', r"'difference' should be true or false\."),
        ('{"difference": true}', r"A difference is of two held classes, these are 1\."),
        ('{"hold": [1, 2, 3], "difference": true}', r"A difference is of two held classes, these are 3\."),
        ('{"freeze": 0}', r"'freeze' should be true or false\."),
        ('{"freeze": "false"}', r"'freeze' should be true or false\."),
        ('{"opacity": 0.9, "record": 1}', r"'record' should be true or false\."),
    ],
)
def test_a_command_that_cannot_be_understood_gets_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as caught:
        parse_command(text, NOW, CLASSES, MODEL)
    assert len(str(caught.value)) < 300
    assert caught.value.code in get_args(CommandCode)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("hold", "not-a-command"),
        ("[1]", "not-a-command"),
        ('{"zoom": true}', "unknown-key"),
        ('{"hold": [10]}', "wrong-value"),
        ('{"hold": [-1], "model": "another"}', "wrong-value"),
        ('{"hold": [0, 1, 2, 3, 4, 5], "model": "another"}', "wrong-value"),
        ('{"model": 1}', "wrong-value"),
        ('{"hold": [0, 1, 2, 3, 4, 5]}', "wrong-value"),
        ('{"opacity": 1.01}', "wrong-value"),
        ('{"colormap": "rainbow"}', "wrong-value"),
        ('{"freeze": 1}', "wrong-value"),
    ],
)
def test_a_refusal_has_a_code_beside_its_sentence(text: str, code: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_command(text, NOW, CLASSES, MODEL)
    assert json.loads(refusal(caught.value)) == {"error": str(caught.value), "code": code}


def test_the_codes_are_documented() -> None:
    text = API.read_text(encoding="utf-8")
    for code in (*get_args(CommandCode), *get_args(Code)):
        assert f"`{code}`" in text, code


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["hold", "opacity", "colormap", "scale", "hide", "difference", "record", "freeze"]), anything
    ).map(json.dumps)
    | anything.map(json.dumps)
    | st.text(max_size=30)
)
@settings(deadline=None, max_examples=300)
def test_whatever_a_client_sends_is_a_command_or_an_error_with_a_reason(text: str) -> None:
    try:
        command = parse_command(text, NOW, CLASSES, MODEL)
    except CommandError as error:
        assert error.args[0]  # noqa: PT017
    else:
        assert command.record in (None, True, False)
        assert command.freeze in (None, True, False)
        assert all(0 <= class_id < len(LABELS) for class_id in command.view.pinned)
