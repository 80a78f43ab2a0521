"""`make test-phone`: what a person does on a phone, done by Chromium as a phone and by Firefox."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect

from tests.browser.camera import start_browser, start_firefox
from tests.browser.pages import until
from tests.support import ROOT
from tests.support.servers.server_process import free_port

pytestmark = pytest.mark.alone


@pytest.mark.long
@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_the_check_passes_and_its_report_comes_back(
    playwright: Playwright, camera_file: Path, tmp_path: Path, name: str
) -> None:
    arguments = ["--host", "127.0.0.1", "--port", str(free_port()), "--reports", str(tmp_path / "reports")]
    log = tmp_path / "log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "tests.phone_check", *arguments]
        server = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        until(lambda: "https://" in log.read_text(), 30)
        browser = start_browser(playwright, camera_file) if name == "chromium" else start_firefox(playwright)
        page = browser.new_context(
            ignore_https_errors=True,
            viewport={"width": 390, "height": 844},
            locale="en-GB",
            is_mobile=True if name == "chromium" else None,  # Firefox has no such mode
        ).new_page()
        page.goto(log.read_text().split()[-1])
        page.click("#check button:text('Begin')")
        page.click("#check button:text('I cannot')", timeout=60_000)
        expect(page.locator("#check p")).to_contain_text("(Save)", timeout=30_000)
        page.click("#save")
        page.click("#check button:text('Yes')")
        expect(page.locator("#check p")).to_contain_text("please send it back", timeout=60_000)
        (path,) = (tmp_path / "reports").iterdir()
        report = json.loads(path.read_text())
        assert report["complaints"] == []
        assert [step for step in report["steps"] if step["result"] == "FAILED"] == []
        assert [step["step"] for step in report["steps"] if step["result"] == "skipped"] == ["the phone is turned"]
        assert page.locator("#check textarea").input_value() == path.read_text().rstrip("\n")
        browser.close()
    finally:
        server.terminate()
        server.wait(20)
