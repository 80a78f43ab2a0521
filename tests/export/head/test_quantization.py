"""The range of an 8-bit tensor's values, from the operators that computed it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from whycam.export.graph.onnx_graph import Graph
from whycam.export.head.quantization import SLACK, Clamp, clamp, rescaling
from whycam.export.verify import operators

CONSTANTS: dict[str, Any] = {
    "0.01": np.float32(0.01),
    "0.02": np.float32(0.02),
    "rising": np.array([0.01, 0.02, 0.04], np.float32),
    "int8": np.int8(0),
    "three int8": np.zeros(3, np.int8),
    "low": np.int8(-128),
    "uint8": np.uint8(0),
    "−1": np.float32(-1),
    "0.5": np.float32(0.5),
}


def graph(*nodes: tuple[Any, ...], domain: str = "") -> Graph:
    """A chain of operators from `x`, (N, 3); the first one is of the given domain."""
    made, tensor = [], "x"
    for place, (operator, *constants) in enumerate(nodes):
        made.append(helper.make_node(operator, [tensor, *constants], [str(place)], domain=domain if not place else ""))
        tensor = str(place)
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in CONSTANTS.items()]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in ("x", tensor))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    return Graph(helper.make_model(helper.make_graph(made, "chain", [x], [y], stored), opset_imports=opsets))


def ends(*nodes: tuple[Any, ...], domain: str = "") -> Clamp:
    found = graph(*nodes, domain=domain)
    return clamp(found, found.model.graph.node[-1])


QUANTIZED = ("QuantizeLinear", "0.01", "int8")  # −1.28 to 1.27
READ = ("DequantizeLinear", "0.01", "int8")


def test_a_quantization_clips_at_the_values_of_its_end_integers() -> None:
    low, high = ends(QUANTIZED)
    assert low is not None
    assert high is not None
    np.testing.assert_allclose([low, high], [[-1.28], [1.27]], rtol=2 * SLACK)
    assert low < np.float32(-128) * np.float32(0.01), "an end is extended a little"
    assert high > np.float32(127) * np.float32(0.01)


@pytest.mark.parametrize(
    ("before", "clips"),
    [
        ([], (True, True)),
        ([("Relu",)], (False, True)),
        ([("Clip", "−1", "0.5")], (False, False)),
        ([("Clip", "−1")], (False, True)),
        ([("Clip", "", "0.5")], (True, False)),
        ([("Clip", "", "")], (True, True)),
        ([("Sigmoid",)], (True, True)),
        ([QUANTIZED, READ], (False, False)),
        ([QUANTIZED, READ, ("Relu",)], (False, False)),
        ([QUANTIZED, READ, ("Exp",)], (True, True)),
        ([("QuantizeLinear", "0.02", "int8"), ("DequantizeLinear", "0.02", "int8")], (True, True)),
        ([("QuantizeLinear", "rising", "three int8"), ("DequantizeLinear", "rising", "three int8")], (True, True)),
        ([("QuantizeLinear", "0.01"), ("DequantizeLinear", "0.01")], (False, True)),  # uint8: 0 to 2.55
        ([("QuantizeLinear", "0.01", "int8"), ("DequantizeLinear", "0.01")], (False, False)),  # int8 as before
        ([("QuantizeLinear", "0.01", "int8"), ("Identity",), ("DequantizeLinear", "0.01")], (False, False)),
    ],
)
def test_a_quantization_does_not_clip_beyond_its_inputs_range(
    before: list[tuple[Any, ...]], clips: tuple[bool, bool]
) -> None:
    low, high = ends(*before, QUANTIZED)
    assert (low is not None, high is not None) == clips


def test_the_narrowest_of_many_scales_decides() -> None:
    wide = ("QuantizeLinear", "rising", "three int8")
    low, high = ends(QUANTIZED, READ, wide)
    assert low is None, "the narrowest end is −1.28, which is the input's own"
    assert high is None
    low, high = ends(("QuantizeLinear", "0.02", "int8"), ("DequantizeLinear", "0.02", "int8"), wide)
    assert low is not None, "the first of the three stops at −1.28, though the last goes to −5.12"
    assert high is not None


def test_integers_of_an_unknown_type_have_no_range() -> None:
    assert ends(("MaxPool",), ("DequantizeLinear", "0.01"), QUANTIZED).clips


@pytest.mark.parametrize("operator", [("Relu",), ("Clip", "−1", "0.5")])
def test_an_operator_of_another_domain_has_no_known_range(operator: tuple[Any, ...]) -> None:
    found = ends(operator, QUANTIZED, domain="com.example")
    assert found.low is not None
    assert found.high is not None


def test_scales_are_compared_if_they_belong_to_the_same_entries() -> None:
    def found(*nodes: tuple[Any, ...]) -> Any:
        made = graph(*nodes)
        return rescaling(made, made.model.graph.node[-1])

    by_entry = ("QuantizeLinear", "rising", "three int8")
    np.testing.assert_allclose(found(QUANTIZED, ("Identity",), ("DequantizeLinear", "0.02", "int8")), [2])
    np.testing.assert_allclose(found(by_entry, ("DequantizeLinear", "0.02", "int8")), [2, 1, 0.5])
    np.testing.assert_allclose(found(by_entry, ("DequantizeLinear", "rising", "three int8")), [1, 1, 1])
    moved = ("Transpose",), ("DequantizeLinear", "rising", "three int8")
    assert found(by_entry, *moved) is None
    assert found(("Relu",), READ) is None


def test_head_and_check_use_the_same_slack() -> None:
    assert SLACK == operators.SLACK
