"""A classifier as a person brings it to `whycam export`: plain, without preprocessing, ending in logits."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, helper, numpy_helper

SIZE = 32


def classifier(*, size: int | str = SIZE, channels: int = 3, names: str = "", crop: bool = False) -> ModelProto:
    """Names the colour of a spot: as `tiny_models.bright_spot`, but plain, without preprocessing; it ends in logits."""
    kernel = np.full((3, channels, 4, 4), -0.5 / 16, np.float32)
    kernel[range(3), range(3) if channels == 3 else [0] * 3] = np.array([1, 2, 3])[:, None, None] / 16
    if channels == 3:
        kernel[range(3), range(3)] = 1 / 16
    nodes, read = [], "input"
    stored = {"kernel": kernel, "weights": 200 * np.eye(3, dtype=np.float32)}
    if crop:
        nodes.append(helper.make_node("Slice", ["input", "from", "to", "axes"], ["cut"], "cut"))
        stored |= {"from": np.array([0, 16]), "to": np.array([16, 32]), "axes": np.array([2, 3])}
        read = "cut"
    nodes += [
        helper.make_node("Conv", [read, "kernel"], ["convolved"], "conv", strides=[4, 4]),
        helper.make_node("Relu", ["convolved"], ["feature"], "relu"),
        helper.make_node("GlobalAveragePool", ["feature"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["vector"], "flatten"),
        helper.make_node("MatMul", ["vector", "weights"], ["logits"], "dense"),
    ]
    graph = helper.make_graph(
        nodes,
        "plain",
        [helper.make_tensor_value_info("input", 1, ["N", channels, size, size])],
        [helper.make_tensor_value_info("logits", 1, ["N", 3])],
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if names:
        helper.set_model_props(made, {"names": names})
    return made
