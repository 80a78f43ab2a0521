"""Images and boxes of a study are read, or refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.models import tiny_models
from whycam.stream.inference.explainer import Explainer
from whycam.stream.measure.network import ExplainedNetwork
from whycam.stream.measure.pointing import Box, BoxesError, read_boxes
from whycam.stream.measure.subjects import files_of, subjects_of
from whycam.stream.media.losses import MediaError

HEAD = "image,class,left,top,right,bottom\n"


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(tiny_models.bright_spot(tmp_path_factory.mktemp("model") / "spot.onnx", fit="crop"))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A wide red and a wide green one, and a text beside them."""
    for name, colour in (("red.png", (200, 20, 20)), ("green.png", (20, 200, 20))):
        image = np.full((60, 100, 3), 20, np.uint8)
        image[20:40, 40:60] = colour
        Image.fromarray(image).save(tmp_path / name)
    (tmp_path / "readme.txt").write_text("x")
    return tmp_path


def test_a_folder_and_files_are_taken_once_each(photographs: Path) -> None:
    files = files_of([str(photographs), str(photographs / "red.png")])
    assert [file.name for file in files] == ["green.png", "red.png"]


def test_a_film_is_refused(photographs: Path) -> None:
    with pytest.raises(MediaError, match=r"readme\.txt is no image"):
        files_of([str(photographs / "readme.txt")])


def test_each_image_has_its_best_class_its_part_and_the_boxes_of_that_class(
    photographs: Path, explainer: Explainer
) -> None:
    boxes = {
        "red.png": [Box("red", 40, 20, 60, 40), Box("blue", 0, 0, 5, 5)],
        "green.png": [Box("0", 0, 0, 5, 5)],  # red, by its number
    }
    subjects = subjects_of(files_of([str(photographs)]), explainer.contract, ExplainedNetwork(explainer), None, boxes)
    assert [(each.name, each.class_id) for each in subjects] == [("green.png", 1), ("red.png", 0)]
    assert [list(each.boxes) for each in subjects] == [[], [Box("red", 40, 20, 60, 40)]]
    assert {each.seen for each in subjects} == {(20, 0, 60, 60)}
    assert {each.image.shape for each in subjects} == {(tiny_models.SIZE, tiny_models.SIZE, 3)}


def test_one_class_for_all_images(photographs: Path, explainer: Explainer) -> None:
    network = ExplainedNetwork(explainer)
    subjects = subjects_of(files_of([str(photographs)]), explainer.contract, network, "blue", {})
    assert {each.class_id for each in subjects} == {2}


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ({"red.png": [Box("cup", 0, 0, 5, 5)]}, "class 'cup', which the model does not have"),
        ({"other.png": [Box("red", 0, 0, 5, 5)]}, "No box belongs to an image"),
    ],
)
def test_boxes_of_unknown_classes_or_images_are_refused(
    photographs: Path, explainer: Explainer, boxes: dict[str, list[Box]], words: str
) -> None:
    with pytest.raises(BoxesError, match=words):
        subjects_of(files_of([str(photographs)]), explainer.contract, ExplainedNetwork(explainer), None, boxes)


def test_boxes_are_read_from_csv(tmp_path: Path) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text(f"\ufeff{HEAD}a.jpg,tabby,1,2.5,3,4\na.jpg,cup,0,0,9,9\nb.jpg,cup,0,0,9,9\n", "utf-8")
    assert read_boxes(file) == {
        "a.jpg": [Box("tabby", 1, 2.5, 3, 4), Box("cup", 0, 0, 9, 9)],
        "b.jpg": [Box("cup", 0, 0, 9, 9)],
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "a first line image,class,left,top,right,bottom"),
        ("image,left\na,1\n", "a first line image,class"),
        (HEAD + "a.jpg,cup,1,2,x,4\n", "line 2: left, top, right and bottom should be numbers"),
        (HEAD + "a.jpg,cup,1,2\n", "line 2: left, top, right and bottom should be numbers"),
        (HEAD + "a.jpg,cup,1,2,3,4\na.jpg,cup,5,2,3,4\n", "line 3: left should be below right"),
    ],
)
def test_a_malformed_file_of_boxes_is_refused_with_its_line(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text(content)
    with pytest.raises(BoxesError, match=words):
        read_boxes(file)


def test_a_missing_file_of_boxes_is_said(tmp_path: Path) -> None:
    with pytest.raises(BoxesError, match="cannot be read"):
        read_boxes(tmp_path / "none.csv")
