"""The check's operators: values as in onnxruntime, derivatives as from central differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper

from whycam.export.verify.operators import apply

Floats = NDArray[np.float64]

RANDOM = np.random.default_rng(3)
MAP = RANDOM.normal(0, 1, (2, 3, 5, 6))
SMALL = RANDOM.normal(0, 1, (1, 2, 4, 4))
ROWS = RANDOM.normal(0, 1, (4, 5))
WEIGHTS = RANDOM.normal(0, 1, (5, 3))
BIAS = RANDOM.normal(0, 1, 3)
TIED = np.array([[[[1.0, 3.0], [3.0, 2.0]], [[0.0, -1.0], [-2.0, -3.0]]]])
POSITIVE = RANDOM.uniform(0.5, 2, 5)

Case = tuple[str, Sequence[Any], dict[str, Any]]
CASES: dict[str, Case] = {
    "Add of a repeated operand": ("Add", [ROWS, RANDOM.normal(0, 1, (1, 5))], {}),
    "Sub from a constant": ("Sub", [RANDOM.normal(0, 1, 5), ROWS], {}),
    "Mul of two": ("Mul", [ROWS, RANDOM.normal(0, 1, (4, 1))], {}),
    "Div by a repeated operand": ("Div", [ROWS, POSITIVE], {}),
    "Gemm": ("Gemm", [ROWS, WEIGHTS, BIAS], {"alpha": -0.5, "beta": 0.3}),
    "Gemm, transposed": ("Gemm", [ROWS, np.ascontiguousarray(WEIGHTS.T), BIAS], {"alpha": 2.0, "transB": 1}),
    "MatMul": ("MatMul", [ROWS, WEIGHTS], {}),
    "Conv": ("Conv", [MAP, RANDOM.normal(0, 1, (4, 3, 1, 1)), RANDOM.normal(0, 1, 4)], {}),
    "BatchNormalization": (
        "BatchNormalization",
        [MAP, *RANDOM.normal(0, 1, (3, 3)), RANDOM.uniform(0.5, 2, 3)],
        {"epsilon": 1e-3},
    ),
    "Relu": ("Relu", [ROWS], {}),
    "Clip": ("Clip", [ROWS, np.array(-0.3), np.array(0.4)], {}),
    "Transpose": ("Transpose", [MAP], {"perm": [0, 2, 3, 1]}),
    "Transpose, backwards": ("Transpose", [MAP], {}),
    "Flatten": ("Flatten", [MAP], {"axis": 2}),
    "MaxPool": ("MaxPool", [MAP], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "MaxPool, overlapping": ("MaxPool", [MAP], {"kernel_shape": [3, 2], "strides": [1, 2], "pads": [1, 0, 1, 1]}),
    "MaxPool, dilated": ("MaxPool", [MAP], {"kernel_shape": [2, 2], "dilations": [2, 3]}),
    "MaxPool, rounded up": ("MaxPool", [MAP], {"kernel_shape": [3, 3], "strides": [3, 3], "ceil_mode": 1}),
    "MaxPool, no window in the padding": (
        "MaxPool",
        [SMALL],
        {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    ),
    "MaxPool, SAME_LOWER": ("MaxPool", [SMALL], {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    "MaxPool, SAME_UPPER": ("MaxPool", [SMALL], {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "AveragePool": ("AveragePool", [MAP], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "AveragePool with its padding": (
        "AveragePool",
        [MAP],
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    "GlobalAveragePool": ("GlobalAveragePool", [MAP], {}),
    "GlobalMaxPool": ("GlobalMaxPool", [MAP], {}),
    "ReduceMean": ("ReduceMean", [MAP], {"axes": [-1, 2], "keepdims": 0}),
    "ReduceMean of all": ("ReduceMean", [MAP], {}),
    "ReduceMax of two that tie": ("ReduceMax", [TIED], {"axes": [2, 3]}),
    "ReduceMax": ("ReduceMax", [MAP], {"axes": [1], "keepdims": 0}),
}


def made(case: Case) -> tuple[NodeProto, list[Floats]]:
    operator, values, attributes = case
    names = [f"in {place}" for place in range(len(values))]
    return helper.make_node(operator, names, ["out"], **attributes), [np.asarray(value) for value in values]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_operator_s_value_is_onnxruntime_s(case: Case) -> None:
    node, inputs = made(case)
    graph = helper.make_graph(
        [node],
        "one operator",
        [helper.make_tensor_value_info(name, 1, each.shape) for name, each in zip(node.input, inputs, strict=True)],
        [helper.make_tensor_value_info("out", 1, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    feeds = {name: each.astype(np.float32) for name, each in zip(node.input, inputs, strict=True)}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(["out"], feeds)
    found = apply(node, inputs).value
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_operator_s_derivative_is_that_of_its_value(case: Case) -> None:
    node, inputs = made(case)
    step = apply(node, inputs)
    gradient = np.random.default_rng(4).normal(0, 1, (2, *step.value.shape))
    assert step.back
    for place, back in enumerate(step.back):
        found = back(gradient, step.value)
        assert found.shape == (2, *inputs[place].shape)
        for cell in np.ndindex(inputs[place].shape):
            up, down = (changed(node, inputs, place, cell, by) for by in (1e-6, -1e-6))
            slope = np.tensordot(gradient, (up - down) / 2e-6, step.value.ndim)
            np.testing.assert_allclose(found[:, *cell], slope, atol=1e-6)


def changed(node: NodeProto, inputs: Sequence[Floats], place: int, cell: tuple[int, ...], by: float) -> Floats:
    others = [each.copy() for each in inputs]
    others[place][cell] += by
    return np.asarray(apply(node, others).value)
