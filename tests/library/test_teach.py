"""`whycam.teach` as a notebook or a program uses it."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import whycam
from tests.support.films.class_folders import colours_folder, film, square
from tests.support.models import tiny_models
from whycam.stream.media.image import write_image


@pytest.fixture(scope="module")
def spot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.bright_spot(tmp_path_factory.mktemp("models") / "spot.onnx", replaceable=True)


@pytest.fixture
def taught(spot: Path, tmp_path: Path) -> whycam.Taught:
    """Of an array, a PIL image, bytes and a file; and of a film and a list of arrays."""
    write_image(tmp_path / "red.png", square("red", 3))
    content = BytesIO()
    Image.fromarray(square("red", 2)).save(content, "PNG")
    red: list[Any] = [square("red", 0), Image.fromarray(square("red", 1)), content.getvalue(), tmp_path / "red.png"]
    yellow: list[Any] = [
        film(tmp_path / "yellow.mp4", ["yellow"] * 6, 40),
        *(square("yellow", number) for number in (60, 61)),
    ]
    return whycam.teach({"red": red, "yellow": yellow}, model=spot)


def test_pictures_and_films_of_every_kind_are_learned(taught: whycam.Taught) -> None:
    assert taught.labels == ("red", "yellow")
    assert taught.accuracy == 1
    assert taught.confusion is not None
    assert taught.confusion.tolist() == [[4, 0], [0, 8]]
    assert repr(taught) == "<Taught bright spot: red, yellow; 100% right>"


def test_it_explains_its_own_classes(taught: whycam.Taught) -> None:
    explained = taught.explain(square("yellow", 90, at=(8, 40)))
    assert explained.labels == ("yellow", "red")
    assert sum(explained.scores) == pytest.approx(1, abs=1e-5)
    heat = explained.heatmap("yellow").astype(float)
    assert heat[4:28, 36:60].sum() > 0.9 * heat.sum()
    (other,) = taught.explain([square("red", 91)], targets="red")
    assert other.labels == ("red",)
    assert other.scores[0] > 0.6


def test_what_is_saved_explains_alike(taught: whycam.Taught, tmp_path: Path) -> None:
    picture = square("yellow", 90)
    path = taught.save(tmp_path / "mine.onnx")
    loaded = whycam.load(path)
    assert loaded.name == "mine"
    assert loaded.labels == ("red", "yellow")
    one, other = taught.explain(picture), loaded.explain(picture)
    assert one.labels == other.labels
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
    assert abs(one.heatmaps.astype(int) - other.heatmaps).max() <= 1
    again = whycam.teach({"a": square("red"), "b": square("blue")}, model=path)
    assert again.labels == ("a", "b")


def test_folders_of_files_can_be_given(spot: Path, tmp_path: Path) -> None:
    folder = colours_folder(tmp_path)
    classes = {path.name: sorted(path.iterdir()) for path in sorted(folder.iterdir())}
    every, third = (whycam.teach(classes, model=spot, every=step).confusion for step in (1, 3))
    assert every is not None
    assert third is not None
    assert (every.sum(), third.sum()) == (19, 6 + 5)


def test_one_picture_a_class_is_learned_and_not_tested(spot: Path) -> None:
    taught = whycam.teach({"a": square("red"), "b": [square("blue")]}, model=spot)
    assert taught.accuracy is None
    assert taught.confusion is None
    assert taught.explain(square("blue", 5)).labels[0] == "b"


def test_what_cannot_be_read_is_a_warning(spot: Path) -> None:
    with pytest.warns(UserWarning, match="Left out: .*float64"):
        taught = whycam.teach({"a": [square("red"), np.zeros((8, 8))], "b": square("blue")}, model=spot)
    assert taught.labels == ("a", "b")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whycam.teach({"a": square("red"), "b": square("blue")}, model=spot)


def test_what_cannot_be_taught_is_said(spot: Path, tmp_path: Path, taught: whycam.Taught) -> None:
    with pytest.raises(ValueError, match="There is one class, a"):
        whycam.teach({"a": square("red")}, model=spot)
    with pytest.raises(whycam.MediaError, match=r"There is no file none\.jpg"):
        whycam.teach({"a": "none.jpg", "b": square("blue")}, model=spot)
    with pytest.raises(whycam.MediaError, match="no picture of 'a'"):
        whycam.teach({"a": [], "b": square("blue")}, model=spot)
    with pytest.raises(ValueError, match="every is 1"):
        whycam.teach({"a": square("red"), "b": square("blue")}, model=spot, every=0)
    fixed = tiny_models.bright_spot(tmp_path / "fixed.onnx")
    with pytest.raises(whycam.ContractError, match="cannot be replaced"):
        whycam.teach({"a": square("red"), "b": square("blue")}, model=fixed)
    with pytest.raises(ValueError, match=r"ends in \.onnx"):
        taught.save(tmp_path / "mine.h5")
    with pytest.raises(ValueError, match="another name"):
        taught.save(spot)
