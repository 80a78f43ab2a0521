"""Ownership of a recording, by its note."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whycam.stream.recording.ownership import FIELD, continued, mark
from whycam.stream.recording.paths import SESSION

ID = "1f3a9c0d77e2"
KEY, OTHER = "a key", "another key"


def note(root: Path, text: str, name: str = f"2026-11-22_21-03-55_{ID}") -> None:
    (root / name).mkdir()
    (root / name / SESSION).write_text(text)


def test_only_its_device_and_the_computer_continue_a_recording(tmp_path: Path) -> None:
    note(tmp_path, json.dumps({"whycam": 1, FIELD: mark(KEY, ID)}))
    assert continued(tmp_path, ID, KEY) == ID
    assert continued(tmp_path, ID, None) == ID
    assert continued(tmp_path, ID, OTHER) is None
    assert continued(tmp_path, "0123456789ab", KEY) is None
    assert continued(tmp_path, "../" + ID, None) is None
    assert continued(tmp_path / "none", ID, None) is None


def test_a_mark_is_valid_for_one_session_only(tmp_path: Path) -> None:
    note(tmp_path, json.dumps({FIELD: mark(KEY, "0123456789ab")}))
    assert continued(tmp_path, ID, KEY) is None


def test_the_first_recording_of_a_session_decides_who_owns_it(tmp_path: Path) -> None:
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
def test_a_recording_without_an_owner_belongs_to_the_computer(tmp_path: Path, text: str) -> None:
    """Such as one of an older whycam, or with a cut-off note."""
    note(tmp_path, text)
    assert continued(tmp_path, ID, KEY) is None
    assert continued(tmp_path, ID, None) == ID


def test_a_recording_without_a_note_belongs_to_the_computer(tmp_path: Path) -> None:
    (tmp_path / f"2026-11-22_21-03-55_{ID}").mkdir()
    assert continued(tmp_path, ID, KEY) is None
    assert continued(tmp_path, ID, None) == ID
