"""What becomes of a before and after that belongs to another picture than the one on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.support.servers.server_process import serving

HIDDEN = {"class": 7, "label": "cup", "before": 0.5, "after": 0.2, "age_ms": 900}
REPORT = {"hidden": HIDDEN, "classes": [7, 8], "frozen": False, "view": {"hold": []}}


CASES: list[tuple[dict[str, Any], tuple[int, bool] | None]] = [
    ({}, (0, True)),
    ({"classes": [8, 7]}, (0, False)),
    ({"classes": [8, 7], "view": {"hold": [7]}}, (0, True)),
    ({"view": {"hold": [8, 7]}}, (0, False)),
    ({"hidden": HIDDEN | {"age_ms": 1600}}, (2, True)),
    ({"hidden": HIDDEN | {"age_ms": 9000}}, (9, True)),
    ({"hidden": HIDDEN | {"age_ms": 9000}, "frozen": True}, (0, True)),
    ({"hidden": None}, None),
]


def test_it_tells_its_age_and_whether_it_is_of_the_drawn_class(page: Page, tmp_path: Path) -> None:
    ask = "async (report) => (await import('/static/shared/labels/evidence.js')).evidenceOf(report)"
    with serving(tmp_path, arguments=["--no-record"]) as server:
        page.goto(server.url)
        for changed, told in CASES:
            found = page.evaluate(ask, REPORT | changed)
            assert (found and (found["ago"], found["drawn"])) == told, changed
