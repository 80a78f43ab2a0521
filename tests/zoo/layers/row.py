"""A row of docs/layers.md: what came of one network, layer by layer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.support import ROOT

LAYERS = ROOT / "tests/data/layers-table.json"
"""From which docs/layers.md is generated."""


class LayerRow(NamedTuple):
    """One layer, on `IMAGES` images with five classes each."""

    layer: str
    """The tensor."""
    grid: tuple[int, int]
    median: float | None
    """Of each map's largest difference from PyTorch's gradient in float64; None: PyTorch has no such tensor."""
    most: float | None
    flipped: int | None
    """Images in which a gate behind the layer is another one in float64; None: the gates could not be paired."""
    most_unflipped: float | None
    """The largest difference in the other images; None: there are none."""
    one: float
    """Time with one map / without, the median of pairs that alternate."""
    five: float
    growth: float
    """Bytes that the file has more than the network alone, as a part of these."""


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """One network."""

    key: str
    """Of its trial."""
    layers: tuple[LayerRow, ...] = ()
    sentence: str = ""
    """Why there is no layer."""
    milliseconds: float = 0.0
    """One image through the network alone."""
    packages: tuple[str, ...] = ()
    machine: str = ""
    load: float = 0.0
    """The mean number of running processes in the minute before its costs were measured."""

    @property
    def network(self) -> str:
        """Its library and its name."""
        group, name, *_ = self.key.split(" / ")
        return f"{group}: {name}"

    def to_json(self) -> str:
        """On one line."""
        return json.dumps(asdict(self), ensure_ascii=False)


def row_of(values: dict[str, Any]) -> NetworkRow:
    """The row that `NetworkRow.to_json` wrote."""
    layers = tuple(LayerRow(each[0], (each[1][0], each[1][1]), *each[2:]) for each in values["layers"])
    return NetworkRow(**{**values, "layers": layers, "packages": tuple(values["packages"])})


def read_lines(path: Path) -> dict[str, NetworkRow]:
    """The rows of a file with one on each line, by key; the last of a key counts."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return {row.key: row for row in (row_of(json.loads(line)) for line in lines)}


def read_rows(path: Path = LAYERS) -> dict[str, NetworkRow]:
    """The rows of docs/layers.md, by key."""
    found = json.loads(path.read_text("utf-8")) if path.exists() else []
    return {row.key: row for row in (row_of(each) for each in found)}


def write_rows(rows: Iterable[NetworkRow], path: Path = LAYERS) -> None:
    """Write them for `read_rows`, a line each."""
    path.write_text("[\n" + ",\n".join(row.to_json() for row in rows) + "\n]\n", "utf-8")
