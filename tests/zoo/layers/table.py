"""docs/layers.md: which layers of which networks were explained, how exactly, and what that costs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from tests.zoo.layers.row import LayerRow, NetworkRow
from whycam.export.graph.onnx_graph import PREFIX

IMAGES, CLASSES = 8, 5
WIDTH = 120
HOW = (
    "Made by `make test-layers`; change nothing here. Layers of {count} networks with random weights, "
    "{layers} in all, each explained by Grad-CAM in a file of its own: the default, then the last layer of the next "
    "finer grids, or earlier layers of the same grid. Compared are the maps of {images} synthetic images and their "
    "{classes} best classes with PyTorch's own gradient in float64."
)
WITH = "Made with {packages}, on {machine}. {load} processes wanted to run: beside others the times scatter."
MEANINGS = {
    "layer": "its tensor; `network` is what the network is given, the image after the preprocessing",
    "median, most": "of each map's largest difference from float64, for heatmaps 0…1. A dash: none of PyTorch's "
    "tensors is the layer",
    "flipped": "images in which a ReLU or clip behind the layer passes another entry in float64 than in float32, so "
    "that all maps of the image move. A dash: the gates of file and framework could not be paired",
    "most, unflipped": "the largest difference in the other images",
    "1 map, 5 maps": "time with so many maps / without, on two threads: the median of 15 pairs that alternate",
    "growth": "of the file, as a part of the network's own size",
}
"""Of the columns."""
COLUMNS = ("network", "layer", "grid", "median", "most", "flipped", "most, unflipped", "1 map", "5 maps", "growth")


def layers_page(rows: Sequence[NetworkRow]) -> str:
    """The text of docs/layers.md."""
    explained = [row for row in rows if row.layers]
    packages = sorted({package for row in explained for package in row.packages})
    loads = [row.load for row in explained] or [0.0]
    how = HOW.format(
        count=len(explained), layers=sum(len(row.layers) for row in explained), images=IMAGES, classes=CLASSES
    )
    made = WITH.format(
        packages=", ".join(packages),
        machine="; ".join(sorted({row.machine for row in explained})),
        load=f"{min(loads):.0f} to {max(loads):.0f}",
    )
    parts = ["# Layers that were explained", textwrap.fill(how, WIDTH), textwrap.fill(made, WIDTH)]
    table = _line(("column", "what it is")) + "|---|---|\n" + "".join(map(_line, MEANINGS.items()))
    figures = f"{_line(COLUMNS)}|{'---|' * 3}{'---:|' * (len(COLUMNS) - 3)}\n" + "".join(_lines(explained))
    others = "".join(f"- {row.network}: {row.sentence}\n" for row in rows if not row.layers)
    return "\n\n".join([*parts, table + "\n" + figures]) + (f"\nNot explained:\n\n{others}" if others else "")


def _lines(rows: Iterable[NetworkRow]) -> Iterator[str]:
    for row in rows:
        for number, layer in enumerate(row.layers):
            yield _line((row.network if number == 0 else "", *_cells(layer)))


def _cells(layer: LayerRow) -> Iterator[str]:
    name = layer.layer.removeprefix(PREFIX)
    yield from (f"`{name}`", f"{layer.grid[0]}x{layer.grid[1]}", _small(layer.median), _small(layer.most))
    yield "–" if layer.flipped is None else f"{layer.flipped} of {IMAGES}"
    yield from (_small(layer.most_unflipped), f"{layer.one:.2f}", f"{layer.five:.2f}", f"{100 * layer.growth:.2f} %")


def _small(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}".replace("e-0", "e-")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
