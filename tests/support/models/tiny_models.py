"""Explainable models small enough to be made in code, for tests that need no trained network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from whycam.export.head.grad_cam import append_cam
from whycam.export.preprocess import take_images
from whycam.export.save import save
from whycam.models.contract import SINGLE_LABEL, Contract, Fitting, Score, Task

SIZE = 32
"""Height and width of the images that the tiny models take, in pixels."""
CELLS = 8
"""Height and width of their heatmaps, in cells."""
COLOURS = ("red", "green", "blue")

Layout = Literal["NCHW", "NHWC"]
Pooling = Literal["GlobalAveragePool", "ReduceMean"]
Dense = Literal["MatMul", "Gemm", "GemmT", "Conv"]


def model(
    path: Path,
    *,
    classes: int = 10,
    seed: int = 0,
    score: Score = "probability",
    labels: Sequence[str] | None = None,
    fit: Fitting = "stretch",
    name: str = "tiny",
    replaceable: bool = False,
) -> Path:
    """Write an explainable model with random weights: uint8 RGB 32x32 in, `classes` scores and 8x8 heatmaps out.

    `replaceable`: other classes can take the place of its own.
    """
    ready = append_cam(classifier(classes=classes, seed=seed), score=score, replaceable=replaceable)
    save(ready, contract(labels or [f"class {number}" for number in range(classes)], score, fit, name), path)
    return path


def bright_spot(path: Path, *, fit: Fitting = "stretch", task: Task = SINGLE_LABEL, replaceable: bool = False) -> Path:
    """Write a model that names the colour of an image's bright spot, and whose heatmap is on that spot.

    Class 0 is red, 1 green, 2 blue. A cell of the feature map is the excess of a colour's level (0…1), averaged over
    the cell's 4x4 pixels, over the other two colours: a grey image has an empty feature map, so equal scores and a map
    without evidence. With the task `multi-label` each colour is judged by itself.
    `replaceable`: other classes can take the place of its own.
    """
    averaged = np.full((3, 3, 4, 4), -0.5 / 16, np.float32)
    averaged[range(3), range(3)] = 1 / 16
    plain = classifier(
        kernel=averaged, weights=200 * np.eye(3, dtype=np.float32), mean=0, scale=255, softmax=task == SINGLE_LABEL
    )
    ready = append_cam(plain, task=task, replaceable=replaceable)
    save(ready, contract(COLOURS, "probability", fit, "bright spot"), path)
    return path


def several_maps(
    path: Path, *, methods: Sequence[str] = ("grad-cam", "hirescam"), score: Score = "probability"
) -> Path:
    """Write a model like `bright_spot` with maps of its layers 'feature' (8x8) and 'fine' (16x16) by each method.

    The map of 'feature' by the first method is drawn.
    """
    averaged = np.full((3, 3, 2, 2), -0.5 / 4, np.float32)
    averaged[range(3), range(3)] = 1 / 4
    joined = np.zeros((3, 3, 2, 2), np.float32)
    joined[range(3), range(3)] = 1 / 4
    constants = {
        "averaged": averaged,
        "joined": joined,
        "weights": 200 * np.eye(3, dtype=np.float32),
        "bias": np.zeros(3, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["input", "averaged"], ["halved"], "conv 1", strides=[2, 2]),
        node("Relu", ["halved"], ["fine"], "relu 1"),
        node("Conv", ["fine", "joined"], ["quartered"], "conv 2", strides=[2, 2]),
        node("Relu", ["quartered"], ["feature"], "relu 2"),
        node("GlobalAveragePool", ["feature"], ["mean"], "pool"),
        node("Flatten", ["mean"], ["vector"], "flatten"),
        node("Gemm", ["vector", "weights", "bias"], ["logits"], "dense"),
        node("Softmax", ["logits"], ["probabilities"], "softmax", axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    plain = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    ready = append_cam(
        take_images(plain, mean=[0], scale=[255]), method=methods, layer=["feature", "fine"], score=score
    )
    save(ready, contract(COLOURS, score, "stretch", "several maps"), path)
    return path


def with_other_weights(content: bytes) -> bytes:
    """A model's file whose network was trained further: the same graph with other weights."""
    changed = onnx.load_from_string(content)
    for tensor in changed.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim == 4:  # a convolution's
            tensor.CopyFrom(numpy_helper.from_array(values * np.float32(0.9), tensor.name))
    return bytes(changed.SerializeToString())


def temperamental(path: Path, white: Literal["raises", "hangs"]) -> Path:
    """The bright-spot model, but an image with a pure white pixel makes it raise, or compute forever."""
    bright_spot(path)
    spoilt = onnx.load(path)
    graph = spoilt.graph
    node = helper.make_node
    for before in graph.node:
        before.output[:] = ["calm scores" if name == "scores" else name for name in before.output]
    constants = {"full": np.float32(255), "one": np.array([1], np.float32), "yes": np.array(True)}
    graph.node.extend(
        [
            node("Cast", ["image"], ["levels"], "levels", to=TensorProto.FLOAT),
            node("ReduceMax", ["levels"], ["brightest"], "brightest", keepdims=0),
            node("Div", ["brightest", "full"], ["part"], "part"),
            node("Cast", ["part"], ["is white"], "is white", to=TensorProto.INT64),  # 0 or 1
        ]
    )
    if white == "raises":
        graph.node.append(node("Gather", ["one", "is white"], ["factor"], "factor"))  # index 1 does not exist
    else:
        constants["endless"] = np.array(2**62, np.int64)
        body = helper.make_graph(
            [node("Identity", ["on"], ["still on"], "on"), node("Identity", ["kept"], ["kept again"], "keep")],
            "body",
            [
                helper.make_tensor_value_info("turn", TensorProto.INT64, []),
                helper.make_tensor_value_info("on", TensorProto.BOOL, []),
                helper.make_tensor_value_info("kept", TensorProto.FLOAT, [1]),
            ],
            [
                helper.make_tensor_value_info("still on", TensorProto.BOOL, []),
                helper.make_tensor_value_info("kept again", TensorProto.FLOAT, [1]),
            ],
        )
        graph.node.extend(
            [
                node("Mul", ["is white", "endless"], ["turns"], "turns"),
                node("Loop", ["turns", "yes", "one"], ["factor"], "loop", body=body),
            ]
        )
    graph.node.append(node("Mul", ["calm scores", "factor"], ["scores"], "spoilt scores"))
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
    onnx.save(spoilt, path)
    return path


def contract(labels: Sequence[str], score: Score, fit: Fitting, name: str) -> Contract:
    return Contract(
        name=name,
        labels=tuple(labels),
        fit=fit,
        score=score,
        feature="feature",
        weights_source="made in code",
        weights_sha256="0" * 64,
        licence="Apache-2.0",
        made_by="tests.tiny",
    )


def classifier(
    *,
    classes: int = 10,
    channels: int = 16,
    seed: int = 0,
    layout: Layout = "NCHW",
    pooling: Pooling = "GlobalAveragePool",
    dense: Dense = "Gemm",
    softmax: bool = True,
    sharpness: float = 1.0,
    kernel: NDArray[np.float32] | None = None,
    weights: NDArray[np.float32] | None = None,
    mean: float = 127,
    scale: float = 64,
) -> ModelProto:
    """A plain classifier: 4x4 convolution, ReLU, global average pooling, a dense layer, and softmax if asked for.

    `layout` is that of the pooled feature map, `dense` the operator of the dense layer (GemmT: weights stored
    [classes, channels]), `sharpness` a factor on its weights. The feature map [N, channels, 8, 8] is named 'feature',
    the dense layer's node 'dense', the logits 'logits'.
    """
    random = np.random.default_rng(seed)
    if kernel is None:
        kernel = random.normal(0, 0.3, (channels, 3, 4, 4)).astype(np.float32)
    if weights is None:
        weights = random.normal(0, 0.7, (kernel.shape[0], classes)).astype(np.float32)
    channels, classes = weights.shape
    bias = random.normal(0, 0.1, classes).astype(np.float32) if classes != len(COLOURS) else np.zeros(3, np.float32)
    node = helper.make_node
    constants = {"kernel": kernel, "bias": bias, "shape": np.array([-1, channels], np.int64)}
    nodes = [
        node("Conv", ["input", "kernel"], ["convolved"], "conv", strides=[4, 4]),
        node("Relu", ["convolved"], ["feature"], "relu"),
    ]
    last = layout == "NHWC"
    if last:
        nodes.append(node("Transpose", ["feature"], ["moved"], "transpose", perm=[0, 2, 3, 1]))
    pooled = "moved" if last else "feature"
    if pooling == "GlobalAveragePool":
        if last:
            nodes.append(node("Transpose", ["moved"], ["back"], "back", perm=[0, 3, 1, 2]))
            pooled = "back"
        nodes.append(node("GlobalAveragePool", [pooled], ["mean"], "pool"))
    else:
        nodes.append(node("ReduceMean", [pooled], ["mean"], "pool", axes=[1, 2] if last else [2, 3], keepdims=0))
    if dense == "Conv":
        constants |= {"ones": np.array([0, channels, 1, 1], np.int64), "shape": np.array([-1, classes], np.int64)}
        constants["weights"] = (sharpness * weights).T.reshape(classes, channels, 1, 1)
        nodes += [
            node("Reshape", ["mean", "ones"], ["vector"], "fold"),
            node("Conv", ["vector", "weights", "bias"], ["points"], "dense"),
            node("Reshape", ["points", "shape"], ["logits"], "flatten"),
        ]
    else:
        nodes.append(node("Reshape", ["mean", "shape"], ["vector"], "flatten"))
        constants["weights"] = sharpness * (weights.T if dense == "GemmT" else weights)
        if dense == "MatMul":
            nodes.append(node("MatMul", ["vector", "weights"], ["product"], "dense"))
            nodes.append(node("Add", ["product", "bias"], ["logits"], "add"))
        else:
            nodes.append(node("Gemm", ["vector", "weights", "bias"], ["logits"], "dense", transB=int(dense == "GemmT")))
    if softmax:
        nodes.append(node("Softmax", ["logits"], ["probabilities"], "softmax", axis=-1))
    output = "probabilities" if softmax else "logits"
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", classes])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    plain = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return take_images(plain, mean=[mean], scale=[scale])


def images(count: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Random images (count, 32, 32, 3): patches of 8x8 pixels in random colours, with a little noise."""
    random = np.random.default_rng(seed)
    patches = random.integers(0, 230, (count, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return (patches + random.integers(0, 25, (count, SIZE, SIZE, 3))).astype(np.uint8)
