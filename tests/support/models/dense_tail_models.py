"""Small classifiers that end like VGG16, with pooling, flattening and dense layers: ONNX, and a NumPy reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.support.models.tiny_models import CELLS, SIZE
from whycam.export.preprocess import take_images

Pooling = Literal["MaxPool", "overlapping", "padded", "same", "ceil", "AveragePool", "both", "none"]
Flattening = Literal["NCHW", "NHWC", "tf2onnx"]
Dense = Literal["MatMul", "Gemm", "GemmT"]
Norm = Literal["none", "Mul", "BatchNormalization"]
Gate = Literal["Relu", "Clip", "ReluAfterNorm"]

Floats = NDArray[np.float64]

POOLS: dict[Pooling, list[tuple[str, dict[str, Any]]]] = {
    "MaxPool": [("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]})],
    "overlapping": [("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2]})],
    "padded": [("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]})],
    "same": [("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"})],
    "ceil": [("MaxPool", {"kernel_shape": [3, 3], "strides": [3, 3], "ceil_mode": 1})],
    "AveragePool": [("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]})],
    "both": [
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("AveragePool", {"kernel_shape": [1, 1]}),  # how PyTorch writes an adaptive pooling that changes nothing
    ],
    "none": [],
}


@dataclass(frozen=True)
class DenseTail:
    """4x4 convolution, ReLU ('feature', [N, 6, 8, 8]), pooling, flattening, dense 96-12-9-C with gates between them."""

    pooling: Pooling = "MaxPool"
    flattening: Flattening = "NCHW"
    dense: Dense = "Gemm"
    norm: Norm = "none"
    gate: Gate = "Relu"
    softmax: bool = True
    dropout: bool = False
    flat_norm: bool = False
    """Whether a BatchNorm, as Mul and Add, is between the flattening and the first dense layer."""
    flat_relu: bool = False
    """Whether a subtraction and a ReLU are there."""
    classes: int = 10
    sharpness: float = 1.0
    shift: float = 0.0
    """Added to the bias of the first dense layer: −1000 closes every gate."""
    seed: int = 0

    def but(self, **changes: Any) -> DenseTail:
        return replace(self, **changes)

    @property
    def cells(self) -> int:
        return int(self.pooled(np.zeros((1, 6, CELLS, CELLS))).shape[2]) ** 2

    def constants(self) -> dict[str, NDArray[np.float32]]:
        random = np.random.default_rng(self.seed)
        flat = 6 * self.cells

        def normal(spread: float, *shape: int) -> NDArray[np.float32]:
            return random.normal(0, spread, shape).astype(np.float32)

        return {
            "kernel": normal(0.3, 6, 3, 4, 4),
            "w1": normal(flat**-0.5, flat, 12),
            "b1": normal(0.3, 12) + np.float32(self.shift),
            "w2": normal(0.5, 12, 9),
            "b2": normal(0.3, 9),
            "w3": normal(self.sharpness, 9, self.classes),
            "b3": normal(0.3, self.classes),
            "gamma": random.uniform(0.5, 2, 12).astype(np.float32) * random.choice([-1, 1], 12).astype(np.float32),
            "beta": normal(0.5, 12),
            "mean": normal(0.5, 12),
            "variance": random.uniform(0.5, 2, 12).astype(np.float32),
            "gain": random.uniform(-1, 2, flat).astype(np.float32),
            "threshold": random.uniform(0, 0.5, flat).astype(np.float32),
        }

    def pooled(self, feature: Floats) -> Floats:
        """The pooled map, window by window."""
        for kind, options in POOLS[self.pooling]:
            (size, _), (step, _) = options["kernel_shape"], options.get("strides", [1, 1])
            before, after = (options["pads"][0], options["pads"][2]) if "pads" in options else (0, 0)
            count = (feature.shape[2] + before + after - size) // step + 1
            if options.get("auto_pad") == "SAME_UPPER":
                count = -(-feature.shape[2] // step)
            if options.get("ceil_mode"):
                count = -(-(feature.shape[2] - size) // step) + 1
            take = np.max if kind == "MaxPool" else np.mean
            cells = [slice(max(0, place * step - before), place * step - before + size) for place in range(count)]
            feature = np.stack([np.stack([take(feature[:, :, y, x], (2, 3)) for x in cells], 2) for y in cells], 2)
        return feature

    def logits(self, feature: Floats) -> Floats:
        """The tail in float64: feature maps (N, 6, 8, 8) to logits (N, C)."""
        c = {name: value.astype(np.float64) for name, value in self.constants().items()}
        pooled = self.pooled(feature)
        x = (pooled if self.flattening == "NCHW" else pooled.transpose(0, 2, 3, 1)).reshape(len(feature), -1)
        if self.flat_norm:
            x = x * c["gain"] + 1
        if self.flat_relu:
            x = np.maximum(c["threshold"] - x, 0)
        x = self._gated(x @ c["w1"] + c["b1"], c)
        x = np.maximum(x @ c["w2"] + c["b2"], 0)
        return np.asarray(x @ c["w3"] + c["b3"])

    def _gated(self, x: Floats, c: dict[str, Floats]) -> Floats:
        def norm(x: Floats) -> Floats:
            scaled: Floats = (x - c["mean"]) / np.sqrt(c["variance"] + 1e-5) * c["gamma"] + c["beta"]
            return x if self.norm == "none" else scaled

        if self.gate == "ReluAfterNorm":
            return np.maximum(norm(x), 0)
        return norm(np.clip(x, 0, 0.8 if self.gate == "Clip" else np.inf))

    def model(self) -> ModelProto:
        """The plain classifier, which takes `image`."""
        return take_images(self.network(), mean=[127], scale=[64])

    def network(self) -> ModelProto:
        """The plain classifier, which takes prepared images [N, 3, 32, 32]."""
        build = Builder(self.constants())
        x = build("Relu", build("Conv", "input", "kernel", strides=[4, 4]), out="feature")
        for kind, options in POOLS[self.pooling]:
            x = build(kind, x, **options)
        x = self._flat(build, x)
        if self.flat_norm:
            x = build("Add", build("Mul", x, "gain"), build.store("one", np.ones(1, np.float32)))
        if self.flat_relu:
            x = build("Relu", build("Sub", "threshold", x))
        steps: list[Callable[[str], str]] = [lambda x: self._norm(build, x), lambda x: self._gate(build, x)]
        x = self._dense(build, x, 1)
        for step in steps if self.gate == "ReluAfterNorm" else steps[::-1]:
            x = step(x)
        if self.dropout:
            x = build("Dropout", x, build.store("rate", np.array(0.5, np.float32)))
        x = build("Relu", self._dense(build, x, 2))
        x = self._dense(build, x, 3)
        x = build("Softmax", x, axis=-1) if self.softmax else x
        return build.model(x, self.classes)

    def _flat(self, build: Builder, x: str) -> str:
        if self.flattening == "NCHW":
            return build("Flatten", x, axis=1)
        moved = build("Transpose", x, perm=[0, 2, 3, 1])
        length = 6 * self.cells
        if self.flattening == "NHWC":
            return build("Reshape", moved, build.store("shape", np.array([-1, length], np.int64)))
        # tf2onnx: the batch is sliced from the shape of the transposed map and put before the length.
        order = build.store("order", np.array([0, 2, 3, 1], np.int64))
        shape = build("Cast", build("Gather", build("Shape", x), order, axis=0), to=TensorProto.INT32)
        start, end = (build.store(f"{at}", np.array([at], np.int64)) for at in (0, 1))
        batch = build("Slice", shape, start, end, start)
        joined = build("Concat", batch, build.store("length", np.array([length], np.int32)), axis=0)
        return build("Reshape", moved, build("Cast", joined, to=TensorProto.INT64))

    def _dense(self, build: Builder, x: str, number: int) -> str:
        weights, bias = f"w{number}", f"b{number}"
        if self.dense == "MatMul":
            return build("Add", build("MatMul", x, weights), bias)
        if self.dense == "GemmT":
            weights = build.store(f"{weights}t", np.ascontiguousarray(build.constants[weights].T))
        return build("Gemm", x, weights, bias, transB=int(self.dense == "GemmT"))

    def _gate(self, build: Builder, x: str) -> str:
        if self.gate != "Clip":
            return build("Relu", x)
        low, high = (build.store(f"at {at}", np.array(at, np.float32)) for at in (0, 0.8))
        return build("Clip", x, low, high)

    def _norm(self, build: Builder, x: str) -> str:
        c = build.constants
        if self.norm == "BatchNormalization":
            return build("BatchNormalization", x, "gamma", "beta", "mean", "variance", epsilon=1e-5)
        if self.norm == "Mul":
            gain = c["gamma"] / np.sqrt(c["variance"] + np.float32(1e-5))
            scaled = build("Mul", x, build.store("norm gain", gain))
            return build("Add", scaled, build.store("norm shift", c["beta"] - c["mean"] * gain))
        return x


class Builder:
    """Collects nodes; calling it adds one and returns its output's name."""

    def __init__(self, constants: dict[str, NDArray[np.float32]]) -> None:
        self.constants: dict[str, NDArray[Any]] = dict(constants)
        self.nodes: list[NodeProto] = []

    def __call__(self, operator: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = f"{operator} {len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [out or name], name, **attributes))
        return out or name

    def store(self, name: str, value: NDArray[Any]) -> str:
        self.constants[name] = value
        return name

    def model(self, output: str, classes: int) -> ModelProto:
        used = {name for node in self.nodes for name in node.input}
        graph = helper.make_graph(
            self.nodes,
            "dense tail",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", classes])],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items() if name in used],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def grad_cam(
    logits: Callable[[Floats], Floats], feature: NDArray[np.float32], classes: NDArray[np.int64], score: str
) -> tuple[Floats, Floats]:
    """Grad-CAM by definition: maps before normalisation and heatmaps, (N, K, h, w), by central differences in float64.

    Raising a whole channel gives the sum of its cells' gradients; Grad-CAM takes the mean.
    """
    maps = feature.astype(np.float64)
    step = 1e-6
    raw = np.zeros((*classes.shape, *maps.shape[2:]))
    for n, k in np.ndindex(classes.shape):
        raised = np.eye(maps.shape[1])[:, :, None, None] * step  # (channels, channels, 1, 1)
        up, down = (_explained(logits(maps[n] + sign * raised), int(classes[n, k]), score) for sign in (1, -1))
        alpha = (up - down) / (2 * step * maps[0, 0].size)
        raw[n, k] = np.maximum(np.tensordot(alpha, maps[n], 1), 0)
    peak = raw.max((2, 3), keepdims=True)
    return raw, np.divide(raw, peak, out=np.zeros_like(raw), where=peak > 1e-9)


def _explained(logits: Floats, chosen: int, score: str) -> Floats:
    if score == "logit":
        return logits[:, chosen]
    others = np.delete(logits, chosen, axis=1)
    top = others.max(1, keepdims=True)
    return np.asarray(logits[:, chosen] - top[:, 0] - np.log(np.exp(others - top).sum(1)))
