"""From material to classes: what is read, what is left out of learning, and where the learned classes look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.films.class_folders import SIDE, SIZE, colours_folder, film, pictures, square
from tests.support.models import tiny_models
from whycam.models.contract import MULTI_LABEL, ContractError
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.preprocess import Fit
from whycam.stream.media.image import write_image
from whycam.stream.media.losses import MediaError
from whycam.stream.teaching.dataset import Dataset, Images, check_teachable, read_dataset
from whycam.stream.teaching.heat_place import is_suspicious
from whycam.stream.teaching.material import folder_material
from whycam.stream.teaching.page import page
from whycam.stream.teaching.training import Trained, train
from whycam.stream.teaching.verdict import basis, confusions, percent, suspicions, typical_mistakes, unread
from whycam.stream.video.planes import rgb_frame


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(tiny_models.bright_spot(tmp_path_factory.mktemp("models") / "spot.onnx", replaceable=True))


@pytest.fixture
def images(explainer: Explainer) -> Iterator[Images]:
    with Images(explainer.contract.input_size) as images:
        yield images


def read(explainer: Explainer, images: Images, folder: Path, every: int = 1) -> Dataset:
    labels, material = folder_material(folder)
    return read_dataset(explainer, labels, material, images, every=every)


def trained_on(explainer: Explainer, images: Images, folder: Path) -> Trained:
    return train(explainer, read(explainer, images, folder))


def test_every_frame_and_every_picture_is_an_example(tmp_path: Path, explainer: Explainer, images: Images) -> None:
    dataset = read(explainer, images, colours_folder(tmp_path))
    assert dataset.labels == ("green", "red")
    assert np.bincount(dataset.classes).tolist() == [14, 5]
    assert dataset.names[:2] == ("one.mp4, frame 1", "one.mp4, frame 2")
    assert dataset.names[-1] == "rede.png"
    assert dataset.vectors.shape == (19, 3)
    assert len(images) == 19
    fit = Fit("stretch", explainer.contract.input_size)
    assert (images[18] == fit.image(rgb_frame(square("red", 4)))).all()
    with pytest.raises(IndexError):
        images[19]


def test_the_vectors_are_those_of_the_images(tmp_path: Path, explainer: Explainer, images: Images) -> None:
    dataset = read(explainer, images, colours_folder(tmp_path))
    for number in (0, 9, 18):
        alone = explainer.explain(images[number][None], ()).embedding
        assert alone is not None
        np.testing.assert_allclose(dataset.vectors[number], alone[0], atol=1e-6)


def test_of_a_film_every_nth_frame_is_taken(tmp_path: Path, explainer: Explainer, images: Images) -> None:
    dataset = read(explainer, images, colours_folder(tmp_path), every=3)
    assert np.bincount(dataset.classes).tolist() == [6, 5]
    assert dataset.names[:3] == ("one.mp4, frame 1", "one.mp4, frame 4", "one.mp4, frame 7")


def test_whole_files_are_left_out(tmp_path: Path, explainer: Explainer, images: Images) -> None:
    dataset = read(explainer, images, colours_folder(tmp_path))
    assert len(set(dataset.holdings)) == 2 + 5
    assert not dataset.learned
    assert dataset.last_parts == ()
    trained = train(explainer, dataset)
    assert trained.held is not None
    assert trained.held.tested == 19
    assert trained.held.share == 1
    assert basis(trained) == [
        "100% of 19 pictures that it was not learned from are right.",
        "Whole films and pictures were left out.",
    ]


def test_of_a_classs_only_film_the_last_part_is_tested(tmp_path: Path, explainer: Explainer, images: Images) -> None:
    """The last third of the one film shows something else: only that is tested, and it is wrong."""
    film(tmp_path / "green" / "a.mp4", ["green"] * 8 + ["red"] * 4)
    pictures(tmp_path / "red", "red", 4)
    trained = trained_on(explainer, images, tmp_path)
    assert trained.dataset.last_parts == ("green",)
    assert trained.held is not None
    assert trained.held.confusion.tolist() == [[0, 4], [0, 4]]
    assert {mistake.example for mistake in trained.held.wrong} == {8, 9, 10, 11}
    assert [mistake.example for mistake in typical_mistakes(trained, 12)] == [
        mistake.example for mistake in trained.held.wrong[:2]
    ]
    assert "Of green there is one film, so only its last part was left out" in basis(trained)[1]
    assert [(each.label, each.taken_for, each.times, each.tested) for each in confusions(trained)] == [
        ("green", "red", 4, 4)
    ]


def test_a_class_of_one_picture_is_not_tested(tmp_path: Path, explainer: Explainer, images: Images) -> None:
    pictures(tmp_path / "red", "red", 1)
    pictures(tmp_path / "green", "green", 1)
    alone = trained_on(explainer, images, tmp_path)
    assert alone.held is None
    assert alone.summary().about("spot")["accuracy"] is None
    assert "Too few to say" in basis(alone)[0]
    assert confusions(alone) == []


def test_what_is_not_tested_is_said(tmp_path: Path, explainer: Explainer, images: Images) -> None:
    pictures(tmp_path / "red", "red", 1)
    pictures(tmp_path / "green", "green", 3)
    trained = trained_on(explainer, images, tmp_path)
    assert trained.untested == ("red",)
    assert "Of red nothing could be left out, so it was not tested." in basis(trained)
    assert trained.summary().about("spot")["examples"] == {"green": 3, "red": 1}
    assert trained.summary().about("spot")["tested"] == 3


def test_an_unreadable_file_is_left_out_and_listed(tmp_path: Path, explainer: Explainer, images: Images) -> None:
    folder = colours_folder(tmp_path)
    (folder / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    (folder / "red" / "list.csv").write_text("a,b")
    whole = (folder / "green" / "one.mp4").read_bytes()
    (folder / "green" / "cut.mp4").write_bytes(whole[:200])
    dataset = read(explainer, images, folder)
    assert np.bincount(dataset.classes).tolist() == [14, 5]
    assert len(dataset.unread) == 3
    said = " ".join(unread(dataset.unread))
    for name in ("broken.jpg", "list.csv", "cut.mp4"):
        assert name in said
    assert unread(["a"] * 7)[-1] == "And 2 more."


def test_a_class_without_a_readable_file_is_said(tmp_path: Path, explainer: Explainer, images: Images) -> None:
    folder = colours_folder(tmp_path)
    (folder / "blue").mkdir()
    (folder / "blue" / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    with pytest.raises(MediaError, match=r"no picture of 'blue' that can be read\. broken\.jpg"):
        read(explainer, images, folder)


def test_models_that_cannot_be_taught_are_said(tmp_path: Path) -> None:
    fixed = Explainer(tiny_models.bright_spot(tmp_path / "fixed.onnx"))
    with pytest.raises(ContractError, match="last layer of bright spot cannot be replaced"):
        check_teachable(fixed.contract)
    several = Explainer(tiny_models.bright_spot(tmp_path / "several.onnx", task=MULTI_LABEL, replaceable=True))
    with pytest.raises(ContractError, match="judges each class by itself"):
        check_teachable(several.contract)


def test_learned_classes_look_at_what_they_are(tmp_path: Path, explainer: Explainer, images: Images) -> None:
    """Yellow is no class of the network; its heat is on the yellow square, not on the red one beside it."""
    for colour in ("red", "yellow", "blue"):
        pictures(tmp_path / colour, colour, 6)
    trained = trained_on(explainer, images, tmp_path)
    picture = square("yellow", at=(8, 8))
    picture[40 : 40 + SIDE, 40 : 40 + SIDE] = square("blue", at=(40, 40))[40 : 40 + SIDE, 40 : 40 + SIDE]
    image = Fit("stretch", explainer.contract.input_size).image(rgb_frame(picture))
    labels = trained.class_set.labels
    for label, cells in (("yellow", (slice(1, 3), slice(1, 3))), ("blue", (slice(5, 7), slice(5, 7)))):
        heat = explainer.explain(image[None], (labels.index(label),), trained.class_set).heatmaps[0, 0]
        assert heat[cells].sum() > 0.9 * heat.sum()


def test_a_class_that_is_its_background_is_suspicious(tmp_path: Path, explainer: Explainer, images: Images) -> None:
    """A grey object in the middle before a red corner: the corner is all that tells the class from others."""
    for number in range(5):
        before_red = np.full((SIZE, SIZE, 3), 90, np.uint8)
        before_red[24:40, 24:40] = 140 + number
        before_red[:12, :12] = (230, 20, 20)
        for name, picture in (("mug", before_red), ("green", square("green", number, at=(24, 24)))):
            (tmp_path / name).mkdir(exist_ok=True)
            write_image(tmp_path / name / f"{chr(97 + number)}.png", picture)
    trained = trained_on(explainer, images, tmp_path)
    places = dict(zip(trained.class_set.labels, (look.place for look in trained.looks), strict=True))
    assert is_suspicious(places["mug"])
    assert not is_suspicious(places["green"])
    (said,) = suspicions(trained)
    assert said.startswith("mug: ")
    assert "learned the background" in said


def test_the_page_shows_mean_heat_confusion_and_mistakes(tmp_path: Path, explainer: Explainer, images: Images) -> None:
    folder = colours_folder(tmp_path)
    write_image(folder / "red" / "<odd>.png", square("green", 3))
    (folder / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    trained = trained_on(explainer, images, folder)
    html = page(trained, explainer, "colours")
    assert "What colours learned" in html
    assert html.count("<img") == 2 * 2 + 2  # each class's two, and the two of the one mistake
    assert "<b>red</b> taken for green" in html
    assert "&lt;odd&gt;.png" in html
    assert "<odd>" not in html
    assert "broken.jpg" in html
    assert "<b>red</b> for green, 1 of 6" in html
    assert basis(trained)[0] in html
    assert "http" not in html.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("share", "text"), [(1, "100%"), (0.999, "99.9%"), (0.99999, "99.9%"), (0.5, "50%"), (0.001, "<1%"), (0, "0%")]
)
def test_only_what_is_whole_is_100_percent(share: float, text: str) -> None:
    assert percent(share) == text
