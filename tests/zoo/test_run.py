"""`make test-models`: a process for each network, and a run that goes on where it was interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.zoo import __main__ as zoo
from tests.zoo.row import Row, read_lines, read_rows
from tests.zoo.trial import Trial


def trial(network: str) -> Trial:
    return Trial("group", network, "none", lambda _: pytest.fail("only the network's own process makes it"))


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that were tried, of three networks; 'b' interrupts the first run."""
    keys: list[str] = []
    known = {each.key: each for each in (trial("a"), trial("b"), trial("c"))}

    def attempted(each: Trial, done: Path) -> Row:
        keys.append(each.network)
        if keys == ["a", "b"]:
            raise KeyboardInterrupt
        row = Row(each.key, "refused", sentence=f"Number {len(keys)}.")
        with done.open("a", encoding="utf-8") as file:
            file.write(row.to_json() + "\n")
        return row

    monkeypatch.setattr(zoo, "trials", lambda: known)
    monkeypatch.setattr(zoo, "attempted", attempted)
    return keys


def test_an_interrupted_run_goes_on_and_a_complete_one_starts_anew(tried: list[str], tmp_path: Path) -> None:
    done, table = tmp_path / "build" / "rows.jsonl", tmp_path / "table.json"
    with pytest.raises(KeyboardInterrupt):
        zoo.try_all("", done, table)
    assert not table.exists()
    zoo.try_all("", done, table)
    assert tried == ["a", "b", "b", "c"]
    assert [row.sentence for row in read_rows(table).values()] == ["Number 1.", "Number 3.", "Number 4."]
    zoo.try_all("", done, table)
    assert tried[4:] == ["a", "b", "c"]


def test_only_those_asked_for_are_tried_anew_and_the_others_keep_their_rows(tried: list[str], tmp_path: Path) -> None:
    done, table = tmp_path / "rows.jsonl", tmp_path / "table.json"
    zoo.try_all("/ C", done, table)
    zoo.try_all("/ a", done, table)
    assert [row.sentence for row in read_rows(table).values()] == ["Number 2.", "Number 1."]
    with pytest.raises(SystemExit, match="No network is called 'x'"):
        zoo.try_all("x", done, table)


def test_a_network_whose_process_dies_is_a_row(tmp_path: Path) -> None:
    unknown = trial("not in the list")
    row = zoo.attempted(unknown, tmp_path / "rows.jsonl")
    assert (row.outcome, row.sentence) == ("failed", f"KeyError: '{unknown.key}'")
    assert list(read_lines(tmp_path / "rows.jsonl")) == [unknown.key]
