"""No state of the pages keeps anybody out, is wider than its window or cuts words off (`make test-long`)."""

from __future__ import annotations

import pytest
from playwright.sync_api import Playwright

from tests.browser.states.shots import STATES, photographed


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_every_state_is_whole_in_every_size_language_and_theme(playwright: Playwright) -> None:
    assert photographed(playwright, list(STATES)) == []
