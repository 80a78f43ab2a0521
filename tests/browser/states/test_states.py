"""No state of the pages keeps anybody out, is wider than its window or cuts words off (`make test-long`)."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, Playwright, expect

from tests.browser.states import shots
from tests.browser.states.shots import STATES, Home, photographed, reach
from tests.support.servers.server_process import Server

LATE = """<body data-state="joining"><p id="error"></p><p id="late" hidden>here</p>
<script>setTimeout(() => { document.querySelector('#late').hidden = false }, %d)</script>"""


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_every_state_is_whole_in_every_size_language_and_theme(playwright: Playwright) -> None:
    assert photographed(playwright, list(STATES)) == []


@pytest.fixture
def home(tmp_path: Path) -> Home:
    nothing = Server("", tmp_path, None, tmp_path)  # type: ignore[arg-type] # never asked
    return Home(nothing, nothing, nothing, tmp_path)


def test_a_busy_machine_reaches_a_state_later(page: Page, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone that joins on a loaded machine takes longer than Playwright waits by itself, which is five seconds."""

    def late(page: Page, home: Home) -> None:
        page.set_content(LATE % 6_000)
        expect(page.locator("#late")).to_be_visible()

    monkeypatch.setitem(STATES, "late", late)
    reach(page, home, "late")
    monkeypatch.setattr(shots, "PATIENCE_MS", 200)
    with pytest.raises(AssertionError) as refused:
        reach(page, home, "late")
    assert any("joining" in note for note in refused.value.__notes__)
