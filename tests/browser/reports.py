"""Reports of the test's own in a page: what a server sends is rewritten before the page sees it; and their numbers."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from playwright.sync_api import Page

REWRITE = """
  window.rewrite = null;
  const listen = RTCDataChannel.prototype.addEventListener;
  RTCDataChannel.prototype.addEventListener = function (kind, take, ...options) {
    const taken = kind !== 'message' ? take : (event) => {
      const message = JSON.parse(event.data);
      if (message.pts === undefined || !window.rewrite) return take(event);
      const view = { ...message.view, ...window.rewrite.view };
      take({ data: JSON.stringify({ ...message, ...window.rewrite, view }) });
    };
    return listen.call(this, kind, taken, ...options);
  };
"""


def rewriting(page: Page) -> None:
    """Call this before the page is opened."""
    page.add_init_script(REWRITE)


def rewrite(page: Page, **changes: Any) -> None:
    """Replace these keys of each report; those of `view` are replaced one by one."""
    page.evaluate("(changes) => { window.rewrite = changes; }", changes)


def naming(names: list[str], scores: list[float], *, first: int, pinned: int = 0) -> dict[str, Any]:
    """The keys of a report that names these classes, numbered from `first`; the first `pinned` ones are pinned."""
    numbers = list(range(first, first + len(names)))
    held = [{"class": n, "label": name, "score": score} for n, name, score in zip(numbers, names, scores, strict=True)]
    return {
        "classes": numbers,
        "labels": names,
        "scores": scores,
        "held": held[:pinned],
        "drawn": [{"class": each["class"], "label": each["label"], "heat": 1} for each in held[: pinned or 1]],
        "view": {"hold": numbers[:pinned]},
        "state": "exact",
    }


def percent(score: float) -> str:
    """As English pages write it, from a score of at most six decimals."""
    exact = Decimal(str(score)) * 100
    tenths = Decimal("9.95") > exact >= Decimal("0.05")
    return f"{exact.quantize(Decimal('0.1') if tenths else Decimal(1), ROUND_HALF_UP)}%"
