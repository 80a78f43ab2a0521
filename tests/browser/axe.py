"""axe-core, which looks for what keeps people out of a page: contrast, names, roles, the order of focus."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

AXE = Path(__file__).parent.parent / "web_lint" / "node_modules" / "axe-core" / "axe.min.js"
# What still fades in has no contrast yet. One without end, such as a pulse, cannot be finished.
LOOK = """async () => {
  for (const animation of document.getAnimations()) {
    if (animation.effect.getComputedTiming().endTime !== Infinity) animation.finish();
  }
  return (await axe.run({ resultTypes: ['violations'] })).violations.flatMap(({ id, nodes }) =>
  nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`));
}"""


def assert_accessible(page: Page) -> None:
    """No violation of axe's rules (WCAG A and AA, and its best practices) in the page as it stands."""
    if not AXE.exists():
        reason = "axe-core is not installed (make .venv/.web)"
        assert not os.environ.get("WHYCAM_NEED_BROWSER"), reason
        pytest.skip(reason)
    page.evaluate(AXE.read_text())
    violations = page.evaluate(LOOK)
    assert violations == [], "\n".join(violations)
