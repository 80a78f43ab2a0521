"""Quantized classifiers: the head supports them, and their loss of quality is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tests.support.models import tiny_models
from tests.support.models.dense_tail_models import DenseTail
from whycam.export.graph.onnx_graph import Graph
from whycam.export.head.ends import find_ends
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.tail import clips, find_feature, find_tail
from whycam.export.precision import int8
from whycam.export.save import save
from whycam.export.verify.agreement import Disagreement, compare
from whycam.stream.inference.explainer import BEST, Explainer

LABELS = [f"class {number}" for number in range(10)]
WITHOUT_VNNI = "processor\t: 0\nflags\t\t: fpu sse avx2 avx512f\n"
WITH_VNNI = "processor\t: 0\nflags\t\t: fpu sse avx2 avx_vnni\n"


def explainable(model: onnx.ModelProto, path: Path) -> Path:
    ready = append_cam(model)
    about = tiny_models.contract(LABELS, "probability", "stretch", "tiny")
    save(ready, replace(about, feature=find_feature(ready).tensor), path)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same network in float32 and in 8 bits."""
    folder = tmp_path_factory.mktemp("models")
    plain = folder / "plain.onnx"
    model = DenseTail(norm="Mul").model()
    int8.store(model, plain)
    quantized = int8.quantize(plain, tiny_models.images(16, seed=3))
    return explainable(model, folder / "float.onnx"), explainable(quantized, folder / "int8.onnx")


def test_only_convolutions_and_the_first_dense_layer_are_quantized(
    models: tuple[Path, Path],
) -> None:
    graph = Graph(onnx.load(models[1]))
    layers = [
        node
        for node in graph.model.graph.node
        if node.op_type in ("Conv", "Gemm") and not node.name.startswith("whycam/")
    ]
    sources = [graph.producer(node.input[1]) for node in layers]
    quantized = [source is not None and source.op_type == "DequantizeLinear" for source in sources]
    assert [node.op_type for node in layers] == ["Conv", "Gemm", "Gemm", "Gemm"]
    assert quantized == [True, True, False, False]


def test_only_the_relus_clip_after_the_feature_map(models: tuple[Path, Path]) -> None:
    graph = Graph(onnx.load(models[1]))
    _, tail = find_tail(graph, find_ends(graph))
    assert [node.op_type for node in tail if clips(graph, node)] == ["Relu", "Relu"]
    assert any(node.op_type == "QuantizeLinear" for node in tail)


def test_its_heatmaps_are_those_of_float64_on_the_activations_it_has(models: tuple[Path, Path]) -> None:
    agreement = compare(models[1], tiny_models.images(6))
    assert agreement.maps == 30
    agreement.check()


def test_it_keeps_the_heatmaps_of_float32(models: tuple[Path, Path]) -> None:
    fidelity = int8.compare_with_float(models[1], models[0], tiny_models.images(24, seed=5))
    assert fidelity.correlation > 0.95
    assert fidelity.same_best > 0.8
    assert fidelity.speed > 0
    fidelity.check()
    assert "times as fast, heatmaps correlate" in str(fidelity)


def test_a_model_that_lost_its_heatmaps_is_refused() -> None:
    good = int8.Fidelity(speed=1.8, correlation=0.97, tenth=0.9, same_best=1.0)
    good.check()
    assert "float32 serves it better" not in str(good)
    assert "float32 serves it better" in str(good._replace(speed=1.0))
    for correlation in (0.949, float("nan")):
        with pytest.raises(Disagreement, match="--calibrate-with"):
            good._replace(correlation=correlation).check()


def test_maps_are_correlated_one_by_one_and_pairs_of_empty_maps_are_skipped(models: tuple[Path, Path]) -> None:
    maps = Explainer(models[0]).explain(tiny_models.images(2), BEST[:2]).heatmaps
    np.testing.assert_allclose(int8.correlations(maps, maps * 0.5), 1)
    np.testing.assert_allclose(int8.correlations(maps, 1 - maps), -1)
    empty = np.zeros_like(maps)
    assert int8.correlations(maps, empty).tolist() == [0, 0, 0, 0]
    assert int8.correlations(empty, empty).size == 0


def test_one_bright_image_does_not_make_the_levels_of_all_others_coarse(tmp_path: Path) -> None:
    plain = tmp_path / "plain.onnx"
    int8.store(DenseTail().model(), plain)
    bright = tiny_models.images(1)

    def steps(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The step of each quantized tensor except the image, which has negative values."""
        graph = Graph(int8.quantize(plain, images))
        _, *nodes = [node for node in graph.model.graph.node if node.op_type == "QuantizeLinear"]
        return np.array([graph.constant(node.input[1]) for node in nodes], np.float64)

    alone = steps(bright // 4), steps(bright)
    assert (alone[1] > 1.2 * alone[0]).any()
    np.testing.assert_allclose(steps(np.concatenate([bright // 4, bright])), np.mean(alone, axis=0), rtol=1e-4)


def test_a_bit_is_left_unused_where_the_processor_has_no_vnni(tmp_path: Path) -> None:
    plain, info = tmp_path / "plain.onnx", tmp_path / "cpuinfo"
    int8.store(DenseTail().model(), plain)
    largest = {}
    for flags in (WITH_VNNI, WITHOUT_VNNI):
        info.write_text(flags)
        graph = Graph(int8.quantize(plain, tiny_models.images(4), cpuinfo=info))
        conv = next(node for node in graph.model.graph.node if node.op_type == "Conv")
        source = graph.producer(conv.input[1])
        assert source is not None
        kernel = graph.constant(source.input[0])
        assert kernel is not None
        largest[int8.adds_in_32_bits(info)] = int(np.abs(kernel.astype(int)).max())
    assert largest == {True: 127, False: 64}
    assert not int8.adds_in_32_bits(tmp_path / "there is none")
