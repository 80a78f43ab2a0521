"""Where a heatmap lies on the image: found in the graph, and watched from outside by another code."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper, shape_inference
from onnx.helper import make_node as node

from whycam.export.graph.onnx_graph import Graph
from whycam.export.head.covered import UnsupportedTail
from whycam.export.head.ends import find_ends
from whycam.export.head.grad_cam import append_cam
from whycam.export.head.region import MisplacedMap, find_region
from whycam.export.head.tail import find_tail
from whycam.export.preprocess import take_images
from whycam.export.verify.placement import MAX_SHIFT, Probe
from whycam.models.contract import WHOLE, Region

SIZE = 64
RANDOM = np.random.default_rng(3)


class Net:
    """A classifier written operator by operator: it ends in a pooling and a dense layer."""

    def __init__(self, height: int = SIZE, width: int = SIZE) -> None:
        self.nodes: list[Any] = []
        self.stored: dict[str, NDArray[Any]] = {}
        self.size = (height, width)
        self.channels = 3
        self.last = "input"

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(node(operator, list(inputs) or [self.last], [name], name, **attributes))
        self.last = name
        return name

    def keep(self, value: Any) -> str:
        name = f"constant_{len(self.stored)}"
        self.stored[name] = np.asarray(value)
        return name

    def conv(
        self, kernel: int = 3, stride: int = 1, pads: int | list[int] | None = None, to: int = 8, **more: Any
    ) -> str:
        weights = np.abs(RANDOM.normal(0, 0.3, (to, self.channels, kernel, kernel))).astype(np.float32)
        if "auto_pad" not in more:
            more["pads"] = [kernel // 2 if pads is None else pads] * 4
        self.channels = to
        return self("Conv", self.last, self.keep(weights), strides=[stride, stride], kernel_shape=[kernel] * 2, **more)

    def pad(self, top: int, left: int, bottom: int, right: int) -> str:
        return self("Pad", self.last, self.keep(np.array([0, 0, top, left, 0, 0, bottom, right])))

    def crop(self, top: int, left: int, height: int, width: int) -> str:
        starts, ends = self.keep(np.array([top, left])), self.keep(np.array([top + height, left + width]))
        return self("Slice", self.last, starts, ends, self.keep(np.array([2, 3])))

    def model(self, *ends: str) -> ModelProto:
        self("Relu")
        self("GlobalAveragePool")
        self("Flatten")
        self("MatMul", self.last, self.keep(RANDOM.normal(0, 1, (self.channels, 5)).astype(np.float32)))
        for operator in ends or ("Softmax",):
            self(operator)
        return self.finished()

    def finished(self) -> ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("input", 1, ["N", 3, *self.size])],
            [helper.make_tensor_value_info(self.last, 1, ["N", 5])],
            [numpy_helper.from_array(value, name) for name, value in self.stored.items()],
        )
        plain = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return append_cam(take_images(plain, mean=[127], scale=[64]))


def even(net: Net) -> None:
    net.conv(4, 4, 0)


def resnet_like(net: Net) -> None:
    net.conv(7, 2)
    net("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    net.conv(3, 2)


def keras_like(net: Net) -> None:
    """Pads by an operator of its own, at one end only, before each stride."""
    for _ in range(3):
        net.pad(0, 0, 1, 1)
        net.conv(3, 2, 0)


def same_upper(net: Net) -> None:
    for _ in range(3):
        net.conv(3, 2, auto_pad="SAME_UPPER")


def valid(net: Net) -> None:
    net.conv(5, 1, 0)
    net.conv(5, 4, 0)


def centre_crop(net: Net) -> None:
    net.crop(16, 16, 32, 32)
    net.conv(4, 4, 0)


def corner(net: Net) -> None:
    net.crop(0, 32, 32, 32)
    net.conv(4, 4, 0)


def cropped_map(net: Net) -> None:
    net.conv(4, 4, 0)
    net.crop(4, 0, 12, 16)


def padded_and_gated(net: Net) -> None:
    net.conv(4, 4, 0)
    net.pad(8, 0, 0, 0)
    net("Relu")
    net.conv(1, 1, 0)


def shuffled(net: Net) -> None:
    net.crop(32, 0, 32, 64)
    net.conv(4, 4, 0)
    net("Reshape", net.last, net.keep(np.array([0, 2, 4, 8, 16])))
    net("Transpose", perm=[0, 2, 1, 3, 4])
    net("Reshape", net.last, net.keep(np.array([0, 8, 8, 16])))


def branches(net: Net) -> None:
    start = net.conv(4, 4, 0)
    one = net.conv(3)
    net.last = start
    net("Concat", one, start, axis=1)
    net.channels = 16


def enlarged(net: Net) -> None:
    net.crop(0, 0, 32, 64)
    net.conv(4, 4, 0)
    net("Resize", net.last, "", net.keep(np.array([1, 1, 2, 2], np.float32)), mode="nearest")


PLACES = {
    even: WHOLE,
    resnet_like: WHOLE,
    keras_like: WHOLE,
    same_upper: WHOLE,
    branches: WHOLE,
    valid: (0.0625, 0.0625, 0.9375, 0.9375),
    centre_crop: (0.25, 0.25, 0.75, 0.75),
    corner: (0.5, 0.0, 1.0, 0.5),
    cropped_map: (0.0, 0.25, 1.0, 1.0),
    padded_and_gated: (0.0, -0.5, 1.0, 1.0),
    shuffled: (0.0, 0.5, 1.0, 1.0),
    enlarged: (0.0, 0.0, 1.0, 0.5),
}


def built(make: Any, **size: int) -> ModelProto:
    net = Net(**size)
    make(net)
    return net.model()


def observing(model: ModelProto) -> Any:
    """What the feature map is for images: a session of its own."""
    graph = Graph(model)
    feature = find_tail(graph, find_ends(graph))[0]
    opened = shape_inference.infer_shapes(model)
    opened.graph.output.append(helper.ValueInfoProto(name=feature.tensor))
    session = onnxruntime.InferenceSession(opened.SerializeToString(), providers=["CPUExecutionProvider"])

    def observe(images: NDArray[np.uint8]) -> Any:
        feeds = {"image": images, "target": np.full((len(images), 1), -1, np.int64)}
        (maps,) = session.run([feature.tensor], feeds)
        return maps

    return observe


def shift(model: ModelProto, region: Region) -> float:
    probe = Probe(RANDOM.integers(60, 190, (1, SIZE, SIZE, 3)).astype(np.uint8), region)
    return probe.shift(observing(model)(probe.images)).largest


@pytest.mark.parametrize("make", PLACES)
def test_a_map_is_placed_where_its_network_looked(make: Any) -> None:
    model = built(make)
    region = find_region(model)
    assert region == pytest.approx(PLACES[make], abs=0.02)
    assert region is not None
    assert shift(model, region) <= MAX_SHIFT


@pytest.mark.parametrize("make", [make for make, place in PLACES.items() if place != WHOLE and make is not valid])
def test_a_map_drawn_over_the_whole_image_would_be_seen_to_be_wrong(make: Any) -> None:
    assert shift(built(make), WHOLE) > MAX_SHIFT


def test_a_map_of_a_place_that_the_network_does_not_see_is_noticed() -> None:
    assert shift(built(corner), (0.0, 0.5, 0.5, 1.0)) > MAX_SHIFT


def mirrored(net: Net) -> None:
    ends = [net.keep(np.array([value])) for value in (-1, -(2**31), 3, -1)]
    net("Slice", net.last, *ends)
    net.conv(4, 4, 0)


def turned(net: Net) -> None:
    net("Transpose", perm=[0, 1, 3, 2])
    net.conv(4, 4, 0)


def apart(net: Net) -> None:
    start = net.conv(4, 4, 0)
    one = net.crop(0, 0, 8, 16)
    net.last = start
    two = net.crop(8, 0, 8, 16)
    net("Add", one, two)


def vector(net: Net) -> None:
    net.conv(4, 4, 0)
    net("GlobalAveragePool")
    net("Flatten")
    net("MatMul", net.last, net.keep(RANDOM.normal(size=(8, 128)).astype(np.float32)))
    net("Reshape", net.last, net.keep(np.array([-1, 8, 4, 4])))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (vector, "Reshape 'Reshape_4': it arranges the numbers of a vector like a map"),
        (mirrored, "Slice 'Slice_0': it mirrors the image"),
        (turned, "its height and width are exchanged"),
        (apart, "Add 'Add_3': its inputs cover different places"),
    ],
)
def test_a_map_that_has_no_place_is_refused_by_its_operator(make: Any, words: str) -> None:
    with pytest.raises(MisplacedMap, match=words):
        find_region(built(make))


@pytest.mark.parametrize("make", [mirrored, turned])
def test_what_is_mirrored_or_turned_is_seen_from_outside_too(make: Any) -> None:
    assert shift(built(make), WHOLE) > MAX_SHIFT


def test_where_an_operator_is_not_known_nothing_is_claimed() -> None:
    def unknown(net: Net) -> None:
        net("Einsum", net.last, equation="nchw->nchw")
        net.conv(4, 4, 0)

    assert find_region(built(unknown)) is None


def test_a_map_of_one_cell_is_refused() -> None:
    def single(net: Net) -> None:
        net.conv(4, 4, 0)
        net.conv(16, 16, 0)

    with pytest.raises(UnsupportedTail, match="a single cell, so a heatmap has no place to show"):
        built(single)


def test_a_softmax_of_a_softmax_is_refused() -> None:
    net = Net()
    even(net)
    with pytest.raises(UnsupportedTail, match="Softmax 'Softmax_5'"):
        net.model("Softmax", "Softmax")


def test_a_softmax_of_a_sigmoid_is_refused() -> None:
    net = Net()
    even(net)
    with pytest.raises(UnsupportedTail, match="Sigmoid 'Sigmoid_5'"):
        net.model("Sigmoid", "Softmax")


def test_a_gate_on_vectors_as_columns_is_refused() -> None:
    net = Net()
    even(net)
    net("GlobalAveragePool")
    net("Flatten")
    net("MatMul", net.last, net.keep(RANDOM.normal(size=(8, 6)).astype(np.float32)))
    net("Transpose", perm=[1, 0])  # (C, N)
    net("Mul", net.last, net.keep(RANDOM.normal(size=(6, 1)).astype(np.float32)))
    net("Transpose", perm=[1, 0])
    net("MatMul", net.last, net.keep(RANDOM.normal(size=(6, 5)).astype(np.float32)))
    net("Softmax")
    with pytest.raises(UnsupportedTail, match=r"Transpose 'Transpose_6'.*axes \[1, 0\]"):
        net.finished()
