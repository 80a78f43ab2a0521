"""Images as frames: in natural order, and beyond one that cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.films import media_samples
from whycam.stream.media.image import write_image
from whycam.stream.media.image_folder import ImageFolder
from whycam.stream.media.losses import MediaError
from whycam.stream.video.planes import rgb_of

SIZE = (64, 48)


def filled(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        write_image(folder / name, media_samples.spot(SIZE, number))
    return folder


def test_frames_come_in_natural_order(tmp_path: Path) -> None:
    folder = ImageFolder(filled(tmp_path / "kitchen", "f1.jpg", "f2.PNG", "f10.jpg", "f9.webp", ".hidden.jpg"))
    assert [path.name for path in folder.images] == ["f1.jpg", "f2.PNG", "f9.webp", "f10.jpg"]
    frames = list(folder.read())
    assert folder.frames == len(frames) == 4
    assert [frame.pts for frame in frames] == [0, 1, 2, 3]
    assert frames[1].time_base == folder.time_base


def test_an_image_that_cannot_be_read_is_replaced_by_the_one_before(tmp_path: Path) -> None:
    folder = ImageFolder(filled(tmp_path / "kitchen", "1.jpg", "2.jpg", "3.jpg", "4.jpg"))
    for name in ("1.jpg", "3.jpg"):
        (folder.images[0].parent / name).write_bytes(b"no image")
    frames = list(folder.read())
    assert [frame.pts for frame in frames] == [1, 2, 3]
    assert (folder.losses.lost, folder.losses.concealed) == (1, 1)
    assert folder.losses.unread == ["1.jpg", "3.jpg"]
    assert np.array_equal(rgb_of(frames[0]), rgb_of(frames[1]))
    assert not np.array_equal(rgb_of(frames[1]), rgb_of(frames[2]))


def test_a_folder_without_readable_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"no image")
    with pytest.raises(MediaError, match=r"has no image that can be read: 1\.jpg\."):
        list(ImageFolder(tmp_path).read())


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mov").write_bytes(b"")
    with pytest.raises(MediaError, match=r"folder without images \(found: \.mov\)"):
        ImageFolder(tmp_path)


def test_of_many_images_with_the_same_note_few_are_named(tmp_path: Path) -> None:
    for number in range(1, 7):
        values = np.arange(64, dtype=np.uint16).reshape(8, 8) + number
        Image.fromarray(values).save(tmp_path / f"t{number}.tif")
    red = Image.fromarray(media_samples.spot((8, 8)))
    red.save(tmp_path / "t7.tif", save_all=True, append_images=[red.rotate(90)])
    folder = ImageFolder(tmp_path)
    assert len(list(folder.read())) == 7
    assert [note.split(" ")[3] for note in folder.losses.notes[:3]] == ["t1.tif", "t2.tif", "t3.tif"]
    assert folder.losses.notes[3:] == [
        "t7.tif has several images; the first one is explained.",
        "Such changes were made to 3 further images of it.",
    ]
