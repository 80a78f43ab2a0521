"""What becomes of a before and after that belongs to another picture than the one on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.serving import serving

HIDDEN = {"class": 7, "label": "cup", "before": 0.5, "after": 0.2, "age_ms": 900}
REPORT = {"hidden": HIDDEN, "classes": [7, 8], "frozen": False, "view": {"hold": []}}


CASES: list[tuple[dict[str, Any], int | None]] = [
    ({}, 0),
    ({"classes": [8, 7]}, None),
    ({"classes": [8, 7], "view": {"hold": [7]}}, 0),
    ({"view": {"hold": [8, 7]}}, None),
    ({"hidden": HIDDEN | {"age_ms": 1600}}, 2),
    ({"hidden": HIDDEN | {"age_ms": 9000}}, 9),
    ({"hidden": HIDDEN | {"age_ms": 9000}, "frozen": True}, 0),
    ({"hidden": None}, None),
]


def test_it_is_shown_only_for_the_drawn_class_and_with_its_age(page: Page, tmp_path: Path) -> None:
    ask = "async (report) => (await import('/static/evidence.js')).evidenceOf(report)?.ago ?? null"
    with serving(tmp_path, arguments=["--no-record"]) as server:
        page.goto(server.url)
        for changed, ago in CASES:
            assert page.evaluate(ask, REPORT | changed) == ago, changed
