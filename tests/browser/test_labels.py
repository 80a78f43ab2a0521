"""The list of labels by itself, in a real browser, given reports of the test's own."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.browser.reports import percent
from tests.support.servers.server_process import serving
from whycam.stream.overlay.heatmap import DrawnMap, caption

LIST = """async () => {
  const { Labels } = await import('/static/shared/labels/labels.js');
  document.body.innerHTML = '<ol id="list"></ol>';
  const list = document.querySelector('#list');
  Object.assign(list.style, { position: 'fixed', inset: 0, zIndex: 9 });
  window.pressed = [];
  window.labels = new Labels(list, document.createElement('p'), (number) => window.pressed.push(number));
  window.show = (scores, pinned = []) => {
    const all = Object.entries(scores)
      .map(([number, score]) => ({ class: Number(number), label: `class ${number}`, score }));
    const best = all.toSorted((a, b) => b.score - a.score).slice(0, 5);
    const held = pinned.map((number) => all.find((one) => one.class === number));
    window.labels.show({ classes: best.map((one) => one.class), labels: best.map((one) => one.label),
      scores: best.map((one) => one.score), held }, pinned);
    return window.read();
  };
  window.read = () => [...document.querySelectorAll('#list li')].filter((row) => row.dataset.class)
    .map((row) => [Number(row.dataset.class), row.querySelector('.score').textContent]);
  window.goOn = (scores) => { clearInterval(window.timer); window.timer = setInterval(() => window.show(scores), 50); };
}"""
FIRST = {1: 0.5, 2: 0.2, 3: 0.1, 4: 0.05, 5: 0.04}


@pytest.fixture
def labels(page: Page, tmp_path: Path) -> Iterator[Page]:
    with serving(tmp_path, arguments=["--no-record"]) as server:
        page.goto(server.url)
        page.wait_for_selector("body[data-state=idle]")
        page.evaluate(LIST)
        yield page


def go_on(page: Page, scores: dict[int, float]) -> None:
    page.evaluate("(scores) => window.goOn(scores)", {str(number): score for number, score in scores.items()})


def numbers(page: Page) -> list[str]:
    return [str(item.get_attribute("data-class")) for item in page.locator("#list li").all()]


RUN = """([steps, every]) => new Promise((resolve) => {
  const seen = [];
  const timer = setInterval(() => {
    const scores = steps[seen.length];
    seen.push([performance.now(), window.show(scores)]);
    if (seen.length === steps.length) { clearInterval(timer); resolve(seen); }
  }, every);
})"""
"""Shows one report after the other; the time of each in ms, and the rows as they then are."""

Scores = dict[int, float]
Rows = list[tuple[int, str]]


def run(page: Page, steps: list[Scores]) -> list[tuple[float, Rows]]:
    written = [{str(number): score for number, score in scores.items()} for scores in steps]
    return [(ms, [(n, text) for n, text in rows]) for ms, rows in page.evaluate(RUN, [written, 33])]


def moving(steps: int) -> list[Scores]:
    """Probabilities of seven classes, which change places all the time, the best one about twice a second."""
    found = []
    for step in range(steps):
        powers = [math.exp(2 * math.sin(step / 9 + number) + math.sin(step * number)) for number in range(7)]
        found.append({n: round(power / sum(powers), 6) for n, power in enumerate(powers)})
    return found


def value(text: str) -> float:
    return float(text.removesuffix("%"))


def check(steps: list[Scores], seen: list[tuple[float, Rows]], waits_ms: float = 500) -> None:
    """The first row is this report's best class with its number, and the list does not contradict itself."""
    for at, ((now, rows), scores) in enumerate(zip(seen, steps, strict=True)):
        best = max(scores, key=scores.__getitem__)
        assert rows[0] == (best, percent(scores[best])), at
        numbers = [value(text) for _, text in rows]
        assert numbers == sorted(numbers, reverse=True), (at, rows)
        assert len({number for number, _ in rows}) == len(rows) == 5
        assert sum(numbers) <= 100 + 5 * 0.5, (at, rows)  # each is rounded
        recent = [steps[i] for i in range(at + 1) if now - seen[i][0] <= waits_ms + 40]
        for number, text in rows:
            assert text in {percent(each[number]) for each in recent}, (at, number)


def test_the_first_row_is_always_this_reports_and_the_list_never_contradicts_itself(labels: Page) -> None:
    steps = moving(240)
    seen = run(labels, steps)
    check(steps, seen)
    changes = sum(one[0] != other[0] for (_, one), (_, other) in pairwise(seen))
    assert changes > 200  # the numbers are each report's own


@pytest.mark.long
def test_a_sum_above_100_percent_is_no_list(labels: Page) -> None:
    one, two = {1: 0.5, 2: 0.3, 3: 0.1, 4: 0.06, 5: 0.04}, {1: 0.9, 2: 0.02, 3: 0.04, 4: 0.03, 5: 0.01}
    steps = [one] * 20 + [one | {4: 0.04, 5: 0.06}] + [two]
    seen = run(labels, steps)
    assert seen[-2][1][3:] == [(5, "6.0%"), (4, "4.0%")]  # these names moved just now
    assert seen[-1][1] == [(1, "90%"), (3, "4.0%"), (4, "3.0%"), (2, "2.0%"), (5, "1.0%")]
    check(steps, seen)


@pytest.mark.long
def test_of_independent_classes_names_wait_too(labels: Page) -> None:
    """Their scores have no sum of 1, so a larger one contradicts nothing."""
    one = {1: 0.9, 2: 0.8, 3: 0.6, 4: 0.06, 5: 0.04}
    seen = run(labels, [one] * 20 + [one | {4: 0.04, 5: 0.06}, one | {1: 0.95}])
    assert [number for number, _ in seen[-1][1]] == [1, 2, 3, 5, 4]
    assert seen[-1][1][0] == (1, "95%")


@pytest.mark.long
def test_names_below_the_first_move_twice_a_second_at_most(labels: Page) -> None:
    """The classes that a model holds for improbable change places with each frame."""
    steps = [
        {1: 0.9 + 0.02 * math.sin(step), **{n: 0.01 + 0.004 * math.sin(step * n) for n in range(2, 9)}}
        for step in range(120)
    ]
    steps = [{number: round(score, 6) for number, score in scores.items()} for scores in steps]
    seen = run(labels, steps)
    check(steps, seen)
    moved = [ms for (_, one), (ms, other) in pairwise(seen) if [n for n, _ in one] != [n for n, _ in other]]
    assert len(moved) > 3
    assert min(later - earlier for earlier, later in pairwise(moved)) > 480


@pytest.mark.long
def test_rows_above_a_name_that_waits_have_this_reports_numbers(labels: Page) -> None:
    one = {1: 0.5, 2: 0.2, 3: 0.1, 4: 0.05, 5: 0.04, 6: 0.03}
    other = {1: 0.51, 2: 0.21, 3: 0.11, 4: 0.051, 5: 0.039, 6: 0.038}
    steps = [one] * 20 + [one | {5: 0.03, 6: 0.04}, other]
    seen = run(labels, steps)
    # The sixth, which left the five, has no number in this report: it waits with its former one.
    assert seen[-2][1][4] == (6, "4.0%")
    assert seen[-1][1] == [(1, "51%"), (2, "21%"), (3, "11%"), (4, "5.1%"), (6, "4.0%")]


@pytest.mark.long
def test_pinned_classes_that_left_the_five_stand_in_the_order_of_their_numbers(labels: Page) -> None:
    scores = {str(number): 0.3 / number for number in range(1, 10)}
    rows = labels.evaluate("([scores, pinned]) => window.show(scores, pinned)", [scores, [9, 8]])
    assert [number for number, _ in rows] == [1, 2, 3, 8, 9]


PRESS = """(place) => {
  const button = document.querySelectorAll('#list button')[place];
  for (const [kind, target] of [['pointerdown', button], ['pointerup', window]]) {
    target.dispatchEvent(new PointerEvent(kind, { bubbles: true }));
  }
  button.click();
  return window.pressed.pop();
}"""


def test_a_press_means_the_class_that_was_seen(labels: Page) -> None:
    """Names that have just moved under the finger, even twice, are not what the person saw."""
    go_on(labels, FIRST)
    expect(labels.locator("#list li").first).to_contain_text("50%")
    labels.wait_for_timeout(500)
    moves = "([press, place, steps]) => { steps.forEach((one) => window.show(one)); return eval(press)(place); }"
    swapped = [{str(n): s for n, s in (FIRST | {2: 0.6, 1: 0.1, 3: 0.15}).items()}]
    again = [*swapped, {str(n): s for n, s in (FIRST | {3: 0.6}).items()}]
    assert labels.evaluate(moves, [PRESS, 0, swapped]) == 1
    go_on(labels, FIRST)
    labels.wait_for_timeout(500)
    assert labels.evaluate(moves, [PRESS, 0, again]) == 1
    go_on(labels, FIRST | {2: 0.6, 1: 0.1})
    labels.wait_for_timeout(500)
    assert labels.evaluate(PRESS, 0) == 2
    labels.evaluate("() => { clearInterval(window.timer); window.labels.clear(); }")  # another model's numbers
    labels.evaluate("(scores) => window.show(scores)", {"7": 0.6, "8": 0.4})
    assert labels.evaluate(PRESS, 0) == 7


def test_under_a_finger_no_name_moves(labels: Page) -> None:
    go_on(labels, FIRST)
    row = labels.locator("#list li").first
    expect(row).to_contain_text("50%")
    row.hover()
    labels.mouse.down()
    go_on(labels, FIRST | {1: 0.55})
    expect(row).to_contain_text("55%", timeout=900)  # its number is still the frame's
    go_on(labels, FIRST | {2: 0.6, 1: 0.1})
    labels.wait_for_timeout(300)
    assert numbers(labels) == ["1", "2", "3", "4", "5"]
    labels.mouse.up()
    expect(row).to_contain_text("class 2", timeout=900)


LATE = """async () => {
  const { ReportOnScreen } = await import('/static/shared/labels/report-on-screen.js');
  const told = [];
  const onScreen = new ReportOnScreen((report) => told.push(report.rtp_out));
  onScreen.take({ rtp_out: 1 });
  for (const frame of [1, 2]) onScreen.shown({ rtpTimestamp: frame });
  onScreen.take({ rtp_out: 3 });
  const before = [...told];
  onScreen.take({ rtp_out: 2 });
  return [before, told];
}"""


def test_a_report_that_comes_after_its_frame_is_shown_at_once(labels: Page) -> None:
    before, told = labels.evaluate(LATE)
    assert told == [*before, 2]
    assert before[-1] == 1


@pytest.mark.long
def test_the_label_in_the_picture_and_the_page_say_the_same_number(labels: Page) -> None:
    """Both round a score of six decimals once, halves up."""
    scores = [
        millionths / 1_000_000 for millionths in (*range(99_500, 1_000_000, 997), *range(105_000, 1_000_000, 5_000))
    ]
    page = labels.evaluate(
        "async (scores) => { const { percent } = await import('/static/shared/i18n.js'); return scores.map(percent); }",
        scores,
    )
    burnt_in = [caption([DrawnMap(1, "cup", score, np.zeros((7, 7), np.uint8), 1.0)]) for score in scores]
    assert burnt_in == [f"{text} cup" for text in page]
    assert page == [percent(score) for score in scores]


@pytest.mark.long
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


@pytest.mark.long
def test_a_new_scene_has_its_own_names_under_a_mouse_too(labels: Page) -> None:
    go_on(labels, FIRST)
    expect(labels.locator("#list li").first).to_contain_text("50%")
    labels.locator("#list li").nth(1).hover()
    go_on(labels, {7: 0.6, 8: 0.2, 9: 0.1, 2: 0.05, 5: 0.04})
    expect(labels.locator("#list li").first).to_contain_text("class 7", timeout=900)
    assert set(numbers(labels)) == {"7", "8", "9", "2", "5"}


@pytest.mark.long
def test_numbered_rows_stand_in_the_order_of_their_numbers(labels: Page) -> None:
    go_on(labels, {1: 0.072, 2: 0.07, 3: 0.05, 4: 0.049, 5: 0.04})
    expect(labels.locator("#list li").first).to_contain_text("7.2%")
    go_on(labels, {1: 0.05, 2: 0.072, 3: 0.05, 4: 0.051, 5: 0.04})
    for _ in range(15):
        texts = labels.locator("#list .score").all_inner_texts()
        shown = [float(re.sub(r"[^\d.]", "", text)) for text in texts]
        assert shown == sorted(shown, reverse=True)
        labels.wait_for_timeout(100)
    assert numbers(labels) == ["2", "4", "1", "3", "5"]
