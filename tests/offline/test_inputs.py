"""Inputs by their names on the command line, and paths of results."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.films import media_samples
from whycam.stream.media.image import write_image
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.inputs import Input, Kind, find_inputs, output_of


@pytest.mark.parametrize(
    ("kind", "name", "result"),
    [
        ("film", "kitchen.mov", "kitchen-output.mp4"),
        ("film", "kitchen-input.MOV", "kitchen-output.mp4"),
        ("film", "My_Input.mkv", "My-output.mp4"),
        ("film", "input.mp4", "input-output.mp4"),
        ("picture", "dog.jpg", "dog-output.jpg"),
        ("picture", "IMG_1.HEIC", "IMG_1-output.jpg"),
        ("folder", "kitchen", "kitchen-output"),
        ("folder", "kitchen.frames", "kitchen.frames-output"),
        ("pipe", "stdin", "stdin-output.mp4"),
    ],
)
def test_results_are_beside_their_input_or_in_the_given_folder(kind: Kind, name: str, result: str) -> None:
    given = Input(kind, Path("films") / name)
    assert output_of(given, None, many=False) == Path("films") / result
    assert output_of(given, Path("results"), many=True) == Path("results") / result


def test_one_input_may_have_any_name_of_its_kind(tmp_path: Path) -> None:
    assert output_of(Input("film", Path("a.mov")), Path("b.MP4"), many=False) == Path("b.MP4")
    assert output_of(Input("picture", Path("a.jpg")), Path("b.png"), many=False) == Path("b.png")
    assert output_of(Input("folder", Path("a")), Path("b"), many=False) == Path("b")
    assert output_of(Input("film", Path("a.mov")), tmp_path, many=False) == tmp_path / "a-output.mp4"


@pytest.mark.parametrize(
    ("kind", "name", "words"), [("film", "b.avi", r"ends in \.mp4"), ("picture", "b.mp4", r"\.jpg")]
)
def test_a_suffix_that_is_not_written_is_refused(kind: Kind, name: str, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        output_of(Input(kind, Path("a")), Path(name), many=False)


def test_the_kind_of_a_file_is_known_by_its_name_or_its_first_bytes(tmp_path: Path) -> None:
    media_samples.write(tmp_path / "KITCHEN.MOV", count=2)
    write_image(tmp_path / "DOG.JPG", media_samples.spot((32, 32)))
    (tmp_path / "photo").write_bytes((tmp_path / "DOG.JPG").read_bytes())
    (tmp_path / "frames").mkdir()
    names = ["KITCHEN.MOV", "DOG.JPG", "photo", "frames", "missing.mov", "missing.Heic"]
    found = find_inputs([str(tmp_path / name) for name in names])
    assert [each.kind for each in found] == ["film", "picture", "picture", "folder", "film", "picture"]


def test_patterns_are_expanded_and_each_input_comes_once(tmp_path: Path) -> None:
    for name in ("b.mov", "a.mov", "c.txt", "[x].mov"):
        (tmp_path / name).write_bytes(b"")
    found = find_inputs([str(tmp_path / "?.mov"), str(tmp_path / "a.mov"), str(tmp_path / "[x].mov")])
    assert [each.path.name for each in found] == ["a.mov", "b.mov", "[x].mov"]
    with pytest.raises(MediaError, match="No file matches"):
        find_inputs([str(tmp_path / "*.webm")])


@pytest.mark.parametrize(
    ("address", "result", "shown"),
    [
        ("https://example.org/films/door%20bell.mp4?x=1", "door bell-output.mp4", "https://example.org/films/"),
        ("rtsp://user:secret@10.0.0.2:554/", "10.0.0.2-output.mp4", "rtsp://10.0.0.2:554/"),
        ("HTTP://host/a.b/live", "live-output.mp4", "HTTP://host/a.b/live"),
    ],
)
def test_an_address_is_named_without_its_password(address: str, result: str, shown: str) -> None:
    (given,) = find_inputs([address])
    assert given.kind == "address"
    assert output_of(given, None) == Path(result)
    assert given.name.startswith(shown)
    assert "secret" not in given.name


def test_the_address_of_a_file_is_the_file(tmp_path: Path) -> None:
    path = media_samples.write(tmp_path / "my film.mov", count=2)
    assert find_inputs([path.as_uri()]) == [Input("film", path)]


def test_long_names_stay_different() -> None:
    names = {output_of(Input("film", Path("k" * 240 + end)), None).name for end in ("a.mov", "b.mov")}
    assert len(names) == 2
    assert all(len(f"{name}.journal.part") <= 255 for name in names)


def test_a_dash_is_standard_input() -> None:
    (given,) = find_inputs(["-"])
    assert (given.kind, given.name) == ("pipe", "standard input")
