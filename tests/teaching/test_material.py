"""Which files of a folder are which class, and what they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.films.class_folders import colours_folder, film, pictures, square
from whycam.stream.limits import LIMITS
from whycam.stream.media.image import write_image
from whycam.stream.media.losses import MediaError
from whycam.stream.teaching.material import check_labels, folder_material


def test_each_folder_is_a_class_of_pictures_and_films(tmp_path: Path) -> None:
    colours_folder(tmp_path)
    (tmp_path / "notes.txt").write_text("no class")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "red" / ".DS_Store").write_text("no picture")
    labels, material = folder_material(tmp_path)
    assert labels == ("green", "red")
    assert [(each.class_id, each.name, each.is_film) for each in material] == [
        (0, "one.mp4", True),
        (0, "two.mp4", True),
        *((1, f"red{letter}.png", False) for letter in "abcde"),
    ]
    unread: list[str] = []
    assert [sum(1 for _ in each.read(unread)) for each in material] == [7, 7, 1, 1, 1, 1, 1]
    assert unread == []


def test_numbered_images_are_the_frames_of_a_film(tmp_path: Path) -> None:
    colours_folder(tmp_path)
    for name in ("blue", "green/third"):
        (tmp_path / name).mkdir()
        for number in range(12):
            write_image(tmp_path / name / f"frame-{number}.png", square("blue", number))
    _, material = folder_material(tmp_path)
    films = [(each.class_id, each.name) for each in material if each.is_film]
    assert films == [(0, "blue"), (1, "one.mp4"), (1, "third"), (1, "two.mp4")]
    assert sum(1 for _ in material[0].read([])) == 12


@pytest.mark.parametrize(
    ("numbers", "is_film"), [(range(73, 85), True), (range(73, 80), False), (range(73, 97, 2), False)]
)
def test_images_in_a_row_are_one_film(numbers: range, is_film: bool, tmp_path: Path) -> None:
    """Frames 73 to 84 of a film are as alike as its first twelve, and so are twelve photographs in a row."""
    colours_folder(tmp_path)
    (tmp_path / "blue").mkdir()
    for number in numbers:
        write_image(tmp_path / "blue" / f"thumb{number:04}.png", square("blue", number))
    _, material = folder_material(tmp_path)
    blue = [each for each in material if each.class_id == 0]
    assert [each.is_film for each in blue] == ([True] if is_film else [False] * len(numbers))
    assert sum(sum(1 for _ in each.read([])) for each in blue) == len(numbers)


def test_an_image_of_a_film_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    colours_folder(tmp_path)
    (tmp_path / "blue").mkdir()
    for number in range(4):
        write_image(tmp_path / "blue" / f"{number}.png", square("blue", number))
    (tmp_path / "blue" / "2.png").write_bytes(b"no image")
    _, material = folder_material(tmp_path)
    unread: list[str] = []
    list(material[0].read(unread))
    assert unread == ["blue has 1 image that cannot be read: 2.png."]


def test_what_is_no_folder_of_classes_is_said(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="There is no folder"):
        folder_material(tmp_path / "none")
    pictures(tmp_path / "flat", "red", 2)
    with pytest.raises(MediaError, match=r"has no folders\. Each class is a folder"):
        folder_material(tmp_path / "flat")
    pictures(tmp_path / "one" / "red", "red", 2)
    with pytest.raises(MediaError, match=r"There is one class, red\. A model tells at least two apart"):
        folder_material(tmp_path / "one")
    (tmp_path / "one" / "green").mkdir()
    with pytest.raises(MediaError, match=r"green is empty\. Put pictures or films"):
        folder_material(tmp_path / "one")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a" * (LIMITS.max_class_name + 1), "b"], f"at most {LIMITS.max_class_name} characters"),
        (["Mug", "mug", "cup"], "Two classes have the same name"),
        ([" ", "b"], "cannot be a class's name"),
        (["a\nb", "b"], "cannot be a class's name"),
        ([], "There is no class"),
    ],
)
def test_names_that_cannot_be_are_said(labels: list[str], words: str) -> None:
    with pytest.raises(MediaError, match=words):
        check_labels(labels)


def test_a_long_name_that_fits_is_kept(tmp_path: Path) -> None:
    film(tmp_path / ("a" * LIMITS.max_class_name) / "a.mp4", ["red"] * 2)
    film(tmp_path / "Tasse mit Henkel" / "a.mp4", ["green"] * 2)
    assert folder_material(tmp_path)[0] == ("a" * LIMITS.max_class_name, "Tasse mit Henkel")
