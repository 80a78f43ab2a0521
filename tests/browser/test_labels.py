"""The list of labels by itself, in a real browser, given reports of the test's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.servers.server_process import serving

LIST = """async (ranked) => {
  const { Labels } = await import('/static/shared/labels/labels.js');
  document.body.innerHTML = '<ol id="list"></ol>';
  const list = document.querySelector('#list');
  Object.assign(list.style, { position: 'fixed', inset: 0, zIndex: 9 });
  const labels = new Labels(list, document.createElement('p'), () => {}, ranked);
  window.show = (scores) => {
    const best = Object.entries(scores).sort((a, b) => b[1] - a[1]).slice(0, 5);
    labels.show({ classes: best.map(([number]) => Number(number)), labels: best.map(([number]) => `class ${number}`),
      scores: best.map(([, score]) => score), held: [] }, []);
  };
  window.goOn = (scores) => { clearInterval(window.timer); window.timer = setInterval(() => window.show(scores), 50); };
}"""
FIRST = {1: 0.5, 2: 0.2, 3: 0.1, 4: 0.05, 5: 0.04}


@pytest.fixture
def labels(page: Page, tmp_path: Path) -> Iterator[Page]:
    with serving(tmp_path, arguments=["--no-record"]) as server:
        page.goto(server.url)
        page.wait_for_selector("body[data-state=idle]")
        page.evaluate(LIST, False)
        yield page


def go_on(page: Page, scores: dict[int, float]) -> None:
    page.evaluate("(scores) => window.goOn(scores)", {str(number): score for number, score in scores.items()})


def numbers(page: Page) -> list[str]:
    return [str(item.get_attribute("data-class")) for item in page.locator("#list li").all()]


def test_under_a_mouse_a_class_that_left_the_five_has_no_number(labels: Page) -> None:
    go_on(labels, FIRST)
    row = labels.locator("#list [data-class='5']")
    expect(row).to_contain_text("4.0%")
    labels.locator("#list li").nth(1).hover()
    go_on(labels, {1: 0.5, 2: 0.2, 3: 0.1, 4: 0.05, 6: 0.045})
    expect(row.locator(".score")).to_have_text("–")
    assert row.locator(".bar").evaluate("(bar) => bar.style.getPropertyValue('--score')") == "0.000"
    # A mouse that was left lying there does not keep it for ever.
    expect(row).to_have_count(0, timeout=6_000)
    assert numbers(labels) == ["1", "2", "3", "4", "6"]


def test_a_new_scene_has_its_own_names_under_a_mouse_too(labels: Page) -> None:
    go_on(labels, FIRST)
    expect(labels.locator("#list li").first).to_contain_text("50%")
    labels.locator("#list li").nth(1).hover()
    go_on(labels, {7: 0.6, 8: 0.2, 9: 0.1, 2: 0.05, 5: 0.04})
    expect(labels.locator("#list li").first).to_contain_text("class 7", timeout=900)
    assert set(numbers(labels)) == {"7", "8", "9", "2", "5"}


def test_numbered_rows_stand_in_the_order_of_their_numbers(labels: Page) -> None:
    labels.evaluate(LIST, True)
    go_on(labels, {1: 0.072, 2: 0.07, 3: 0.05, 4: 0.049, 5: 0.04})
    expect(labels.locator("#list li").first).to_contain_text("7.2%")
    go_on(labels, {1: 0.05, 2: 0.072, 3: 0.05, 4: 0.051, 5: 0.04})
    for _ in range(15):
        texts = labels.locator("#list .score").all_inner_texts()
        shown = [float(re.sub(r"[^\d.]", "", text)) for text in texts]
        assert shown == sorted(shown, reverse=True)
        labels.wait_for_timeout(100)
    assert numbers(labels) == ["2", "4", "1", "3", "5"]
