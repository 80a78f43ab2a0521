"""8-bit networks from onnxruntime's quantizer, without their ReLUs, against NumPy's float64."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from tests.support.models import tiny_models
from tests.support.models.dense_tail_models import DenseTail
from whycam.export.head import closed_form
from whycam.export.head.covered import UnsupportedTail
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.tail import find_feature
from whycam.export.save import save
from whycam.export.verify.activations import observe
from whycam.export.verify.agreement import Disagreement, compare
from whycam.stream.inference.explainer import Explainer

LABELS = [f"class {number}" for number in range(10)]
TAIL = DenseTail(shift=-0.2)
"""Three dense layers with ReLUs between them, 60 % of which are closed."""

Floats = NDArray[np.float64]


class Calibration(CalibrationDataReader):  # type: ignore[misc] # onnxruntime is untyped
    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._rows: Iterator[NDArray[np.uint8]] = iter(images[:, None])

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        row = next(self._rows, None)
        return None if row is None else {"image": row}


def quantized(plain: ModelProto, folder: Path, *, contrast: float = 1, **options: Any) -> ModelProto:
    """A classifier in 8 bits with onnxruntime's default options, calibrated on images with less contrast."""
    onnx.save(plain, folder / "plain.onnx")
    logging.disable(logging.WARNING)  # it recommends preprocessing that these small networks do not need
    try:
        seen = Calibration((127 + (tiny_models.images(16, seed=3) - 127.0) * contrast).astype(np.uint8))
        quantize_static(folder / "plain.onnx", folder / "8 bit.onnx", seen, **options)
    finally:
        logging.disable(logging.NOTSET)
    return onnx.load(folder / "8 bit.onnx")


def explainable(plain: ModelProto, path: Path) -> Path:
    model = append_cam(plain)
    about = tiny_models.contract(LABELS, "probability", "stretch", "8 bit")
    save(model, replace(about, feature=find_feature(model).tensor), path)
    return path


class EightBit:
    """The three dense layers of `TAIL` as in the 8-bit file, and Grad-CAM through them, written out."""

    def __init__(self, plain: ModelProto) -> None:
        self._stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in plain.graph.initializer}
        self._makers = {name: node for node in plain.graph.node for name in node.output}
        self.layers = [node for node in plain.graph.node if node.op_type == "Gemm"]
        self.before = {node.name: node.output[0] for node in self.layers}
        """The tensor of each layer before it is rounded."""

    def weights(self, layer: Any) -> Floats:
        stored, scale, zero = self._makers[layer.input[1]].input
        found: Floats = (self._stored[stored].astype(np.float64) - self._stored[zero]) * self._stored[scale]
        return found

    def inside(self, layer: Any, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        rounding = self._rounding(layer)
        assert rounding.op_type == "QuantizeLinear", "or the quantizer kept the ReLU, and the test proves nothing"
        _, scale, zero = (self._stored.get(name) for name in rounding.input)
        assert scale is not None
        assert zero is not None
        smallest, largest = ((end - zero.astype(np.int64)) * scale for end in (-128, 127))
        found: NDArray[np.bool_] = (values >= smallest) & (values <= largest)
        return found

    def largest(self, layer: Any) -> float:
        """The value of the largest integer of a layer's output."""
        scale, zero = (self._stored[name] for name in self._rounding(layer).input[1:])
        return float((127 - int(zero)) * scale)

    def _rounding(self, layer: Any) -> Any:
        return next(node for node in self._makers.values() if node.input[:1] == [layer.output[0]])

    def heatmaps(self, seen: Mapping[str, Any], feature: str, classes: NDArray[np.int64]) -> Floats:
        first, second, last = self.layers
        logits = seen["logits"].astype(np.float64)
        maps = seen[feature].astype(np.float64)
        heat = np.zeros((*classes.shape, *maps.shape[2:]))
        for n, k in np.ndindex(classes.shape):
            chosen = classes[n, k]
            others = np.exp(np.delete(logits[n], chosen) - logits[n].max())
            slope = np.insert(-others / others.sum(), chosen, 1) * self.inside(last, seen[last.name])[n]
            slope = self.weights(last) @ slope * self.inside(second, seen[second.name])[n]
            slope = self.weights(second) @ slope * self.inside(first, seen[first.name])[n]
            alpha = (self.weights(first) @ slope).reshape(len(maps[n]), -1).sum(1) / maps[n, 0].size
            heat[n, k] = np.maximum(np.einsum("c,chw->hw", alpha, maps[n]), 0)
        peak = heat.max((2, 3), keepdims=True)
        return np.asarray(np.divide(heat, peak, out=np.zeros_like(heat), where=peak > 0))


@pytest.mark.parametrize("contrast", [1, 0.4])
def test_a_quantization_that_replaces_a_relu_gates_the_gradient(contrast: float, tmp_path: Path) -> None:
    plain = quantized(TAIL.model(), tmp_path, contrast=contrast)
    assert not any(node.op_type == "Relu" for node in plain.graph.node if node.output[0] != "feature")
    by_hand = EightBit(plain)
    model = append_cam(plain)
    feature = find_feature(model).tensor
    images = tiny_models.images(6, seed=5)
    classes = np.broadcast_to(np.array([0, 3, 9], np.int64), (6, 3))
    softmax = next(node for node in plain.graph.node if node.op_type == "Softmax")
    names = ["heatmaps", feature, softmax.input[0], *by_hand.before.values()]
    found = observe(model, names, images, classes)
    seen = {**found, "logits": found[softmax.input[0]]} | {n: found[at] for n, at in by_hand.before.items()}
    shown = [by_hand.inside(layer, seen[layer.name]).mean() for layer in by_hand.layers[:2]]
    assert all(0.2 < share < 0.8 for share in shown), "many gates should be closed, or the test proves nothing"
    np.testing.assert_allclose(found["heatmaps"], by_hand.heatmaps(seen, feature, classes), atol=1e-5)
    if contrast < 1:
        saturated = seen[by_hand.layers[0].name].max() > by_hand.largest(by_hand.layers[0])
        assert saturated, "contrast beyond the calibration exceeds the upper end, too"


OPTIONS: Mapping[str, dict[str, Any]] = {
    "defaults": {},
    "a scale for each channel": {"per_channel": True},
    "unsigned": {"activation_type": QuantType.QUInt8},
    "all unsigned": {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8},
    "symmetric, which keeps the ReLUs": {"extra_options": {"ActivationSymmetric": True}},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(
    "tail",
    [
        TAIL.but(dense="MatMul"),
        TAIL.but(pooling="AveragePool", norm="Mul"),
        TAIL.but(pooling="none", flat_norm=True),
        TAIL.but(norm="BatchNormalization", gate="ReluAfterNorm", flattening="tf2onnx"),
        TAIL.but(gate="Clip", flattening="NHWC", flat_relu=True),
    ],
    ids=["MatMul", "AveragePool", "no pooling", "BatchNormalization", "Clip"],
)
def test_the_check_agrees_for_all_options_of_the_quantizer(
    tail: DenseTail, options: dict[str, Any], tmp_path: Path
) -> None:
    plain = quantized(tail.model(), tmp_path, contrast=0.6, **options)
    agreement = compare(explainable(plain, tmp_path / "8 bit.onnx"), tiny_models.images(4, seed=5))
    agreement.check()
    assert agreement.empty < agreement.maps


@pytest.mark.parametrize("dense", ["Gemm", "MatMul", "Conv"])
def test_a_network_with_global_pooling_is_explained_in_8_bits(dense: tiny_models.Dense, tmp_path: Path) -> None:
    plain = quantized(tiny_models.classifier(dense=dense), tmp_path, contrast=0.6)
    compare(explainable(plain, tmp_path / "8 bit.onnx"), tiny_models.images(4, seed=5)).check()


def test_without_the_quantization_rules_the_check_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = quantized(TAIL.model(), tmp_path)
    right = Explainer(explainable(plain, tmp_path / "right.onnx")).explain(tiny_models.images(6, seed=5), [0, 3, 9])
    passes_all = dict.fromkeys(("DequantizeLinear", "QuantizeLinear"), closed_form.RULES["Identity"])
    monkeypatch.setattr(closed_form, "RULES", {**closed_form.RULES, **passes_all})
    path = explainable(plain, tmp_path / "wrong.onnx")
    wrong = Explainer(path).explain(tiny_models.images(6, seed=5), [0, 3, 9])
    assert np.abs(wrong.heatmaps - right.heatmaps).max() > 0.5
    with pytest.raises(Disagreement, match="float64"):
        compare(path, tiny_models.images(6, seed=5)).check()


def test_integers_read_with_another_scale_are_scaled_in_the_gradient(tmp_path: Path) -> None:
    plain = quantized(TAIL.model(), tmp_path)
    layer = next(node for node in plain.graph.node if node.op_type == "Gemm")
    rounding = next(node for node in plain.graph.node if node.input[:1] == [layer.output[0]])
    back = next(node for node in plain.graph.node if node.input[:1] == [rounding.output[0]])
    random = np.random.default_rng(0)
    scales = random.uniform(0.001, 0.05, 12).astype(np.float32)
    plain.graph.initializer.extend(
        [numpy_helper.from_array(scales, "scales"), numpy_helper.from_array(np.zeros(12, np.int8), "zeros")]
    )
    back.input[1:] = ["scales", "zeros"]
    compare(explainable(plain, tmp_path / "rescaled.onnx"), tiny_models.images(6, seed=5)).check()


def test_a_pooled_map_quantized_to_a_smaller_range_is_the_feature_map(tmp_path: Path) -> None:
    plain = quantized(TAIL.but(pooling="AveragePool").model(), tmp_path)
    pool = next(node for node in plain.graph.node if node.op_type == "AveragePool")
    rounding = next(node for node in plain.graph.node if node.input[:1] == [pool.output[0]])
    assert find_feature(append_cam(plain)).height == 8, "a pooling of 8-bit values keeps their scale"
    back = next(node for node in plain.graph.node if node.input[:1] == [rounding.output[0]])
    scale = next(tensor for tensor in plain.graph.initializer if tensor.name == rounding.input[1])
    half = numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(0.5), "half")
    plain.graph.initializer.append(half)
    rounding.input[1] = back.input[1] = half.name
    model = append_cam(plain)
    assert find_feature(model).height == 4
    compare(explainable(plain, tmp_path / "pooled.onnx"), tiny_models.images(6, seed=5)).check()


def test_a_gate_leaves_the_dense_layers_in_8_bits(tmp_path: Path) -> None:
    plain = quantized(TAIL.model(), tmp_path)
    explainable(plain, tmp_path / "explainable.onnx")
    onnx.save(plain, tmp_path / "plain.onnx")
    dense = []
    for name in ("plain", "explainable"):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / f"{name} optimized.onnx")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        onnxruntime.InferenceSession(tmp_path / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(tmp_path / f"{name} optimized.onnx").graph.node
        dense.append(sum(node.op_type == "QGemm" for node in nodes))
    assert dense == [3, 3]


def test_integers_without_a_quantize_node_are_refused(tmp_path: Path) -> None:
    plain = quantized(TAIL.model(), tmp_path, quant_format=QuantFormat.QOperator)
    with pytest.raises(UnsupportedTail, match="come from QLinearSoftmax, not from a QuantizeLinear"):
        append_cam(plain)


def test_operators_of_other_domains_are_refused_whatever_their_name() -> None:
    plain = TAIL.but(softmax=False).model()
    layer = [node for node in plain.graph.node if node.op_type == "Relu"][-1]
    layer.domain = "com.example"
    plain.opset_import.append(helper.make_opsetid("com.example", 1))
    with pytest.raises(UnsupportedTail, match=r"Relu .*no rule"):
        append_cam(plain)
