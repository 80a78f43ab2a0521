"""`whycam.explain`, `load` and `process` as a notebook or a program uses them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

import whycam
from tests.support.films import media_samples
from tests.support.films.time_lapse import photograph
from tests.support.models import tiny_models
from whycam.stream.media.image import read_image, write_image

SIZE = (96, 64)
SPOT = media_samples.spot(SIZE)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> whycam.Model:
    return whycam.load(tiny_models.bright_spot(tmp_path_factory.mktemp("models") / "bright.onnx"))


def png(rgb: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    return file.getvalue()


def rgba(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


SOURCES: dict[str, Callable[[Path], Any]] = {
    "a name": lambda folder: str(folder / "a.png"),
    "a path": lambda folder: folder / "a.png",
    "bytes": lambda folder: (folder / "a.png").read_bytes(),
    "a file object": lambda folder: io.BytesIO((folder / "a.png").read_bytes()),
    "a PIL image": lambda folder: Image.open(folder / "a.png"),
    "an array": lambda folder: SPOT,
    "RGBA": lambda folder: rgba(SPOT),
    "a view": lambda folder: SPOT[:, ::-1][:, ::-1],
}


@pytest.mark.parametrize("kind", SOURCES)
def test_any_kind_of_picture_is_explained_alike(tmp_path: Path, model: whycam.Model, kind: str) -> None:
    (tmp_path / "a.png").write_bytes(png(SPOT))
    explained = model.explain(SOURCES[kind](tmp_path))
    assert explained.labels[0] == "red"
    assert np.array_equal(explained.picture, SPOT)
    assert np.array_equal(explained.overlay, model.explain(SPOT).overlay)


def test_arrays_of_other_types_need_their_range(model: whycam.Model) -> None:
    plain = model.explain(SPOT)
    for array, value_range in (
        ((SPOT / 255).astype(np.float32), (0, 1)),
        (SPOT.astype(np.float64) * 2 - 255, (-255, 255)),
    ):
        given = model.explain(array, value_range=value_range)
        assert np.abs(given.picture.astype(int) - SPOT).max() <= 1
        assert given.labels == plain.labels
        with pytest.raises(ValueError, match=r"value_range=\(0, 1\)"):
            model.explain(array)
    grey = model.explain(SPOT[..., 0])
    assert np.array_equal(grey.picture, np.repeat(SPOT[..., :1], 3, axis=2))
    assert np.array_equal(model.explain(SPOT[..., :1]).picture, grey.picture)
    clear = np.dstack([SPOT, np.zeros(SPOT.shape[:2], np.uint8)])
    assert model.explain(clear).picture.min() == 255
    for wrong in (np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match="A picture is"):
            model.explain(wrong)


def test_a_pil_image_is_turned_by_its_exif(model: whycam.Model) -> None:
    with Image.open(io.BytesIO(photograph(SPOT, 6))) as image:
        assert model.explain(image).picture.shape == (96, 64, 3)


def test_a_list_is_explained_in_batches(model: whycam.Model) -> None:
    colours = [media_samples.RED, media_samples.GREEN, media_samples.BLUE] * 4
    pictures = [
        media_samples.spot(size, colour=colour) for size, colour in zip([SIZE, (64, 96)] * 6, colours, strict=True)
    ]
    together = model.explain(pictures)
    assert [each.labels[0] for each in together] == ["red", "green", "blue"] * 4
    for each, picture in zip(together, pictures, strict=True):
        assert np.array_equal(each.heatmaps, model.explain(picture).heatmaps)
    assert model.explain([]) == []


def test_targets_are_names_numbers_and_ranks(model: whycam.Model) -> None:
    explained = model.explain(SPOT, targets=["green", 2, -1])
    assert explained.labels == ("green", model.labels[2], "red")
    assert model.explain(SPOT, targets="green").labels == ("green",)
    assert model.explain(SPOT, targets=1).classes == (1,)
    with pytest.raises(ValueError, match="has no class 'purple'"):
        model.explain(SPOT, targets="purple")


def test_a_heatmap_is_as_large_as_the_picture(model: whycam.Model) -> None:
    explained = model.explain(SPOT)
    heat = explained.heatmap("red")
    assert heat.shape == SPOT.shape[:2]
    assert np.array_equal(heat, explained.heatmap())
    x, y = media_samples.place(SIZE).middle
    assert heat[y, x] > 200
    with pytest.raises(ValueError, match="There is no heatmap of 'purple'; there are those of red"):
        explained.heatmap("purple")


def test_a_notebook_shows_picture_and_table(tmp_path: Path, model: whycam.Model) -> None:
    explained = model.explain(SPOT)
    assert repr(explained).startswith("<Explained 96 x 64: ")
    assert len(repr(explained)) < 200
    assert repr(model) == f"<Model {model.name}: {len(model.labels)} classes>"
    with Image.open(io.BytesIO(explained._repr_png_())) as shown:
        assert np.array_equal(np.asarray(shown), explained.overlay)
    assert "<td style='text-align:left'>red</td>" in explained._repr_html_()
    assert np.array_equal(read_image(explained.save(tmp_path / "a.png")), explained.overlay)


def test_a_loaded_model_is_not_loaded_again(model: whycam.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whycam.library.Explainer", None)
    assert whycam.explain(SPOT, model=model).labels[0] == "red"


def test_process_takes_one_path_or_several(tmp_path: Path) -> None:
    path = tiny_models.bright_spot(tmp_path / "bright.onnx")
    write_image(tmp_path / "a.png", SPOT)
    film = media_samples.write(tmp_path / "kitchen.mov", count=3, size=SIZE)
    (one,) = whycam.process(str(tmp_path / "a.png"), model=path)
    assert one.status == "done"
    outcomes = whycam.process([film, tmp_path / "none.mov"], tmp_path / "results", model=path, targets=["green"])
    assert [outcome.status for outcome in outcomes] == ["done", "failed"]
    assert (tmp_path / "results" / "kitchen-output.mp4").is_file()


def test_process_leaves_results_out_with_a_warning(tmp_path: Path) -> None:
    path = tiny_models.bright_spot(tmp_path / "bright.onnx")
    write_image(tmp_path / "a.png", SPOT)
    for name, warned in (("*.png", False), ("*.[jp]*g", True)):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            (outcome,) = whycam.process(str(tmp_path / name), model=path, overwrite=True)
        assert outcome.task.given.path.name == "a.png"
        about = [str(each.message) for each in said if "results of whycam" in str(each.message)]
        assert ["a-output.jpg" in each for each in about] == [True] * warned


def test_process_connects_to_nothing_unless_it_may(tmp_path: Path) -> None:
    path = tiny_models.bright_spot(tmp_path / "bright.onnx")
    with pytest.raises(whycam.MediaError, match="allow_network=True"):
        whycam.process("http://127.0.0.1:9/kitchen.mp4", tmp_path / "a.mp4", model=path)
    (tried,) = whycam.process("http://127.0.0.1:9/kitchen.mp4", tmp_path / "a.mp4", model=path, allow_network=True)
    assert tried.status == "failed"


def test_an_outcome_is_one_line_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    monkeypatch.chdir(tmp_path)
    path = tiny_models.bright_spot(tmp_path / "bright.onnx")
    write_image(tmp_path / "a.png", SPOT)
    done, failed = whycam.process(["a.png", "none.mov"], model=path)
    assert repr(done) == "<Outcome done: a.png -> a-output.jpg, 1 frame>"
    assert repr(failed) == "<Outcome failed: There is no file none.mov.>"


@pytest.mark.parametrize("kind", ["bytes", "file object", "PIL image", "path"])
def test_a_damaged_picture_is_a_sentence(tmp_path: Path, model: whycam.Model, kind: str) -> None:
    content = photograph(SPOT, 1)[:-200]
    (tmp_path / "cut.jpg").write_bytes(content)
    picture: Any = {
        "bytes": content,
        "file object": io.BytesIO(content),
        "PIL image": Image.open(io.BytesIO(content)),
        "path": tmp_path / "cut.jpg",
    }[kind]
    with pytest.raises(ValueError, match=r"is damaged or cut off and cannot be read \(image file is truncated"):
        model.explain(picture)


def test_a_file_object_holds_bytes_that_are_not_read_yet(tmp_path: Path, model: whycam.Model) -> None:
    (tmp_path / "a.png").write_bytes(png(SPOT))
    with (tmp_path / "a.png").open(encoding="latin-1") as text, pytest.raises(ValueError, match="with mode 'rb'"):
        model.explain(text)  # type: ignore[arg-type]
    with (tmp_path / "a.png").open("rb") as file:
        assert model.explain(file).labels[0] == "red"
        with pytest.raises(ValueError, match=r"a\.png has no bytes .* seek\(0\)"):
            model.explain(file)


def test_a_photograph_is_explained_by_the_bundled_model() -> None:
    explained = whycam.explain(Image.fromarray(skimage.data.chelsea()), targets=["tabby", -1])
    assert explained.labels[0] == "tabby"
    assert explained.heatmap("tabby").shape == skimage.data.chelsea().shape[:2]
