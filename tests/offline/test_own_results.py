"""Results of whycam are no inputs of a batch, whatever they are called; one alone is explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.films import media_samples
from tests.support.films.film_files import copy
from whycam.stream.media.image import read_image, write_image
from whycam.stream.media.image_folder import ImageFolder
from whycam.stream.offline.inputs import find_inputs
from whycam.stream.offline.results.own_results import without_results

SIZE = (64, 48)


def names_of(folder: Path, *patterns: str) -> tuple[list[str], list[str]]:
    kept, results = without_results(find_inputs([str(folder / pattern) for pattern in patterns]))
    return [each.path.name for each in kept], [each.path.name for each in results]


def test_films_are_known_by_their_mark(tmp_path: Path) -> None:
    film = media_samples.write(tmp_path / "k.mp4", count=3, size=SIZE)
    copy(film, tmp_path / "renamed.mp4")
    assert names_of(tmp_path, "*.mp4") == (["k.mp4"], ["renamed.mp4"])
    assert names_of(tmp_path, "renamed.mp4") == (["renamed.mp4"], [])


def test_films_of_an_earlier_version_are_known_by_their_sidecar(tmp_path: Path) -> None:
    for name in ("k.mp4", "k-output.mp4", "l-output.mp4"):
        media_samples.write(tmp_path / name, count=3, size=SIZE)
    (tmp_path / "k-output.jsonl").write_text(json.dumps({"whycam": 1, "time_base": [1, 30]}) + "\n")
    assert names_of(tmp_path, "*.mp4") == (["k.mp4", "l-output.mp4"], ["k-output.mp4"])


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_images_are_known_by_their_mark(tmp_path: Path, suffix: str) -> None:
    write_image(tmp_path / f"a{suffix}", media_samples.spot(SIZE))
    write_image(tmp_path / f"b{suffix}", media_samples.spot(SIZE), is_result=True)
    write_image(tmp_path / f"c-output{suffix}", media_samples.spot(SIZE))
    assert names_of(tmp_path, f"*{suffix}") == ([f"a{suffix}", f"c-output{suffix}"], [f"b{suffix}"])
    assert read_image(tmp_path / f"b{suffix}").shape == (48, 64, 3)


def test_images_of_an_earlier_version_are_known_beside_their_original(tmp_path: Path) -> None:
    for name in ("dog.jpg", "dog-output.jpg", "cat-input.png", "cat-output.jpg", "cow-output.jpg"):
        write_image(tmp_path / name, media_samples.spot(SIZE))
    kept, results = names_of(tmp_path, "*")
    assert results == ["cat-output.jpg", "dog-output.jpg"]
    assert kept == ["cat-input.png", "cow-output.jpg", "dog.jpg"]


def test_folders_are_known_by_their_sidecar_and_recordings_by_their_names(tmp_path: Path) -> None:
    for name in ("frames", "frames-output", "session"):
        (tmp_path / name).mkdir()
        write_image(tmp_path / name / "1.jpg", media_samples.spot(SIZE))
    (tmp_path / "frames-output" / "predictions.jsonl").write_text('{"whycam": 1}\n')
    assert names_of(tmp_path, "frames*") == (["frames"], ["frames-output"])
    (tmp_path / "session" / "session.json").write_text("{}")
    for name in ("camera-000.mp4", "explained-000.mp4"):
        media_samples.write(tmp_path / "session" / name, count=2, size=SIZE)
    assert names_of(tmp_path / "session", "*.mp4") == (["camera-000.mp4"], ["explained-000.mp4"])


def test_a_folder_leaves_out_results_and_says_so(tmp_path: Path) -> None:
    write_image(tmp_path / "b.jpg", media_samples.spot(SIZE))
    write_image(tmp_path / "b-output.jpg", media_samples.spot(SIZE), is_result=True)
    folder = ImageFolder(tmp_path)
    assert [path.name for path in folder.images] == ["b.jpg"]
    assert folder.losses.notes == ["Left out as results of whycam: b-output.jpg."]
    (tmp_path / "b.jpg").unlink()
    assert [path.name for path in ImageFolder(tmp_path).images] == ["b-output.jpg"]


def test_a_folder_that_holds_only_results_is_one(tmp_path: Path) -> None:
    """`whycam process * -o results`, given again: `*` finds `results`, too."""
    media_samples.write(tmp_path / "k.mp4", count=3, size=SIZE)
    for name in ("results", "mixed", "empty"):
        (tmp_path / name).mkdir()
    for name in ("results", "mixed"):
        write_image(tmp_path / name / "a-output.jpg", media_samples.spot(SIZE), is_result=True)
        copy(tmp_path / "k.mp4", tmp_path / name / "k-output.mp4")
        (tmp_path / name / "k-output.jsonl").write_text('{"whycam": 1}\n')
    (tmp_path / "results" / "frames-output").mkdir()
    (tmp_path / "results" / "frames-output" / "predictions.jsonl").write_text('{"whycam": 1}\n')
    write_image(tmp_path / "mixed" / "b.jpg", media_samples.spot(SIZE))
    assert names_of(tmp_path, "*") == (["empty", "k.mp4", "mixed"], ["results"])
    assert names_of(tmp_path, "results") == (["results"], [])
