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


TRUE = """() => {
  const rows = [...document.querySelectorAll('#list li')].filter((row) => row.dataset.class);
  const one = rows.map((row) => [Number(row.dataset.class), row.querySelector('.score').textContent]);
  // Rows whose numbers are equal may stand in any order.
  const falls = one.every(([, score], i) => !i || parseFloat(score) <= parseFloat(one[i - 1][1]));
  return falls && window.given.has(JSON.stringify([...one].sort((a, b) => a[0] - b[0]))) || JSON.stringify(one);
}"""
"""Whether the rows are those of one report, each with its number."""


def test_the_list_is_always_one_report(labels: Page) -> None:
    """Scores that change places all the time: never a class without its number, never two reports at once."""
    labels.evaluate(
        """() => {
          window.given = new Set(['[]']);
          const percent = (score) => score < 0.0995 ? `${(100 * score).toFixed(1)}%` : `${Math.round(100 * score)}%`;
          let step = 0;
          window.timer = setInterval(() => {
            step += 1;
            const scores = Object.fromEntries([1, 2, 3, 4, 5, 6, 7].map((number) => (
              [number, Math.round(1000 * (0.3 + 0.2 * Math.sin(step / 7 + number) + number / 100)) / 1000])));
            const best = Object.entries(scores).sort((a, b) => b[1] - a[1]).slice(0, 5);
            window.given.add(JSON.stringify(best.map(([number, score]) => [Number(number), percent(score)])
              .sort((a, b) => a[0] - b[0])));
            window.show(scores);
          }, 33);
        }"""
    )
    for _ in range(80):
        assert labels.evaluate(TRUE) is True
        labels.wait_for_timeout(40)
    labels.locator("#list li").nth(2).hover()  # under a mouse it waits as a whole
    for _ in range(40):
        assert labels.evaluate(TRUE) is True
        labels.wait_for_timeout(40)


def test_a_best_class_that_changes_is_first_soon(labels: Page) -> None:
    go_on(labels, FIRST)
    expect(labels.locator("#list li").first).to_contain_text("50%")
    labels.wait_for_timeout(400)
    labels.evaluate("() => { window.swapped = performance.now(); }")
    go_on(labels, FIRST | {2: 0.6, 1: 0.1})
    labels.wait_for_function("() => document.querySelector('#list li').dataset.class === '2'")
    assert labels.evaluate("() => performance.now() - window.swapped") < 700


def test_under_a_mouse_the_list_waits_as_a_whole(labels: Page) -> None:
    go_on(labels, FIRST)
    row = labels.locator("#list [data-class='5']")
    expect(row).to_contain_text("4.0%")
    labels.locator("#list li").nth(1).hover()
    go_on(labels, {1: 0.5, 2: 0.2, 3: 0.1, 4: 0.05, 6: 0.045})
    labels.wait_for_timeout(300)
    expect(row).to_contain_text("4.0%")
    # Not for ever.
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
