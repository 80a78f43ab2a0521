"""The button that is held while the camera looks at a thing, in Firefox: keys and fingers send other events there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.states.teaching import NAMES, open_panel
from tests.browser.teaching.taught import FIRST, TaughtServer
from tests.support.servers.server_process import serving

pytestmark = pytest.mark.alone


@pytest.mark.long
def test_a_button_is_held_by_pointer_and_by_key(page: Page, tmp_path: Path) -> None:
    def commands() -> Any:
        return page.evaluate("() => window.commands.splice(0)")

    with serving(tmp_path, arguments=["--no-record"]) as server:
        open_panel(page, server.url, TaughtServer(NAMES))
        button = page.locator(".hold").nth(1)
        button.hover()
        page.mouse.down()
        page.wait_for_function("() => Number(document.querySelectorAll('.hold .count')[1].textContent) > 34")
        page.mouse.up()
        assert commands() == [FIRST + 1, None]
        for key in (" ", "Enter"):
            button.focus()
            page.keyboard.down(key)
            page.wait_for_timeout(400)
            page.keyboard.up(key)
            page.wait_for_timeout(200)
            assert commands() == [FIRST + 1, None]
        button.click()  # short: it stays on
        expect(button).to_have_attribute("aria-pressed", "true")
        button.click()
        assert commands() == [FIRST + 1, None]
