"""What becomes of a before and after that belongs to another picture than the one on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import begin
from tests.browser.publishing import published
from tests.browser.reports import naming, rewrite, rewriting
from tests.support.servers.server_process import free_port, lan_arguments, serving

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


NOTHING: dict[str, Any] = {key: [] for key in ("classes", "labels", "scores", "held", "drawn")}
UNEXPLAINED = NOTHING | {"state": "none", "age_ms": None, "hidden": None}
SAID = """(selector) => {
  window.said = new Set();
  const sign = document.querySelector(selector);
  const note = () => window.said.add(sign.textContent);
  new MutationObserver(note).observe(sign, { childList: true, characterData: true, subtree: true });
}"""


@pytest.mark.parametrize("place", ["phone", pytest.param("wall", marks=pytest.mark.long)])
def test_frames_without_an_explanation_keep_the_last_answer(page: Page, tmp_path: Path, place: str) -> None:
    rewriting(page)
    explained = naming(["cup"], [0.5], first=7) | {"hidden": HIDDEN, "frozen": False}
    explained["view"] = {"hold": [], "hide": True}
    with serving(tmp_path, arguments=["--no-record", *lan_arguments(tmp_path, free_port())]) as server:
        if place == "phone":
            begin(page, server)
            page.click("#hide")
            watched(page, explained, "#hidden", "cup 50% → 20%", "Hiding the evidence…")
        else:
            page.goto(f"{server.url}/watch")
            with published(server):
                expect(page.locator(".tile[data-state=seen]")).to_be_visible(timeout=20_000)
                watched(page, explained, ".tile .pictures > .signs", "Evidence hidden", "Hiding the evidence…")


def watched(page: Page, explained: dict[str, Any], selector: str, answer: str, waiting: str) -> None:
    sign = page.locator(selector)
    rewrite(page, **explained)
    expect(sign).to_contain_text(answer, timeout=20_000)
    page.evaluate(SAID, selector)
    rewrite(page, **UNEXPLAINED, view=explained["view"])
    expect(sign).to_contain_text("s ago", timeout=10_000)  # the answer gets older while none comes
    rewrite(page, **explained)
    expect(sign).not_to_contain_text("s ago", timeout=10_000)
    said = page.evaluate("() => [...window.said]")
    assert all(answer in text for text in said), said
    rewrite(page, **explained | {"hidden": None})  # explained, and not without the evidence yet
    expect(sign).to_contain_text(waiting, timeout=10_000)
