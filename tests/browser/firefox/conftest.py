"""The fixtures `browser` and `page` with Firefox in place of Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright

from tests.browser.camera import start_firefox


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Firefox, whose user allows the camera."""
    firefox = start_firefox(playwright)
    yield firefox
    firefox.close()
