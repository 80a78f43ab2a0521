"""The files beside a model go where it goes, and are no models."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.models import tiny_models
from whycam.models import catalog
from whycam.models.companions import classes_file, examples_file

BESIDE = ("mug.classes.json", "mug.examples.zip")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_models.model(tmp_path / "mug.onnx")
    for name in BESIDE:
        (tmp_path / name).write_text(name)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_they_have_the_models_name(tmp_path: Path) -> None:
    assert classes_file(tmp_path / "a.b.onnx") == tmp_path / "a.b.classes.json"
    assert examples_file(tmp_path / "a.b.onnx") == tmp_path / "a.b.examples.zip"


def test_they_are_no_models(folder: Path) -> None:
    assert [each.name for each in catalog.own(folder)] == ["mug"]


def test_they_are_removed_with_it(folder: Path) -> None:
    tiny_models.model(folder / "cup.onnx")
    catalog.remove("mug", folder)
    assert names(folder) == ["cup.onnx"]
    catalog.remove("cup", folder)  # it has none
    assert names(folder) == []


def test_they_are_renamed_with_it_and_take_no_others_place(folder: Path) -> None:
    (folder / "cup.classes.json").write_text("of a model that is gone")
    (folder / BESIDE[0]).unlink()
    catalog.rename("mug", "cup", folder)
    assert names(folder) == ["cup.examples.zip", "cup.onnx"]
    assert (folder / "cup.examples.zip").read_text() == BESIDE[1]
