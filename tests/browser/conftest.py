"""Fixtures for a real browser; without one the tests are skipped, unless WHYCAM_NEED_BROWSER is set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.browser.camera import SMALL, fake_camera, start_browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def camera_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_camera(tmp_path_factory.mktemp("camera"), SMALL)


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def browser(playwright: Playwright, camera_file: Path) -> Iterator[Browser]:
    """A browser whose user allows the camera."""
    chromium = start_browser(playwright, camera_file)
    yield chromium
    chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must not complain: an error on its console fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    new = context.new_page()
    complaints: list[str] = []
    new.on("pageerror", lambda error: complaints.append(f"{error} {error.stack}"))
    new.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield new
    context.close()
    # A test's server goes before its page, whose last goodbye then fails.
    assert [text for text in complaints if "ERR_CONNECTION_REFUSED" not in text] == []
