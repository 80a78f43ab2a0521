"""The book's drawing, compared with a few lines that repeat its program with its own libraries."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import skimage.data
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from tests.support.films import media_samples
from tests.support.models import tiny_models
from whycam.models import catalog
from whycam.models.contract import Fitting
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.preprocess import Fit
from whycam.stream.overlay.book_style import Book
from whycam.stream.overlay.heatmap import drawn_maps
from whycam.stream.overlay.renderer import Look, Renderer
from whycam.stream.overlay.styles import usual_view
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes, rgb_frame, rgb_of

VIEW = usual_view("book", (), None, None)


@pytest.fixture(scope="module")
def ten_classes(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(tiny_models.model(tmp_path_factory.mktemp("models") / "tiny.onnx"), threads=1)


def rescaled(picture: NDArray[np.float64]) -> Image.Image:
    """Keras's `array_to_img`."""
    picture = picture - picture.min()
    return Image.fromarray((picture / max(picture.max(), 1e-9) * 255).astype(np.uint8))


def as_in_the_book(rgb: Bytes, explainer: Explainer) -> Bytes:
    image = Image.fromarray(rgb)
    small = np.asarray(image.resize(explainer.contract.input_size[::-1], Image.Resampling.NEAREST))
    heatmap = explainer.explain(small[None], [-1]).heatmaps[0, 0]
    jet = rescaled(colormaps["jet"](np.arange(256))[:, :3][np.uint8(255 * heatmap)]).resize(image.size)
    return np.asarray(rescaled(0.4 * np.asarray(jet, np.float64) + rgb))


def ours(frame: av.VideoFrame, explainer: Explainer) -> Bytes:
    renderer = Renderer.of(Look(VIEW, style="book", label=False), explainer.contract)
    maps = renderer.maps(explainer.explain(renderer.input_image(frame)[None], renderer.targets), 0)
    return rgb_of(renderer.draw(frame, maps))


def photographs() -> dict[str, Bytes]:
    coffee = skimage.data.coffee()
    return {
        "coffee": coffee,
        "dark": coffee // 6,
        "upright": np.ascontiguousarray(np.rot90(skimage.data.chelsea())),
        "small": coffee[:5, :7],
        "black": np.zeros((64, 48, 3), np.uint8),
        "odd": coffee[:201, :333],
    }


@pytest.mark.parametrize("name", photographs())
def test_an_image_is_drawn_like_the_book(ten_classes: Explainer, name: str) -> None:
    rgb = np.ascontiguousarray(photographs()[name])
    found = ours(rgb_frame(rgb), ten_classes)
    assert np.abs(found.astype(int) - as_in_the_book(rgb, ten_classes)).max() <= 2
    assert name == "black" or not np.array_equal(found, rgb)


def test_an_image_is_drawn_like_the_book_with_the_bundled_network() -> None:
    explainer = Explainer(catalog.find("efficientnet-lite0"))
    rgb = skimage.data.coffee()
    assert np.abs(ours(rgb_frame(rgb), explainer).astype(int) - as_in_the_book(rgb, explainer)).max() <= 2


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_a_frame_of_a_film_is_drawn_like_the_book(ten_classes: Explainer, matrix: media_samples.Matrix) -> None:
    frame = media_samples.frame(skimage.data.coffee(), matrix=matrix)
    rgb = rgb_of(frame)
    found = ours(frame, ten_classes)
    assert np.abs(found.astype(int) - as_in_the_book(rgb, ten_classes)).max() <= 2
    assert np.array_equal(rgb_of(frame), rgb)  # the film's own frame is unchanged


def test_a_map_without_evidence_draws_no_nan(tmp_path: Path) -> None:
    explainer = Explainer(tiny_models.bright_spot(tmp_path / "spot.onnx"), threads=1)
    grey = np.full((40, 60, 3), 96, np.uint8)
    grey[0, 0], grey[0, 1] = 0, 255
    found = ours(rgb_frame(grey), explainer)
    assert np.ptp(found[5:, 5:].reshape(-1, 3), axis=0).max() == 0
    assert found[20, 20, 2] >= found[20, 20, 0]  # jet's coldest colour is blue


@pytest.mark.parametrize("kind", ["stretch", "crop"])
def test_heat_is_added_where_the_network_looks(kind: Fitting, ten_classes: Explainer) -> None:
    rgb = np.full((60, 120, 3), 100, np.uint8)
    rgb[0, 0], rgb[0, 1] = 0, 255
    book = Book(Fit(kind, (tiny_models.SIZE, tiny_models.SIZE)))
    explanation = ten_classes.explain(tiny_models.images(1), [-1])
    canvas = book.canvas(rgb_frame(rgb))
    book.paint(canvas, book.maps(explanation, 0, ten_classes.contract.labels), VIEW)
    beside = rgb_of(canvas)[5:, :28]
    assert (np.ptp(beside.reshape(-1, 3), axis=0).max() == 0) == (kind == "crop")


def test_the_steps_of_a_map_are_truncated_as_in_the_book(ten_classes: Explainer) -> None:
    explanation = ten_classes.explain(tiny_models.images(2), [-1, -2])
    labels = ten_classes.contract.labels
    book = Book(Fit("stretch", (tiny_models.SIZE, tiny_models.SIZE)))
    for each, other in zip(book.maps(explanation, 1, labels), drawn_maps(explanation, 1, labels), strict=True):
        assert (each.class_id, each.score) == (other.class_id, other.score)
        assert set(np.unique(other.grid.astype(int) - each.grid)) <= {0, 1}


def test_colours_and_strength_can_be_changed(ten_classes: Explainer) -> None:
    rgb = skimage.data.coffee()
    explanation = ten_classes.explain(tiny_models.images(1), [-1])
    book = Book(Fit("stretch", (tiny_models.SIZE, tiny_models.SIZE)))
    maps = book.maps(explanation, 0, ten_classes.contract.labels)
    results = []
    for view in (VIEW, View(opacity=0.4, colormap="viridis"), View(opacity=0.8, colormap="jet")):
        canvas = book.canvas(rgb_frame(rgb))
        book.paint(canvas, maps, view)
        results.append(rgb_of(canvas))
    assert not np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
