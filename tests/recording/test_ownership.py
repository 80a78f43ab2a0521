"""Whose a recording is, by what its note says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whycam.stream.recording.ownership import FIELD, continued, mark
from whycam.stream.recording.paths import SESSION

ID = "1f3a9c0d77e2"
KEY, OTHER = "a key", "another key"


def note(shelf: Path, text: str, name: str = f"2026-11-22_21-03-55_{ID}") -> None:
    (shelf / name).mkdir()
    (shelf / name / SESSION).write_text(text)


def test_its_device_and_the_computer_continue_it_and_nobody_else(tmp_path: Path) -> None:
    note(tmp_path, json.dumps({"whycam": 1, FIELD: mark(KEY, ID)}))
    assert continued(tmp_path, ID, KEY) == ID
    assert continued(tmp_path, ID, None) == ID
    assert continued(tmp_path, ID, OTHER) is None
    assert continued(tmp_path, "0123456789ab", KEY) is None
    assert continued(tmp_path, "../" + ID, None) is None
    assert continued(tmp_path / "none", ID, None) is None


def test_a_mark_is_good_for_one_session_alone(tmp_path: Path) -> None:
    note(tmp_path, json.dumps({FIELD: mark(KEY, "0123456789ab")}))
    assert continued(tmp_path, ID, KEY) is None


def test_whose_it_is_its_first_recording_says(tmp_path: Path) -> None:
    note(tmp_path, json.dumps({FIELD: mark(KEY, ID)}))
    note(tmp_path, json.dumps({FIELD: mark(OTHER, ID)}), f"2026-11-22_21-09-55_{ID}")
    assert continued(tmp_path, ID, KEY) == ID
    assert continued(tmp_path, ID, OTHER) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"whycam": 1}',
        "",
        "{",
        "[]",
        "null",
        "\0",
        '{"owner": null}',
        '{"owner": 7}',
        '{"owner": "\u00e9"}',
        '{"owner": ""}',
    ],
)
def test_one_that_names_no_owner_is_the_computers_alone(tmp_path: Path, text: str) -> None:
    """An older whycam's, too, and one whose note was cut off."""
    note(tmp_path, text)
    assert continued(tmp_path, ID, KEY) is None
    assert continued(tmp_path, ID, None) == ID


def test_one_without_a_note_is_the_computers_alone(tmp_path: Path) -> None:
    (tmp_path / f"2026-11-22_21-03-55_{ID}").mkdir()
    assert continued(tmp_path, ID, KEY) is None
    assert continued(tmp_path, ID, None) == ID
