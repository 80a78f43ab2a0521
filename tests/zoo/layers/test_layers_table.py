"""docs/layers.md: its networks are those of the list, and every layer in it is exact."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.zoo.layers import __main__ as run
from tests.zoo.layers.networks import keys
from tests.zoo.layers.row import LayerRow, NetworkRow, read_lines, read_rows, write_rows
from tests.zoo.layers.table import layers_page
from tests.zoo.trials import trials
from whycam.export.verify.agreement import AUTODIFF_TOLERANCE

LAYER = LayerRow("relu_12", (14, 14), 1e-6, 2e-3, 1, 2e-6, 1.25, 1.87, 0.0002)
ROW = NetworkRow("torchvision / a / torch, dynamo", (LAYER,), milliseconds=3.0, packages=("torch 2",), machine="m")


def test_every_network_is_one_that_is_tried() -> None:
    assert len(keys()) >= 25
    assert len(set(keys())) == len(keys())
    assert set(keys()) <= set(trials())


def test_every_layer_is_exact_but_for_flipped_gates() -> None:
    rows = read_rows()
    assert set(rows) <= set(keys())
    for row in rows.values():
        for layer in row.layers:
            if layer.median is not None and not (layer.flipped or 0):
                assert layer.median <= AUTODIFF_TOLERANCE, (row.key, layer)
            assert layer.growth < 0.15, (row.key, layer)


def test_a_row_is_what_was_written(tmp_path: Path) -> None:
    write_rows([ROW, NetworkRow("timm / b / torch, dynamo", sentence="No.")], tmp_path / "rows.json")
    assert read_rows(tmp_path / "rows.json")[ROW.key] == ROW
    (tmp_path / "lines").write_text(ROW.to_json() + "\n")
    assert read_lines(tmp_path / "lines") == {ROW.key: ROW}


def test_a_page_has_a_line_for_each_layer_and_says_what_was_not_explained() -> None:
    page = layers_page([ROW, NetworkRow("timm / b / torch, dynamo", sentence="No feature map.")])
    line = "| torchvision: a | `relu_12` | 14x14 | 1.0e-6 | 2.0e-3 | 1 of 8 | 2.0e-6 | 1.25 | 1.87 | 0.02 % |\n"
    assert line in page
    assert page.endswith("\nNot explained:\n\n- timm: b: No feature map.\n")


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def attempted(key: str, done: Path) -> NetworkRow:
        tried.append(key)
        if tried == ["a", "b"]:
            raise KeyboardInterrupt
        row = NetworkRow(key, (LAYER,))
        with done.open("a", encoding="utf-8") as file:
            file.write(row.to_json() + "\n")
        return row

    monkeypatch.setattr(run, "keys", lambda: ["a", "b", "c"])
    monkeypatch.setattr(run, "attempted", attempted)
    done, table = tmp_path / "rows.jsonl", tmp_path / "table.json"
    with pytest.raises(KeyboardInterrupt):
        run.try_all(done=done, table=table)
    assert list(read_rows(table)) == ["a"]
    run.try_all(done=done, table=table)
    assert tried == ["a", "b", "b", "c"]
    assert list(read_rows(table)) == ["a", "b", "c"]
    assert not done.exists(), "the next run starts anew"
    run.try_all("c", done=done, table=table)
    assert tried[4:] == ["c"]
