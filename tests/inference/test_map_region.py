"""A heatmap of a part of the network's input is drawn on that part of the frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests.support.models import tiny_models
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.tail import find_feature
from whycam.export.save import save
from whycam.models.contract import WHOLE, MapSpec, Region
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.map_region import place, placed_size
from whycam.stream.media.image import write_image
from whycam.stream.offline.explain import explain_image

RANDOM = np.random.default_rng(5)


def cropping(path: Path, top: int, left: int) -> Path:
    """The bright-spot network on 32x32 pixels that it cuts out of an input of 64x64."""
    averaged = np.full((3, 3, 4, 4), -0.5 / 16, np.float32)
    averaged[range(3), range(3)] = 1 / 16
    plain = tiny_models.classifier(kernel=averaged, weights=200 * np.eye(3, dtype=np.float32), mean=0, scale=255)
    graph = plain.graph
    place_of_conv = next(number for number, node in enumerate(graph.node) if node.op_type == "Conv")
    conv = graph.node[place_of_conv]
    names = ["starts", "ends", "axes"]
    graph.node.insert(place_of_conv, helper.make_node("Slice", [conv.input[0], *names], ["cut"], "cut"))
    graph.node[place_of_conv + 1].input[0] = "cut"
    for name, value in zip(names, ([top, left], [top + 32, left + 32], [2, 3]), strict=True):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    for axis in (1, 2):
        graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 64
    save(append_cam(plain), tiny_models.contract(tiny_models.COLOURS, "probability", "stretch", "cropping"), path)
    return path


@pytest.mark.parametrize(("top", "left"), [(16, 16), (0, 32), (10, 22)])
def test_the_heat_is_on_the_spot_that_a_cropping_network_saw(tmp_path: Path, top: int, left: int) -> None:
    explainer = Explainer(cropping(tmp_path / "cropping.onnx", top, left))
    assert explainer.contract.drawn_map().region == pytest.approx(
        (left / 64, top / 64, left / 64 + 0.5, top / 64 + 0.5)
    )
    image = np.full((64, 64, 3), 90, np.uint8)
    image[top + 8 : top + 12, left + 20 : left + 24] = (30, 220, 40)
    found = explainer.explain(image[None], [-1])
    assert found.classes.tolist() == [[1]]
    assert found.heatmaps.shape[2:] == placed_size(explainer.contract)
    rows, columns = found.heatmaps.shape[2:]
    row, column = np.unravel_index(found.heatmaps[0, 0].argmax(), (rows, columns))
    assert ((row + 0.5) / rows * 64, (column + 0.5) / columns * 64) == pytest.approx((top + 10, left + 22), abs=2.5)


def test_a_painted_image_has_its_heat_there_too(tmp_path: Path) -> None:
    explainer = Explainer(cropping(tmp_path / "cropping.onnx", 32, 32))
    image = np.full((64, 64, 3), 90, np.uint8)
    image[44:48, 52:56] = (30, 220, 40)
    write_image(tmp_path / "spot.png", image)
    _, rgb, overlay = explain_image(tmp_path / "spot.png", explainer, [-1])
    away = np.abs(overlay.astype(int) - rgb).sum(2)
    away[:24] = 0  # the label
    row, column = np.unravel_index(away.argmax(), away.shape)
    assert abs(row - 46) < 6
    assert abs(column - 54) < 6
    assert away[24:, :24].max() < 12  # what the network does not see has no heat


def test_a_grid_that_fits_keeps_its_values() -> None:
    maps = RANDOM.random((2, 3, 8, 8), np.float32)
    placed = place(maps, (0.25, 0.5, 0.75, 1.0))
    assert placed.shape == (2, 3, 16, 16)
    assert np.array_equal(placed[:, :, 8:, 4:12], maps)
    assert placed.sum() == pytest.approx(maps.sum(), rel=1e-5)
    assert place(maps, WHOLE) is maps


def test_cells_on_padding_are_cut_off() -> None:
    maps = RANDOM.random((1, 1, 12, 8), np.float32)
    assert np.array_equal(place(maps, (0.0, -0.5, 1.0, 1.0)), maps[:, :, 4:])


@pytest.mark.parametrize("region", [(0.1, 0.2, 0.9, 0.7), (-0.03, 0.0, 0.95, 1.0)])
def test_a_grid_that_does_not_fit_is_interpolated_in_its_place(region: Region) -> None:
    maps = np.zeros((1, 1, 5, 5), np.float32)
    maps[0, 0, 3, 1] = 1
    placed = place(maps, region)[0, 0]
    rows, columns = placed.shape
    assert rows >= 5
    left, top, right, bottom = region
    row, column = np.unravel_index(placed.argmax(), placed.shape)
    assert (row + 0.5) / rows == pytest.approx(top + 3.5 / 5 * (bottom - top), abs=0.6 / rows)
    assert (column + 0.5) / columns == pytest.approx(left + 1.5 / 5 * (right - left), abs=0.6 / columns)
    assert placed.max() > 0.8


def test_a_contract_with_another_region_is_not_saved(tmp_path: Path) -> None:
    model = append_cam(tiny_models.classifier())
    feature = find_feature(model)
    about = tiny_models.contract([f"class {n}" for n in range(10)], "probability", "stretch", "tiny")
    spec = MapSpec("heatmaps", feature.tensor, "grad-cam", (8, 8), (0.1, 0.1, 0.9, 0.9))
    with pytest.raises(ValueError, match=r"cover \(0.0, 0.0, 1.0, 1.0\) of the image.* grad-cam and \(0.1"):
        save(model, replace(about, maps=(spec,)), tmp_path / "wrong.onnx")
    assert not list(tmp_path.iterdir())
