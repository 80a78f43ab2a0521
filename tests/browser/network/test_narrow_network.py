"""A phone whose network carries little back to it: its picture goes on; its viewers and the recording keep theirs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.camera import fake_camera, start_browser
from tests.browser.pages import until
from tests.support.clients.whep_client import Tap, watching
from tests.support.netem import SERVER, Network, Weather, bad_network
from tests.support.servers.server_process import Server, free_port, serving

pytestmark = [pytest.mark.alone, pytest.mark.timeout(180)]
NARROW = 400_000
"""In bit/s, a sixth of the full bit rate at 640x480."""
STATS = """async () => {
  const stats = [...(await whycam.connection.getStats()).values()];
  const { framesDecoded, bytesReceived } = stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
  return [framesDecoded, bytesReceived];
}"""


@dataclass(frozen=True)
class Got:
    """Frames and bytes of the explained stream so far."""

    phone: tuple[int, int]
    viewer: tuple[int, int]
    recording: int
    """Bytes of the file."""

    def since(self, before: Got) -> dict[str, float]:
        """Bits a frame of each, and the phone's share of the viewer's frames."""
        frames, size = (now - then for now, then in zip(self.phone, before.phone, strict=True))
        seen, seen_size = (now - then for now, then in zip(self.viewer, before.viewer, strict=True))
        return {
            "phone": 8 * size / max(frames, 1),
            "viewer": 8 * seen_size / seen,
            "recording": 8 * (self.recording - before.recording) / seen,
            "share": frames / seen,
        }


@contextmanager
def watched(network: Network, server: Server) -> Iterator[Tap]:
    """A viewer on the server's side of the network."""
    taps: list[Tap] = []
    over = threading.Event()

    async def watch() -> None:
        base = server.url.replace("localhost", "127.0.0.1")
        async with ClientSession() as http:
            (session,) = await (await http.get(f"{base}/api/sessions")).json()
            async with watching(http, base, session["id"]) as watcher:
                taps.append(watcher.tap)
                await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=network.server.run, args=(lambda: asyncio.run(watch()),))
    thread.start()
    try:
        until(lambda: taps and len(taps[0].frames) >= 10)
        yield taps[0]
    finally:
        over.set()
        thread.join()


@pytest.mark.long
def test_the_picture_goes_on_and_the_others_keep_theirs(tmp_path: Path) -> None:
    lan = ["--lan", "--host", SERVER, "--lan-port", str(free_port()), "--config", str(tmp_path / "config")]
    with (
        bad_network(Weather(delay_s=0.01)) as network,
        serving(tmp_path, arguments=lan, inside=network.server.prefix) as server,
    ):

        def browse() -> None:
            with sync_playwright() as playwright:
                browser = start_browser(playwright, fake_camera(tmp_path))
                try:
                    narrows(browser.new_page(ignore_https_errors=True), network, server)
                finally:
                    browser.close()

        network.client.run(browse)


def narrows(page: Page, network: Network, server: Server) -> None:
    page.goto(server.invitation)
    page.click("#start")
    expect(page.locator("body")).to_have_attribute("data-state", "live", timeout=20_000)
    with watched(network, server) as tap:
        look = looking(page, tap, server)
        start = pause(page, look, 3)
        wide = pause(page, look, 5).since(start)
        network.weather = Weather(delay_s=0.01, back_bytes_a_second=NARROW / 8)
        narrowed, decoded = time.monotonic(), look().phone[0]
        page.wait_for_timeout(1000)  # what was on its way
        until(lambda: look().phone[0] >= decoded + 30, 15)
        back_s = time.monotonic() - narrowed
        start = pause(page, look, 4)
        narrow = pause(page, look, 8).since(start)
        print(f"after {back_s:.1f} s; bits a frame: {wide}, then {narrow}")
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    assert narrow["share"] > 0.6
    assert narrow["phone"] < 0.3 * wide["viewer"]
    assert narrow["viewer"] > 0.7 * wide["viewer"]
    assert narrow["recording"] > 0.6 * wide["recording"]  # it is written in fragments of half a second


def looking(page: Page, tap: Tap, server: Server) -> Callable[[], Got]:
    (film,) = server.recordings.glob("*/explained-000.mp4")

    def look() -> Got:
        frames = list(tap.frames)
        viewer = len(frames), sum(len(frame.data) for frame in frames)
        return Got(tuple(page.evaluate(STATS)), viewer, film.stat().st_size)

    return look


def pause(page: Page, look: Callable[[], Got], seconds: float) -> Got:
    page.wait_for_timeout(1000 * seconds)
    return look()
