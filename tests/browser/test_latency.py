"""The delay that the page shows: measured where frames can be seen leaving, estimated elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.support.servers.server_process import serving

pytestmark = pytest.mark.alone

LIVE = "body[data-state=live]"


@pytest.mark.parametrize("codec", ["h264", pytest.param("vp8", marks=pytest.mark.long)])
def test_the_delay_is_measured_where_frames_can_be_seen_leaving(page: Page, tmp_path: Path, codec: str) -> None:
    with serving(tmp_path) as server:
        page.goto(f"{server.url}/?codec={codec}")
        page.click("#start")
        page.wait_for_selector(LIVE)
        page.wait_for_function("() => window.whycam.latency?.measured")
        page.wait_for_function(r"() => /^\d+ ms$/.test(document.querySelector('#latency').textContent)")
        ms = page.evaluate("() => window.whycam.latency.ms")
        frame_ms = page.evaluate("() => window.whycam.report.times.frame_ms")
    assert frame_ms > 0
    assert 1 < ms < 10_000


@pytest.mark.long
def test_elsewhere_it_is_called_an_estimate(page: Page, tmp_path: Path) -> None:
    page.add_init_script("delete window.RTCRtpScriptTransform")
    with serving(tmp_path) as server:
        page.goto(server.url)
        page.click("#start")
        page.wait_for_selector(LIVE)
        page.wait_for_function("() => window.whycam.latency !== null")
        page.wait_for_function(r"() => /^≈ \d+ ms$/.test(document.querySelector('#latency').textContent)")
        assert page.evaluate("() => window.whycam.latency.measured") is False


@pytest.mark.long
def test_a_worker_that_does_not_start_costs_no_picture(page: Page, tmp_path: Path) -> None:
    page.route("**/latency-worker.js", lambda route: route.fulfill(status=200, content_type="text/javascript", body=""))
    with serving(tmp_path) as server:
        page.goto(server.url)
        page.click("#start")
        page.wait_for_selector(LIVE)
        page.wait_for_function("() => window.whycam.latency?.measured === false")


@pytest.mark.long
def test_a_worker_that_swallows_the_frames_is_left_out_at_the_next_try(page: Page, tmp_path: Path) -> None:
    page.route(
        "**/latency-worker.js",
        lambda route: route.fulfill(status=200, content_type="text/javascript", body="postMessage('ready')"),
    )
    with serving(tmp_path) as server:
        page.goto(server.url)
        page.click("#start")
        page.wait_for_selector("body[data-state=idle] #error:not([hidden])", timeout=40_000)
        page.click("#start")
        page.wait_for_selector(LIVE)
