"""The delay from the camera to the screen, by a counter in the fake camera's frames that is read from returned ones.

`python -m tests.bench.latency [SECONDS [CHECKOUT]]`, at 640x480 and 1280x720; a CHECKOUT of another version is measured
in turns with this one.
Server and headless Chromium run on this machine. Each frame has its number as a row of black and white squares. The
page sees it twice: in the camera's own picture, with the time of its capture, and in the returned one, with the time of
its display. `shown` is what the page itself measures from the encoder on.

The second line of each row has the medians of the parts, in milliseconds: `capture` from the camera to the encoder's
output, `server` from the last packet's arrival to the encoded frame (of which the model's `inference` may be a part),
`network` both ways and what waits in the event loops, `jitter` the browser's buffer, its `decode`, and `display` from
the compositor on. Decoding, painting and encoding in the server are measured by `tests.bench.stages`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
from playwright.sync_api import Playwright, sync_playwright

from tests.browser.camera import start_browser
from tests.support import ROOT
from tests.support.servers.server_process import Server, serving
from whycam.stream.video.planes import Bytes, as_bytes

SIZES = {(640, 480): "", (1280, 720): "?size=720p"}
"""Width and height of the camera's frames, and the page's query for them."""
FRAMES = 300
BITS = 9
SQUARE = 32
"""Pixels; each bit is two squares, of which the left or the right one is white, so that heat drawn on both does not
matter."""
STRIP = 48

NOTE = """() => {
  window.noted = { left: new Map(), reports: new Map() };
  const keep = (map, key, value) => { map.set(key, value); if (map.size > 2000) map.delete(map.keys().next().value); };
  const Real = window.Worker;
  window.Worker = class extends Real {
    constructor(...given) {
      super(...given);
      this.addEventListener('message', ({ data }) => {
        if (data.rtp !== undefined) keep(window.noted.left, data.rtp, data.at - performance.timeOrigin);
      });
    }
  };
  const create = RTCPeerConnection.prototype.createDataChannel;
  RTCPeerConnection.prototype.createDataChannel = function (...given) {
    const channel = create.apply(this, given);
    channel.addEventListener('message', ({ data }) => {
      const report = JSON.parse(data);
      if (report.rtp_out) keep(window.noted.reports, report.rtp_out, [report.rtp_in, report.times.frame_ms]);
    });
    return channel;
  };
}"""

WATCH = """(sizes) => {
  const { WIDTH, BITS, SQUARE, STRIP } = sizes;
  window.seen = { camera: [], screen: [] };
  const canvas = new OffscreenCanvas(BITS * 2, 1);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const read = (video) => {
    const scale = video.videoWidth / WIDTH;
    const strip = [0, video.videoHeight - STRIP * scale * 0.75, BITS * 2 * SQUARE * scale, STRIP * scale * 0.5];
    context.drawImage(video, ...strip, 0, 0, BITS * 2, 1);
    const { data } = context.getImageData(0, 0, BITS * 2, 1);
    let number = 0;
    for (let bit = 0; bit < BITS; bit += 1) {
      const [left, right] = [data[bit * 8 + 1], data[bit * 8 + 5]];
      if (Math.abs(left - right) < 40) return null;
      number = number * 2 + (right > left ? 1 : 0);
    }
    return number;
  };
  const watch = (video, into, time) => {
    const look = (now, metadata) => {
      const number = read(video);
      if (number !== null) into.push([number, time(now, metadata)]);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  };
  const camera = document.createElement('video');
  Object.assign(camera, { muted: true, playsInline: true });
  camera.srcObject = new MediaStream([window.whycam.connection.getSenders()[0].track]);
  camera.style = 'position: fixed; width: 64px; height: 48px; z-index: 9';
  document.body.append(camera);
  void camera.play();
  watch(camera, window.seen.camera, (now, metadata) => metadata.captureTime ?? now);
  window.seen.parts = [];
  watch(document.querySelector('#returned'), window.seen.screen, (now, metadata) => {
    const [rtpIn, frameMs] = window.noted.reports.get(metadata.rtpTimestamp) ?? [];
    const left = window.noted.left.get(rtpIn);
    if (left !== undefined) {
      const { receiveTime, processingDuration, presentationTime, expectedDisplayTime } = metadata;
      window.seen.parts.push({
        at: expectedDisplayTime, left, server: frameMs, network: receiveTime - left - frameMs,
        jitter: presentationTime - receiveTime - 1000 * processingDuration, decode: 1000 * processingDuration,
        display: expectedDisplayTime - presentationTime,
      });
    }
    return metadata.expectedDisplayTime;
  });
}"""


def main() -> None:
    """Print a row for the picture alone, for the bundled model, and for a slow one, at each size."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    checkouts = [ROOT, *map(Path, sys.argv[2:3])]
    rows = (("picture alone", "blind"), ("bundled model", None), ("model of 300 ms", 0.3))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        for size in SIZES:
            camera = numbered_camera(Path(folder), size)
            print(f"{'{}x{}'.format(*size):24} p50    p95   frames/s  shown  inference  exact")
            for name, slowed in rows:
                for checkout in checkouts:
                    with serving(Path(folder), slowed=slowed, checkout=checkout) as server:  # type: ignore[arg-type] # differs
                        row = run(playwright, server, camera, size, seconds)
                    print(f"{name + ('' if checkout == ROOT else ', other'):24}", row, flush=True)


def numbered_camera(folder: Path, size: tuple[int, int]) -> Path:
    """A motion JPEG of a moving photograph with numbered frames of `size` (width, height)."""
    path = folder / "numbered.mjpeg"
    width, height = size
    photo = cv2.resize(skimage.data.coffee(), (width + 80, height + 80), interpolation=cv2.INTER_AREA)
    with path.open("wb") as file:
        for number in range(FRAMES):
            turn = 2 * np.pi * number / 60
            x, y = round(40 + 40 * np.sin(turn)), round(40 + 40 * np.sin(2 * turn))
            picture = photo[y : y + height, x : x + width, ::-1].copy()
            picture[-STRIP:, : 2 * BITS * SQUARE] = _code(number)
            ok, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
            assert ok
            file.write(jpeg.tobytes())
    return path


def _code(number: int) -> Bytes:
    bits = [number >> place & 1 for place in reversed(range(BITS))]
    squares = np.array([half for bit in bits for half in ((0, 255) if bit else (255, 0))], np.uint8)
    row = np.repeat(squares, SQUARE)
    return as_bytes(np.broadcast_to(row[None, :, None], (STRIP, len(row), 3)))


def run(playwright: Playwright, server: Server, camera: Path, size: tuple[int, int], seconds: float) -> str:
    """Run once; returns the row of the table."""
    browser = start_browser(playwright, camera)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(f"({NOTE})()")
    page.goto(f"{server.url}/{SIZES[size]}")
    page.click("#start")
    page.wait_for_selector("body[data-state=live]")
    time.sleep(5)  # the browser raises its bit rate
    page.evaluate(WATCH, {"WIDTH": size[0], "BITS": BITS, "SQUARE": SQUARE, "STRIP": STRIP})
    exact, shown, inference = [], [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.25)
        report, latency = page.evaluate("() => [window.whycam.report, window.whycam.latency]")
        exact.append(report["state"] == "exact")
        inference.append(report["times"]["inference_ms"])
        shown.append(latency["ms"] if latency and latency["measured"] else np.nan)
    seen = page.evaluate("() => window.seen")
    browser.close()
    delays = delays_of(seen["camera"], seen["screen"])
    p50, p95 = np.percentile(delays, [50, 95])
    return (
        f"{p50:4.0f} ms {p95:4.0f} ms {len(seen['screen']) / seconds:6.1f} {np.nanmedian(shown):6.0f} ms "
        f"{np.median(inference):6.0f} ms {np.mean(exact):6.0%} ({len(delays)} pictures, load {os.getloadavg()[0]:.1f})"
        f"\n{'':24} {parts_of(seen)}"
    )


def parts_of(seen: dict[str, Any]) -> str:
    """The medians of the parts of the way."""
    captured = dict(seen["camera"])  # the last capture of each number
    shown = {at: number for number, at in seen["screen"]}
    parts = [
        part | {"capture": part["left"] - captured[shown[part["at"]]]}
        for part in seen["parts"]
        if shown.get(part["at"]) in captured
    ]
    names = ("capture", "network", "server", "jitter", "decode", "display")
    recent = [part for part in parts if 0 <= part["capture"] < FRAMES / 30 * 500]
    return "  ".join(f"{name} {np.median([part[name] for part in recent]):.1f}" for name in names)


def delays_of(camera: list[tuple[int, float]], screen: list[tuple[int, float]]) -> list[float]:
    """Milliseconds from a number's capture to its display; the camera's counter wraps at 300."""
    delays = []
    for number, shown in screen:
        captured = [at for known, at in camera if known == number and 0 <= shown - at < FRAMES / 30 * 500]
        if captured:
            delays.append(shown - captured[-1])
    return delays


if __name__ == "__main__":
    main()
