"""Tails that exporters seldom write: explained correctly, as the check shows, or refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from tests.support.models import tiny_models
from tests.support.models.dense_tail_models import Builder
from whycam.export.head.covered import UnsupportedTail
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.region import MisplacedMap
from whycam.export.head.tail import find_feature
from whycam.export.preprocess import take_images
from whycam.export.save import save
from whycam.export.verify.activations import observe
from whycam.export.verify.agreement import Agreement, compare

LABELS = [f"class {number}" for number in range(10)]


class Tail(Builder):
    """A network built by hand: constants without names, dense layers with random weights."""

    def __init__(self) -> None:
        super().__init__({})
        self.random = np.random.default_rng(7)

    def keep(self, value: Any, kind: type = np.float32) -> str:
        return self.store(f"constant {len(self.constants)}", np.asarray(value, kind))

    def feature(self, relu: bool = True) -> str:
        """(N, 6, 8, 8)"""
        x = self("Conv", "input", self.keep(self.random.normal(0, 0.3, (6, 3, 4, 4))), strides=[4, 4])
        return self("Relu", x) if relu else x

    def dense(self, x: str, into: int, out: int, **attributes: Any) -> str:
        weights = self.random.normal(0, 1.5 * into**-0.5, (into, out))
        return self("Gemm", x, self.keep(weights), self.keep(self.random.normal(0, 0.3, out)), **attributes)

    def row(self) -> str:
        """(N, 12)"""
        return self.dense(self("Flatten", self("GlobalAveragePool", self.feature())), 6, 12)

    def rounded(self, x: str, scale: Any, zero: int = -128, *, read: Any = None, kind: type = np.int8) -> str:
        """x quantized to 8 bits and dequantized with the same scale, or with another one."""
        back = scale if read is None else read
        integers = self("QuantizeLinear", x, self.keep(scale), self.keep(np.full(np.shape(scale), zero), kind))
        return self("DequantizeLinear", integers, self.keep(back), self.keep(np.full(np.shape(back), zero), kind))

    def stored(self, *shape: int) -> str:
        return self.keep(self.random.integers(-127, 127, shape), np.int8)

    def finished(self, logits: str) -> ModelProto:
        return take_images(self.model(logits, 10), mean=[127], scale=[64])


def checked(plain: ModelProto, path: Path, images: NDArray[np.uint8] | None = None, *, shown: bool = True) -> Agreement:
    model = append_cam(plain)
    about = replace(tiny_models.contract(LABELS, "probability", "stretch", "odd"), feature=find_feature(model).tensor)
    save(model, about, path)
    agreement = compare(path, tiny_models.images(4) if images is None else images)
    agreement.check()
    assert not shown or agreement.empty < agreement.maps
    return agreement


def scale_of_the_image(t: Tail, x: str) -> str:
    return t("Div", t("ReduceMax", x, axes=[0, 1], keepdims=0), t.keep(127.0))


def gated_columns(t: Tail) -> str:
    return t("Transpose", t("Relu", t("Transpose", t.row(), perm=[1, 0])), perm=[1, 0])


def rounded_columns(t: Tail) -> str:
    return t("Transpose", t.rounded(t("Transpose", t.row()), 0.02))


def flattened(t: Tail, axis: int) -> str:
    return t("Reshape", t("Relu", t("Flatten", t.row(), axis=axis)), t.keep([-1, 12], np.int64))


def weights_scaled_by_the_image(t: Tail) -> str:
    x = t.row()
    return t("MatMul", x, t("DequantizeLinear", t.stored(12, 12), scale_of_the_image(t, x)))


def factors_scaled_by_the_image(t: Tail) -> str:
    x = t.row()
    return t("Mul", x, t("DequantizeLinear", t.stored(12), scale_of_the_image(t, x)))


def factors_of_a_computed_scale(t: Tail) -> str:
    x = t.row()
    return t("Mul", x, t("DequantizeLinear", t.stored(12), t("Abs", t.keep(0.01))))


def rounded_by_the_image(t: Tail) -> str:
    x = t.row()
    scale, zero = scale_of_the_image(t, x), t.keep(0, np.int8)
    return t("DequantizeLinear", t("QuantizeLinear", x, scale, zero), scale, zero)


def rounded_by_channel(t: Tail, read: Any) -> str:
    integers = t("QuantizeLinear", t.feature(), t.keep(np.full(6, 0.02)), t.keep(np.zeros(6), np.int8))
    zero = t.keep(np.zeros(np.shape(read)), np.int8)
    return t.dense(t("DequantizeLinear", t("Flatten", integers), t.keep(read), zero), 384, 12)


def scales_of_the_images_axis(t: Tail) -> str:
    scale, zero = t.keep(np.full(12, 0.02)), t.keep(np.zeros(12), np.int8)
    return t("DequantizeLinear", t("QuantizeLinear", t.row(), scale, zero, axis=0), scale, zero, axis=0)


def integers_of_the_map(t: Tail) -> str:
    scale, zero = t.keep(0.02), t.keep(-128, np.int8)
    integers = t("Flatten", t("QuantizeLinear", t.feature(), scale, zero))
    return t.dense(t("DequantizeLinear", integers, scale, zero), 384, 12)


def training(t: Tail) -> str:
    x = t("Dropout", t.feature(), t.keep(0.5), t.keep(True, np.bool_))
    return t.dense(t("Flatten", t("GlobalAveragePool", x)), 6, 12)


REFUSED: dict[str, tuple[Callable[[Tail], str], str]] = {
    "Relu of columns": (gated_columns, r"Transpose .*moves the axes \[1, 0\], the images' axis among them"),
    "integers of columns": (rounded_columns, r"Transpose .*moves the axes \[1, 0\], the images' axis among them"),
    "all images in one row": (lambda t: flattened(t, 0), r"makes \[1, None\], it should make 12 numbers for each"),
    "a row for each number": (lambda t: flattened(t, 2), r"makes \[None, 1\], it should make 12 numbers for each"),
    "moving weights": (weights_scaled_by_the_image, "MatMul .*second input should be constant weights"),
    "moving factors": (factors_scaled_by_the_image, "Mul .*2 of its inputs depend"),
    "computed scale": (factors_of_a_computed_scale, "Mul .*2 of its inputs depend"),
    "moving scale": (rounded_by_the_image, "depend on the image|should be constants"),
    "6 scales read as 384": (lambda t: rounded_by_channel(t, np.full(384, 0.02)), "6 scales for 384 numbers"),
    "6 scales read as 1": (lambda t: rounded_by_channel(t, 0.02), "6 scales for 384 numbers"),
    "a map of integers": (integers_of_the_map, "QuantizeLinear .*its output map consists of integers"),
    "training": (training, "Dropout .*set to training"),
    "scales of the images": (scales_of_the_images_axis, r"12 scales belong to the axis 0 of \[None, 12\]"),
    "negative scale": (lambda t: t.rounded(t.row(), -0.02, 0), "scale should be a positive number"),
    "one scale is 0": (lambda t: t.rounded(t.row(), [0.0] + [0.02] * 11, 0), "scale should be a positive number"),
}


@pytest.mark.parametrize(("build", "complaint"), REFUSED.values(), ids=REFUSED)
def test_a_tail_without_one_row_per_image_or_constant_weights_is_refused(
    build: Callable[[Tail], str], complaint: str
) -> None:
    tail = Tail()
    x = build(tail)
    with pytest.raises(UnsupportedTail, match=complaint):
        append_cam(tail.finished(tail.dense(x, 12, 10)))


@pytest.mark.parametrize("moving", ["scale", "zero point"])
def test_a_quantization_that_depends_on_the_image_ends_the_walk(moving: str, tmp_path: Path) -> None:
    tail = Tail()
    x = tail.feature()
    largest = tail("ReduceMax", x, axes=[0, 1, 2, 3], keepdims=0)
    scale, zero = tail.keep(0.02), tail.keep(0, np.int8)
    if moving == "scale":
        scale = tail("Div", largest, tail.keep(127.0))
    else:
        zero = tail("Cast", tail("Sub", largest, largest), to=TensorProto.INT8)
    x = tail("DequantizeLinear", tail("QuantizeLinear", x, scale, zero), scale, zero)
    checked(tail.finished(tail.dense(tail("Flatten", tail("GlobalAveragePool", x)), 6, 10)), tmp_path / "odd.onnx")


def test_a_map_rescaled_between_poolings_is_the_one_after_it(tmp_path: Path) -> None:
    tail = Tail()
    x = tail("MaxPool", tail.rounded(tail.feature(relu=False), 0.02), kernel_shape=[2, 2], strides=[2, 2])
    x = tail("MaxPool", tail.rounded(x, 0.15, read=0.3), kernel_shape=[2, 2], strides=[2, 2])
    plain = tail.finished(tail.dense(tail("Flatten", x), 24, 10))
    assert find_feature(append_cam(plain)).height == 4
    checked(plain, tmp_path / "odd.onnx")


def transposed_map(*orders: list[int]) -> ModelProto:
    tail = Tail()
    x = tail("Conv", "input", tail.keep(tail.random.normal(0, 0.3, (8, 3, 4, 4))), strides=[4, 4])
    for order in orders:
        x = tail("Transpose", x, perm=order)
    x = tail("ReduceMean", tail("Relu", x), axes=[1, 2], keepdims=0)
    return tail.finished(tail.dense(x, 8, 10))


def test_a_map_that_is_transposed_thrice_and_as_wide_as_it_has_channels_is_read_correctly(tmp_path: Path) -> None:
    checked(transposed_map([0, 2, 3, 1], [0, 2, 1, 3], [0, 2, 1, 3]), tmp_path / "odd.onnx")


def test_a_map_whose_height_and_width_are_exchanged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MisplacedMap, match="height and width are exchanged"):
        checked(transposed_map([0, 2, 3, 1], [0, 2, 1, 3]), tmp_path / "odd.onnx")


def test_integers_without_a_zero_point_keep_their_type(tmp_path: Path) -> None:
    tail = Tail()
    scale = tail.keep(0.02)
    signed = tail("QuantizeLinear", tail.row(), scale, tail.keep(0, np.int8))
    x = tail("DequantizeLinear", tail("Identity", signed), scale)  # −2.56 to 2.54, not 0 to 5.1
    x = tail.rounded(x, 0.02, 0, kind=np.uint8)  # so this one clips
    checked(tail.finished(tail.dense(x, 12, 10)), tmp_path / "odd.onnx")


@pytest.mark.parametrize("without", ["", None])
def test_constants_in_8_bits_need_no_zero_point(without: str | None, tmp_path: Path) -> None:
    tail = Tail()
    given = [] if without is None else [without]
    factors = tail("DequantizeLinear", tail.stored(12), tail.keep(0.01), *given)
    weights = tail("DequantizeLinear", tail.stored(12, 10), tail.keep(0.01), *given)
    checked(tail.finished(tail("Gemm", tail("Mul", tail.row(), factors), weights)), tmp_path / "odd.onnx")


@pytest.mark.parametrize("last", [False, True])
def test_a_flattened_map_may_go_into_a_1x1_convolution(last: bool, tmp_path: Path) -> None:
    tail = Tail()
    x = tail("Reshape", tail("Flatten", tail.feature()), tail.keep([-1, 384, 1, 1], np.int64))
    kernel = tail.random.normal(0, 0.05, (10 if last else 12, 384, 1, 1))
    x = tail("Flatten", tail("Conv", x, tail.keep(kernel)))
    checked(tail.finished(x if last else tail.dense(tail("Relu", x), 12, 10)), tmp_path / "odd.onnx")


def test_integers_read_with_other_scales_are_folded_into_the_first_layer(tmp_path: Path) -> None:
    tail = Tail()
    x = tail("MaxPool", tail.rounded(tail.feature(relu=False), 0.02), kernel_shape=[2, 2], strides=[2, 2])
    x = tail.rounded(tail("Flatten", x), 0.15, read=tail.random.uniform(0.005, 0.05, 96))
    model = append_cam(plain := tail.finished(tail.dense(x, 96, 10)))
    assert any(tuple(each.dims) == (10, 6) for each in model.graph.initializer), "or nothing was folded"
    checked(plain, tmp_path / "odd.onnx")


def test_a_mean_of_saturated_cells_is_not_saturated_again(tmp_path: Path) -> None:
    tail = Tail()
    x = tail.rounded(tail.feature(), 0.0123)
    x = mean = tail("Flatten", tail("AveragePool", x, kernel_shape=[3, 3], strides=[1, 1]))
    plain = tail.finished(tail.dense(tail.rounded(x, 0.0123), 216, 10))
    images = np.where(tiny_models.images(12, seed=2) > 110, 255, 0).astype(np.uint8)
    end = np.float32(255) * np.float32(0.0123)
    seen = observe(append_cam(plain), [mean], images, np.zeros((12, 1), np.int64))[mean]
    assert (seen > end).any(), "or no mean is past the end, and the test proves nothing"
    checked(plain, tmp_path / "odd.onnx", images)


def test_the_slack_at_an_end_is_the_check_s_too(tmp_path: Path) -> None:
    """As before, but the head cannot know that the mean stays inside."""
    tail = Tail()
    x = tail.rounded(tail.feature(), 0.0123)
    x = tail("Flatten", tail("AveragePool", x, kernel_shape=[3, 3], strides=[1, 1]))
    x = tail("Mul", x, tail.keep(1.0))
    plain = tail.finished(tail.dense(tail.rounded(x, 0.0123), 216, 10))
    images = np.where(tiny_models.images(12, seed=2) > 110, 255, 0).astype(np.uint8)
    checked(plain, tmp_path / "odd.onnx", images)


def test_a_value_at_the_lower_end_passes(tmp_path: Path) -> None:
    """A white image is 2 everywhere, and all weights are sums of powers of two, so a unit is exactly 0."""
    tail = Tail()
    x = tail("Conv", "input", tail.keep(np.full((2, 3, 4, 4), 1 / 64)), strides=[4, 4])  # 1.5
    x = tail("Flatten", tail("GlobalAveragePool", tail("Relu", x)))
    x = at_end = tail("Gemm", x, tail.keep([[1.0, 0.5], [1.0, 0.5]]), tail.keep([-3.0, 1.0]))  # 0 and 2.5
    logits = tail("Gemm", tail.rounded(x, 2.0**-6), tail.keep(np.array([[1.0] * 5 + [0.0] * 5, [0.0] * 10])))
    plain = take_images(tail.model(logits, 10), mean=[127], scale=[64])
    white = np.full((2, 32, 32, 3), 255, np.uint8)
    seen = observe(append_cam(plain), [at_end, "evidence"], white, np.zeros((2, 1), np.int64))
    np.testing.assert_array_equal(seen[at_end], [[0, 2.5]] * 2)
    assert (seen["evidence"] > 0).all(), "0 is the value of the smallest integer, and passes"
    checked(plain, tmp_path / "odd.onnx", white)


@pytest.mark.parametrize("operator", ["Softmax", "Identity", "MatMul", "GlobalAveragePool"])
def test_an_operator_of_another_domain_is_not_taken_for_onnx_s(operator: str) -> None:
    tail = Tail()
    x = tail("Flatten", tail("GlobalAveragePool", tail.feature()))
    x = tail("Softmax", tail("MatMul", tail("Identity", x), tail.keep(np.eye(6, 10))), axis=-1)
    plain = tail.finished(x)
    plain.opset_import.append(helper.make_opsetid("com.example", 1))
    append_cam(plain)
    next(node for node in plain.graph.node if node.op_type == operator).domain = "com.example"
    with pytest.raises(ValueError, match=r"no rule for this operator|scores of a classifier|no feature map"):
        append_cam(plain)


@pytest.mark.parametrize("counted", [0, 1])
@pytest.mark.parametrize("size", [8, 9, 1280])
def test_a_window_over_the_whole_map_is_a_global_pooling(size: int, counted: int, tmp_path: Path) -> None:
    """Hugging Face's EfficientNet pools 7 x 7 cells with a window of 1280 x 1280."""
    t = Tail()
    window: dict[str, Any] = {"kernel_shape": [size] * 2, "strides": [size] * 2, "ceil_mode": 1}
    window["count_include_pad"] = counted
    plain = t.finished(t.dense(t("Flatten", t("AveragePool", t.feature(), **window)), 6, 10))
    assert "GlobalAveragePool" in {node.op_type for node in append_cam(plain).graph.node}
    checked(plain, tmp_path / "window.onnx")
