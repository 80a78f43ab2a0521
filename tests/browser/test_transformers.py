"""A vision transformer and a Swin, exported by the whole command with its check, live in a browser.

`make test-models` runs it: `make test` has no timm.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import skimage.data
from playwright.sync_api import Page, expect

from tests.browser.axe import assert_accessible
from tests.browser.pages import begin, grab
from tests.support import ROOT
from tests.support.servers.server_process import Server, serving

pytest.importorskip("timm", reason="timm is not installed: make test-models")
pytestmark = [pytest.mark.alone, pytest.mark.timeout(3600)]  # the export's check takes minutes


class Network(NamedTuple):
    """One of timm's, two of its layers, the coarser or the later one first, and two methods."""

    name: str
    layers: tuple[str, str]
    grids: tuple[tuple[int, int], tuple[int, int]]
    methods: tuple[str, str]
    shown: tuple[str, str]
    """The layers as the page offers them."""
    detail: str
    """The second layer by the second method, as the page calls it."""


VIT = Network(
    "vit_tiny_patch16_224",
    ("layer_norm_22", "layer_norm_15"),  # the default: the norm before the last attention; and an earlier block's
    ((14, 14), (14, 14)),
    ("grad-cam", "hirescam"),
    ("14×14 · layer_norm_22", "14×14 · layer_norm_15"),
    "HiResCAM, 14×14",
)
SWIN = Network(
    "swin_tiny_patch4_window7_224",
    ("7x7", "14x14"),
    ((7, 7), (14, 14)),
    ("grad-cam", "layer-cam"),
    ("7×7 · coarse", "14×14 · fine"),
    "LayerCAM, 14×14",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Both of them among the user's models, the transformer live."""
    folder = tmp_path_factory.mktemp("transformers")
    photos = folder / "photos"
    photos.mkdir()
    for name in ("coffee", "chelsea"):
        cv2.imwrite(str(photos / f"{name}.png"), getattr(skimage.data, name)()[..., ::-1])
    models = folder / "data" / "whycam" / "models"
    models.mkdir(parents=True)
    for network in (VIT, SWIN):
        export(network, models / f"{network.name}.onnx", photos)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        with serving(folder, arguments=["--no-record", "--model", VIT.name]) as running:
            yield running


def export(network: Network, path: Path, photos: Path) -> None:
    command = [sys.executable, "-m", "whycam", "export", f"timm:{network.name}", "--weights", "random"]
    command += ["--verify-with", str(photos), "--output", str(path)]
    for layer in network.layers:
        command += ["--layer", layer]
    for method in network.methods:
        command += ["--method", method]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(" heatmaps of 2 images: at most" in line for line in done.stdout.splitlines()) == 4, done.stdout


def drawn(page: Page, method: str, grid: tuple[int, int], layer: str = "") -> None:
    """Wait until a map by this method, of this grid and layer, has heat."""
    page.wait_for_function(
        """([method, grid, layer]) => {
            const report = whycam.report;
            const same = report?.map.method === method && report.map.grid.join() === grid.join();
            return same && report.map.layer.endsWith(layer) && report.drawn.some(({ heat }) => heat > 0);
        }""",
        arg=[method, grid, layer],
        timeout=60_000,
    )


def heat_in_the_picture(page: Page) -> float:
    """By how many levels the heatmap changes the frozen picture, at most."""
    pictures = []
    page.click("#freeze")
    page.locator("#opacity").focus()
    for key in ("Home", "End"):
        page.keyboard.press(key)
        page.wait_for_function("() => whycam.report.frozen && whycam.report.view.opacity === Number(opacity.value)")
        page.wait_for_timeout(1000)  # until the picture with it is on the screen
        pictures.append(grab(page).astype(np.int16))
    page.click("#freeze")
    page.wait_for_function("() => !whycam.report.frozen")
    return float(np.abs(pictures[1] - pictures[0]).max())


@pytest.mark.parametrize("network", [VIT, SWIN], ids=lambda network: network.name)
def test_a_transformer_s_layers_and_methods_are_chosen_live(page: Page, server: Server, network: Network) -> None:
    answer = page.request.post(f"{server.url}/api/model", data={"name": network.name}, timeout=120_000)
    assert answer.ok, answer.text()
    begin(page, server)
    page.wait_for_function(f"() => whycam.report?.model === '{network.name}'", timeout=60_000)
    first, second = network.methods
    drawn(page, first, network.grids[0])
    assert heat_in_the_picture(page) > 60
    options = page.locator("#map-layer option")
    expect(options).to_have_text(list(network.shown))
    page.select_option("#map-layer", index=1)
    drawn(page, first, network.grids[1], str(options.nth(1).get_attribute("value")))
    page.select_option("#map-method", index=1)
    drawn(page, second, network.grids[1], str(options.nth(1).get_attribute("value")))
    assert heat_in_the_picture(page) > 60
    page.click("#chip")
    expect(page.locator("#details")).to_contain_text(network.detail)
    assert_accessible(page)
