"""The example page explains an image in the browser, with onnxruntime-web and the unchanged model file."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from playwright.sync_api import Page, expect

from tests.support import ROOT
from whycam.models import catalog
from whycam.stream.inference.explainer import Explainer
from whycam.stream.media.image import write_image
from whycam.stream.video.planes import as_bytes

DIST = ROOT / "tests" / "web_lint" / "node_modules" / "onnxruntime-web" / "dist"
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
SIDE = 224


class Quiet(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript", ".wasm": "application/wasm"}

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The page, the bundled model and onnxruntime-web in one folder, served on loopback."""
    shutil.copy(ROOT / "docs" / "in-the-browser.html", tmp_path / "index.html")
    shutil.copy(catalog.find("efficientnet-lite0"), tmp_path / "model.onnx")
    for name in FILES:
        shutil.copy(DIST / name, tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_the_file_gives_the_same_heatmap_in_a_browser(page: Page, site: str, tmp_path: Path) -> None:
    image = as_bytes(cv2.resize(skimage.data.coffee(), (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    write_image(tmp_path / "coffee.png", image)
    page.goto(site)
    page.wait_for_selector("body[data-ready=true]", timeout=60_000)
    page.set_input_files("input", tmp_path / "coffee.png")
    here = Explainer(catalog.find("efficientnet-lite0"), device="cpu").explain(image[None], (-1,))
    expect(page.locator("output")).to_have_text(f"class 967, {100 * here.scores.max():.0f} %", timeout=30_000)
    found = page.evaluate("() => window.found")
    assert found["best"] == here.classes[0, 0]
    assert np.abs(np.array(found["scores"]) - here.scores[0]).max() < 1e-4
    assert np.abs(np.array(found["heatmap"]) - here.heatmaps[0, 0].ravel()).max() < 1e-4
    drawn = page.evaluate("""() => [...document.querySelector('canvas').getContext('2d')
      .getImageData(0, 0, 224, 224).data]""")
    red = np.array(drawn, np.float64).reshape(SIDE, SIDE, 4)[..., 0] - image[..., 0]
    hot = cv2.resize(here.heatmaps[0, 0], (SIDE, SIDE)) > 0.7
    assert red[hot].mean() > red[~hot].mean() + 5
