"""A row of docs/models.md: what came of one network by one exporter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tests.support import ROOT
from whycam.export.verify.agreement import Agreement

ROWS = ROOT / "tests/data/models-table.json"
"""From which docs/models.md is generated."""
Outcome = Literal["explained", "refused", "not had", "failed"]
"""Not had: the file could not be downloaded. Failed: anything but a sentence, which is a fault."""


class Cost(NamedTuple):
    """What the head costs, as `tests.bench.head_cost` measures it."""

    milliseconds: float
    """The network alone, one image."""
    one: float
    """Time with one heatmap / without, the median."""
    five: float


@dataclass(frozen=True, slots=True)
class Row:
    """One network, written by one exporter in one opset."""

    key: str
    outcome: Outcome
    opset: int | None = None
    """Of the graph that whycam got; None: there was none."""
    sentence: str = ""
    """Why it is not explained."""
    agreement: Agreement | None = None
    """How its maps agree with their references, if it is explained."""
    asked: int = 0
    """Maps that were compared with automatic differentiation, or left out."""
    cost: Cost | None = None
    packages: tuple[str, ...] = ()
    """With their versions."""
    machine: str = ""
    load: float = 0.0
    """The mean number of running processes in the minute before."""

    @property
    def group(self) -> str:
        """The heading of its table."""
        return self.key.split(" / ")[0]

    @property
    def network(self) -> str:
        """What people call it."""
        return self.key.split(" / ")[1]

    @property
    def exporter(self) -> str:
        """What wrote the file that was read."""
        return self.key.split(" / ")[2]

    @property
    def asked_opset(self) -> int | None:
        """What the exporter was asked for; None: its default."""
        return int(self.key.split(" / ")[3]) if self.key.count(" / ") == 3 else None

    def to_json(self) -> str:
        """On one line."""
        return json.dumps(asdict(self), ensure_ascii=False)


def row_of(values: Mapping[str, Any]) -> Row:
    """The row that `Row.to_json` wrote."""
    given = {field.name: values[field.name] for field in fields(Row) if field.name in values}
    given["agreement"] = Agreement(**given["agreement"]) if given.get("agreement") else None
    given["cost"] = Cost(*given["cost"]) if given.get("cost") else None
    given["packages"] = tuple(given.get("packages", ()))
    return Row(**given)


def read_lines(path: Path) -> dict[str, Row]:
    """The rows of a file with a row on each line, by key; the last of a key counts."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {row.key: row for row in (row_of(json.loads(line)) for line in lines)}


def read_rows(path: Path = ROWS) -> dict[str, Row]:
    """The rows of docs/models.md, by key."""
    if not path.exists():
        return {}
    return {row.key: row for row in (row_of(each) for each in json.loads(path.read_text(encoding="utf-8")))}


def write_rows(rows: Iterable[Row], path: Path = ROWS) -> None:
    """Write them for `read_rows`, a line each."""
    path.write_text("[\n" + ",\n".join(row.to_json() for row in rows) + "\n]\n", encoding="utf-8")
