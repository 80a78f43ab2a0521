"""Frames as image files: numbered and complete; other files are not replaced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.films import media_samples
from whycam.stream.media.image import read_image
from whycam.stream.media.image_writer import FolderWriter, ImageWriter, numbered
from whycam.stream.media.losses import MediaError
from whycam.stream.video.planes import rgb_frame

SIZE = (64, 48)


def test_frames_are_numbered_from_one(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path / "out")
    for number in range(12):
        writer.write(media_samples.frame(media_samples.spot(SIZE, number)))
        assert not (tmp_path / "out").exists()
    writer.close()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"result-{n:04d}.jpg" for n in range(1, 13)]
    x, y = media_samples.place(SIZE, 4).middle
    assert np.abs(read_image(tmp_path / "out" / "result-0005.jpg")[y, x].astype(int) - media_samples.RED).max() < 25
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_frames_of_an_earlier_run_are_deleted_and_other_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("result-0001.jpg", "result-0009.jpg", "result-final.jpg", "notes.txt"):
        (folder / name).write_text("old")
    writer = FolderWriter(folder)
    writer.write(rgb_frame(media_samples.spot(SIZE)))
    writer.close()
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", "result-0001.jpg", "result-final.jpg"]
    assert read_image(folder / "result-0001.jpg").shape == (48, 64, 3)
    assert len(numbered(folder)) == 1


def test_discarded_frames_leave_nothing_behind(tmp_path: Path) -> None:
    for count in (0, 3):
        writer = FolderWriter(tmp_path / "out")
        for _ in range(count):
            writer.write(rgb_frame(media_samples.spot(SIZE)))
        writer.discard()
    with pytest.raises(MediaError, match="no frame"):
        FolderWriter(tmp_path / "out").close()
    assert not list(tmp_path.iterdir())


def test_all_but_the_first_can_be_deleted(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path / "in", "thumb")
    for number in range(5):
        writer.write(rgb_frame(media_samples.spot(SIZE, number)))
    writer.keep_first(3)
    writer.keep_first(9)
    writer.close()
    assert len(numbered(tmp_path / "in", "thumb")) == 3


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError, match="cannot be written"):
        FolderWriter(tmp_path / "file" / "out")
    with pytest.raises(MediaError, match="is a file; the images need a folder"):
        FolderWriter(tmp_path / "file")


def test_one_image_is_written_in_the_format_of_its_suffix(tmp_path: Path) -> None:
    ImageWriter(tmp_path / "cup.png").write(rgb_frame(media_samples.spot(SIZE)))
    assert np.array_equal(read_image(tmp_path / "cup.png"), media_samples.spot(SIZE))
