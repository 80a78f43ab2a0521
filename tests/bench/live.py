"""The whole live path in one run: server, Chromium and its fake camera on this machine; frames, delay, memory.

The delay's growth needs no common clock: a returned frame's timestamp says when the camera took it, so the delay to
the screen is known up to a constant, which cancels between the start and the end of the run.
`python -m tests.bench.live [CAMERA.mjpeg [SECONDS [CHECKOUT]]]` takes another camera (`-`: a photograph that moves) and
measures another version in turns with this one. `CPU s/s` is that of the server with its model, and of the browser.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
from playwright.sync_api import Playwright, sync_playwright

from tests.browser.camera import fake_camera, start_browser
from tests.support import ROOT
from tests.support.processes import family
from tests.support.servers.server_process import Server, serving

WATCH = """() => {
  window.seen = [];
  const video = document.querySelector('#returned');
  const look = (now, frame) => {
    window.seen.push([now, frame.rtpTimestamp]);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}"""


def main() -> None:
    """Print a row for each codec, and one for a model that takes 300 ms."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        camera = Path(sys.argv[1]) if sys.argv[1:2] not in ([], ["-"]) else fake_camera(Path(folder))
        seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
        checkouts = [ROOT, *map(Path, sys.argv[3:4])]
        print(f"{'':28} frames/s  exact  delay grew  frame p50/p95  model     CPU s/s   memory grew")
        for name, slowed, query in (("H.264", None, ""), ("VP8", None, "?codec=vp8"), ("H.264, model 300 ms", 0.3, "")):
            for checkout in checkouts:
                with serving(Path(folder), slowed=slowed, checkout=checkout) as server:
                    row = run(playwright, server, camera, seconds, query)
                print(f"{name + ('' if checkout == ROOT else ', other'):28}", row, flush=True)


def run(playwright: Playwright, server: Server, camera: Path, seconds: float, query: str) -> str:
    """Run once; returns the row of the table."""
    browser = start_browser(playwright, camera)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{server.url}/{query}")
    page.click("#start")
    page.wait_for_selector("body[data-state=live]")
    time.sleep(5)  # the browser raises its bit rate and size
    processes = family(server.process.pid)
    page.evaluate(WATCH)
    browsing = [each for each in family(os.getpid())[1:] if each not in processes]
    before, memory, began = cpu_seconds(processes), resident(processes), time.perf_counter()
    browsed = cpu_seconds(browsing)
    reports = []
    while time.perf_counter() - began < seconds:
        time.sleep(0.25)
        reports.append(page.evaluate("() => window.whycam.report"))
    elapsed = time.perf_counter() - began
    cpu = (cpu_seconds(processes) - before) / elapsed
    of_browser = (cpu_seconds(browsing) - browsed) / elapsed
    grown = resident(processes) - memory
    seen = page.evaluate("() => window.seen")
    browser.close()
    first, last = reports[0]["counts"], reports[-1]["counts"]
    assert last["decoded"] == last["explained"] + last["passed"] + last["dropped"], json.dumps(last)
    delays = [now - rtp / 90 for now, rtp in unwrapped(seen)]
    tenth = max(1, len(delays) // 10)
    growth = statistics.median(delays[-tenth:]) - statistics.median(delays[:tenth])
    frame_ms = sorted(r["times"]["frame_ms"] for r in reports)
    exact = sum(r["state"] == "exact" for r in reports) / len(reports)
    return (
        f"{len(seen) / elapsed:8.1f} {exact:6.0%} {growth:+8.0f} ms {statistics.median(frame_ms):7.1f}/"
        f"{frame_ms[int(0.95 * len(frame_ms))]:.1f} ms {reports[-1]['times']['inference_ms']:5.0f} ms {cpu:6.2f} "
        f"{of_browser:5.2f} "
        f"{grown / 2**20:+9.1f} MiB   ({last['received'] - first['received']} received, "
        f"{last['dropped'] - first['dropped']} dropped, load {os.getloadavg()[0]:.1f})"
    )


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """CPU seconds of the server and its model's process."""
    return float(sum(times.user + times.system for times in (process.cpu_times() for process in processes)))


def resident(processes: list[psutil.Process]) -> int:
    """Bytes of resident memory of those that still run; shared memory is counted in each process."""
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # a server that starts may have called another program
            total += process.memory_info().rss
    return total


def unwrapped(seen: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """The RTP timestamps, unwrapped."""
    out: list[tuple[float, int]] = []
    for now, rtp in seen:
        step = (rtp - out[-1][1] + (1 << 31)) % (1 << 32) - (1 << 31) if out else 0
        out.append((now, (out[-1][1] + step) if out else rtp))
    return out


if __name__ == "__main__":
    main()
